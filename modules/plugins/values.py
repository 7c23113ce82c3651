"""A native guest's values in a request: found under its own title or another program's, and checked against its knobs.

Start reading at `values_of`, which a guest's own `before_resolve` may call too.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from modules.faults import RequestFault
from modules.hooks import Guest
from modules.knobs import coerce

FIELD = "alwayson_scripts"
ARGS_LIMIT = 1000


def values_of(guest: Guest, scripts: MutableMapping[str, Any]) -> tuple[Any, ...]:
    """One value a knob. scripts: `alwayson_scripts` by lower-case title; what is the guest's is taken out of it. Raises RequestFault."""
    names = [name for name in (guest.name.casefold(), *guest.known_as) if name in scripts]
    sent = {name: args_of(scripts.pop(name), name) for name in names}
    if not names:
        return _checked(guest, [])
    own = names[0] == guest.name.casefold()
    return _checked(guest, sent[names[0]] if own else guest.translated(names[0], sent[names[0]]))


def lower_titles(scripts: MutableMapping[str, Any]) -> dict[str, Any]:
    """`alwayson_scripts` with the titles in lower case."""
    return {str(title).casefold(): about for title, about in scripts.items()}


def args_of(about: Any, title: str) -> Any:
    """The arguments of an entry of alwayson_scripts; A1111 allows one without any. Raises RequestFault."""
    found = about.get("args", []) if isinstance(about, dict) else [] if about is None else about
    if not isinstance(found, list | dict) or len(found) > ARGS_LIMIT:
        raise RequestFault(FIELD, f"args of {title} must be a list of at most {ARGS_LIMIT} values", got=found)
    return found


def _checked(guest: Guest, given: Any) -> tuple[Any, ...]:
    """A list in order, or an object by name."""
    fields = guest.controls()
    by_name = given if isinstance(given, dict) else dict(zip(fields, given, strict=False))
    if unknown := sorted(set(by_name) - set(fields)):
        raise RequestFault(FIELD, f"{guest.name} has no value {unknown[0]!r}", allowed=list(fields))
    try:
        return tuple(coerce(field, by_name.get(name, field.default)) for name, field in fields.items())
    except RequestFault as fault:
        raise RequestFault(FIELD, f"{guest.name}, {fault.field}: {fault.why}", got=fault.extra["got"]) from fault
