"""`Registry[T]`: a named, ordered list that rooms add rows to. Knows nothing about what it holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, Self, TypeVar

from modules.faults import UnknownName

T = TypeVar("T")


class Registry(Generic[T]):
    """Rows in the order they were added; names and aliases are matched without regard to case.

    what: the singular word used in messages and as the field of the fault ("sampler_name").
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self._rows: dict[str, T] = {}
        self._lookup: dict[str, str] = {}
        self._frozen = False

    def add(self, name: str, item: T, *, aliases: tuple[str, ...] = ()) -> None:
        """Add a row. Raises ValueError when a name is taken or the registry is frozen; nothing is changed then."""
        if self._frozen:
            raise ValueError(f"the list of {self.what} is closed; {name} came too late")
        keys = {k.casefold() for k in (name, *aliases)}
        taken = sorted(k for k in keys if k in self._lookup)
        if taken:
            raise ValueError(f"{self.what} {taken[0]!r} is already there")
        self._rows[name] = item
        self._lookup.update(dict.fromkeys(keys, name))

    def name_of(self, name: str) -> str | None:
        """The registered spelling of a name or alias, or None."""
        return self._lookup.get(str(name).casefold())

    def get(self, name: str) -> T:
        """The row of that name or alias. Raises UnknownName with close matches."""
        found = self.name_of(name)
        if found is None:
            raise UnknownName(self.what, name, self._rows)
        return self._rows[found]

    def copy(self) -> Self:
        """An open copy; the original does not see what is added to it."""
        other = type(self)(self.what)
        other._rows = dict(self._rows)
        other._lookup = dict(self._lookup)
        return other

    def freeze(self) -> None:
        self._frozen = True

    def names(self) -> list[str]:
        return list(self._rows)

    def __iter__(self) -> Iterator[tuple[str, T]]:
        return iter(list(self._rows.items()))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.casefold() in self._lookup

    def __len__(self) -> int:
        return len(self._rows)
