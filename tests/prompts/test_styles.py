"""Styles: A1111's file and its rule of merging; nothing in the file is lost by saving."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modules.faults import DiskFault, RequestFault, UnknownName
from modules.prompts.styles import TEXT_LIMIT, Style, Styles

OIL = Style("oil", "{prompt}, oil painting", "photo")
SHARP = Style("sharp", "sharp, detailed", "")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "styles.csv"


@pytest.fixture
def styles(path: Path) -> Styles:
    made = Styles(path)
    made.save(OIL)
    made.save(SHARP)
    return made


@pytest.mark.parametrize(
    ("names", "prompt", "negative"),
    [
        ([], "a cat", "bad"),
        (["sharp"], "a cat, sharp, detailed", "bad"),
        (["oil"], "a cat, oil painting", "bad, photo"),
        (["oil", "sharp"], "a cat, oil painting, sharp, detailed", "bad, photo"),
        (["sharp", "oil"], "a cat, sharp, detailed, oil painting", "bad, photo"),
        (["None"], "a cat", "bad"),
    ],
)
def test_merging_in_the_order_given(styles: Styles, names: list[str], prompt: str, negative: str) -> None:
    assert styles.apply("a cat", "bad", names) == (prompt, negative, [])


def test_an_empty_prompt_gets_no_comma(styles: Styles) -> None:
    assert styles.apply("", " ", ["sharp"]) == ("sharp, detailed", "", [])
    styles.save(Style("twice", "{prompt} and {prompt}", ""))
    assert styles.apply("x", "", ["twice"])[0] == "x and x"


def test_unknown_names_are_left_out_and_told(styles: Styles) -> None:
    assert styles.apply("a", "", ["nope", "sharp", "Oil"]) == ("a, sharp, detailed", "", ["nope", "Oil"])


def test_a_style_that_doubles_the_prompt_ends_before_memory_does(styles: Styles) -> None:
    styles.save(Style("twice", "{prompt} {prompt}", ""))
    with pytest.raises(RequestFault) as caught:
        styles.apply("a cat", "", ["twice"] * 60)
    assert caught.value.field == "styles"


def test_saved_replaced_deleted(styles: Styles, path: Path) -> None:
    styles.save(Style("oil", "oil", 'a "quoted",\nnew line'))
    assert Styles(path).list() == [Style("oil", "oil", 'a "quoted",\nnew line'), SHARP]
    styles.delete("oil")
    assert [s.name for s in Styles(path).list()] == ["sharp"]
    assert styles.get("sharp") == SHARP
    with pytest.raises(UnknownName, match="sharp"):
        styles.get("shap")
    with pytest.raises(UnknownName):
        styles.delete("oil")


def test_the_file_is_a1111s(styles: Styles, path: Path) -> None:
    assert path.read_bytes().startswith(b"\xef\xbb\xbfname,prompt,negative_prompt\r\n")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a1111s_files_are_read(path: Path, encoding: str) -> None:
    path.write_text('name,prompt,negative_prompt\nOil,"{prompt}, öl",photo\n# --- mine ---,,\nShort\n,,\n', encoding=encoding)
    assert Styles(path).list() == [Style("Oil", "{prompt}, öl", "photo"), Style("Short", "", "")]


def test_the_old_column_text_is_the_prompt(path: Path) -> None:
    path.write_text("name,text\nOil,oil painting\n", encoding="utf-8")
    styles = Styles(path)
    assert styles.list() == [Style("Oil", "oil painting", "")]
    styles.save(Style("Oil", "new", "bad"))
    styles.save(SHARP)
    assert Styles(path).list() == [Style("Oil", "new", "bad"), SHARP]
    assert path.read_text(encoding="utf-8-sig").splitlines()[:2] == ["name,text,prompt,negative_prompt", "Oil,new,new,bad"]


def test_saving_keeps_comments_and_columns_of_others(path: Path) -> None:
    path.write_text("name,prompt,negative_prompt,description\n# mine,,,\nOil,oil,,by me\n", encoding="utf-8")
    styles = Styles(path)
    styles.save(SHARP)
    styles.save(Style("Oil", "oils", ""))
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    assert lines == ["name,prompt,negative_prompt,description", "# mine,,,", "Oil,oils,,by me", 'sharp,"sharp, detailed",,']


def test_no_file_is_no_styles(path: Path) -> None:
    assert Styles(path).list() == []
    assert Styles(path).apply("a", "b", ["x"]) == ("a", "b", ["x"])


def test_changes_of_the_file_are_seen(styles: Styles, path: Path) -> None:
    assert len(styles.list()) == 2
    path.write_text("name,prompt,negative_prompt\nother,o,\n", encoding="utf-8")
    os.utime(path, ns=(1, 10**18))
    assert [s.name for s in styles.list()] == ["other"]
    path.unlink()
    assert styles.list() == []


def test_two_programs_change_one_file(path: Path) -> None:
    one, two = Styles(path), Styles(path)
    one.save(OIL)
    two.save(SHARP)
    one.save(Style("third", "", ""))
    assert [s.name for s in two.list()] == ["oil", "sharp", "third"]


@pytest.mark.parametrize(
    ("raw", "readable"),
    [
        ("name,prompt,negative_prompt\nÖl,öl,\n".encode("latin-1"), 1),
        (b"title,prompt\nOil,oil\n", 0),
        (b"name,prompt,negative_prompt\nOil,oil,\nBig," + b"x" * 200_000 + b",\n", 1),
        (b"name,prompt,negative_prompt\nOil,oil,painting,too,many\n", 1),
    ],
    ids=["not UTF-8", "no header", "huge field", "too many fields"],
)
def test_a_damaged_file_is_read_as_far_as_it_goes_and_never_written_over(path: Path, raw: bytes, readable: int) -> None:
    path.write_bytes(raw)
    styles = Styles(path)
    assert len(styles.list()) == readable
    assert styles.damage
    with pytest.raises(DiskFault, match=r"styles\.csv"):
        styles.save(SHARP)
    assert path.read_bytes() == raw


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "a\rb", "# x", "None", "x" * 201])
def test_names_that_would_not_come_back(styles: Styles, name: str) -> None:
    with pytest.raises(RequestFault) as caught:
        styles.save(Style(name, "", ""))
    assert caught.value.field == "name"


def test_a_text_that_could_not_be_read_back(styles: Styles) -> None:
    with pytest.raises(RequestFault):
        styles.save(Style("long", "x" * (TEXT_LIMIT + 1), ""))
    styles.save(Style("long", '"' * TEXT_LIMIT, ""))
    assert len(styles.get("long").prompt) == TEXT_LIMIT
    assert not styles.damage


def test_a_full_disk_leaves_the_old_file(styles: Styles, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()

    def full(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFault):
        styles.delete("oil")
    assert path.read_bytes() == before
    assert [s.name for s in styles.list()] == ["oil", "sharp"]


_TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=50)
_NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_TEXTS, _TEXTS, _NAMES.filter(lambda name: name.strip() and name[0] != "#" and name != "None"))
def test_any_style_comes_back(tmp_path: Path, prompt: str, negative: str, name: str) -> None:
    path = tmp_path / "any.csv"
    path.unlink(missing_ok=True)
    Styles(path).save(Style(name, prompt, negative))
    assert Styles(path).list() == [Style(name, prompt, negative)]
