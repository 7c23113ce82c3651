"""Two or three checkpoints mixed into one. Sums are made in float32, one tensor at a time. Start reading at `merge`.

The recipe goes into the metadata under A1111's names, so that other programs show it. Source: A1111's checkpoint merger (behaviour).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modules.faults import ModelFault
from modules.upkeep import trial
from modules.upkeep.growing import growing
from modules.upkeep.opened import Model, open_model, single_file
from modules.upkeep.places import room_for, size_of
from modules.upkeep.report import Report
from modules.upkeep.rewrite import Change, Plan, rewrite, wanted
from modules.weights.hashes import file_sha256, folder_sha256
from modules.weights.header import HEADER_LIMIT
from modules.weights.layouts.files import Tensors, header_of

if TYPE_CHECKING:
    from torch import Tensor

RECIPE, MODELS = "sd_merge_recipe", "sd_merge_models"


def merge(work: dict[str, Any], report: Report) -> None:
    """Carry out a planned merge. Raises Fault; nothing is left behind then."""
    about, target = work["models"], Path(work["target"])
    folder = Path(about["model_a"]["path"]).is_dir()
    room_for(target.parent, (2 if folder else 1) * size_of(Path(about["model_a"]["path"])), target.name)
    with ExitStack() as stack:
        files = stack.enter_context(Tensors())
        part = stack.enter_context(growing(target))
        first = stack.enter_context(single_file(about["model_a"], target, report))
        others = [open_model(about[field]) for field in ("model_b", "model_c") if field in about]
        for other in others:
            _same_build(first, other, report)
        plan = Plan(
            change=mixing(first, others, _shares(work, len(others)), files) if others else None,
            dtype=wanted(work),
            discard=re.compile(work["discard"]) if work["discard"] else None,
            vae=Path(work["paths"]["vae"]) if work["paths"].get("vae") else None,
            metadata=_recipe(work, {field: _digest(model, report) for field, model in about.items()}),
        )
        report.say(f"Writing {target.name}…")
        rewrite(first, part, plan, report)
        if work["check"] and not work["discard"]:
            trial.attempt(about["model_a"], part, report)
    report.made(target)


def _shares(work: Mapping[str, Any], others: int) -> tuple[float, ...]:
    """How much of A, B and C is in the sum: A + (B - C) * M is 1, M, -M."""
    m, n = work["multiplier"], work["multiplier_c"]
    if work["method"] == "Add difference":
        return (1.0, m, -m)
    return (1.0 - m, m) if others == 1 else (1.0 - m - n, m, n)


def mixing(first: Model, others: list[Model], shares: tuple[float, ...], files: Tensors) -> Change:
    """The change that mixes. What only A has stays; of a first convolution with more inputs than the others have, those they have.

    In A1111's manner the extra inputs of inpainting models stay as they are.
    """

    def change(component: str, name: str, tensor: Tensor) -> Tensor:
        there = [(o.components[component], share) for o, share in zip(others, shares[1:], strict=True) if component in o.components]
        mixed = [(c.read(files, name).float(), share) for c, share in there if name in c.tensors]
        if len(mixed) < len(others):
            return tensor
        total = tensor.float()
        narrow = min(total.shape[1], *(t.shape[1] for t, _ in mixed)) if total.ndim == 4 else None
        result = total.clone()
        view = result if narrow is None else result[:, :narrow]
        view.mul_(shares[0])
        for other, share in mixed:
            view.add_(other if narrow is None else other[:, :narrow], alpha=share)
        return result.to(tensor.dtype)

    return change


def _same_build(first: Model, other: Model, report: Report) -> None:
    """Refuse what cannot be mixed, warn about what only A has. Raises ModelFault."""
    own, its = first.core.shapes, other.core.shapes
    odd = [n for n, shape in own.items() if n not in its or not _fits(shape, its[n])]
    if odd:
        raise ModelFault(
            f"{other.name} is built otherwise than {first.name} ({len(odd)} of {len(own)} tensors differ, the first is {odd[0]}); "
            "only models of one build can be mixed."
        )
    for name, component in first.components.items():
        theirs = other.components.get(name)
        if theirs is None:
            report.warn(f"{other.name} has no {name.replace('_', ' ')}; that of {first.name} stays as it is.")
        elif component is not first.core and component.shapes != theirs.shapes:
            raise ModelFault(f"{other.name} has another {name.replace('_', ' ')} than {first.name}; they do not mix.")


def _fits(shape: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Alike, or a convolution that takes more inputs than the other's."""
    return shape == other or (len(shape) == 4 == len(other) and shape[0] == other[0] and shape[2:] == other[2:] and shape[1] > other[1])


def _digest(about: Mapping[str, Any], report: Report) -> str:
    """SHA-256 of a checkpoint; of a folder as the library counts it."""
    path = Path(about["path"])
    if about.get("sha256"):
        return str(about["sha256"])
    report.say(f"Computing the hash of {about['model_name']}…")
    return folder_sha256(path) if path.is_dir() else file_sha256(path)


def _recipe(work: Mapping[str, Any], digests: Mapping[str, str]) -> dict[str, str]:
    """A1111's two keys: how it was made, and of what, with the recipes of what was itself merged."""
    models: Mapping[str, Any] = work["models"]
    first = models["model_a"]
    recipe = {
        "type": "webui",
        "primary_model_hash": digests["model_a"],
        "secondary_model_hash": digests.get("model_b"),
        "tertiary_model_hash": digests.get("model_c"),
        "interp_method": work["method"],
        "multiplier": work["multiplier"],
        "multiplier_c": work["multiplier_c"],
        "save_as_half": work["dtype"] == "float16",
        "custom_name": work["name"],
        "config_source": 0,
        "bake_in_vae": Path(work["paths"]["vae"]).name if work["paths"].get("vae") else "None",
        "discard_weights": work["discard"],
        "is_inpainting": first.get("variant") == "inpainting",
        "is_instruct_pix2pix": first.get("variant") == "instruct-pix2pix",
    }
    made_of: dict[str, Any] = {}
    for field, about in models.items():
        metadata = header_of(Path(about["path"])).metadata if Path(about["path"]).is_file() else {}
        made_of |= _read(metadata.get(MODELS, ""))
        made_of[digests[field]] = {"name": about["model_name"], "legacy_hash": None, RECIPE: _read(metadata.get(RECIPE, "")) or None}
    return {RECIPE: json.dumps(recipe), MODELS: json.dumps(made_of)}


def _read(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text) if len(text) < HEADER_LIMIT else {}
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
