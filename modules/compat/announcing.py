"""Telling scripts about the page's controls: `before_component`, `after_component`, and the functions they register for one id.

On the page the controls are real and told about in batches, before the scripts' own are made and again when a tab is done. Elsewhere
sketches of the usual ids are told, so that a script finds what it keeps from there. Start reading at `announce`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from modules.compat.callbacks import Callback
from modules.compat.face import OnComponent, Script, overrides
from modules.compat.sketch import Sketch

log = logging.getLogger(__name__)
KINDS = ("before_component", "after_component")
# The controls of a generation tab that extensions look for, without the tab's name before them.
IDS = (
    "prompt", "neg_prompt", "styles", "generate", "interrupt", "skip", "sampling", "scheduler", "steps", "width", "height", "batch_count",
    "batch_size", "cfg_scale", "seed", "denoising_strength", "enable_hr", "hr_scale", "gallery",
)  # fmt: skip
Failed = Callable[[Any, str, Exception], None]


def wanted(scripts: Iterable[Script], rows: Iterable[Callback]) -> bool:
    """Does anybody want to hear of components?"""
    told = any(overrides(s, kind) or getattr(s, f"on_{kind}_elem_id", None) for s in scripts for kind in KINDS)
    return told or any(row.kind in KINDS for row in rows)


def announce(component: Any, about: Mapping[str, Any], scripts: Iterable[Script], rows: Iterable[Callback], failed: Failed) -> None:
    """A component that there is now. about: what it was made with; failed(script or Callback, hook, error)."""
    elem_id = about.get("elem_id") or getattr(component, "elem_id", None)
    known = {**about, "elem_id": elem_id}
    for kind in KINDS:
        for row in rows:
            if row.kind == kind:
                _try(lambda r=row: r.call(component, **known), row, kind, failed)
        for script in scripts:
            if overrides(script, kind):
                _try(lambda s=script, k=kind: getattr(s, k)(component, **known), script, kind, failed)
            wishes: list[tuple[str, Any]] = list(getattr(script, f"on_{kind}_elem_id", None) or ())
            for wish, call in wishes:
                if wish == elem_id:
                    _try(lambda c=call: c(OnComponent(component)), script, f"on_{kind}", failed)


def sketched(tab: str) -> list[tuple[Any, dict[str, Any]]]:
    """Sketches of the usual controls of a tab, each with what it is made with."""
    found: list[tuple[Any, dict[str, Any]]] = []
    for name in IDS:
        about = {"elem_id": f"{tab}_{name}", "label": name.replace("_", " ").capitalize()}
        found.append((Sketch(**about), about))
    return found


def _try(work: Callable[[], Any], who: Any, kind: str, failed: Failed) -> None:
    try:
        work()
    except Exception as error:
        log.warning("%s of a script", kind, exc_info=error)
        failed(who, kind, error)
