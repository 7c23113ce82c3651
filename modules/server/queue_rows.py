"""Jobs as the Queue tab shows them: a row of plain data each, and what the img2img canvases held when one was asked for.

Knows requests, results and faults of every kind of job; knows nothing about routes. Start reading at `row_of`, then `beginning_of`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from modules.faults import RequestFault
from modules.pixels.mask import read_mask

if TYPE_CHECKING:
    from modules.app import App
    from modules.inputs import Inputs
    from modules.jobs import Job, Live

TITLE_CHARS = 500
GENERATION = frozenset({"txt2img", "img2img"})  # the kinds of jobs that make pictures from a GenerationRequest
MASK_COLOUR = (255, 45, 120)
NO_FAULT = "It ended without saying why; the log has the details."


def row_of(job: Job) -> dict[str, Any]:
    """What a row tells about a job, the same until the job changes."""
    result = job.result or {}
    return {
        "id": job.id, "number": job.number, "kind": kind_of(job), "lane": job.lane, "state": job.state, "held": job.held,
        "owner": job.owner, "priority": job.priority, "attempts": job.attempts, "created_s": job.created_s,
        "started_s": job.started_s, "finished_s": job.finished_s, "deadline_s": job.deadline_s, "title": title_of(job),
        "facts": _facts(job), "fault": _fault(job), "warnings": len(result.get("warnings") or ()), "said": _said(result),
        "pictures": len(result.get("pictures") or ()), "form": form_of(job), "batches": int(job.resolved.get("n_iter") or 1),
    }  # fmt: skip


def live_of(live: Live | None) -> dict[str, Any] | None:
    """What a running job is doing. preview: the number of its latest preview, -1 while there is none."""
    if live is None:
        return None
    return {
        "fraction": live.fraction, "eta_s": live.eta_s, "step": live.step, "steps": live.steps, "batch_no": live.batch_no,
        "batch_count": live.batch_count, "text": live.text, "preview": live.preview_number if live.preview else -1,
        "stopping": "interrupt" in live.flags,
    }  # fmt: skip


def kind_of(job: Job) -> str:
    """The job's kind in the words of the tabs: "txt2img", "img2img", "inpaint", "extras", "merge", ..."""
    form = form_of(job)
    return "inpaint" if form == "img2img" and job.request.get("mask") else form or job.kind


def form_of(job: Job) -> str | None:
    """The tab whose form can take the job's request; None for other work."""
    if job.kind not in GENERATION:
        return None
    return "img2img" if job.request.get("init_images") else "txt2img"


def title_of(job: Job) -> str:
    """The prompt, or what the work calls itself."""
    return str(job.request.get("prompt") or job.resolved.get("title") or "")[:TITLE_CHARS]


def _facts(job: Job) -> list[str]:
    """A few words about what is made: size, count, steps, model."""
    if job.kind not in GENERATION:
        count = int(job.resolved.get("n_iter") or 1)
        return [f"{count} pictures"] if count > 1 else []
    asked: Mapping[str, Any] = {**job.request, **{k: v for k, v in job.resolved.items() if v is not None}}
    count = int(asked.get("batch_size") or 1) * int(asked.get("n_iter") or 1)
    hires = job.resolved.get("hires") or {}
    size = f"{hires.get('width') or asked.get('width')} × {hires.get('height') or asked.get('height')}"
    model = (job.resolved.get("checkpoint") or {}).get("model_name", "")
    return [text for text in (size, f"{count} pictures" if count > 1 else "", f"{asked.get('steps')} steps", str(model)) if text]


def _fault(job: Job) -> str:
    if not job.finished or (job.fault is None and job.state in ("done", "canceled")):
        return ""
    return str((job.fault or {}).get("message") or NO_FAULT)


def _said(result: Mapping[str, Any]) -> str:
    """What came out beside pictures: names of files that were made, or the first caption."""
    files = [Path(str(path)).name for path in result.get("files") or ()]
    captions = [str(found.get("caption") or "") for found in result.get("captions") or () if isinstance(found, Mapping)]
    return (", ".join(files) or next(iter(captions), ""))[:TITLE_CHARS]


# ---- What the canvases held --------------------------------------------------------------------------------------------


def beginning_of(app: App, job: Job) -> dict[str, Any]:
    """The tab, and for img2img the sub-tab ("mode") and what its canvases hold: name -> {reference, width, height, layer}.

    A mask that was painted comes back as a layer that can be painted on; any other one beside the picture, as it was sent.
    Pictures that are no longer kept are left out. Raises RequestFault for a job that no form can take.
    """
    tab = form_of(job)
    if tab is None:
        raise RequestFault("job", "is of a kind that has no form; run it again as it is")
    images: list[str] = list(job.request.get("init_images") or ())
    begun = _held(app.inputs, images[0]) if images else None
    if begun is None:
        return {"tab": tab, "mode": "img2img", "canvases": {}}
    mask = _held(app.inputs, str(job.request["mask"])) if job.request.get("mask") else None
    if mask is None:
        return {"tab": tab, "mode": "img2img", "canvases": {"img2img": begun}}
    layer = _layer(app.inputs, begun, mask["reference"], rounded=bool(job.request.get("mask_round", True)))
    if layer is None:
        return {"tab": tab, "mode": "inpaint_upload", "canvases": {"inpaint_upload": begun, "inpaint_mask": mask}}
    return {"tab": tab, "mode": "inpaint", "canvases": {"inpaint": {**begun, "layer": layer}}}


def _held(inputs: Inputs, reference: str) -> dict[str, Any] | None:
    try:
        with inputs.open(reference) as image:
            return {"reference": reference, "width": image.width, "height": image.height, "layer": None}
    except RequestFault:
        return None


def _layer(inputs: Inputs, picture: Mapping[str, Any], mask: str, *, rounded: bool) -> str | None:
    """A layer that becomes exactly this mask again when it is sent; None for a mask with greys, or of another size."""
    grey = read_mask(inputs.open(mask, "mask"), rounded=rounded)
    if grey.size != (picture["width"], picture["height"]) or any(grey.histogram()[1:255]):
        return None
    layer = Image.new("RGBA", grey.size, (*MASK_COLOUR, 0))
    layer.putalpha(grey)
    return inputs.put_picture(layer, "mask")
