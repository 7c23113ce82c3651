"""Choices and wildcards: what is drawn from which text, and that other texts stay as they are."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.faults import RequestFault
from modules.folders import Folders
from modules.prompts import dynamic
from modules.prompts.dynamic import expand
from modules.prompts.wildcards import WildcardFiles, places


@pytest.fixture
def shelf(tmp_path: Path) -> list[Path]:
    for name, text in {
        "colour.txt": "red\n\n# a remark\nblue\n0.0::never\n",
        "animal/cat.txt": "tabby\n{black|white} cat",
        "animal/wild/lion.txt": "lion of __colour__",
        "loop.txt": "x __loop__",
        "many.txt": "\n".join(str(n) for n in range(50)),
        "empty.txt": "# nothing\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return [tmp_path]


def drawn(template: str, folders: list[Path] | None = None, count: int = 400) -> Counter[str]:
    return Counter(expand(template, "", range(count), folders or []).prompts)


@pytest.mark.parametrize(
    "text",
    [
        "a (red:1.2) [cat|dog] {{masterpiece}} {prompt} <lora:a_b:1> a__b snake_case_ __ {} } { |",
        "a {b|c",
        "{a$$b}",
        r"\{a|b\} \__colour__",
        "",
    ],
)
def test_a_text_without_choices_stays_letter_for_letter(text: str, shelf: list[Path]) -> None:
    found = expand(text, text, [1, 2], shelf)
    assert found == ((text, text), (text, text), "", "", ())


@pytest.mark.parametrize(
    ("template", "texts"),
    [
        ("a {b|c} d", {"a b d", "a c d"}),
        ("{a|}", {"a", ""}),
        ("{a|{b|c}}", {"a", "b", "c"}),
        ("{{a|b}}", {"{a}", "{b}"}),
        ("{2$$a|b}", {"a, b", "b, a"}),
        ("{1-2$$ and $$a|b}", {"a", "b", "a and b", "b and a"}),
        ("{2-$$-$$a|b}", {"a-b", "b-a"}),
        ("{-2$$a|b}", {"a", "b", "a, b", "b, a"}),
        ("{5$$a|b}", {"a, b", "b, a"}),
        ("{1$$a}", {"a"}),
        ("{0::a|1::b|0.0::c}", {"b"}),
        ("{[a|b]|(c:1.2)}", {"[a|b]", "(c:1.2)"}),
        (r"{\{a\}|b}", {r"\{a\}", "b"}),
        ("__colour__", {"red", "blue"}),
        ("__COLOUR__s", {"reds", "blues"}),
        ("__animal/*__", {"tabby", "black cat", "white cat"}),
        ("__animal/**__", {"tabby", "black cat", "white cat", "lion of red", "lion of blue"}),
        ("{2$$__colour__}", {"red, blue", "blue, red"}),
        ("${c=!{a|b}}${c}${c}", {"aa", "bb"}),
        ("${c={a|b}}${c}${c}", {"aa", "ab", "ba", "bb"}),
        ("${c:x}", {"x"}),
    ],
)
def test_everything_that_can_be_drawn_is_drawn_and_nothing_else(template: str, texts: set[str], shelf: list[Path]) -> None:
    assert set(drawn(template, shelf)) == texts


def test_weights_are_shares() -> None:
    found = drawn("{0.1::a|0.9::b}", count=3000)
    assert found["a"] / 3000 == pytest.approx(0.1, abs=0.02)
    assert drawn("{a|b|c|d}", count=4000)["c"] / 4000 == pytest.approx(0.25, abs=0.03)


def test_a_seed_draws_the_same_alone_and_among_others(shelf: list[Path]) -> None:
    template = "__many__ {a|b|c|d} {2$$__many__}"
    together = expand(template, template, range(20), shelf)
    for seed in range(20):
        alone = expand(template, template, [seed], shelf)
        assert (alone.prompts[0], alone.negative_prompts[0]) == (together.prompts[seed], together.negative_prompts[seed])
    assert len(set(together.prompts)) > 15
    assert together.prompts != together.negative_prompts
    assert together.template == together.negative_template == template


def test_what_a_seed_draws_never_changes() -> None:
    """Pictures are made again from templates: these must hold in every version of the program and of Python."""
    assert expand("{a|b|c|d|e|f|g|h} {2$$a|b|c|d}", "{a|b|c|d|e|f|g|h}", [1, 2, 4294967293], [])[:2] == PINNED


PINNED = (("g b, c", "h b, d", "g c, b"), ("f", "b", "a"))


def test_what_was_drawn_is_not_drawn_again(shelf: list[Path]) -> None:
    found = expand(r"{a|b} \{c|d\} __nope__ ${x}", "", range(5), shelf)
    for text in found.prompts:
        assert expand(text, "", range(5), shelf).prompts == (text,) * 5


def test_what_is_missing_stays_and_is_said_once(shelf: list[Path]) -> None:
    found = expand("a __nope__ __nope__ ${who} __empty__", "__nope__", [1, 2], shelf)
    assert found.prompts == ("a __nope__ __nope__ ${who} __empty__",) * 2
    assert found.warnings == (
        "There is no wildcard __nope__; it stays in the text.",
        "There is no variable ${who}; it stays in the text.",
        "There is no wildcard __empty__; it stays in the text.",
    )
    assert found.template == ""


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("__loop__", "leads back to itself"),
        ("${a=${a}}${a}", "leads back to itself"),
        ("{0::a|" * 60 + "b" + "}" * 60, "nested too deeply"),
        ("${a=" + "x" * 1000 + "}${b=" + "${a}" * 50 + "}" + "${b}" * 50, "longer than"),
        ("{1-3$$a|b|c}" * 30_000, "more than 20000 choices"),
    ],
)
def test_nothing_grows_without_end(template: str, words: str, shelf: list[Path]) -> None:
    with pytest.raises(RequestFault, match=words) as raised:
        expand(template, "", range(30), shelf)
    assert raised.value.field == "prompt"


def test_all_texts_together_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dynamic, "TOTAL_LIMIT", 1000)
    with pytest.raises(RequestFault, match="all pictures together"):
        expand("{a|b}" + "x" * 100, "", range(20), [])


def test_a_name_cannot_leave_its_folder(tmp_path: Path, shelf: list[Path]) -> None:
    (tmp_path.parent / "secret.txt").write_text("secret", encoding="utf-8")
    for name in ("../secret", "/../secret", str(tmp_path.parent / "secret"), "..*secret"):
        assert "secret" not in {text for text in drawn(f"__{name}__", shelf, 3) if not text.startswith("__")}


def test_the_earlier_folder_counts_and_names_are_listed(tmp_path: Path) -> None:
    for folder, text in (("one", "first"), ("two", "second")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.txt").write_text(text, encoding="utf-8")
    (tmp_path / "two" / "y.txt").write_bytes(b"\xef\xbb\xbfb\xc3\xa4r \xff\n")
    files = WildcardFiles([tmp_path / "one", tmp_path / "two", tmp_path / "not there"])
    assert files.names() == ["x", "y"]
    assert files.lines("x") == ["first"]
    assert files.lines("y") == ["bär �"]


def test_the_persons_own_folder_is_the_first_place(folders: Folders) -> None:
    assert places(folders)[:2] == [folders.data / "wildcards", folders.models / "wildcards"]


@given(st.text(alphabet="ab{}|$_[]:0.5-\\ =!*/", max_size=80), st.integers(0, 2**32))
def test_any_text_can_be_drawn_from(text: str, seed: int) -> None:
    first, again = expand(text, "", [seed], []), expand(text, "", [seed], [])
    assert first == again
    if not set(text) & {"{", "_"}:
        assert first.prompts == (text,)
