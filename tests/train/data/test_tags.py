"""Tools over all captions do what they say, and can be taken back."""

from __future__ import annotations

import pytest

from modules.faults import RequestFault, UnknownName
from modules.train.data.tags import change, frequencies, undo, write_all
from modules.train.sessions import Session
from tests.train.data.conftest import Draw, config

A, B = "cat, sitting, red_hat", "Cat, dog, dog"


@pytest.fixture
def two(session: Session, draw: Draw) -> Session:
    draw("a.png", caption=A)
    draw("10_x/b.png", caption=B)
    return session


def read(session: Session, name: str) -> str:
    return (session.paths.pictures / name).with_suffix(".txt").read_text(encoding="utf-8")


def test_frequencies(two: Session) -> None:
    assert frequencies(two, config()) == [("Cat", 1), ("cat", 1), ("dog", 1), ("red_hat", 1), ("sitting", 1)]


@pytest.mark.parametrize(
    ("tool", "find", "put", "a", "b"),
    [
        ("add_back", "", "animal, CAT", f"{A}, animal", f"{B}, animal"),
        ("add_front", "", "animal", f"animal, {A}", f"animal, {B}"),
        ("remove", "cat, DOG", "", "sitting, red_hat", ""),
        ("replace", "cat", "dog", "dog, sitting, red_hat", "dog, dog, dog"),
        ("replace", "dog", "", A, "Cat"),
        ("replace", "sit", "stand", A, B),
        ("prefix", "", "a photo of ", f"a photo of {A}", f"a photo of {B}"),
        ("suffix", "", ", \n best", f"{A}, best", f"{B}, best"),
        ("set", "", "katze 猫", "katze 猫", "katze 猫"),
        ("dedupe", "", "", A, "Cat, dog"),
        ("sort", "", "", "cat, red_hat, sitting", B),
        ("lower", "", "", A, "cat, dog, dog"),
        ("underscores", "", "", "cat, sitting, red hat", B),
    ],
)
def test_changes_and_back(two: Session, tool: str, find: str, put: str, a: str, b: str) -> None:
    done = change(two, config(), tool, find, put)
    assert (read(two, "a.png"), read(two, "10_x/b.png")) == (a, b)
    assert done.captions == {name: new for name, old, new in (("a.png", A, a), ("10_x/b.png", B, b)) if new != old}
    if done.captions:
        assert undo(two).number == done.number
    assert (read(two, "a.png"), read(two, "10_x/b.png")) == (A, B)
    with pytest.raises(RequestFault, match="nothing to take back"):
        undo(two)


def test_the_most_frequent_first(two: Session, draw: Draw) -> None:
    draw("c.png", caption="sitting, Cat")
    change(two, config(), "sort_by_count")
    assert read(two, "a.png") == "sitting, cat, red_hat"
    assert frequencies(two, config())[:2] == [("Cat", 2), ("sitting", 2)]


def test_words_without_spaces_between_them(session: Session, draw: Draw) -> None:
    draw("a.png", caption="白い猫, котёнок")
    change(session, config(), "replace", "猫", "犬")
    change(session, config(), "replace", "кот", "пёс")
    assert read(session, "a.png") == "白い犬, котёнок"


def test_undo_leaves_what_was_changed_since(two: Session) -> None:
    change(two, config(), "add_back", put="x")
    (two.paths.pictures / "a.txt").write_text("mine")
    back = undo(two)
    assert back.left == ("a.png",)
    assert back.captions == {"10_x/b.png": B}
    assert read(two, "a.png") == "mine"


def test_changes_are_taken_back_in_turn_and_missing_captions_go_away_again(session: Session, draw: Draw) -> None:
    draw("a.png", caption=None)
    first = write_all(session, {"a.png": "one"})
    second = write_all(session, {"a.png": "two"})
    assert write_all(session, {"a.png": "two"}).number == 0
    assert (first.number, second.number) == (1, 2)
    undo(session)
    assert read(session, "a.png") == "one"
    undo(session)
    assert not (session.paths.pictures / "a.txt").exists()


def test_some_pictures_only(two: Session) -> None:
    assert set(change(two, config(), "set", put="x", names=["a.png"]).captions) == {"a.png"}
    with pytest.raises(UnknownName):
        change(two, config(), "set", put="x", names=["../config.toml"])


@pytest.mark.parametrize(("tool", "field"), [("", "tool"), ("burn", "tool"), ("add_back", "put"), ("replace", "find"), ("remove", "find")])
def test_what_cannot_be_done(two: Session, tool: str, field: str) -> None:
    with pytest.raises(RequestFault) as fault:
        change(two, config(), tool)
    assert fault.value.field == field
