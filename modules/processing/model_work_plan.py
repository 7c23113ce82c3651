"""Work with the model on the device that makes no picture: put it away, bring it back, a new embedding. What it means, before it is queued.

Knows names and places; the worker's part is `modules.processing.model_work`. No torch. Start reading at `plan_model_work`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from modules.faults import RequestFault, UnknownName
from modules.folders import Folders
from modules.knobs import Knob, coerce, knobs_of
from modules.library import Library
from modules.request import PROMPT_LIMIT
from modules.settings import Settings
from modules.upkeep.places import plain_name
from modules.weights.embeddings import MAX_VECTORS

UNLOAD, RELOAD, CREATE_EMBEDDING = MODEL_WORK = ("unload_checkpoint", "reload_checkpoint", "create_embedding")


@dataclass(frozen=True, kw_only=True)
class NewEmbedding:
    """A textual inversion that is to be trained: vectors that begin as the words of a text. A1111's names."""

    name: Annotated[str, Knob("Name", max_chars=200, help="What is typed in a prompt, and the name of the file.")]
    num_vectors_per_token: Annotated[int, Knob("Number of vectors", 1, MAX_VECTORS, help="How many tokens of a prompt it takes.")] = 1
    init_text: Annotated[str, Knob("Initialization text", max_chars=min(PROMPT_LIMIT, 10_000), help="Empty: the vectors are zeros.")] = "*"
    overwrite_old: Annotated[bool, Knob("Overwrite old embedding")] = False


def plan_model_work(
    kind: str, data: Mapping[str, Any], settings: Settings, folders: Folders, library: Library
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(request, resolved) of a job of one of MODEL_WORK, JSON-ready. resolved has a "title" for people.

    Raises RequestFault, UnknownName, ModelFault when it cannot be carried out.
    """
    if kind not in MODEL_WORK:
        raise UnknownName("kind", kind, MODEL_WORK)
    if kind == UNLOAD:
        return {}, {"title": "Unload the checkpoint"}
    checkpoint = library.with_hash(library.default_checkpoint(settings.sd_model_checkpoint))
    about = {"checkpoint": dataclasses.asdict(checkpoint)}
    if kind == RELOAD:
        return {}, {"title": f"Load {checkpoint.model_name}", **about}
    asked = _read(data)
    name = plain_name(asked.name.removesuffix(".safetensors"))
    target = folders.model_folders("embeddings")[0] / f"{name}.safetensors"
    if target.exists() and not asked.overwrite_old:
        raise RequestFault("name", f"{target.name} is there already; choose another name, or send overwrite_old", got=name)
    request = dataclasses.asdict(asked)
    return request, {"title": f"Make the embedding {name}", **request, "name": name, "target": str(target), **about}


def _read(data: Mapping[str, Any]) -> NewEmbedding:
    """Unknown fields are passed over, null is the default. Raises RequestFault."""
    known = knobs_of(NewEmbedding)
    values = {name: coerce(known[name], value) for name, value in data.items() if name in known and value is not None}
    if not str(values.get("name", "")).strip():
        raise RequestFault("name", "is needed: what shall be typed in a prompt")
    return NewEmbedding(**values)
