"""`Client`: the server's API, one method for each thing that can be asked. `async_client.AsyncClient` is the same for async programs.

What is asked stands in `calls`, what takes several requests in `flows`; here is only how it is sent. Start reading at `Client.txt2img`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
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


class Client:
    """A connection to a server. Thread-safe. Use it as a context manager, or call `close`.

    url: where the page is, such as http://127.0.0.1:7860; user and password, or token: where the server asks for them; http: a client of
    yours to send with, for proxies and certificates. Every method raises `Problem` when the server refuses and `Unreachable` when it
    does not answer.
    """

    def __init__(
        self, url: str, *, user: str = "", password: str = "", token: str = "", timeout_s: float = 30.0, http: httpx.Client | None = None
    ) -> None:
        self._server = Server(url, user, password, token, timeout_s)
        self._http = http or httpx.Client()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- jobs ------------------------------------------------------------------------------------------------------

    def txt2img(self, prompt: str, *, key: str | None = None, when: Mapping[str, Any] | None = None, **fields: Any) -> JobDetail:
        """Queue pictures from text. fields: of a generation, as docs/api.md has them; when: priority, deadline_s, held."""
        return self._run(flows.submit_with("txt2img", {"prompt": prompt, **fields}, {}, key, when or {}))

    def img2img(
        self,
        prompt: str,
        images: Iterable[Source],
        *,
        mask: Source | None = None,
        key: str | None = None,
        when: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> JobDetail:
        """Queue pictures from pictures; with a mask, its white part is painted anew."""
        pictures = {"init_images": list(images), "mask": mask}
        return self._run(flows.submit_with("img2img", {"prompt": prompt, **fields}, pictures, key, when or {}))

    def extras(
        self, images: Iterable[Source], *, key: str | None = None, when: Mapping[str, Any] | None = None, **fields: Any
    ) -> JobDetail:
        """Queue pictures to be enlarged or finished."""
        return self._run(flows.submit_with("extras", fields, {"images": list(images)}, key, when or {}))

    def caption(
        self, images: Iterable[Source], *, key: str | None = None, when: Mapping[str, Any] | None = None, **fields: Any
    ) -> JobDetail:
        """Queue pictures to be put into words."""
        return self._run(flows.submit_with("caption", fields, {"images": list(images)}, key, when or {}))

    def submit(self, kind: str, request: Mapping[str, Any], *, key: str | None = None, when: Mapping[str, Any] | None = None) -> JobDetail:
        """Queue any job. The same key and request give the same job again."""
        return self._ask(calls.submit(kind, request, key, **(when or {})))

    def wait(self, job: Job | str, timeout_s: float | None = None, *, check: bool = True) -> JobDetail:
        """The job once it has finished. Raises TimedOut, and JobFailed when it failed unless check=False."""
        return self._run(flows.wait(job, timeout_s, check))

    def events(self, job: Job | str, *, previews: str = "url") -> Iterator[JobEvent]:
        """What happens to a job, from its beginning to its end. previews: "url", "inline" (data URIs) or "none"."""
        follow = Follow(job, previews)
        while not follow.ended:
            try:
                with self._http.stream(**self._server.request(follow.call())) as response:
                    if response.status_code >= 400:
                        response.read()
                        raise error_of(response)
                    if response.status_code == httpx.codes.NO_CONTENT:
                        return
                    for line in response.iter_lines():
                        if (event := follow.feed(line)) is not None:
                            yield event
                if not follow.ended:
                    raise httpx.RemoteProtocolError("the stream ended before the job did")
            except (httpx.TransportError, Problem) as error:
                time.sleep(follow.broken(error).seconds)

    def job(self, job: Job | str) -> JobDetail:
        """A job as it is now."""
        return self._ask(calls.job(job))

    def jobs(self, **filters: Any) -> Iterator[Job]:
        """Running jobs, then waiting ones in order, then the others, newest first. filters: state (or several), kind, owner, lane."""
        return self._all(calls.jobs(**filters))

    def cancel(self, job: Job | str) -> JobDetail:
        """Take it out of the queue, or stop it at its next step. Raises Conflict when it has ended."""
        return self._ask(calls.act(job, "cancel"))

    def skip(self, job: Job | str) -> JobDetail:
        """End its present batch."""
        return self._ask(calls.act(job, "skip"))

    def hold(self, job: Job | str) -> JobDetail:
        """Let it wait until `release`."""
        return self._ask(calls.act(job, "hold"))

    def release(self, job: Job | str) -> JobDetail:
        """Undo `hold`."""
        return self._ask(calls.act(job, "release"))

    def duplicate(self, job: Job | str) -> JobDetail:
        """Queue it once more, with the same seeds."""
        return self._ask(calls.act(job, "duplicate"))

    def change_job(self, job: Job | str, **changes: Any) -> JobDetail:
        """changes: priority, before (id of a job, or None for the end), deadline_s, held."""
        return self._ask(calls.change_job(job, changes))

    def queue(self) -> QueueState:
        """The queue as a whole."""
        return self._ask(calls.queue())

    def pause_queue(self) -> QueueState:
        """No further job begins."""
        return self._ask(calls.queue("pause"))

    def resume_queue(self) -> QueueState:
        """Jobs begin again."""
        return self._ask(calls.queue("resume"))

    # ---- pictures --------------------------------------------------------------------------------------------------

    def pictures(self, **filters: Any) -> Iterator[Picture]:
        """Pictures of the library, all pages. filters: search, model, sampler, kind, job, since_s, until_s, favourites, sort, limit."""
        return self._all(calls.pictures(**filters))

    def picture(self, picture: Picture | str) -> PictureDetail:
        """One picture with its text."""
        return self._ask(calls.picture(picture))

    def mark(self, picture: Picture | str, favourite: bool = True) -> PictureDetail:
        """Mark it as a favourite, or take the mark away."""
        return self._ask(calls.mark(picture, favourite))

    def remove_picture(self, picture: Picture | str) -> BinnedPicture:
        """Move it into the bin."""
        return self._ask(calls.remove_picture(picture))

    def bin(self) -> Iterator[BinnedPicture]:
        """The pictures in the bin, the latest first."""
        return self._all(calls.pictures_bin())

    def restore_picture(self, binned: BinnedPicture | str) -> PictureDetail:
        """Put a picture back. Raises Conflict when another file has its name now."""
        return self._ask(calls.restore_picture(binned if isinstance(binned, str) else binned.place))

    def fetch(self, picture: Picture | JobPicture | str) -> bytes:
        """The bytes of a picture, or of an address that a record names."""
        return self._ask(calls.fetch(picture if isinstance(picture, str) else picture.file))

    def save(self, picture: Picture | JobPicture | str, path: str | Path) -> Path:
        """The picture as a file, whole or not at all."""
        return write_whole(Path(path), self.fetch(picture))

    def upload(self, picture: bytes | Path) -> Input:
        """Send a picture to begin with."""
        return self._ask(calls.upload(picture if isinstance(picture, bytes) else picture.read_bytes()))

    # ---- models and choices ----------------------------------------------------------------------------------------

    def models(self, **filters: Any) -> Iterator[Model]:
        """Models by name, all pages. filters: kind, family, search, limit."""
        return self._all(calls.models(**filters))

    def model(self, model: Model | str) -> ModelDetail:
        """One model with what its file says."""
        return self._ask(calls.model(model))

    def model_hash(self, model: Model | str) -> ModelHash:
        """Its digests, computed if need be."""
        return self._ask(calls.model_hash(model))

    def change_notes(self, model: Model | str, **changes: Any) -> ModelNotes:
        """changes: some of the fields of `ModelNotes`."""
        return self._ask(calls.change_notes(model, changes))

    def refresh_models(self) -> dict[str, int]:
        """Look for new files; how many there are of each kind."""
        return self._ask(calls.refresh_models())

    def choices(self, name: str) -> list[Choice]:
        """A list of values, such as "samplers"."""
        return self._ask(calls.choices(name))

    def choice_names(self) -> dict[str, list[str]]:
        """The lists there are, with the fields that are chosen from each."""
        return self._ask(calls.choice_names())

    # ---- training --------------------------------------------------------------------------------------------------

    def train_sessions(self) -> list[TrainSession]:
        """The sessions of training, the last changed first."""
        return self._ask(training.sessions()).items

    def train_session(self, session: TrainSession | str) -> TrainSessionDetail:
        """A session with its configuration and what it made."""
        return self._ask(training.session(session))

    def make_train_session(self, name: str, *, preset: str = "", folder: str = "", **config: Any) -> TrainSessionDetail:
        """A new session. folder: of pictures, inside the server's data folder; config: values, as docs/training.md has them."""
        return self._ask(training.make(name, preset, folder, config))

    def change_train_session(self, session: TrainSession | str, *, preset: str | None = None, **config: Any) -> TrainSessionDetail:
        """Change values of its configuration."""
        return self._ask(training.change(session, preset, config))

    def remove_train_session(self, session: TrainSession | str) -> str:
        """Remove a session with everything in it; what it put among the models stays. Raises Conflict while it is trained."""
        return self._ask(training.remove(session))

    def clone_train_session(self, session: TrainSession | str, name: str, *, progress: bool = False) -> TrainSessionDetail:
        """A copy under another name. progress: with states, samples and results."""
        return self._ask(training.clone(session, name, progress))

    def export_train_session(self, session: TrainSession | str, *, state: bool = True, cache: bool = False) -> bytes:
        """The session as a zip."""
        return self._ask(training.pack(session, state, cache))

    def import_train_session(self, name: str, archive: bytes | Path) -> TrainSessionDetail:
        """A session of that name out of such a zip."""
        return self._ask(training.take_in(name, archive if isinstance(archive, bytes) else archive.read_bytes()))

    def send_train_pictures(self, session: TrainSession | str, files: Iterable[Path | tuple[str, bytes]]) -> dict[str, Any]:
        """Send pictures, captions (.txt) and zips of both: {"pictures", "captions", "refused"}."""
        return self._ask(training.send(session, files))

    def caption_train_picture(self, session: TrainSession | str, file: str, text: str | None) -> dict[str, Any]:
        """Write the caption of one of its pictures; None removes it."""
        return self._ask(training.caption(session, file, text))

    def examine_training(self, session: TrainSession | str) -> dict[str, Any]:
        """What would be trained, and everything that is wrong: {"ok", "message", "problems", ...}."""
        return self._ask(training.examine(session))

    def start_training(self, session: TrainSession | str, *, again: bool = False) -> JobDetail:
        """Queue the training; it goes on from its last state. again: forget what was trained."""
        return self._ask(training.start(session, again))

    def stop_training(self, session: TrainSession | str) -> JobDetail:
        """Save its state and end the job."""
        return self._ask(training.act(session, "stop"))

    def pause_training(self, session: TrainSession | str) -> JobDetail:
        """Save its state and let the job wait; `start_training` lets it go on."""
        return self._ask(training.act(session, "pause"))

    def train_metrics(self, session: TrainSession | str, after: int = -1) -> TrainMetrics:
        """Loss and other figures of the steps behind `after`."""
        return self._ask(training.metrics(session, after))

    def try_training(self, session: TrainSession | str, *, step: int | None = None, weight: float = 1.0) -> Trial:
        """Put a result among the models; what goes into txt2img to use it."""
        return self._ask(training.try_it(session, step, weight))

    # ---- how it is sent --------------------------------------------------------------------------------------------

    def _ask(self, call: Call[T]) -> T:
        return self._run(flows.ask(call))

    def _all(self, call: Call[Page[T]]) -> Iterator[T]:
        """Every item of every page, asked for as they are needed."""
        page = self._ask(call)
        yield from page.items
        while page.next is not None:
            page = self._ask(calls.following(call, page.next))
            yield from page.items

    def _run(self, flow: Flow[T]) -> T:
        """Do what the flow asks for until it has its result."""
        try:
            step = next(flow)
            while True:
                try:
                    done = self._do(step)
                except (httpx.TransportError, Problem) as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(done)
        except StopIteration as ended:
            return ended.value

    def _do(self, step: Call[Any] | Pause) -> Any:
        if isinstance(step, Pause):
            return time.sleep(step.seconds)
        return self._server.answer(step, self._http.request(**self._server.request(step)))
