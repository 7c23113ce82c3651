"""`AsyncClient`: `Client` for async programs, method by method. A test holds the two to the same methods and arguments."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx

from darkroom_client import calls, flows, training
from darkroom_client.calls import Call
from darkroom_client.errors import Problem, error_of
from darkroom_client.flows import Flow, Follow, Pause, Source
from darkroom_client.records import (
    BinnedPicture,
    Choice,
    Input,
    Job,
    JobDetail,
    JobEvent,
    JobPicture,
    Model,
    ModelDetail,
    ModelHash,
    ModelNotes,
    Page,
    Picture,
    PictureDetail,
    QueueState,
)
from darkroom_client.sending import Server, write_whole
from darkroom_client.training import TrainMetrics, TrainSession, TrainSessionDetail, Trial

T = TypeVar("T")


class AsyncClient:
    """As `Client`; its iterators are async ones. http: an httpx.AsyncClient."""

    def __init__(
        self,
        url: str,
        *,
        user: str = "",
        password: str = "",
        token: str = "",
        timeout_s: float = 30.0,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        self._server = Server(url, user, password, token, timeout_s)
        self._http = http or httpx.AsyncClient()

    async def close(self) -> None:
        """As `Client.close`."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # ---- jobs ------------------------------------------------------------------------------------------------------

    async def txt2img(self, prompt: str, *, key: str | None = None, when: Mapping[str, Any] | None = None, **fields: Any) -> JobDetail:
        """As `Client.txt2img`."""
        return await self._run(flows.submit_with("txt2img", {"prompt": prompt, **fields}, {}, key, when or {}))

    async def img2img(
        self,
        prompt: str,
        images: Iterable[Source],
        *,
        mask: Source | None = None,
        key: str | None = None,
        when: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> JobDetail:
        """As `Client.img2img`."""
        pictures = {"init_images": list(images), "mask": mask}
        return await self._run(flows.submit_with("img2img", {"prompt": prompt, **fields}, pictures, key, when or {}))

    async def extras(
        self, images: Iterable[Source], *, key: str | None = None, when: Mapping[str, Any] | None = None, **fields: Any
    ) -> JobDetail:
        """As `Client.extras`."""
        return await self._run(flows.submit_with("extras", fields, {"images": list(images)}, key, when or {}))

    async def caption(
        self, images: Iterable[Source], *, key: str | None = None, when: Mapping[str, Any] | None = None, **fields: Any
    ) -> JobDetail:
        """As `Client.caption`."""
        return await self._run(flows.submit_with("caption", fields, {"images": list(images)}, key, when or {}))

    async def submit(
        self, kind: str, request: Mapping[str, Any], *, key: str | None = None, when: Mapping[str, Any] | None = None
    ) -> JobDetail:
        """As `Client.submit`."""
        return await self._ask(calls.submit(kind, request, key, **(when or {})))

    async def wait(self, job: Job | str, timeout_s: float | None = None, *, check: bool = True) -> JobDetail:
        """As `Client.wait`."""
        return await self._run(flows.wait(job, timeout_s, check))

    async def events(self, job: Job | str, *, previews: str = "url") -> AsyncIterator[JobEvent]:
        """As `Client.events`."""
        follow = Follow(job, previews)
        while not follow.ended:
            try:
                async with self._http.stream(**self._server.request(follow.call())) as response:
                    if response.status_code >= 400:
                        await response.aread()
                        raise error_of(response)
                    if response.status_code == httpx.codes.NO_CONTENT:
                        return
                    async for line in response.aiter_lines():
                        if (event := follow.feed(line)) is not None:
                            yield event
                if not follow.ended:
                    raise httpx.RemoteProtocolError("the stream ended before the job did")
            except (httpx.TransportError, Problem) as error:
                await asyncio.sleep(follow.broken(error).seconds)

    async def job(self, job: Job | str) -> JobDetail:
        """As `Client.job`."""
        return await self._ask(calls.job(job))

    def jobs(self, **filters: Any) -> AsyncIterator[Job]:
        """As `Client.jobs`."""
        return self._all(calls.jobs(**filters))

    async def cancel(self, job: Job | str) -> JobDetail:
        """As `Client.cancel`."""
        return await self._ask(calls.act(job, "cancel"))

    async def skip(self, job: Job | str) -> JobDetail:
        """As `Client.skip`."""
        return await self._ask(calls.act(job, "skip"))

    async def hold(self, job: Job | str) -> JobDetail:
        """As `Client.hold`."""
        return await self._ask(calls.act(job, "hold"))

    async def release(self, job: Job | str) -> JobDetail:
        """As `Client.release`."""
        return await self._ask(calls.act(job, "release"))

    async def duplicate(self, job: Job | str) -> JobDetail:
        """As `Client.duplicate`."""
        return await self._ask(calls.act(job, "duplicate"))

    async def change_job(self, job: Job | str, **changes: Any) -> JobDetail:
        """As `Client.change_job`."""
        return await self._ask(calls.change_job(job, changes))

    async def queue(self) -> QueueState:
        """As `Client.queue`."""
        return await self._ask(calls.queue())

    async def pause_queue(self) -> QueueState:
        """As `Client.pause_queue`."""
        return await self._ask(calls.queue("pause"))

    async def resume_queue(self) -> QueueState:
        """As `Client.resume_queue`."""
        return await self._ask(calls.queue("resume"))

    # ---- pictures --------------------------------------------------------------------------------------------------

    def pictures(self, **filters: Any) -> AsyncIterator[Picture]:
        """As `Client.pictures`."""
        return self._all(calls.pictures(**filters))

    async def picture(self, picture: Picture | str) -> PictureDetail:
        """As `Client.picture`."""
        return await self._ask(calls.picture(picture))

    async def mark(self, picture: Picture | str, favourite: bool = True) -> PictureDetail:
        """As `Client.mark`."""
        return await self._ask(calls.mark(picture, favourite))

    async def remove_picture(self, picture: Picture | str) -> BinnedPicture:
        """As `Client.remove_picture`."""
        return await self._ask(calls.remove_picture(picture))

    def bin(self) -> AsyncIterator[BinnedPicture]:
        """As `Client.bin`."""
        return self._all(calls.pictures_bin())

    async def restore_picture(self, binned: BinnedPicture | str) -> PictureDetail:
        """As `Client.restore_picture`."""
        return await self._ask(calls.restore_picture(binned if isinstance(binned, str) else binned.place))

    async def fetch(self, picture: Picture | JobPicture | str) -> bytes:
        """As `Client.fetch`."""
        return await self._ask(calls.fetch(picture if isinstance(picture, str) else picture.file))

    async def save(self, picture: Picture | JobPicture | str, path: str | Path) -> Path:
        """As `Client.save`."""
        return write_whole(Path(path), await self.fetch(picture))

    async def upload(self, picture: bytes | Path) -> Input:
        """As `Client.upload`."""
        return await self._ask(calls.upload(picture if isinstance(picture, bytes) else picture.read_bytes()))

    # ---- models and choices ----------------------------------------------------------------------------------------

    def models(self, **filters: Any) -> AsyncIterator[Model]:
        """As `Client.models`."""
        return self._all(calls.models(**filters))

    async def model(self, model: Model | str) -> ModelDetail:
        """As `Client.model`."""
        return await self._ask(calls.model(model))

    async def model_hash(self, model: Model | str) -> ModelHash:
        """As `Client.model_hash`."""
        return await self._ask(calls.model_hash(model))

    async def change_notes(self, model: Model | str, **changes: Any) -> ModelNotes:
        """As `Client.change_notes`."""
        return await self._ask(calls.change_notes(model, changes))

    async def refresh_models(self) -> dict[str, int]:
        """As `Client.refresh_models`."""
        return await self._ask(calls.refresh_models())

    async def choices(self, name: str) -> list[Choice]:
        """As `Client.choices`."""
        return await self._ask(calls.choices(name))

    async def choice_names(self) -> dict[str, list[str]]:
        """As `Client.choice_names`."""
        return await self._ask(calls.choice_names())

    # ---- training --------------------------------------------------------------------------------------------------

    async def train_sessions(self) -> list[TrainSession]:
        """As `Client.train_sessions`."""
        return (await self._ask(training.sessions())).items

    async def train_session(self, session: TrainSession | str) -> TrainSessionDetail:
        """As `Client.train_session`."""
        return await self._ask(training.session(session))

    async def make_train_session(self, name: str, *, preset: str = "", folder: str = "", **config: Any) -> TrainSessionDetail:
        """As `Client.make_train_session`."""
        return await self._ask(training.make(name, preset, folder, config))

    async def change_train_session(self, session: TrainSession | str, *, preset: str | None = None, **config: Any) -> TrainSessionDetail:
        """As `Client.change_train_session`."""
        return await self._ask(training.change(session, preset, config))

    async def remove_train_session(self, session: TrainSession | str) -> str:
        """As `Client.remove_train_session`."""
        return await self._ask(training.remove(session))

    async def clone_train_session(self, session: TrainSession | str, name: str, *, progress: bool = False) -> TrainSessionDetail:
        """As `Client.clone_train_session`."""
        return await self._ask(training.clone(session, name, progress))

    async def export_train_session(self, session: TrainSession | str, *, state: bool = True, cache: bool = False) -> bytes:
        """As `Client.export_train_session`."""
        return await self._ask(training.pack(session, state, cache))

    async def import_train_session(self, name: str, archive: bytes | Path) -> TrainSessionDetail:
        """As `Client.import_train_session`."""
        return await self._ask(training.take_in(name, archive if isinstance(archive, bytes) else archive.read_bytes()))

    async def send_train_pictures(self, session: TrainSession | str, files: Iterable[Path | tuple[str, bytes]]) -> dict[str, Any]:
        """As `Client.send_train_pictures`."""
        return await self._ask(training.send(session, files))

    async def caption_train_picture(self, session: TrainSession | str, file: str, text: str | None) -> dict[str, Any]:
        """As `Client.caption_train_picture`."""
        return await self._ask(training.caption(session, file, text))

    async def examine_training(self, session: TrainSession | str) -> dict[str, Any]:
        """As `Client.examine_training`."""
        return await self._ask(training.examine(session))

    async def start_training(self, session: TrainSession | str, *, again: bool = False) -> JobDetail:
        """As `Client.start_training`."""
        return await self._ask(training.start(session, again))

    async def stop_training(self, session: TrainSession | str) -> JobDetail:
        """As `Client.stop_training`."""
        return await self._ask(training.act(session, "stop"))

    async def pause_training(self, session: TrainSession | str) -> JobDetail:
        """As `Client.pause_training`."""
        return await self._ask(training.act(session, "pause"))

    async def train_metrics(self, session: TrainSession | str, after: int = -1) -> TrainMetrics:
        """As `Client.train_metrics`."""
        return await self._ask(training.metrics(session, after))

    async def try_training(self, session: TrainSession | str, *, step: int | None = None, weight: float = 1.0) -> Trial:
        """As `Client.try_training`."""
        return await self._ask(training.try_it(session, step, weight))

    # ---- how it is sent --------------------------------------------------------------------------------------------

    async def _ask(self, call: Call[T]) -> T:
        return await self._run(flows.ask(call))

    async def _all(self, call: Call[Page[T]]) -> AsyncIterator[T]:
        """Every item of every page, asked for as they are needed."""
        page = await self._ask(call)
        for item in page.items:
            yield item
        while page.next is not None:
            page = await self._ask(calls.following(call, page.next))
            for item in page.items:
                yield item

    async def _run(self, flow: Flow[T]) -> T:
        """Do what the flow asks for until it has its result."""
        try:
            step = next(flow)
            while True:
                try:
                    done = await self._do(step)
                except (httpx.TransportError, Problem) as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(done)
        except StopIteration as ended:
            return ended.value

    async def _do(self, step: Call[Any] | Pause) -> Any:
        if isinstance(step, Pause):
            return await asyncio.sleep(step.seconds)
        return self._server.answer(step, await self._http.request(**self._server.request(step)))
