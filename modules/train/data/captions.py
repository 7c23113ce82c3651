"""What a picture is called: where its caption stands, and how it is said at one step of a training.

Captions lie beside the pictures as .txt or .caption, or in a metadata.jsonl; without one the folder's or the file's name speaks, else the
trigger word alone. What is said is a pure function of the caption, the configuration and the draws. Start reading at `read` and `said`.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from modules.folders import write_atomic
from modules.request.train_pictures import Captions
from modules.train.data.draws import shuffled
from modules.train.data.naming import folder_words, name_words, same

TXT, CAPTION, TABLE = ".txt", ".caption", "metadata.jsonl"
FOLDER, NAME, TRIGGER, NONE = "folder", "name", "trigger", ""
WRITTEN = (TXT, CAPTION, TABLE)  # sources that somebody wrote as a caption
MOST_CHARS = 20_000
_TABLE_BYTES = 200_000_000
_UNSPACED = re.compile("[\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|\\W")
_PIECES = re.compile(r"[^\W\d_]+|\d|[^\s\w]+|_+")


@dataclass(frozen=True)
class Caption:
    """text: one line, may be empty. source: where it comes from, one of the words above. damaged: some of it is not UTF-8."""

    text: str
    source: str
    damaged: bool = False


def read(root: Path, name: str, table: Mapping[str, str], trigger: str = "") -> Caption:
    """The caption of a picture in the folder `root`. table: what `read_table` gave. Never raises for a file that cannot be read."""
    if (own := written(root, name, table)) is not None:
        return own
    for text, source in ((folder_words(name)[1], FOLDER), (name_words(name), NAME), (one_line(trigger), TRIGGER)):
        if text:
            return Caption(text, source)
    return Caption("", NONE)


def written(root: Path, name: str, table: Mapping[str, str]) -> Caption | None:
    """The caption that somebody wrote for a picture, also an empty one; None when there is no file of it."""
    for ending in (TXT, CAPTION):
        if (found := _file((root / name).with_suffix(ending))) is not None:
            return Caption(found[0], ending, found[1])
    text = table.get(same(name))
    return None if text is None else Caption(one_line(text), TABLE)


def read_table(root: Path) -> dict[str, str]:
    """Captions of a metadata.jsonl in the folder: {"file_name": ..., "text": ...} a line. Lines that are not so are left out."""
    path = root / TABLE
    found: dict[str, str] = {}
    try:
        if path.stat().st_size > _TABLE_BYTES:
            return {}
        lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError:
        return {}
    for line in lines:
        try:
            row = json.loads(line)
            found[same(str(row["file_name"]))] = str(row["text"])
        except (ValueError, KeyError, TypeError):
            continue
    return found


def path_of(root: Path, name: str) -> Path:
    """Where the caption of a picture is written."""
    return (root / name).with_suffix(TXT)


def write(root: Path, name: str, text: str) -> None:
    """Write a picture's caption, one line of UTF-8. Raises DiskFault."""
    write_atomic(path_of(root, name), one_line(text)[:MOST_CHARS].encode())


def one_line(text: str) -> str:
    """The text without line breaks and doubled spaces."""
    return " ".join(text.split())


def tags_of(text: str, separator: str) -> list[str]:
    """The parts of a caption between separators, without empty ones."""
    return [tag for part in text.split(separator) if (tag := part.strip())] if separator else [text]


def joined(tags: list[str], separator: str) -> str:
    """The caption of some tags."""
    return f"{separator} ".join(tags) if separator.strip() else separator.join(tags)


def said(text: str, config: Captions, source: random.Random) -> str:
    """The caption as one step hears it: dropped, shuffled, thinned out, the trigger word in front.

    The same number of draws is made whatever comes of them. Source: the order of things in kohya's scripts.
    """
    dropped = source.random() < config.caption_dropout
    separator = config.caption_separator or ","
    tags = tags_of(text, separator)
    trigger = one_line(config.trigger_word)
    front = 1 if trigger and tags and tags[0].casefold() == trigger.casefold() else 0
    kept = max(config.keep_tokens, front)
    fixed, rest = tags[:kept], tags[kept:]
    if config.shuffle_caption:
        rest = shuffled(rest, source)
    if config.caption_tag_dropout:
        rest = [tag for tag, drawn in [(tag, source.random()) for tag in rest] if drawn >= config.caption_tag_dropout]
    if dropped:
        return ""
    changed = config.shuffle_caption or config.caption_tag_dropout
    return with_trigger(joined([*fixed, *rest], separator) if changed else text, trigger, separator)


def plain(text: str, config: Captions) -> str:
    """The caption with the trigger word and nothing drawn: for validation, samples and counts."""
    return with_trigger(text, one_line(config.trigger_word), config.caption_separator or ",")


def with_trigger(text: str, trigger: str, separator: str = ",") -> str:
    """The caption with the trigger word in front, unless it is in it somewhere."""
    if not trigger or whole(trigger).search(text):
        return text
    return joined([trigger, text], separator) if text else trigger


def _file(path: Path) -> tuple[str, bool] | None:
    try:
        data = path.read_bytes()[: 4 * MOST_CHARS]
    except OSError:
        return None
    for encoding in ("utf-8-sig", "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"):
        try:
            return one_line(data.decode(encoding))[:MOST_CHARS], False
        except UnicodeDecodeError:
            continue
    return one_line(data.decode("utf-8", "replace"))[:MOST_CHARS], True


def whole(words: str) -> re.Pattern[str]:
    """Finds the words, in any case, but not inside longer ones; in scripts that put no spaces between words, anywhere."""
    before = "" if _UNSPACED.match(words[:1]) else r"(?<!\w)"
    after = "" if _UNSPACED.match(words[-1:]) else r"(?!\w)"
    return re.compile(f"{before}{re.escape(words)}{after}", re.IGNORECASE)


def about_tokens(text: str) -> int:
    """About how many tokens a CLIP tokenizer makes of the text: words and marks, long words in pieces. Within a fifth for English."""
    return sum(1 + max(0, len(piece) - 1) // 8 for piece in _PIECES.findall(text))
