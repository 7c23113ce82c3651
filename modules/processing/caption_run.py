"""Pictures through a captioner, a batch at a time: opened, fitted, captioned; halved when memory runs out; heat maps kept.

Knows one run and what is said of each picture; `captions` and `caption_folder` know where pictures come from and where words go.
Start reading at `Run` and `batch`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from modules.caption import ANSWER, ATTEND, MATCH
from modules.caption.attention import attend
from modules.caption.kind import READ, REPLY
from modules.caption.loading import Captioner
from modules.caption.matching import match
from modules.caption.overlay import Kept, heat_file, keep
from modules.caption.seeing import fitted, numbers, seen
from modules.caption.tagging import tag
from modules.caption.word_lists import word_lists
from modules.caption.writing import Candidate, Watch, write
from modules.faults import Cancelled, OutOfMemory, RequestFault
from modules.folders import Folders
from modules.inputs import Inputs
from modules.pixels.incoming import flatten, read_picture
from modules.processing.caption_places import placed
from modules.processing.captioner_slot import AUTO, CaptionerSlot
from modules.request.caption import QUANTISED, ResolvedCaption

NAMED_FAULTS = 50


@dataclass(frozen=True, kw_only=True)
class CaptionDesk:
    """What a worker captions with."""

    folders: Folders
    inputs: Inputs
    slot: CaptionerSlot


@dataclass(kw_only=True)
class Run:
    """One job. entries: what is said of each picture, by its index; first, count: the batch in hand.

    events: each caption is told as it comes, and its words; before: pictures done by earlier runs, which count in the progress.
    """

    resolved: ResolvedCaption
    control: Any
    desk: CaptionDesk
    job: str = ""
    events: bool = True
    before: int = 0
    pace: str = ""
    entries: dict[int, dict[str, Any]] = field(default_factory=dict[int, dict[str, Any]])
    failed: list[RequestFault] = field(default_factory=list[RequestFault])
    warnings: list[str] = field(default_factory=list[str])
    first: int = 0
    count: int = 1
    skipped: bool = False

    def stopped(self) -> bool:
        self.skipped = self.skipped or self.control.take_skip()
        return self.control.interrupted or self.skipped

    def token(self, number: int) -> None:
        """So many words of the batch in hand are written; nobody knows how many it will be."""
        steps = self.resolved.writing.max_length
        number = min(number, steps)
        first, total, size = self.before + self.first, self.before + len(self.resolved.sources), self.resolved.batch_size
        fraction = (first + 0.95 * self.count * number / steps) / total
        text = f"Caption {first + 1} of {total}{self.pace}" if total > 1 else "Looking at the picture"
        self.control.progress(fraction=fraction, step=number, steps=steps, batch_no=first // size, batch_count=-(-total // size), text=text)

    def warn(self, text: str) -> None:
        """Say it now and beside the result, once."""
        if text and text not in self.warnings:
            self.warnings.append(text)
            self.control.event("warning", {"text": text})

    def name(self, index: int) -> str:
        return self.resolved.sources[index].name or f"picture {index + 1}"

    def tell(self, index: int, **said: Any) -> None:
        """A picture is done: {"index", "name", "caption", and candidates, fits, words, attention, seen or fault}."""
        self.entries[index] = {"index": index, "name": self.resolved.sources[index].name, "caption": "", **said}
        if self.events:
            self.control.event("caption", self.entries[index])

    def open(self, index: int) -> Image.Image | RequestFault:
        """The picture as RGB, or why it cannot be read."""
        source = self.resolved.sources[index]
        try:
            found = self.desk.inputs.open(source.reference, "images") if source.reference else read_picture(Path(source.path), "images")
            return flatten(found, self.resolved.background)
        except RequestFault as fault:
            return fault

    def give_up(self, index: int, fault: RequestFault) -> None:
        """A picture that cannot be used is named, and the others are done."""
        self.failed.append(fault)
        self.tell(index, fault=fault.data())
        if len(self.failed) <= NAMED_FAULTS and len(self.resolved.sources) > 1:
            self.warn(f"{self.name(index)}: {fault.why}")


def told(captioner: Captioner, resolved: ResolvedCaption) -> str:
    """What captions, as a note beside the result."""
    adapter = f" with the adapter {resolved.adapter.name}" if resolved.adapter else ""
    return f"{captioner.installed.name}{adapter} in {captioner.form}"


def batch(run: Run, captioner: Captioner, indices: range, opened: Sequence[Image.Image | RequestFault]) -> None:
    """Say what is asked of the pictures of a batch. opened: what `Run.open` gave for each of the indices."""
    run.first, run.count, run.skipped = indices[0], len(indices), False
    run.token(0)
    pictures: list[tuple[int, Image.Image]] = []
    for index, found in zip(indices, opened, strict=True):
        if isinstance(found, RequestFault):
            run.give_up(index, found)
        else:
            pictures.append((index, found))
    try:
        _in_room(run, captioner, pictures)
    except Cancelled:
        if not run.control.interrupted:
            run.warn(f"{', '.join(run.name(index) for index, _ in pictures)} skipped.")


def _in_room(run: Run, captioner: Captioner, pictures: list[tuple[int, Image.Image]]) -> None:
    """Do the pictures together, or when memory runs out after the picture models are away: half of them at a time."""
    if not pictures:
        return
    reason = ""
    for _ in range(2):
        try:
            _said(run, captioner, pictures)
            return
        except (torch.OutOfMemoryError, MemoryError) as error:
            reason = (str(error) or "out of memory").splitlines()[0]
        if not run.desk.slot.make_room():
            break
        run.warn("Memory ran out; the model was put away to make room.")
    if len(pictures) == 1:
        raise OutOfMemory(
            f"There is not enough memory for a caption by {captioner.installed.name} ({reason}). Take fewer beams or a smaller model."
        )
    run.warn("Memory ran out; fewer pictures were captioned at once.")
    half = len(pictures) // 2
    _in_room(run, captioner, pictures[:half])
    _in_room(run, captioner, pictures[half:])


def _said(run: Run, captioner: Captioner, pictures: list[tuple[int, Image.Image]]) -> None:
    resolved = run.resolved
    fits = [fitted(captioner, image, resolved.fit, resolved.background) for _, image in pictures]
    images = [fit.image for fit in fits]
    if resolved.task == MATCH:
        for (index, _), fit, rows in zip(pictures, fits, match(captioner, images, resolved.texts), strict=True):
            said = {"caption": rows[0].text, "fits": [row.to_data() for row in rows]}
            run.tell(index, **said, **_beside(run, captioner, fit, rows[0].text))
        return
    if resolved.task == ATTEND:
        for (index, _), fit in zip(pictures, fits, strict=True):
            run.tell(index, caption=resolved.text, **_beside(run, captioner, fit, resolved.text))
        return
    if resolved.tagging is not None:
        tags = tag(captioner.model, captioner.installed.name, captioner.processor(images)["pixel_values"], resolved.tagging)
        for (index, _), fit, found in zip(pictures, fits, tags, strict=True):
            run.tell(index, caption=found.text, tags=found.groups, **_beside(run, captioner, fit, ""))
        return
    words = _words_of(run, pictures[0][0]) if run.events and not resolved.places else None
    scores = run.events or resolved.places  # a folder's captions are told without them
    watch = Watch(stopped=run.stopped, token=run.token, words=words, scores=scores)
    found = write(captioner, images, resolved.text, resolved.writing, seed=resolved.seed, answer=resolved.task == ANSWER, watch=watch)
    behind = _ranked(run, images)
    for (index, image), fit, candidates, ranked in zip(pictures, fits, found, behind, strict=True):
        if resolved.places:
            run.tell(index, **placed(captioner, fit, image.size, candidates[0], resolved.text), **_beside(run, captioner, fit, ""))
            continue
        told: dict[str, Any] = {"candidates": [candidate.to_data() for candidate in candidates]}
        if ranked is not None:
            told["words"] = ranked
        told |= _beside(run, captioner, fit, candidates[0].text, candidates[0])
        run.tell(index, caption=_with_words(run, candidates[0].text, ranked), **told)


def _words_of(run: Run, index: int) -> Callable[[str], None]:
    return lambda text: run.control.event("words", {"index": index, "text": text})


# ---- Heat maps, and what the model sees ---------------------------------------------------------------------------------


def _beside(run: Run, captioner: Captioner, fit: Any, text: str, written: Candidate | None = None) -> dict[str, Any]:
    """What is kept beside a caption when it was asked for: {"seen": ..., "attention": ...}."""
    said: dict[str, Any] = {}
    if run.resolved.show_input:
        reference = run.desk.inputs.put_picture(seen(captioner, fit.image), "images")
        said["seen"] = {"picture": reference, "region": list(fit.region), **numbers(captioner)}
    if run.resolved.attention and text.strip():
        said["attention"] = _heat(run, captioner, fit, text, written)
    return said


def _heat(run: Run, captioner: Captioner, fit: Any, text: str, written: Candidate | None) -> dict[str, Any]:
    """{"id", "words", "layers", "heads", "grid", "region", "share"} of the maps that were kept, or {"fault": why not}."""
    resolved = run.resolved
    asked, tokens = resolved.before, written.tokens if written is not None else ()
    if captioner.kind.tasks and written is not None:
        asked, tokens = resolved.text.partition(REPLY)[0], () if REPLY in resolved.text else tokens
    elif resolved.task == ANSWER:
        asked, text, tokens = ("", resolved.text, ()) if captioner.kind.follows == READ else (resolved.text, text, tokens)
    elif written is not None and resolved.text:
        tokens = ()  # the beginning belongs to the caption too
    try:
        heat = attend(captioner, fit.image, text, before=asked, tokens=tokens)
    except RequestFault as fault:
        return {"fault": fault.why}
    digest = hashlib.sha256(f"{run.job} {fit.image.tobytes()[:4096]!r} {text}".encode()).hexdigest()[:32]
    keep(heat_file(run.desk.folders, digest), Kept(heat.words, heat.maps.numpy(), heat.share.numpy(), fit.region))
    layers, heads, _, *grid = heat.maps.shape
    share = [round(float(value), 4) for value in heat.share.mean((0, 1))]
    return {
        "id": digest, "words": list(heat.words), "layers": layers, "heads": heads, "grid": grid, "region": list(fit.region), "share": share,
    }  # fmt: skip


# ---- Words behind a caption ----------------------------------------------------------------------------------------------


def _ranked(run: Run, images: list[Image.Image]) -> list[dict[str, list[tuple[str, float]]] | None]:
    """For each picture: name of a list -> its nearest words with their cosines; None when none are asked for."""
    wish = run.resolved.words
    if wish is None:
        return [None] * len(images)
    slot = run.desk.slot
    precision = AUTO if run.resolved.precision in QUANTISED else run.resolved.precision  # its vectors are compared with kept ones
    scorer = slot.take(wish.scorer, precision, run.control.status)
    lists = word_lists(run.desk.folders, wish.scorer.name, most=wish.most, skip=wish.skip)
    return [*slot.ranker(scorer, run.desk.folders).rank(images, lists)]


def _with_words(run: Run, caption: str, ranked: dict[str, list[tuple[str, float]]] | None) -> str:
    """The caption and behind it the words that it does not hold already."""
    if ranked is None or run.resolved.words is None:
        return caption
    ranks = run.resolved.words.ranks
    new = [(word, near) for row in ranked.values() for word, near in row if word.casefold() not in caption.casefold()]
    words = [f"({word}:{near:.3f})" if ranks else word for word, near in new]
    return ", ".join([caption, *words])
