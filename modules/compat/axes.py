"""The axes that scripts add to X/Y/Z grids: found in `axis_options` of the module xyz_grid.py, as A1111's extensions leave them there.

The web process lists and checks them; the worker applies them to p inside the cell's own job. Start reading at `axes_of` and `apply`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from modules.compat.processed import StableDiffusionProcessingImg2Img, StableDiffusionProcessingTxt2Img
from modules.compat.troupe import Troupe
from modules.faults import RequestFault
from modules.grids.axis import BOTH, Axis, plain
from modules.grids.values import MOST_VALUES

log = logging.getLogger(__name__)
MODULE = "xyz_grid.py"
KINDS = {int: "int", float: "float"}
P = {"txt2img": StableDiffusionProcessingTxt2Img, "img2img": StableDiffusionProcessingImg2Img}


def axes_of(troupe: Troupe, tab: str) -> list[Axis]:
    """The axes of a tab that scripts brought, in the order they came; none without the shipped script."""
    found: dict[str, Axis] = {}
    for option in _brought(troupe):
        label = str(getattr(option, "label", ""))
        tabs = BOTH if not hasattr(option, "is_img2img") else ("img2img",) if option.is_img2img else ("txt2img",)
        if label and tab in tabs:
            found.setdefault(label, _axis(option, label, tabs, tab))
    return list(found.values())


def apply(troupe: Troupe, p: Any, rows: Sequence[Sequence[Any]]) -> None:
    """Set the values of a cell on p. rows: (label, value, all values of the axis). Raises RequestFault naming the axis."""
    known = {str(getattr(option, "label", "")): option for option in reversed(_brought(troupe))}
    for label, value, values in rows:
        option = known.get(label)
        if option is None:
            raise RequestFault("type", f"the axis {label} came from a script that is not here any more or is switched off")
        try:
            option.apply(p, _typed(option, value), [_typed(option, one) for one in values])
        except Exception as error:
            log.warning("the axis %s failed", label, exc_info=error)
            raise RequestFault("values", f"the axis {label} failed: {type(error).__name__}: {error}", got=value) from error


def _brought(troupe: Troupe) -> list[Any]:
    """What others put into the list. They do so when the page is about to be built, so that is told here, too."""
    module = _module(troupe)
    if module is None:
        return []
    options = [one for one in module.axis_options if not getattr(one, "of_program", False)]
    if not options and troupe.views.callbacks.of("before_ui"):
        troupe.tell("before_ui", reverse=True)
        options = [one for one in module.axis_options if not getattr(one, "of_program", False)]
    return options


def _module(troupe: Troupe) -> ModuleType | None:
    data = troupe.views.offer("modules.scripts")
    rows = getattr(data, "scripts_data", ())
    return next((row.module for row in rows if row.script_class.__module__ == MODULE and hasattr(row.module, "axis_options")), None)


def _axis(option: Any, label: str, tabs: tuple[str, ...], tab: str) -> Axis:
    def check(values: Sequence[Any]) -> Sequence[Any]:
        return _confirmed(option, label, values, tab)

    return Axis(
        label=label, name=label, kind=KINDS.get(option.type, "str"), change=_nothing, choices=_choices(option, label), tabs=tabs,
        cost=float(getattr(option, "cost", 0.0) or 0.0), own=True, check=check, describe=_described(option, label),
        prepare=_prepared(option, label),
    )  # fmt: skip


def _nothing(holder: Any, value: Any, values: Sequence[Any]) -> dict[str, Any]:
    """The request stays as it is; the script changes p in the worker."""
    return {}


def _choices(option: Any, label: str) -> tuple[str, ...] | None:
    """The list of an axis. One that needs what only the worker has is typed here."""
    if option.choices is None:
        return None
    try:
        return tuple(str(one) for one in option.choices())
    except Exception as error:
        log.warning("the choices of the axis %s", label, exc_info=error)
        return None


def _prepared(option: Any, label: str) -> Callable[[str], list[Any]] | None:
    prepare = getattr(option, "prepare", None)
    if prepare is None:
        return None

    def read(text: str) -> list[Any]:
        try:
            return list(prepare(text))[: MOST_VALUES + 1]
        except Exception as error:
            raise RequestFault("values", f"{label}: {type(error).__name__}: {error}", got=text) from error

    return read


def _confirmed(option: Any, label: str, values: Sequence[Any], tab: str) -> Sequence[Any]:
    """The values, if the script takes them. Raises RequestFault in its words."""
    confirm = getattr(option, "confirm", None)
    try:
        typed = [_typed(option, value) for value in values]
        if confirm is not None:
            confirm(P[tab](), typed)
    except Exception as error:
        raise RequestFault("values", f"{label}: {error}", got=values[0] if len(values) == 1 else None) from error
    return values


def _described(option: Any, label: str) -> Callable[[Any], str]:
    def words(value: Any) -> str:
        try:
            return str(option.format_value(None, option, _typed(option, value)))
        except Exception:  # noqa: BLE001 - a script's own words that need a run around them
            return f"{label}: {plain(value)}"

    return words


def _typed(option: Any, value: Any) -> Any:
    """The value as the script's type makes it."""
    return option.type(value) if callable(option.type) else value
