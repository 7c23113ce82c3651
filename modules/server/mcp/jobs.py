"""A job as the tools tell of it, and waiting for one while telling how it goes on. Start reading at `facts` and `follow`."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mcp.server.mcpserver import Context
from mcp_types import CallToolResult, ContentBlock, TextContent

from modules.request import Result
from modules.server.mcp.pictures import name_of, shown
from modules.server.mcp.shapes import CaptionFacts, JobFacts, PictureFacts

if TYPE_CHECKING:
    from modules.app import App
    from modules.jobs import Job

TELL_EVERY_S = 1.0
TITLE_CHARS = 200
MOST_SHOWN = 4  # pictures in one answer; the others are named
MADE = ("done", "canceled")


async def follow(app: App, job: Job, wait_s: float, context: Context) -> Job:
    """The job when it has finished, or as it is after wait_s seconds. Tells the client how it goes on meanwhile."""
    end, told = time.monotonic() + wait_s, -1.0
    finished = asyncio.ensure_future(app.jobs.finished(job.id))
    try:
        while not finished.done() and (left := end - time.monotonic()) > 0:
            await asyncio.wait({finished}, timeout=min(left, TELL_EVERY_S))
            live = await asyncio.to_thread(app.jobs.live, job.id)
            if live is not None and live.fraction > told and not finished.done():
                told = live.fraction
                await context.report_progress(live.fraction, 1.0, live.text or None)
    finally:
        finished.cancel()
    return await asyncio.to_thread(app.jobs.get, job.id)


def facts(app: App, job: Job) -> JobFacts:
    """Everything that the tools tell of a job."""
    result = job.result or {}
    pictures = Result.from_data(result).pictures if "pictures" in result and job.state in MADE else ()
    live = app.jobs.live(job.id) if job.state == "running" else None
    place = app.jobs.position(job.id)
    return JobFacts(
        job=job.id,
        kind=job.kind,
        state=job.state,
        title=str(job.resolved.get("title") or job.request.get("prompt") or job.kind)[:TITLE_CHARS],
        created_s=job.created_s,
        place=place[0] if place else None,
        progress=live.fraction if live else None,
        eta_s=live.eta_s if live else None,
        pictures=[
            PictureFacts(
                picture=name_of(app, p.path) if p.saved else "",
                path=p.path,
                seed=p.seed,
                width=p.width,
                height=p.height,
                parameters=p.infotext,
            )
            for p in pictures
        ],
        captions=[CaptionFacts(name=str(c.get("name", "")), caption=str(c.get("caption", ""))) for c in result.get("captions", ())],
        warnings=[str(text) for text in dict.fromkeys([*job.resolved.get("warnings", ()), *result.get("warnings", ())])],
        problem=str(job.fault.get("message", "")) if job.fault and job.state not in MADE else None,
    )


def answer(app: App, job: Job) -> CallToolResult:
    """A job with its pictures, words first."""
    told = facts(app, job)
    images = [image for p in told.pictures[:MOST_SHOWN] if (image := shown(Path(p.path))) is not None]
    content: list[ContentBlock] = [TextContent(type="text", text=_words(told, len(images))), *images]
    return CallToolResult(content=content, structured_content=told.model_dump(mode="json"), is_error=job.state in ("failed", "parked"))


def _words(told: JobFacts, shown_count: int) -> str:
    """The facts for a model that reads text only."""
    lines = [f"Job {told.job}: {told.state}."]
    if told.problem:
        lines.append(told.problem)
    if told.state in ("queued", "running"):
        place = f" It waits at place {told.place}." if told.place else ""
        done = f" {told.progress:.0%} are done." if told.progress is not None else ""
        lines.append(f"It goes on by itself.{place}{done} Ask again with get_job.")
    for p in told.pictures:
        name = f"{p.picture}, " if p.picture else ""
        lines.append(f"Picture: {name}{p.width}x{p.height}, seed {p.seed}, {p.path}")
    if len(told.pictures) > shown_count:
        lines.append(f"{shown_count} of {len(told.pictures)} pictures are shown.")
    lines += [f"Caption: {c.caption}" for c in told.captions]
    lines += [f"Warning: {text}" for text in told.warnings]
    return "\n".join(lines)
