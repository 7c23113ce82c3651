"""The smart crop over a session: where the subject of each picture is, kept by what the picture holds; boxes written into crops.json.

Start reading at `smart_crop`; `focuses` is for the training, which moves its cuts to the subject without writing anything.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modules.faults import UnknownName
from modules.folders import write_atomic
from modules.pixels.incoming import flatten, read_picture
from modules.pixels.resizing import Size
from modules.request.train import TrainConfig
from modules.train.data import crops
from modules.train.data.buckets import MIDDLE, Rules, bucket_for
from modules.train.data.crops import HAND, SMART, Crop
from modules.train.data.facts import facts_of
from modules.train.data.naming import in_order, same
from modules.train.data.plan import Entry, Plan
from modules.train.data.subject import FACES, OBJECT, Faces, Subject, best_box
from modules.train.sessions import Session

FILE = "subjects.json"
VERSION = 1
MOST_KEPT = 200_000
WORTH = 0.1  # cutting off less than this, it hardly matters where
Told = Callable[[int, int], None]


@dataclass(frozen=True)
class Cropped:
    """crops: the new ones, by name of the picture; refused: name -> why."""

    crops: dict[str, Crop]
    refused: dict[str, str]


def smart_crop(
    session: Session,
    config: TrainConfig,
    names: Collection[str] | None = None,
    *,
    shape: Size | None = None,
    margin: float | None = None,
    replace_hand: bool = False,
    faces: Faces | None = None,
    told: Told | None = None,
) -> Cropped:
    """Choose crops by what the pictures show, and write them into crops.json. Each says why.

    names: of pictures, None for all. shape: (width, height) the crops have the shape of, None for the bucket of each picture.
    margin: None for the largest part of that shape; else the crop closes in on faces and on what stands out, with so much of its size
    around it, but not below the size it is trained in. replace_hand: also where a person chose. faces: another detector of faces than the
    shipped one. Raises UnknownName("picture"), RequestFault("crop"), DiskFault.
    """
    root, rules = session.paths.pictures, Rules.of(config)
    known = {same(name): name for name in (path.relative_to(root).as_posix() for path in session.pictures())}
    for name in names or ():
        if same(name) not in known:
            raise UnknownName("picture", name, known)
    chosen = sorted(known if names is None else {same(name) for name in names}, key=in_order)
    before = crops.read(session.paths.crops)
    chosen = [name for name in chosen if replace_hand or name not in before or before[name].by != HAND]
    facts = facts_of(session.paths.cache, [root / known[name] for name in chosen])
    book = _Book(session.paths.cache / FILE, faces)
    found, refused = dict[str, Crop](), dict[str, str]()
    for done, (name, fact) in enumerate(zip(chosen, facts, strict=True), 1):
        if fact.fault:
            refused[known[name]] = fact.fault
        else:
            subject = book.subject(fact.digest, root / known[name])
            wanted = shape or bucket_for(fact.size, rules)
            box = best_box(fact.size, wanted, subject, margin if subject.reason in (FACES, OBJECT) else None, bucket_for(wanted, rules))
            found[known[name]] = Crop(box, fact.size, SMART, subject.text)
        if told is not None:
            told(done, len(chosen))
    book.save()
    crops.put(session.paths.crops, found)
    return Cropped(found, refused)


def focuses(plan: Plan, entries: Sequence[Entry], cache: Path, told: Told | None = None) -> dict[str, tuple[float, float]]:
    """By digest, what should lie in the middle of the cut: of the pictures without a crop that lose a part worth speaking of.

    Raises RequestFault when a picture cannot be read any more, DiskFault.
    """
    asked = {entry.facts.digest: entry for entry in entries if entry.box is None and plan.cut(entry).lost > WORTH}
    book = _Book(cache / FILE, None)
    found: dict[str, tuple[float, float]] = {}
    for done, (digest, entry) in enumerate(asked.items(), 1):
        subject = book.subject(digest, entry.path)
        found[digest] = subject.focus(entry.facts.size) if subject.sure else MIDDLE
        if told is not None:
            told(done, len(asked))
    book.save()
    return found


class _Book:
    """Subjects that were found before. Those of another detector are not kept."""

    def __init__(self, path: Path, faces: Faces | None) -> None:
        self._path = path
        self._faces = faces
        self._rows = _read(path)
        self._new = False

    def subject(self, digest: str, path: Path) -> Subject:
        from modules.train.data.looking import find_subject

        if self._faces is None and digest in self._rows:
            return self._rows[digest]
        found = find_subject(flatten(read_picture(path, path.name)), self._faces)
        if self._faces is None:
            self._rows[digest] = found
            self._new = True
        return found

    def save(self) -> None:
        if not self._new:
            return
        rows = {digest: dataclasses.asdict(self._rows[digest]) for digest in list(self._rows)[-MOST_KEPT:]}
        write_atomic(self._path, json.dumps({"version": VERSION, "subjects": rows}).encode())
        self._new = False


def _subject(row: dict[str, Any]) -> Subject:
    left, top, right, bottom = (int(value) for value in row["box"])
    return Subject((left, top, right, bottom), str(row["reason"]), float(row["sure"]), str(row["text"]))


def _read(path: Path) -> dict[str, Subject]:
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if data["version"] != VERSION:
            return {}
        rows = data["subjects"].items()
        return {str(digest): _subject(row) for digest, row in rows}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}  # they are found again
