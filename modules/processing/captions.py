"""A job of captions: pictures that were sent, batch by batch through a captioner; each caption is told as soon as it is there.

Start reading at `run_captions`; what happens to a batch is in `caption_run`.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any

from modules.caption import MATCH
from modules.caption.adapting import adapted
from modules.faults import RequestFault
from modules.processing.caption_run import NAMED_FAULTS, CaptionDesk, Run, batch, told
from modules.processing.caption_search import search
from modules.request.caption import ResolvedCaption


def run_captions(job: dict[str, Any], control: Any, desk: CaptionDesk) -> tuple[str, dict[str, Any]]:
    """Say what is asked of every picture. Returns ("done" or "canceled", {"captions": [...], "warnings", "notes", "seconds", ...}).

    A picture that cannot be read is named in the warnings and its entry has the fault; when it is the only one, or none can be read, the
    fault is raised. Raises also ModelFault, OutOfMemory, RequestFault.
    """
    run = Run(resolved=ResolvedCaption.from_data(job["resolved"]), control=control, desk=desk, job=str(job.get("id", "")))
    run.events = not run.resolved.search
    resolved = run.resolved
    for text in (*resolved.warnings, desk.slot.dtype(resolved.precision)[1]):
        run.warn(text)
    began = time.perf_counter()
    with ExitStack() as on:
        on.enter_context(desk.slot.at_work(keep=resolved.keep))
        captioner = on.enter_context(adapted(desk.slot.take(resolved.model, resolved.precision, control.status), resolved.adapter))
        ranking = search(run, captioner) if resolved.search else None
        for first in range(0, 0 if resolved.search else len(resolved.sources), resolved.batch_size):
            if control.interrupted:
                break
            indices = range(first, min(first + resolved.batch_size, len(resolved.sources)))
            batch(run, captioner, indices, [run.open(index) for index in indices])
    control.status("Ready")
    if len(run.failed) == len(resolved.sources):
        raise _nothing_done(run)
    if (more := len(run.failed) - NAMED_FAULTS) > 0:
        run.warn(f"{more} more pictures could not be used.")
    captions = [run.entries[index] for index in sorted(run.entries)] if ranking is None else []
    result = {
        "captions": captions,
        "pictures": [],
        "warnings": run.warnings,
        "notes": [told(captioner, resolved)],
        "seconds": {"total": time.perf_counter() - began},
        "interrupted": control.interrupted,
    }
    if resolved.task == MATCH:
        result["ranking"] = [ranked(captions, text) for text in resolved.texts] if ranking is None else ranking
    return ("canceled" if control.interrupted else "done"), result


def ranked(captions: list[dict[str, Any]], text: str) -> dict[str, Any]:
    """{"text", "pictures": [{"index", "name", "cosine", "chance"}, ...]}: the pictures by how well the text fits, best first."""
    rows = [
        {"index": entry["index"], "name": entry["name"], "cosine": fit["cosine"], "chance": fit["chance"]}
        for entry in captions
        for fit in entry.get("fits", ())
        if fit["text"] == text
    ]
    return {"text": text, "pictures": sorted(rows, key=lambda row: -(row["cosine"] if row["chance"] is None else row["chance"]))}


def _nothing_done(run: Run) -> RequestFault:
    first = run.failed[0]
    count = len(run.resolved.sources)
    return first if count == 1 else RequestFault("images", f"none of the {count} pictures could be used; of the first: {first.why}")
