"""A checkpoint in another form: file or folder, other precision, averaged weights, another VAE. Start reading at `convert`.

The writing is `modules.weights.layouts`'; what is written is opened anew and compared before it is called done.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from modules.families import FAMILIES, identify, shipped
from modules.faults import ModelFault
from modules.upkeep import trial
from modules.upkeep.growing import growing, scratch_beside
from modules.upkeep.opened import layout_of, open_model
from modules.upkeep.places import room_for, size_of
from modules.upkeep.report import Report
from modules.upkeep.rewrite import Plan, rewrite, wanted
from modules.weights import header, model_folder
from modules.weights.layouts import to_folder, verify, write


def convert(work: dict[str, Any], report: Report) -> None:
    """Carry out a planned conversion. The source is only read. Raises Fault; nothing is left behind then.

    Copies of the weights (EMA), optimiser states and the like are left out.
    """
    about, target = work["models"]["source"], Path(work["target"])
    layout, dtype, source = layout_of(about), wanted(work), Path(about["path"])
    parts = {"vae": Path(work["paths"]["vae"])} if work["paths"]["vae"] else {}
    room_for(target.parent, (2 if work["ema"] else 1) * size_of(source), target.name)
    with ExitStack() as stack:
        part = stack.enter_context(growing(target))
        if work["ema"]:
            step = stack.enter_context(scratch_beside(target))
            report.say("Taking the averaged weights…")
            rewrite(open_model(about), step, Plan(ema=True), report)
            source = step
        report.say(f"Writing {target.name}…")
        if work["form"] == "folder":
            config = shipped.write(
                FAMILIES.get(about["family"]).variant(about["variant"]).config,
                Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="configs-"))),
            )
            to_folder(source, layout, part, config, dtype, parts=parts, each=report.part)
        else:
            write(source, part, layout, dtype, {"modelspec.title": target.stem}, parts=parts, each=report.part)
        report.say("Comparing the result with the model…")
        found = verify(part, source, layout, dtype, parts=parts, each=report.part)
        report.notes |= {"components": list(found.components), "tensors": found.tensors}
        check_kind(about, part)
        if work["check"] and (parts or work["ema"]):
            trial.attempt(about, part, report)
        elif work["check"]:
            trial.compare(about, part, report, exact=dtype in (None, "float32"))
    report.made(target)


def check_kind(about: dict[str, Any], result: Path) -> None:
    """The result must be recognised as the model it was made from. Raises ModelFault."""
    family, _ = identify(model_folder.read(result) if result.is_dir() else header.read(result))
    if family.id != about["family"]:
        raise ModelFault(f"The result would be taken for a {family.title} model; it was removed. Please report this with the model's name.")
