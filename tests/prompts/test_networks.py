"""Tags of extra networks: what is taken out of a prompt and what it asks for."""

from __future__ import annotations

import pytest

from modules.prompts.networks import NetworkUse, take_networks


def uses(prompt: str) -> list[tuple[str, float, float, int | None]]:
    return [(u.name, u.te, u.unet, u.rank) for u in take_networks(prompt)[1]]


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("<lora:ink>", ("ink", 1.0, 1.0, None)),
        ("<lora:ink:0.7>", ("ink", 0.7, 0.7, None)),
        ("<lora:ink:0.7:-0.2>", ("ink", 0.7, -0.2, None)),
        ("<lora:ink:.5:1:8>", ("ink", 0.5, 1.0, 8)),
        ("<lora:ink:te=0.3>", ("ink", 0.3, 0.3, None)),
        ("<lora:ink:unet=0.3>", ("ink", 1.0, 0.3, None)),
        ("<lora:ink:te=0:unet=1.5:dyn=4>", ("ink", 0.0, 1.5, 4)),
        ("<lora:ink:0.7:unet=2>", ("ink", 0.7, 2.0, None)),
        ("<lyco:ink:0.7>", ("ink", 0.7, 0.7, None)),
        ("<lora:folder/a b (v2).1:1>", ("folder/a b (v2).1", 1.0, 1.0, None)),
    ],
)
def test_a_tag_is_read_as_a1111_reads_it(tag: str, expected: tuple[str, float, float, int | None]):
    assert uses(tag) == [expected]


def test_tags_leave_the_text_and_nothing_else_changes():
    clean, found = take_networks("a cat<lora:a:1>, (red:1.2) <lora:b:0.5> [x|y] <lora:a:1>")
    assert clean == "a cat, (red:1.2)  [x|y] "
    assert [use.name for use in found] == ["a", "b", "a"]


@pytest.mark.parametrize("text", ["a < b > c", "<lora>", "<lora:>", "<:x>", "1 <2: 3", "", "<lora:unclosed"])
def test_what_is_no_tag_stays(text: str):
    assert take_networks(text) == (text, [])


@pytest.mark.parametrize("tag", ["<lora:ink:much>", "<lora:ink:nan>", "<lora:ink:1e9>", "<lora:ink:1:1:0>", "<lora:ink:1:1:x>"])
def test_a_broken_number_is_said_and_nothing_is_used(tag: str):
    clean, [use] = take_networks(f"a {tag}")
    assert clean == "a "
    assert "not numbers" in use.problem
    assert tag in use.problem


def test_an_unknown_kind_is_said():
    clean, [use] = take_networks("a <hypernet:old:1>")
    assert (clean, use.kind, use.name) == ("a ", "hypernet", "old")
    assert "no kind of network called 'hypernet'" in use.problem


def test_a_tag_in_order_has_no_problem():
    assert take_networks("<lora:a>")[1] == [NetworkUse(kind="lora", name="a")]
