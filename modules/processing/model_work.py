"""Work with the model on the device that makes no picture, in the worker: put it away, bring it back, a new embedding.

Knows the slot and the bench; what is to be done comes from `modules.processing.model_work_plan`. Start reading at `run_model_work`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors.torch import save

from modules.faults import RequestFault
from modules.folders import write_atomic
from modules.processing.model_work_plan import CREATE_EMBEDDING, UNLOAD
from modules.processing.slot import Slot
from modules.prompts.new_embedding import new_vectors
from modules.request import Checkpoint


def run_model_work(job: dict[str, Any], control: Any, slot: Slot, *, own_memory: bool) -> tuple[str, dict[str, Any]]:
    """Do a job of one of `MODEL_WORK`; ("done", {"files": [...]}). own_memory: the device has memory apart from the main one.

    Raises ModelFault, RequestFault, DiskFault.
    """
    work = job["resolved"]
    if job["kind"] == UNLOAD:
        if own_memory:
            slot.set_aside()
        else:  # moving it would free nothing
            slot.release()
        control.status("The model is put away until it is wanted.", model=None)
        return "done", {"files": []}
    checkpoint, present = Checkpoint(**work["checkpoint"]), slot.present
    same = present is not None and present.checkpoint.path == checkpoint.path
    plan = present.plan if present is not None and same else None
    parts, quantise = (plan.parts, plan.quantise) if plan is not None else (None, None)
    model = slot.take(checkpoint, control.status, parts=parts, quantise=quantise, keep=max(1, slot.count))
    if job["kind"] != CREATE_EMBEDDING:
        return "done", {"files": []}
    vectors = new_vectors(model.encoder.text_encoders, work["init_text"], work["num_vectors_per_token"])
    told = {
        "name": work["name"],
        "step": "0",
        "sd_checkpoint": model.checkpoint.short_hash or "",
        "sd_checkpoint_name": model.checkpoint.model_name,
    }
    target = Path(work["target"])
    try:
        write_atomic(target, save(vectors, told), overwrite=work["overwrite_old"])
    except FileExistsError:
        raise RequestFault("name", f"{target.name} is there by now; choose another name, or send overwrite_old") from None
    return "done", {"files": [str(target)]}
