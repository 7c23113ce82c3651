"""LoRAs into and out of checkpoints, as work. The arithmetic is `modules.weights.lora`'s. Start reading at `extract_lora`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from modules.faults import ModelFault
from modules.upkeep import trial
from modules.upkeep.growing import growing
from modules.upkeep.opened import Model, open_model, single_file
from modules.upkeep.places import room_for, size_of
from modules.upkeep.report import Report
from modules.upkeep.rewrite import Plan, rewrite, wanted
from modules.weights.layouts.files import Tensors, torch_dtype
from modules.weights.lora.extract import Extracted, Pair, extract
from modules.weights.lora.merge import Merge, names_of
from modules.weights.lora.names import Names
from modules.weights.lora.write import write

SMALLEST_TEXT = 1e-3  # a text encoder that changed less was not trained


def extract_lora(work: dict[str, Any], report: Report) -> None:
    """The difference of two checkpoints as a LoRA file. Raises ModelFault."""
    tuned, base = open_model(work["models"]["tuned"]), open_model(work["models"]["base"])
    names, target = _names(base), Path(work["target"])
    found = Extracted()
    with Tensors() as files:
        pairs = list(_layers(base, tuned))
        for done, (component, name) in enumerate(pairs, 1):
            report.part(done, len(pairs), "Comparing layers…" if done == 1 else None)
            pair: Pair = (
                component,
                name.removesuffix(".weight"),
                base.components[component].read(files, name),
                tuned.components[component].read(files, name),
            )
            smallest = SMALLEST_TEXT if component.startswith("text_encoder") else 0.0
            one = extract([pair], work["rank"], clamp=work["clamp"], smallest=smallest)
            found.layers.update(one.layers)
            found.kept.update(one.kept)
    if not found.layers:
        raise ModelFault(f"{tuned.name} does not differ from {base.name} in anything a LoRA can hold.")
    report.notes |= {"layers": len(found.layers), "smallest_share_kept": round(found.share, 4)}
    if found.share < 0.5:
        report.warn(f"At rank {work['rank']} the LoRA holds only {found.share:.0%} of the change of some layer; a higher rank holds more.")
    dtype = torch_dtype("float16" if work["dtype"] == "keep" else work["dtype"])
    with growing(target) as part:
        title = {"modelspec.title": target.stem, "ss_output_name": target.stem, "ss_sd_model_name": base.path.name}
        write(part, found.layers, names, dtype=dtype, metadata=title)
    report.made(target)


def _layers(base: Model, tuned: Model) -> Iterator[tuple[str, str]]:
    """(component, weight) of what both have in the same shape and a LoRA can hold."""
    for component, own in base.components.items():
        its = tuned.components.get(component)
        if component == "vae" or its is None:
            continue
        there = its.shapes
        for name, shape in own.shapes.items():
            layer = name.removesuffix(".weight")
            if layer != name and len(shape) in (2, 4) and there.get(name) == shape and "embedding" not in layer.rpartition(".")[2]:
                yield component, name


def merge_lora(work: dict[str, Any], report: Report) -> None:
    """LoRAs worked into a checkpoint. Raises ModelFault when one has no place in it."""
    about, target = work["models"]["model"], Path(work["target"])
    room_for(target.parent, 2 * size_of(Path(about["path"])), target.name)
    with Tensors() as files, growing(target) as part, single_file(about, target, report) as model:
        merge = Merge(_names(model), [(Path(use["path"]), use["te"], use["unet"]) for use in work["uses"]])
        for placement in merge.placements:
            if placement.warning:
                report.warn(placement.warning)
        report.notes["coverage"] = {p.name: p.coverage for p in merge.placements}
        if lacking := merge.missing_biases({name: list(c.tensors) for name, c in model.components.items()}):
            report.warn(f"{len(lacking)} changes of a bias were left out; the model has none there ({lacking[0]}).")

        def change(component: str, name: str, tensor: Any) -> Any:
            return merge.tensor(component, name, tensor, lambda c, n: model.components[c].read(files, n))

        report.say(f"Writing {target.name}…")
        uses = json.dumps([{"name": u["name"], "te": u["te"], "unet": u["unet"]} for u in work["uses"]])
        rewrite(model, part, Plan(change=change, dtype=wanted(work), metadata={"darkroom.loras": uses}), report)
        if work["check"]:
            trial.attempt(about, part, report)
    report.made(target)


def _names(model: Model) -> Names:
    shapes = {name: c.shapes for name, c in model.components.items() if name != "vae"}
    return names_of(model.architecture, shapes)
