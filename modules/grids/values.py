"""The text of an axis as values: ranges of numbers, lists with quotes, switches, orders of parts.

Knows the syntax; knows nothing about what an axis changes. Start reading at `read_values`. Source: the behaviour of A1111 1.10.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from modules.faults import RequestFault

MOST_VALUES = 1000
TEXT_LIMIT = 200_000
PARTS_LIMIT = 6  # parts of a prompt have 720 orders then, of seven 5040
_INT = r"\s*([+-]?\s*\d{1,18})\s*"
_FLOAT = r"\s*([+-]?\s*\d{1,30}(?:\.\d{0,30})?)\s*"
_STEP, _COUNT = r"(?:\(\s*([+-]?\s*{number})\s*\))?\s*", r"\[\s*(\d+)\s*\]\s*"
INT_RANGE = re.compile(_INT + "-" + _INT + _STEP.format(number=r"\d{1,18}"))
INT_COUNT = re.compile(_INT + "-" + _INT + _COUNT)
FLOAT_RANGE = re.compile(_FLOAT + "-" + _FLOAT + _STEP.format(number=r"\d{1,30}(?:\.\d{0,30})?"))
FLOAT_COUNT = re.compile(_FLOAT + "-" + _FLOAT + _COUNT)
_TRUE, _FALSE = frozenset({"true", "yes", "y", "1", "on"}), frozenset({"false", "no", "n", "0", "off"})


def split_list(text: str) -> list[str]:
    """The entries of a comma list: blanks after commas and around entries go, "a, b" in quotes is one, lines follow one another.

    Raises RequestFault for a text that is too long.
    """
    if len(text) > TEXT_LIMIT:
        raise RequestFault("values", f"are {len(text)} characters long; the longest accepted is {TEXT_LIMIT}")
    try:
        rows = list(csv.reader(io.StringIO(text), skipinitialspace=True))
    except csv.Error as error:
        raise RequestFault("values", f"cannot be read as a comma list ({error})", got=text) from error
    return [entry.strip() for row in rows for entry in row]


def join_list(values: Sequence[Any]) -> str:
    """The text that `split_list` reads back as these."""
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow([" ".join(str(value).splitlines()) for value in values])
    return out.getvalue().replace(",", ", ") if not any("," in str(v) or '"' in str(v) for v in values) else out.getvalue()


def read_values(text: str, kind: str, label: str) -> list[Any]:
    """The values of an axis of this kind, one of READERS. label: of the axis, for messages. Raises RequestFault."""
    found: list[Any] = []
    for value in READERS[kind](split_list(text), label):
        found.append(value)
        if len(found) > MOST_VALUES:
            raise RequestFault("values", f"{label}: there are more than {MOST_VALUES} values", allowed=MOST_VALUES)
    return found


def as_kind(values: Sequence[Any], kind: str, label: str) -> list[Any]:
    """Chosen entries, one by one and without ranges, as values of this kind. Raises RequestFault."""
    if kind in ("int", "float", "bool", "json"):
        found: list[Any] = []
        for value in values:
            found += READERS[kind]([str(value)], label) if isinstance(value, str) or kind == "bool" else [value]
        return found
    return [str(value) for value in values]


def whole_numbers(entries: Sequence[str], label: str) -> Iterator[int]:
    """1-5; 1-10 (+2); 10-1 (-3), whose end counts as one more; 1-10 [5] in even parts, cut to whole numbers."""
    for entry in filter(None, entries):
        if match := INT_RANGE.fullmatch(entry):
            start, end, step = _int(match[1]), _int(match[2]), _int(match[3] or "1")
            yield from range(start, end + 1, _not_zero(step, entry, label))
        elif match := INT_COUNT.fullmatch(entry):
            yield from (int(value) for value in _evenly(_int(match[1]), _int(match[2]), _count(match[3], label)))
        else:
            try:
                yield int(entry)
            except ValueError:
                raise RequestFault("values", f"{label}: {entry[:80]!r} is no whole number and no range such as 1-5 or 1-10 (+2)") from None


def numbers(entries: Sequence[str], label: str) -> Iterator[float]:
    """As `whole_numbers`; 0-1 (+0.25) has its end, and by rounding sometimes one more; 1-3 goes by 1."""
    for entry in filter(None, entries):
        if match := FLOAT_RANGE.fullmatch(entry):
            start, end, step = _float(match[1]), _float(match[2]), _float(match[3] or "1")
            yield from _stepwise(start, end + _not_zero(step, entry, label), step)
        elif match := FLOAT_COUNT.fullmatch(entry):
            yield from _evenly(_float(match[1]), _float(match[2]), _count(match[3], label))
        else:
            yield _finite(entry, label)


def texts(entries: Sequence[str], label: str) -> list[str]:
    """The entries as they are."""
    return list(entries)


def switches(entries: Sequence[str], label: str) -> Iterator[bool]:
    """true, yes, y, on, 1 and their opposites."""
    for entry in filter(None, entries):
        word = entry.casefold()
        if word not in _TRUE | _FALSE:
            raise RequestFault("values", f"{label}: {entry[:80]!r} is neither True nor False")
        yield word in _TRUE


def orders(entries: Sequence[str], label: str) -> Iterator[tuple[str, ...]]:
    """Every order of the entries."""
    if len(entries) > PARTS_LIMIT:
        raise RequestFault("values", f"{label}: {len(entries)} parts have too many orders; the most is {PARTS_LIMIT}", allowed=PARTS_LIMIT)
    yield from itertools.permutations(entries)


def data(entries: Sequence[str], label: str) -> Iterator[Any]:
    """Each entry as JSON, for fields that hold lists and objects."""
    for entry in filter(None, entries):
        try:
            yield json.loads(entry)
        except ValueError as error:
            raise RequestFault("values", f"{label}: {entry[:80]!r} is not JSON ({error})") from None


READERS: dict[str, Callable[[Sequence[str], str], Any]] = {
    "int": whole_numbers, "float": numbers, "str": texts, "bool": switches, "order": orders, "json": data,
}  # fmt: skip


def _int(text: str) -> int:
    return int(text.replace(" ", ""))


def _float(text: str) -> float:
    return float(text.replace(" ", ""))


def _not_zero(step: Any, entry: str, label: str) -> Any:
    if step == 0:
        raise RequestFault("values", f"{label}: the range {entry[:80]!r} has a step of 0")
    return step


def _count(text: str, label: str) -> int:
    count = int(text) if len(text) < 10 else MOST_VALUES + 1
    if count > MOST_VALUES:
        raise RequestFault("values", f"{label}: there are more than {MOST_VALUES} values", allowed=MOST_VALUES)
    return count


def _finite(entry: str, label: str) -> float:
    try:
        value = float(entry)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise RequestFault("values", f"{label}: {entry[:80]!r} is no number and no range such as 0-1 (+0.25) or 0-1 [5]")
    return value


def _stepwise(start: float, stop: float, step: float) -> Iterator[float]:
    """start, start + step, ... below stop, rounded as NumPy's arange does."""
    count = math.ceil((stop - start) / step)
    apart = (start + step) - start
    return (start + n * apart for n in range(max(0, count)))


def _evenly(start: float, end: float, count: int) -> Iterator[float]:
    """count numbers from start to end, rounded as NumPy's linspace does."""
    if count == 1:
        yield float(start)
        return
    apart = (end - start) / max(1, count - 1)
    for n in range(count):
        yield float(end) if n == count - 1 else n * apart + start
