"""What is known of each picture file: whether it can be read, its size, what it looks like. No torch.

Every file is read whole: only that shows whether it is damaged. What was learnt is kept by the hash of the file's bytes, so that it is
never out of date; a file that is known is hashed and no more. Start reading at `facts_of`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from modules.faults import RequestFault
from modules.folders import write_atomic
from modules.pixels.incoming import flatten
from modules.pixels.metadata import formats, open_picture

VERSION = 1
MOST_KEPT = 200_000
LOOK_PX = 16
THREADS = 4
FILE = "facts.json"
Told = Callable[[int, int], None]  # (pictures looked at, of how many)


@dataclass(frozen=True)
class Facts:
    """digest: SHA-256 of the file, "" when it cannot even be read. width, height: upright, in pixels; 0 with a fault.

    mode: of the file, as Pillow calls it ("RGB", "CMYK", "I;16", ...); frames: pictures in it; transparent: some of it really is.
    look: a hash of how it looks, see `alike`. fault: why it cannot be used, "" when it can.
    """

    digest: str
    width: int = 0
    height: int = 0
    mode: str = ""
    frames: int = 1
    transparent: bool = False
    look: str = ""
    fault: str = ""

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)"""
        return self.width, self.height


def alike(one: int, other: int) -> bool:
    """Whether two looks, `int(facts.look or "0", 16)`, are of the same picture, perhaps in another size or format. 0: nobody can tell."""
    return one != 0 != other and (one ^ other).bit_count() <= min(one.bit_count(), other.bit_count()) // 10


def facts_of(cache: Path, paths: Sequence[Path], told: Told | None = None) -> list[Facts]:
    """Facts of the files, in their order. cache: folder where they are kept; need not exist, may be emptied at any time.

    Never raises for a picture. Raises DiskFault when the cache cannot be written.
    """
    book = _read(cache / FILE)
    found: list[Facts] = []
    with ThreadPoolExecutor(THREADS, thread_name_prefix="pictures") as pool:
        for facts in pool.map(lambda path: _facts(path, book), paths):
            found.append(facts)
            if told is not None:
                told(len(found), len(paths))
    new = {facts.digest: facts for facts in found if facts.digest and facts.digest not in book}
    if new:
        kept = {**book, **new} if len(book) + len(new) <= MOST_KEPT else {facts.digest: facts for facts in found if facts.digest}
        rows = {digest: dataclasses.asdict(facts) for digest, facts in kept.items()}
        write_atomic(cache / FILE, json.dumps({"version": VERSION, "facts": rows}).encode())
    return found


def _read(path: Path) -> dict[str, Facts]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["version"] != VERSION:
            return {}
        return {str(digest): Facts(**row) for digest, row in data["facts"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}  # it is made again


def _facts(path: Path, book: dict[str, Facts]) -> Facts:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if path.stat().st_size == 0:
            return Facts(digest, fault="is empty")
    except OSError as error:
        return Facts("", fault=f"cannot be read: {error.strerror}")
    return book.get(digest) or _looked_at(path, digest)


def _looked_at(path: Path, digest: str) -> Facts:
    try:
        image = open_picture(path)
        with Image.open(path, formats=formats()) as header:
            mode, frames = header.mode, int(getattr(header, "n_frames", 1))
    except RequestFault as fault:
        return Facts(digest, fault=fault.why)
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        return Facts(digest, fault=f"cannot be read: {error}")
    transparent = "A" in image.getbands() and image.getchannel("A").getextrema()[0] != 255
    return Facts(digest, image.width, image.height, mode, frames, transparent, _look(image))


def _look(image: Image.Image) -> str:
    """Whether it gets brighter from one cell to the next, over a grid of 16 by 16; "" for one of a single colour."""
    grey = flatten(image).convert("L").resize((LOOK_PX + 1, LOOK_PX), Image.Resampling.BOX, reducing_gap=2.0).tobytes()
    bits = 0
    for row in range(LOOK_PX):
        line = grey[row * (LOOK_PX + 1) : (row + 1) * (LOOK_PX + 1)]
        for left, right in itertools.pairwise(line):
            bits = bits << 1 | (right > left)
    return f"{bits:x}" if bits else ""  # without any change there is nothing to go by
