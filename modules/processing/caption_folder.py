"""A job over a folder of pictures: each captioned into a file, noted before it is written; what was done is not done twice.

While one batch is captioned the next is read from the disk, and what was said of the last is written. Start reading at `run_folder`; what
a batch is, is in `caption_run`.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import zip_longest
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from modules.caption.adapting import adapted
from modules.caption.cleaning import cleaned, joined
from modules.caption.ledger import Entry, Ledger, settle, summary
from modules.caption.loading import Captioner
from modules.caption.sidecars import Shelf, shelf_of
from modules.faults import RequestFault
from modules.processing.caption_run import CaptionDesk, Run, batch, told
from modules.processing.picture_folders import pictures_in
from modules.processing.pieces import Others
from modules.request.caption import CAPTIONS
from modules.request.caption_folder import APPEND, PREPEND, SIDECARS, SKIP, ResolvedFolder
from modules.request.extras import Source

Opened = list[Image.Image | RequestFault]
READERS = 4  # pictures read from the disk at a time
PIECE = 16  # pictures that another worker gets at once


def run_folder(job: dict[str, Any], control: Any, desk: CaptionDesk) -> tuple[str, dict[str, Any]]:
    """Caption what is not captioned yet. Returns ("done" or "canceled", {"folder", "captioned", "skipped", "faults", ...}).

    faults: [{"name", "why"}] of the pictures that could not be used. Raises RequestFault, ModelFault, OutOfMemory, DiskFault; what was
    done until then stays, and is gone on with when the job runs again.
    """
    resolved = ResolvedFolder.from_data(job["resolved"])
    folder = Path(resolved.folder)
    shelf = shelf_of(folder, resolved.output)
    ledger = _ledger(job, resolved, desk)
    settle(ledger, shelf)
    earlier = len(ledger.entries)
    names = pictures_in(folder, recursive=resolved.recursive, within=Path(resolved.within) if resolved.within else None)
    todo = _left(names, ledger, shelf, resolved)
    sources = tuple(Source(name=name, path=str(folder / name)) for name in todo)
    caption = dataclasses.replace(resolved.caption, sources=sources, n_iter=max(1, len(sources)))
    run = Run(resolved=caption, control=control, desk=desk, events=False, before=len(names) - len(todo))
    for text in (*resolved.warnings, desk.slot.dtype(caption.precision)[1]):
        run.warn(text)
    began = time.perf_counter()
    notes: list[str] = []
    if todo:
        with ExitStack() as on:
            on.enter_context(desk.slot.at_work(keep=caption.keep))
            captioner = on.enter_context(adapted(desk.slot.take(caption.model, caption.precision, control.status), caption.adapter))
            notes.append(told(captioner, caption))
            files = _Files(ledger, shelf, resolved)
            _batches(run, captioner, files, _shared(run, lends=job.get("lends", False)), began)
        control.status("Ready")
    shelf.flush()
    seconds = time.perf_counter() - began
    came = summary(ledger)
    pace = round(len(run.entries) / seconds, 2) if run.entries else 0.0
    notes.append(f"{came['captioned']} captions, {came['skipped']} there already, {came['failed']} faults, {pace} pictures/s")
    result = {**came, "earlier": earlier, "per_second": pace, "pictures": [], "warnings": run.warnings, "notes": notes}
    result["seconds"] = {"total": seconds}
    result["interrupted"] = control.interrupted
    return ("canceled" if control.interrupted else "done"), result


def _ledger(job: dict[str, Any], resolved: ResolvedFolder, desk: CaptionDesk) -> Ledger:
    """This job's own when it was begun before, else a new one, with what the job did that it goes on with."""
    own = Ledger.open(desk.folders, str(job["id"]))
    if own is not None:
        return own
    other = Ledger.open(desk.folders, resolved.resume) if resolved.resume else None
    head = {"folder": resolved.folder, "output": resolved.output}
    done = [entry for entry in other.entries.values() if not entry.fault] if other is not None else []  # a fault may be mended
    return Ledger.begin(desk.folders, str(job["id"]), head, done)


def _left(names: list[str], ledger: Ledger, shelf: Shelf, resolved: ResolvedFolder) -> list[str]:
    """What is to be captioned. What has a caption already, or would share one, is noted."""
    noted: list[Entry] = []
    todo: list[str] = []
    owner: dict[str, str] = {}
    for name in names:
        place = PurePosixPath(name).with_suffix("").as_posix() if resolved.output in SIDECARS else name
        first = owner.setdefault(place, name)
        if name in ledger.entries:
            continue
        there = shelf.get(name) if resolved.existing == SKIP else None
        if first != name:
            noted.append(Entry(name, fault=f"has the same name as {first} but for its ending, so that both would share a caption's file"))
        elif there is not None and there.strip():
            noted.append(Entry(name, text=there, before=there, skipped=True))
        else:
            todo.append(name)
    if noted:
        ledger.add(noted)
    return todo


@dataclasses.dataclass(frozen=True)
class _Files:
    """Where captions are noted and written."""

    ledger: Ledger
    shelf: Shelf
    resolved: ResolvedFolder


def _pieces(run: Run) -> list[list[range]]:
    """The pictures batch by batch, and so many batches in a piece that it is worth handing over."""
    size, count = run.resolved.batch_size, len(run.resolved.sources)
    ranges = [range(first, min(first + size, count)) for first in range(0, count, size)]
    each = max(1, PIECE // size)
    return [ranges[first : first + each] for first in range(0, len(ranges), each)]


def _shared(run: Run, *, lends: bool) -> Others:
    """Other workers may make pieces, each as a job of captions of its own. lends: there are such workers."""
    pieces, first = _pieces(run), 0
    lends = lends and len(pieces) > 1
    if lends:
        sources = [dataclasses.asdict(source) for source in run.resolved.sources]
        own = [sources[piece[0].start : piece[-1].stop] for piece in pieces]
        each = {str(number): {"sources": part, "n_iter": len(part)} for number, part in enumerate(own) if number}
        common = dataclasses.replace(run.resolved, sources=(), warnings=()).to_data()
        first = run.control.lend(len(pieces), kind=CAPTIONS, resolved=common, each=each)
    return Others(run.control, on=lends, first=first)


def _batches(run: Run, captioner: Captioner, files: _Files, others: Others, began: float) -> None:
    pieces = _pieces(run)
    with _ahead(run) as reading, _behind() as later:
        for number, ranges in enumerate(pieces):
            if run.control.interrupted and not others.there(number):
                continue  # what others have made is kept
            if (found := others.piece(number)) is not None:
                _take(run, ranges[0].start, found)
                later(_write, run, range(ranges[0].start, ranges[-1].stop), files)
                continue
            following = pieces[number + 1][:1] if number + 1 < len(pieces) and not others.lent(number + 1) else []
            for indices, upcoming in zip_longest(ranges, [*ranges[1:], *following][: len(ranges)]):
                if run.control.interrupted:
                    break
                done = indices[0]
                run.pace = f", {done / (time.perf_counter() - began):.1f} pictures/s" if done else ""
                opened = reading.opened(indices)
                if upcoming is not None:
                    reading.begin(upcoming)
                batch(run, captioner, indices, opened)
                later(_write, run, indices, files)


def _take(run: Run, first: int, made: dict[str, Any]) -> None:
    """What another worker said of the pictures from index `first` on."""
    for said in made["captions"]:
        index = first + said["index"]
        if fault := said.get("fault"):
            run.give_up(index, RequestFault("images", str(fault.get("why") or fault.get("message"))))
        else:
            run.entries[index] = {**said, "index": index}
    if all("fault" not in said for said in made["captions"]):  # else they are about those pictures, which were named here
        for text in made["warnings"]:
            run.warn(text)


def _write(run: Run, indices: range, files: _Files) -> None:
    """What was said of a batch: noted, then into the files."""
    ledger, shelf, resolved = files.ledger, files.shelf, files.resolved
    noted: list[Entry] = []
    for index in indices:
        said = run.entries.get(index)
        if said is None:
            continue  # stopped or skipped before it was done
        name = run.resolved.sources[index].name
        if fault := said.get("fault"):
            noted.append(Entry(name, fault=str(fault.get("why") or fault.get("message"))))
            continue
        before = shelf.get(name)
        text = cleaned(said["caption"], resolved.cleaning)
        if before is not None and before.strip() and resolved.existing in (APPEND, PREPEND):
            text = joined(before, text, before=resolved.existing == PREPEND)
        noted.append(Entry(name, text=text, before=before, caption=said["caption"]))
        run.entries[index] = {"index": index}  # it is noted; a long run keeps no more of it
    if noted:
        ledger.add(noted)
    shelf.put_all({entry.name: entry.text for entry in noted if not entry.fault})


@contextmanager
def _behind() -> Iterator[Callable[..., None]]:
    """A call that is done on another thread, in order, while the next batch is worked on; everything is done at the end.

    Raises what a call raised, at the next one or at the end.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="captions") as writer:
        waiting: list[Future[None]] = []

        def later(call: Callable[..., None], *given: Any) -> None:
            while waiting:
                waiting.pop().result()
            waiting.append(writer.submit(call, *given))

        yield later
        while waiting:
            waiting.pop().result()


class _Reading:
    """Pictures of batches, several read at a time."""

    def __init__(self, run: Run, readers: ThreadPoolExecutor) -> None:
        self._run = run
        self._readers = readers
        self._begun: dict[range, list[Future[Image.Image | RequestFault]]] = {}

    def begin(self, indices: range) -> None:
        """This batch will be wanted."""
        if indices not in self._begun:
            self._begun = {indices: [self._readers.submit(self._run.open, index) for index in indices]}

    def opened(self, indices: range) -> Opened:
        self.begin(indices)
        return [one.result() for one in self._begun.pop(indices)]


@contextmanager
def _ahead(run: Run) -> Iterator[_Reading]:
    """A batch is read while the one before it is worked on."""
    with ThreadPoolExecutor(READERS, thread_name_prefix="pictures") as readers:
        try:
            yield _Reading(run, readers)
        finally:
            readers.shutdown(wait=False, cancel_futures=True)
