"""Several jobs as one batch: one pipeline call for all, each picture with its own seed, prompt, previews, end and result.

Each job equals its single run. What cannot share a batch after all, or fails in one, is made by itself, so that a fault concerns its own
job alone. Start reading at `Together.run`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from modules.processing.batch import DECODED_AGAIN, decode
from modules.processing.careful import want_of_memory
from modules.processing.extras import Desk
from modules.processing.job import Computed, Job, Outcome, outcome_of
from modules.processing.keeping import keep, save_grid
from modules.processing.passes import Sampled, StepHooks, first_pass, steps_run
from modules.processing.sampling import sample
from modules.processing.slot import LoadedModel, free_unused
from modules.processing.tools import Wanted
from modules.prompts.encode import Conditions
from modules.prompts.networks import take_networks
from modules.prompts.reading import Reading
from modules.request import ResolvedRequest
from modules.samplers import SAMPLERS
from modules.samplers.build import is_flow
from modules.saver import Saver

End = Callable[[], Outcome]
_log = logging.getLogger(__name__)
PER_PICTURE = ("all_prompts", "all_negative_prompts", "all_seeds", "all_subseeds")


@dataclass(frozen=True, kw_only=True)
class Lent:
    """What the worker lends. take(run, wanted): the model on the device; alone(run): a job by itself."""

    take: Callable[[Job, Wanted], LoadedModel]
    alone: Callable[[Job], End]
    desk: Desk
    saver: Saver


@dataclass(kw_only=True)
class Member:
    """One job of a batch. rows: its pictures in it; read: its own texts. left: latents (B, C, h, w), when it was stopped before the end."""

    run: Job
    rows: slice
    read: Conditions
    leaving: bool = False
    left: torch.Tensor | None = None
    seconds: dict[str, float] = field(default_factory=dict[str, float])


class _All:
    """The controls of several jobs as one."""

    def __init__(self, runs: Sequence[Job]) -> None:
        self._controls = [run.control for run in runs]

    @property
    def interrupted(self) -> bool:
        return all(control.interrupted for control in self._controls)

    def event(self, kind: str, data: dict[str, Any]) -> None:
        for control in self._controls:
            control.event(kind, data)

    def status(self, message: str, **facts: Any) -> None:
        self._controls[0].status(message, **facts)


class Together:
    """Makes batches of jobs. Remembers how many pictures of a kind were too many for the memory."""

    def __init__(self) -> None:
        self._most: dict[tuple[str, int, int], int] = {}

    def run(self, runs: Sequence[Job], lent: Lent) -> Iterator[tuple[str, End]]:
        """Each job's id and End as soon as it is computed. runs: of `modules.processing.joining`'s kind, all alike, with a line."""
        for run in (one for one in runs if one.control.interrupted):
            yield run.id, lent.alone(run)
        runs = [run for run in runs if not run.control.interrupted]
        for group in self._groups(runs, lent) if runs else ():
            done = len(group) > 1 and self._made(group, lent)
            for run in group:
                yield run.id, _finished(run) if done else lent.alone(run)

    def _groups(self, runs: Sequence[Job], lent: Lent) -> list[list[Job]]:
        """Those whose texts go into one batch, in parts that fit into the memory."""
        try:
            model = lent.take(runs[0], Wanted.first(runs[0].resolved))
            alike: dict[object, list[Job]] = {}
            for run in runs:
                alike.setdefault(_kind_of(model, run.resolved), []).append(run)
        except Exception:  # noqa: BLE001 - each meets it by itself, where it is told
            return [[run] for run in runs]
        most = self._most.get(_size_of(runs[0].resolved))
        return [part for group in alike.values() for part in _parts(group, most)]

    def _made(self, runs: list[Job], lent: Lent) -> bool:
        """They were made as one batch and are on their way to the disk. False: each has to be made by itself."""
        resolved = runs[0].resolved
        try:
            _make(runs, lent)
        except Exception as error:  # noqa: BLE001 - whose fault it is shows when each is made by itself
            said = f"This job could not be made in one batch with {len(runs) - 1} others; it was made by itself."
            if want_of_memory(error):
                self._most[_size_of(resolved)] = max(1, sum(len(run.resolved.all_seeds) for run in runs) // 2)
                said = f"Memory ran out for {len(runs)} jobs as one batch; each was made by itself."
            else:
                _log.exception("a batch of %d jobs", len(runs))
            for run in runs:
                run.warn(said)
        else:
            return True
        free_unused()
        return False


def texts_of(model: LoadedModel, resolved: ResolvedRequest, batch_no: int = 0) -> Conditions:
    """What the prompts of a batch of a job alone become. Kept by the encoder, so that the run finds it."""
    run = first_pass(resolved, batch_no)
    return model.encoder.conditions(
        [take_networks(prompt)[0] for prompt in run.prompts],
        run.negative_prompts,
        steps_run(run, flow=is_flow(model.scheduler_config)) * SAMPLERS.get(run.sampler_name).calls,
        model.for_task("txt2img")._execution_device,
        skip=int(resolved.settings.get("CLIP_stop_at_last_layers", 1)),
        reading=Reading.of(resolved.settings),
    )


def batch_of(runs: Sequence[Job]) -> ResolvedRequest:
    """One request for the pictures of all, in order."""
    together = {name: tuple(value for run in runs for value in getattr(run.resolved, name)) for name in PER_PICTURE}
    return replace(runs[0].resolved, batch_size=len(together["all_seeds"]), n_iter=1, warnings=(), **together)


def _kind_of(model: LoadedModel, resolved: ResolvedRequest) -> object:
    """Texts of one batch are as long as the longest of them, have the same weights of AND, and an empty negative prompt may mean zeros."""
    read = texts_of(model, resolved)
    zeros = model.encoder.empty_is_zero and not any(resolved.all_negative_prompts)
    return read.tokens, tuple(weight for weight, _ in read.parts), zeros


def _size_of(resolved: ResolvedRequest) -> tuple[str, int, int]:
    return resolved.checkpoint.path, resolved.width, resolved.height


def _parts(runs: list[Job], most: int | None) -> list[list[Job]]:
    """In order, each of at most so many pictures, or of one job."""
    parts: list[list[Job]] = []
    room = 0
    for run in runs:
        count = len(run.resolved.all_seeds)
        if not parts or (most is not None and count > room):
            parts.append([])
            room = most or 0
        parts[-1].append(run)
        room -= count
    return parts


def _make(runs: list[Job], lent: Lent) -> None:
    """Sample all at once, decode each by itself. Raises whatever goes wrong there; what goes wrong later is that job's own."""
    resolved = batch_of(runs)
    head = Job(id=runs[0].id, resolved=resolved, control=_All(runs), made={})
    began = time.perf_counter()
    model = lent.take(head, Wanted.first(resolved))
    members = _members(runs, model)
    sampled = sample(model, resolved, first_pass(resolved, 0), _hooks(members, model, resolved))
    spent = time.perf_counter() - began
    decoded = [_decoded(member, sampled, spent / len(sampled.latents)) for member in members]
    foreign = {note for member in members for note in member.read.notes}
    for member, (images, retried, partial) in zip(members, decoded, strict=True):
        run = member.run
        own = [text for text in sampled.warnings if text not in foreign or text in member.read.notes]
        for text in [*head.warnings, *own, *([DECODED_AGAIN] if retried else [])]:
            if text not in run.warnings:
                run.warn(text)
        run.notes |= head.notes | {"joined": f"Made in one batch with {len(runs) - 1} other waiting jobs (setting join_jobs)."}
        run.learnt |= {embedding.name: embedding.sha256 for embedding in member.read.learnt}
        run.infotext |= sampled.infotext
        run.seconds |= member.seconds
        try:
            for index, image in enumerate(images):
                keep(run, image, index, lent.desk, lent.saver, partial=partial)
            save_grid(run, lent.saver)
        except Exception as error:  # noqa: BLE001 - raised when this job ends
            run.failed = error


def _members(runs: list[Job], model: LoadedModel) -> list[Member]:
    members: list[Member] = []
    begin = 0
    for run in runs:
        end = begin + len(run.resolved.all_seeds)
        members.append(Member(run=run, rows=slice(begin, end), read=texts_of(model, run.resolved)))
        begin = end
    return members


def _decoded(member: Member, sampled: Sampled, per_picture_s: float) -> tuple[list[Any], bool, bool]:
    """(pictures, they took a second try, they were stopped before the last step). per_picture_s: in the sampler."""
    began = time.perf_counter()
    model, partial = sampled.model, sampled.partial or member.left is not None
    latents = sampled.latents[member.rows] if member.left is None else member.left
    images, retried = decode(model, latents, model.tiny(member.run.resolved.tiny))
    member.seconds = {"sample": per_picture_s * len(images), "decode": time.perf_counter() - began}
    return images, retried, partial


def _hooks(members: list[Member], model: LoadedModel, resolved: ResolvedRequest) -> StepHooks:
    """Each job hears of its steps, sees its own pictures, and ends by itself; the batch ends when nobody wants it any more."""
    settings = resolved.settings
    shown = settings["live_previews_enable"] and settings["show_progress_every_n_steps"] > 0
    every_s, full = settings["live_preview_refresh_period"] / 1000, settings["show_progress_type"] == "Full"

    def step(done: int, of: int) -> None:
        for member in members:
            member.run.control.progress(fraction=0.97 * done / of, step=done, steps=of, batch_no=0, batch_count=1)

    def stop() -> bool:
        for member in members:
            control = member.run.control
            member.leaving = member.leaving or control.interrupted or control.take_skip()
        return all(member.leaving for member in members)

    def look(clean: torch.Tensor) -> None:
        now = time.monotonic()
        for member in members:
            run = member.run
            if member.leaving:
                member.left = clean[member.rows].clone() if member.left is None else member.left
            elif shown and run.control.watched and now - run.last_preview >= every_s:
                run.last_preview = now
                run.control.preview(model.previewer.jpeg(clean[member.rows], full=full))

    step(0, max(1, resolved.steps))
    return StepHooks(stop=stop, step=step, preview=look)


def _finished(run: Job) -> End:
    computed = Computed(interrupted=run.control.interrupted)

    def finished() -> Outcome:
        run.settle()
        run.seconds["total"] = sum(run.seconds.values())
        return outcome_of(run, computed)

    return finished
