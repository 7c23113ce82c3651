"""Registries: order, aliases, close matches, and nothing changed by a failed add."""

from __future__ import annotations

import pytest

from modules.faults import UnknownName
from modules.registry import Registry


@pytest.fixture
def rows() -> Registry[int]:
    made: Registry[int] = Registry("sampler_name")
    made.add("Euler", 1, aliases=("k_euler",))
    made.add("DPM++ 2M", 2)
    return made


def test_order_and_length(rows: Registry[int]) -> None:
    assert rows.names() == ["Euler", "DPM++ 2M"]
    assert list(rows) == [("Euler", 1), ("DPM++ 2M", 2)]
    assert len(rows) == 2


@pytest.mark.parametrize("name", ["Euler", "EULER", "k_euler", "K_Euler"])
def test_names_and_aliases_in_any_case(rows: Registry[int], name: str) -> None:
    assert rows.get(name) == 1
    assert name in rows
    assert rows.name_of(name) == "Euler"


def test_an_unknown_name_offers_the_nearest(rows: Registry[int]) -> None:
    with pytest.raises(UnknownName, match=r"DPM\+\+ 2M"):
        rows.get("DPM++ 2N")
    assert rows.name_of("no") is None
    assert "no" not in rows
    assert 5 not in rows


@pytest.mark.parametrize(("name", "aliases"), [("EULER", ()), ("New", ("k_euler",)), ("k_EULER", ())])
def test_a_failed_add_changes_nothing(rows: Registry[int], name: str, aliases: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="already there"):
        rows.add(name, 3, aliases=aliases)
    assert rows.names() == ["Euler", "DPM++ 2M"]
    assert rows.name_of("New") is None


def test_a_frozen_one_takes_no_more(rows: Registry[int]) -> None:
    rows.freeze()
    with pytest.raises(ValueError, match="closed"):
        rows.add("New", 3)
    assert "New" not in rows


def test_a_copy_is_open_and_apart(rows: Registry[int]) -> None:
    rows.freeze()
    other = rows.copy()
    other.add("New", 3, aliases=("n",))
    assert other.get("n") == 3
    assert "New" not in rows
    assert other.what == "sampler_name"


def test_rows_may_be_added_while_it_is_read(rows: Registry[int]) -> None:
    for name, _ in rows:
        rows.add(f"{name} 2", 0)
    assert len(rows) == 4
