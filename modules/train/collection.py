"""The pictures of a session as people work on them: a list with captions and crops, and what is changed by hand or by a tool. No torch.

Pictures are named by their place in the session's folder of pictures, with slashes. Start reading at `Collection.items`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from modules.faults import DiskFault, RequestFault
from modules.pixels.metadata import picture_size
from modules.request.train import TrainConfig
from modules.train.data import captions, crops, tags
from modules.train.data.buckets import Rules, bucket_for
from modules.train.data.cropping import smart_crop
from modules.train.data.naming import folder_words, in_order, same
from modules.train.sessions import Session

MARGIN = 0.6  # of the subject's size, around it, as far as the picture goes


@dataclass(frozen=True)
class Item:
    """A picture. width, height: upright, 0 with a problem; crop: {"x", "y", "width", "height"} in its pixels, None for all of it.

    crop_by: "hand", "smart" or ""; crop_reason: what the smart crop saw there; bucket: (width, height) it is trained in, None while no
    model says; repeats: what its folder says, 1 as a rule.
    """

    file: str
    width: int
    height: int
    size_bytes: int
    caption: str | None
    crop: dict[str, int] | None
    crop_by: str
    crop_reason: str
    bucket: tuple[int, int] | None
    repeats: int
    problem: str

    def to_data(self) -> dict[str, Any]:
        return asdict(self)


class Collection:
    """The pictures of a session as they are now. Cheap to make.

    side_px: the resolution, where the configuration leaves it to the model; 0: nobody knows, and buckets are not told.
    """

    def __init__(self, session: Session, side_px: int = 0) -> None:
        self._session = session
        self._side_px = side_px
        self._folder = session.paths.pictures
        self._table = captions.read_table(self._folder)

    def has(self, file: str) -> bool:
        """Whether there is such a picture."""
        return any(same(file) == same(name) for name in self.names())

    def names(self) -> list[str]:
        """Every picture in natural order."""
        return sorted((path.relative_to(self._folder).as_posix() for path in self._session.pictures()), key=in_order)

    def items(self, *, search: str = "") -> list[str]:
        """Names of the pictures whose name and caption hold all words of `search`."""
        words = search.casefold().split()
        if not words:
            return self.names()
        return [name for name in self.names() if all(word in f"{name}\n{self._caption(name)}".casefold() for word in words)]

    def looked_at(self, names: Iterable[str]) -> list[Item]:
        """What is known of these pictures. Reads the head of each file."""
        known, rules = crops.read(self._session.paths.crops), self._rules()
        return [self._item(name, known.get(same(name)), rules) for name in names]

    def item(self, name: str) -> Item:
        """What is known of one picture."""
        return self.looked_at([name])[0]

    def write_caption(self, name: str, text: str | None) -> None:
        """None removes it. Raises DiskFault."""
        if text is not None:
            captions.write(self._folder, name, text)
            return
        for ending in (captions.TXT, captions.CAPTION):
            _gone((self._folder / name).with_suffix(ending))

    def crop(self, name: str, box: tuple[int, int, int, int] | None) -> None:
        """box: x, y, width, height in the picture's own pixels, upright; None for all of it. Raises RequestFault("crop"), DiskFault."""
        if box is None:
            crops.put(self._session.paths.crops, {name: None})
            return
        size = picture_size(self._folder / name)
        x, y, width, height = box
        chosen = crops.checked((x, y, x + width, y + height), size)
        crops.put(self._session.paths.crops, {name: crops.Crop(chosen, size)})

    def remove(self, name: str) -> None:
        """The session's copy of a picture, its caption and its crop. Raises DiskFault."""
        _gone(self._folder / name)
        self.write_caption(name, None)
        if same(name) in crops.read(self._session.paths.crops):
            crops.put(self._session.paths.crops, {name: None})

    def smart_crop(self, names: Sequence[str] = (), *, keep_own: bool = True) -> tuple[list[Item], list[tuple[str, str]]]:
        """Crop to what the pictures are about. names: only these, all when empty; keep_own: leave crops that a person made.

        Returns (what was cropped, (name, why) of what could not be). Raises DiskFault.
        """
        found = smart_crop(self._session, self._config(), list(names) or None, margin=MARGIN, replace_hand=bool(names) or not keep_own)
        return self.looked_at(found.crops), list(found.refused.items())

    def change_captions(self, tool: str, find: str, put: str, names: Sequence[str] = ()) -> int:
        """Change captions with one of `modules.train.data.tags.TOOLS`, or take the last change back with "undo"; returns how many changed.

        names: only these, all when empty. Raises UnknownName("tool", "picture"), RequestFault("find", "put") when a tool needs it,
        RequestFault("change") when there is nothing to take back, DiskFault.
        """
        if tool == tags.UNDO:
            return len(tags.undo(self._session).captions)
        return len(tags.change(self._session, self._config(), tool, find, put, names or None).captions)

    def tags(self) -> list[tuple[str, int]]:
        """(tag, in how many captions), the most frequent first."""
        return tags.frequencies(self._session, self._config())

    def _written(self, name: str) -> str | None:
        """The caption that somebody wrote; None where only the names of folder and file speak."""
        found = captions.read(self._folder, name, self._table)
        return found.text if found.source in captions.WRITTEN else None

    def _caption(self, name: str) -> str:
        return self._written(name) or ""

    def _config(self) -> TrainConfig:
        try:
            return self._session.config().closed(self._side_px)
        except (RequestFault, DiskFault):
            return TrainConfig().closed(self._side_px)

    def _rules(self) -> Rules | None:
        config = self._config()
        return Rules.of(config) if config.resolution else None

    def _item(self, name: str, crop: crops.Crop | None, rules: Rules | None) -> Item:
        path = self._folder / name
        size, problem = (0, 0), ""
        try:
            size = picture_size(path)
        except RequestFault as fault:
            problem = fault.why
        except OSError as error:
            problem = f"cannot be read: {error.strerror}"
        crop = crop if crop is not None and crop.fits(size) else None
        left, top, right, bottom = crop.box if crop else (0, 0, *size)
        return Item(
            file=name,
            width=size[0],
            height=size[1],
            size_bytes=path.stat().st_size if path.exists() else 0,
            caption=self._written(name),
            crop={"x": left, "y": top, "width": right - left, "height": bottom - top} if crop else None,
            crop_by=crop.by if crop else "",
            crop_reason=crop.reason if crop else "",
            bucket=bucket_for((right - left, bottom - top), rules) if rules is not None and min(size) > 0 else None,
            repeats=folder_words(name)[0],
            problem=problem,
        )


def _gone(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise DiskFault(f"{path.name} cannot be removed: {error.strerror}. Look at its rights.") from error
