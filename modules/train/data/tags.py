"""Changes to the captions of many pictures at once: how often each tag occurs; adding, removing, replacing; and back again.

Each change is noted with what was there before, so that it can be taken back; a caption that somebody changed since is left alone then.
Start reading at `frequencies` and `change`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from modules.faults import DiskFault, RequestFault, UnknownName
from modules.folders import write_atomic
from modules.request.train import TrainConfig
from modules.train.data import captions
from modules.train.data.naming import in_order, same
from modules.train.sessions import Session

FOLDER = "changes"
MOST_KEPT = 100
UNDO = "undo"
_NOTE = re.compile(r"(\d{6})\.json")


@dataclass(frozen=True)
class Wish:
    """What a tool was asked for: find, put as one line each; separator: of tags; counts: how many pictures have each tag."""

    find: str
    put: str
    separator: str
    counts: Mapping[str, int]

    def tags(self, text: str) -> list[str]:
        return captions.tags_of(text, self.separator)


@dataclass(frozen=True)
class Changed:
    """number: of the change, for `undo`; 0 when nothing had to change. captions: name -> what it is now, of those that changed.

    left: names of captions that were changed by somebody since, which `undo` did not touch.
    """

    number: int
    captions: dict[str, str]
    left: tuple[str, ...] = ()


def frequencies(session: Session, config: TrainConfig) -> list[tuple[str, int]]:
    """Every tag with the number of pictures that have it, the most frequent first. Only captions that somebody wrote count."""
    counted = Counter(
        tag for text in _written(session).values() for tag in dict.fromkeys(captions.tags_of(text, _separator(config))) if tag
    )
    return sorted(counted.items(), key=lambda row: (-row[1], in_order(row[0])))


def change(
    session: Session, config: TrainConfig, tool: str, find: str = "", put: str = "", names: Collection[str] | None = None
) -> Changed:
    """Change the captions of these pictures with one of TOOLS, None for all. Only what comes out different is written, as .txt.

    A picture without a caption counts as one with an empty caption, and stays so unless words are added; where all tags go away, the
    empty file stays. Raises UnknownName("tool", "picture"), RequestFault("find" or "put") when the tool needs it, DiskFault.
    """
    if tool not in TOOLS:
        raise UnknownName("tool", tool, TOOLS)
    apply, needed = TOOLS[tool]
    wish = Wish(captions.one_line(find), put.replace("\n", " "), _separator(config), dict(frequencies(session, config)))
    if needed and not getattr(wish, needed).strip():
        raise RequestFault(needed, f"is needed for {tool}")
    written, known = _written(session), _known(session, names or ())
    chosen = list(known.values()) if names is None else [known[same(name)] for name in dict.fromkeys(names)]
    after = {name: captions.one_line(apply(written.get(name, ""), wish))[: captions.MOST_CHARS] for name in chosen}
    return _write(session, {name: (written.get(name), text) for name, text in after.items() if text != written.get(name, "")})


def write_all(session: Session, texts: Mapping[str, str]) -> Changed:
    """Write captions of some pictures, as one change that can be taken back. Raises UnknownName("picture"), DiskFault."""
    written, known = _written(session), _known(session, texts)
    new = {known[same(name)]: captions.one_line(text)[: captions.MOST_CHARS] for name, text in texts.items()}
    return _write(session, {name: (written.get(name), text) for name, text in new.items() if text != written.get(name, "")})


def undo(session: Session, number: int | None = None) -> Changed:
    """Take back a change, None for the last one. Raises RequestFault("change") when there is none, DiskFault."""
    notes = _notes(session)
    if number is None and not notes:
        raise RequestFault("change", "there is nothing to take back")
    number = notes[-1] if number is None else number
    if number not in notes:
        raise RequestFault("change", "there is no such change any more", got=number, allowed=notes)
    path = _note(session, number)
    try:
        rows: dict[str, list[str | None]] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RequestFault("change", f"the note of what was there before cannot be read ({error})", got=number) from error
    root, written = session.paths.pictures, _written(session)
    back: dict[str, str] = {}
    left: list[str] = []
    for name, (before, after) in rows.items():
        if written.get(name, "") != after or not (root / name).is_file():
            left.append(name)
            continue
        if before is None:
            _removed(captions.path_of(root, name))
        else:
            captions.write(root, name, before)
        back[name] = before or ""
    _removed(path)
    return Changed(number, back, tuple(left))


def _added(text: str, wish: Wish, *, front: bool) -> str:
    here = wish.tags(text)
    known = {tag.casefold() for tag in here}
    new = [tag for tag in dict.fromkeys(wish.tags(wish.put)) if tag.casefold() not in known]
    return captions.joined([*new, *here] if front else [*here, *new], wish.separator) if new else text


def _removed_tags(text: str, wish: Wish) -> str:
    gone = {tag.casefold() for tag in wish.tags(wish.find)}
    return captions.joined([tag for tag in wish.tags(text) if tag.casefold() not in gone], wish.separator)


def _replaced(text: str, wish: Wish) -> str:
    """Whole words, in any case; a tag of which nothing is left goes away."""
    found, count = captions.whole(wish.find).subn(lambda _: wish.put.strip(), text)
    return captions.joined(wish.tags(found), wish.separator) if count else text


def _each_once(text: str, wish: Wish) -> str:
    first: dict[str, str] = {}
    for tag in wish.tags(text):
        first.setdefault(tag.casefold(), tag)
    return captions.joined(list(first.values()), wish.separator)


def _sorted(text: str, wish: Wish, *, by_count: bool) -> str:
    return captions.joined(
        sorted(wish.tags(text), key=lambda tag: (-wish.counts.get(tag, 0) if by_count else 0, in_order(tag))), wish.separator
    )


# Tool -> (what it makes of a caption, which of find and put it needs).
TOOLS: Mapping[str, tuple[Callable[[str, Wish], str], str]] = {
    "add_front": (lambda text, wish: _added(text, wish, front=True), "put"),
    "add_back": (lambda text, wish: _added(text, wish, front=False), "put"),
    "remove": (_removed_tags, "find"),
    "replace": (_replaced, "find"),
    "prefix": (lambda text, wish: f"{wish.put}{text}", "put"),
    "suffix": (lambda text, wish: f"{text}{wish.put}", "put"),
    "dedupe": (_each_once, ""),
    "sort": (lambda text, wish: _sorted(text, wish, by_count=False), ""),
    "sort_by_count": (lambda text, wish: _sorted(text, wish, by_count=True), ""),
    "lower": (lambda text, wish: text.lower(), ""),
    "underscores": (lambda text, wish: text.replace("_", " "), ""),
    "set": (lambda text, wish: wish.put, ""),
}


def _known(session: Session, asked: Collection[str]) -> dict[str, str]:
    """Every picture, by its name as `naming.same` writes it. Raises UnknownName("picture") when an asked one is not among them."""
    root = session.paths.pictures
    known = {same(path.relative_to(root).as_posix()): path.relative_to(root).as_posix() for path in session.pictures()}
    for name in asked:
        if same(name) not in known:
            raise UnknownName("picture", name, known)
    return known


def _written(session: Session) -> dict[str, str]:
    """Captions that somebody wrote, by the picture's name."""
    root = session.paths.pictures
    table = captions.read_table(root)
    names = [path.relative_to(root).as_posix() for path in session.pictures()]
    return {name: found.text for name in names if (found := captions.written(root, name, table)) is not None}


def _write(session: Session, rows: Mapping[str, tuple[str | None, str]]) -> Changed:
    """Note what was there, then write. rows: name -> (before, after)."""
    if not rows:
        return Changed(0, {})
    notes = _notes(session)
    number = (notes[-1] if notes else 0) + 1
    write_atomic(_note(session, number), json.dumps(rows, ensure_ascii=False).encode())
    for old in notes[: max(0, len(notes) + 1 - MOST_KEPT)]:
        _removed(_note(session, old))
    for name, (_, after) in rows.items():
        captions.write(session.paths.pictures, name, after)
    return Changed(number, {name: after for name, (_, after) in rows.items()})


def _notes(session: Session) -> list[int]:
    """Numbers of the changes that can be taken back, the last one last."""
    folder = session.paths.cache / FOLDER
    return sorted(int(match[1]) for path in folder.glob("*.json") if (match := _NOTE.fullmatch(path.name)))


def _note(session: Session, number: int) -> Path:
    return session.paths.cache / FOLDER / f"{number:06d}.json"


def _removed(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise DiskFault(f"{path.name} cannot be removed: {error.strerror}. Look at its rights.") from error


def _separator(config: TrainConfig) -> str:
    return config.caption_separator or ","
