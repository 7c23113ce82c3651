"""What a finished job, or the jobs of one batch, show: pictures for the gallery, their texts, and what is to be said.

Knows jobs and results; knows nothing about forms. Start reading at `results_of`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from modules.app import App
from modules.faults import UnknownJob
from modules.jobs import Job
from modules.request import Picture, Result
from modules.users import Viewer
from modules.web.messages import MAP, fault_box, notice_box, picture_cards, warning_box
from modules.web.serving import serve_in_place

SHOWN = 32  # pictures of a batch; A1111 shows as many


def results_of(app: App, viewer: Viewer, asked: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    """(gallery, cards, message). asked: ids of jobs in order, the latest finished last; again: without the words said the first time.

    Jobs that the viewer may not see are left out as if there were none.
    """
    found: list[tuple[Job, Result]] = []
    for name in list(asked["ids"])[:1000]:
        try:
            job = app.jobs.get(str(name))
        except UnknownJob:  # the browser remembers a job of a data folder that is gone
            continue
        if not viewer.sees(job.owner):
            continue
        found.append((job, Result.from_data(job.result) if job.result else Result(pictures=())))
    if not found:
        return gr.skip(), gr.skip(), gr.skip()
    here = [(job, place, picture) for job, result in found for place, picture in enumerate(result.pictures) if Path(picture.path).is_file()]
    here.sort(key=lambda one: one[2].kind == MAP)  # behind all pictures that were made
    latest, result = found[-1]
    count = sum(1 for job, _, _ in here if job is latest)
    message = gr.skip() if asked.get("again") else message_of(latest, result, count)
    if not here:
        return gr.skip(), gr.skip(), message
    shown = here[:SHOWN] if len(found) > 1 else here
    paths = [serve_in_place(picture.path) for _, _, picture in shown]
    return gr.Gallery(value=paths, selected_index=0), cards(dict_of(found), shown), message


def dict_of(found: list[tuple[Job, Result]]) -> dict[str, Result]:
    """Results by the id of their job."""
    return {job.id: result for job, result in found}


def cards(results: Mapping[str, Result], shown: list[tuple[Job, int, Picture]]) -> str:
    """The texts of the pictures shown, numbered as in the gallery, each with the place it can be asked for at."""
    parts: list[str] = []
    for n, (job, place, picture) in enumerate(shown):
        result = replace(results[job.id], pictures=(picture,))
        subseeds = job.resolved.get("all_subseeds", ()) if getattr(job, "resolved", None) else ()
        subseed = subseeds[picture.index] if 0 <= picture.index < len(subseeds) and picture.kind != MAP else None
        parts.append(picture_cards(result, first=n, source=f"{job.id}/{place}", subseed=subseed))
    return "".join(parts)


def message_of(job: Job, result: Result, count: int) -> str:
    """What to say about a finished job of which `count` picture files are there."""
    parts: list[str] = []
    if job.fault and job.state in ("failed", "parked"):
        parts.append(fault_box(job.fault))
    if result.interrupted:
        words = "Stopped before the end; these are the pictures so far." if count else "Stopped before the first picture was done."
        parts.append(notice_box([words]))
    elif job.state == "canceled" and job.result is None:
        parts.append(notice_box(["Taken out of the queue before it began."]))
    warnings = list(result.warnings)
    if gone := len(result.pictures) - count:
        warnings.append(f"{gone} of {len(result.pictures)} files were moved or deleted since.")
    return "".join([*parts, warning_box(warnings)])
