"""The tools: generate, caption, jobs, models. The same over HTTP and over stdio.

Every tool asks the App, as any other door does; jobs go on when a client leaves. Start reading at `make`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import CallToolResult, ToolAnnotations
from pydantic import Field

from modules import __version__
from modules.faults import Fault, NotAllowed, UnknownJob, UnknownName
from modules.jobs.records import STATES
from modules.knobs import knobs_of
from modules.library.rows import LISTS
from modules.request import GenerationRequest
from modules.request.caption import CaptionRequest
from modules.server.errors import Refused
from modules.server.mcp.jobs import answer, facts, follow
from modules.server.mcp.pictures import take
from modules.server.mcp.shapes import JobFacts, JobList, ModelFacts, ModelList, described
from modules.server.models import family_title
from modules.users import ADMIN, Viewer

if TYPE_CHECKING:
    from modules.app import App
    from modules.jobs import Job

MADE_OF = knobs_of(GenerationRequest)
SAID_OF = knobs_of(CaptionRequest)
WAIT_S = 50.0  # many clients give up after a minute
INSTRUCTIONS = (
    "Makes pictures with Stable Diffusion on the user's machine. generate answers with the pictures, or, when they take longer than "
    "wait_s, with a job to ask for again with get_job. Pictures made here can be given to generate and caption by the name that stands "
    "beside them, such as picture:0123456789abcdef."
)
PICTURE = "A picture: picture:ID of one made here, or a picture file in base64"
Id = Annotated[str, Field(description="id of the job", max_length=200)]
Wait = Annotated[float, Field(ge=0, le=600, description="Seconds to wait for the result before answering with the job alone.")]
Who = Callable[[Context], Viewer]


def make(app: App, who: Who) -> MCPServer:
    """The server with its tools. who: asks, as the guard found."""
    server = MCPServer("darkroom", title="Darkroom", version=__version__, instructions=INSTRUCTIONS, log_level="WARNING")
    tools = Tools(app, who)
    reading = ToolAnnotations(read_only_hint=True, open_world_hint=False)
    making = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=False)
    stopping = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False)
    server.add_tool(tools.generate, title="Make pictures", annotations=making)
    server.add_tool(tools.caption, title="Say what a picture shows", annotations=making)
    server.add_tool(tools.list_jobs, title="List jobs", annotations=reading)
    server.add_tool(tools.get_job, title="Read a job and its pictures", annotations=reading)
    server.add_tool(tools.cancel_job, title="Stop a job", annotations=stopping)
    server.add_tool(tools.list_models, title="List models", annotations=reading)
    return server


class Tools:
    """What the tools do. Every fault is told to the client in its own words."""

    def __init__(self, app: App, who: Who) -> None:
        self._app = app
        self._who = who

    async def generate(
        self,
        context: Context,
        prompt: Annotated[str, described(MADE_OF["prompt"])],
        negative_prompt: Annotated[str, described(MADE_OF["negative_prompt"])] = "",
        width: Annotated[int | None, described(MADE_OF["width"])] = None,
        height: Annotated[int | None, described(MADE_OF["height"])] = None,
        steps: Annotated[int | None, described(MADE_OF["steps"])] = None,
        cfg_scale: Annotated[float | None, described(MADE_OF["cfg_scale"])] = None,
        sampler_name: Annotated[str | None, described(MADE_OF["sampler_name"])] = None,
        scheduler: Annotated[str | None, described(MADE_OF["scheduler"])] = None,
        seed: Annotated[int, described(MADE_OF["seed"])] = -1,
        batch_size: Annotated[int, described(MADE_OF["batch_size"])] = 1,
        checkpoint: Annotated[
            str | None, Field(description="Model to use, a name that list_models gives; empty: the one in force.")
        ] = None,
        image: Annotated[str | None, Field(description=f"{PICTURE}, to begin with (img2img).")] = None,
        mask: Annotated[str | None, Field(description=f"{PICTURE}; where it is white, `image` is painted anew.")] = None,
        denoising_strength: Annotated[
            float, Field(ge=0, le=1, description="How much of `image` is changed: 0 nothing, 1 everything.")
        ] = 0.75,
        wait_s: Wait = WAIT_S,
    ) -> Annotated[CallToolResult, JobFacts]:
        """Make pictures from text, or from a picture and text. Answers with the pictures and the parameters that make them again."""
        given = {
            "prompt": prompt, "negative_prompt": negative_prompt, "width": width, "height": height, "steps": steps, "cfg_scale": cfg_scale,
            "sampler_name": sampler_name, "scheduler": scheduler, "seed": seed, "batch_size": batch_size,
        }  # fmt: skip
        data: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        if checkpoint:
            data["override_settings"] = {"sd_model_checkpoint": checkpoint}
        pictures = {"image": image, "mask": mask, "denoising_strength": denoising_strength}
        return await self._made(context, wait_s, lambda: self._generate(data, pictures, self._who(context).owner))

    async def caption(
        self,
        context: Context,
        image: Annotated[str, Field(description=f"{PICTURE}.")],
        question: Annotated[str, described(SAID_OF["question"])] = "",
        model: Annotated[str, described(SAID_OF["model"])] = "",
        wait_s: Wait = WAIT_S,
    ) -> Annotated[CallToolResult, JobFacts]:
        """Say what a picture shows, or answer a question about it."""
        asked = {"question": question, "model": model}
        return await self._made(context, wait_s, lambda: self._caption(image, asked, self._who(context).owner))

    async def list_jobs(
        self,
        context: Context,
        state: Annotated[str, Field(description="queued, running, done, failed, canceled or parked; empty: all")] = "",
        limit: Annotated[int, Field(ge=1, le=100)] = 20,
    ) -> JobList:
        """Which jobs run and wait, and which have ended."""
        return await self._asked(lambda: self._jobs(self._who(context), state, limit))

    async def get_job(self, context: Context, job: Id) -> Annotated[CallToolResult, JobFacts]:
        """How a job is doing, and its pictures once they are made."""
        return await self._asked(lambda: answer(self._app, self._visible(self._who(context), job)))

    async def cancel_job(self, context: Context, job: Id) -> JobFacts:
        """Take a job out of the queue, or stop it at its next step; its finished pictures are kept."""
        return await self._asked(lambda: self._canceled(self._who(context), job))

    async def list_models(
        self,
        kind: Annotated[str, Field(description=f"one of {', '.join(LISTS)}")] = "checkpoint",
        search: Annotated[str, Field(max_length=200, description="words that must stand in the name")] = "",
        limit: Annotated[int, Field(ge=1, le=200)] = 50,
    ) -> ModelList:
        """Which models there are: checkpoints for `checkpoint`; LoRAs and embeddings for the prompt."""
        return await self._asked(lambda: self._models(kind, search, limit))

    # ---- the work, in threads of its own ---------------------------------------------------------------------------

    def _generate(self, data: dict[str, Any], pictures: dict[str, Any], owner: str) -> Job:
        if pictures["image"]:
            data |= {"init_images": [take(self._app, pictures["image"], "image")], "denoising_strength": pictures["denoising_strength"]}
            if pictures["mask"]:
                data["mask"] = take(self._app, pictures["mask"], "mask")
        return self._app.submit(GenerationRequest.from_data(data), owner=owner)

    def _caption(self, image: str, asked: dict[str, Any], owner: str) -> Job:
        data = {**asked, "images": [take(self._app, image, "image")]}
        return self._app.submit_caption(CaptionRequest.from_data(data), owner=owner)

    def _jobs(self, viewer: Viewer, state: str, limit: int) -> JobList:
        if state and state not in STATES:
            raise UnknownName("state", state, STATES)
        rows = self._app.jobs.list(states=(state,) if state else None, owner=viewer.only, limit=limit)
        return JobList(jobs=[facts(self._app, job) for job in rows])

    def _visible(self, viewer: Viewer, job: str) -> Job:
        """Raises UnknownJob, also for one that the caller may not know of."""
        found = self._app.jobs.get(job)
        if not viewer.sees(found.owner):
            raise UnknownJob(f"There is no job {job[:80]!r}.")
        return found

    def _canceled(self, viewer: Viewer, job: str) -> JobFacts:
        """Raises NotAllowed for somebody else's."""
        found = self._visible(viewer, job)
        if found.owner != viewer.owner and not viewer.may(ADMIN):
            raise NotAllowed("This job belongs to somebody else; an administrator can stop it.", needs=ADMIN)
        self._app.jobs.cancel(found.id)
        return facts(self._app, self._app.jobs.get(job))

    def _models(self, kind: str, search: str, limit: int) -> ModelList:
        rows, library = self._app.library.rows(kind, search, 0, limit), self._app.library
        names = library.prompt_names("lora", [row for row in rows if row.kind == "lora"])
        words = {"lora": lambda row: f"<lora:{names.get(row.id, row.name)}:1>", "embedding": lambda row: row.name}
        found = [
            ModelFacts(
                name=row.title if kind == "checkpoint" else row.name,
                kind=row.kind,
                family=family_title(row),
                insert=words[row.kind](row) if row.kind in words else "",
                hash=row.short_hash,
            )
            for row in rows
        ]
        return ModelList(models=found, total=library.count(kind, search))

    async def _made(self, context: Context, wait_s: float, submit: Callable[[], Job]) -> CallToolResult:
        """Submit, wait, and answer."""
        job = await self._asked(submit)
        ended = await follow(self._app, job, wait_s, context)
        return await self._asked(lambda: answer(self._app, ended))

    async def _asked(self, call: Callable[[], Any]) -> Any:
        """The result of a call that may wait for the disk. Raises ToolError with the words of a fault."""
        try:
            return await asyncio.to_thread(call)
        except UnknownJob as fault:
            raise ToolError(f"{fault.message} list_jobs tells which there are.") from fault
        except Fault as fault:
            raise ToolError(fault.message) from fault
        except Refused as refused:
            raise ToolError(f"{refused.detail}: {refused.errors}" if refused.errors else str(refused.detail)) from refused
