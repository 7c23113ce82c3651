"""A checkpoint as a diffusers folder in few bits: written whole in its number type first, then one component after another is made small.

How a component is made small and written is `modules.weights.quantisers`' business. Start reading at `quantise`.
"""

from __future__ import annotations

import gc
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from modules.families import FAMILIES, shipped
from modules.upkeep import trial
from modules.upkeep.convert import check_kind
from modules.upkeep.growing import growing
from modules.upkeep.opened import layout_of
from modules.upkeep.places import room_for, size_of
from modules.upkeep.report import Report
from modules.weights.layouts import to_folder
from modules.weights.layouts.module import load_component
from modules.weights.quantisers import QUANTISERS, saved
from modules.weights.quantisers.component import quantise as make_small


def quantise(work: dict[str, Any], report: Report) -> None:
    """Carry out what was planned. The source is only read. Raises Fault; nothing is left behind then."""
    about, target = work["models"]["source"], Path(work["target"])
    layout, source = layout_of(about), Path(about["path"])
    room_for(target.parent, 2 * size_of(source), target.name)
    with ExitStack() as stack:
        part = stack.enter_context(growing(target))
        config = shipped.write(
            FAMILIES.get(about["family"]).variant(about["variant"]).config,
            Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="configs-"))),
        )
        report.say(f"Writing {target.name}…")
        to_folder(source, layout, part, config, work["dtype"], each=report.part)
        before = size_of(part)
        for name, quantiser in work["quantise"].items():
            if (part / name).is_dir():
                report.say(f"Making the {name.replace('_', ' ')} small ({quantiser})…")
                _one(part / name, layout, name, quantiser, work["dtype"], report)
        report.notes |= {"bytes_before": before, "bytes": size_of(part)}
        check_kind(about, part)
        if work["check"]:
            trial.attempt(about, part, report)
    report.made(target)


def _one(folder: Path, layout: str, name: str, quantiser: str, dtype: str, report: Report) -> None:
    component = load_component(folder, layout, name, dtype)
    make_small(component, QUANTISERS.get(quantiser), each=report.part)
    saved.write(component, quantiser, folder)
    del component
    gc.collect()
