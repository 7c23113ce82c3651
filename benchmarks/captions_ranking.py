"""Does the program rank rightly with the starter's retrieval model: 200 pictures and their 200 captions, on backgrounds it was not taught.

    python -m benchmarks.captions_ranking [--pairs 200] [--model models/CLIP/darkroom-starter-scorer] [--work FOLDER]

The pairs are drawn as the recipe in starter/ draws them (needs `starter/requirements.txt`, and npm unless FOLDER has the drawings), saved
as PNG, read back and compared as a job with texts does. The best text of each picture and the best picture of each text are counted.
Exits with 1 when one of the two is right less often than 80 times of 100. Start reading at `main`.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.program import machine
from modules.caption.installed import describe
from modules.caption.loading import load
from modules.caption.matching import match
from modules.folders import PROGRAM
from modules.pixels.incoming import flatten, read_picture
from starter.captioner import plain_caption
from starter.make import painter_for
from starter.scenes import held_out
from starter.sizes import SIZES

STARTER = PROGRAM / "models" / "CLIP" / "darkroom-starter-scorer"
LEAST = 0.80
TOGETHER = 32


def drawn(work: Path, place: Path, count: int) -> dict[str, Path]:
    """{caption: its picture's file}: single things on backgrounds that training left out, each caption once."""
    painter, rng = painter_for(work, SIZES["cpu"], "scorer"), random.Random(11)
    scenes = {}
    while len(scenes) < count:
        scene = painter.draw_scene(rng, {"one": 1.0})
        if held_out(scene):
            scenes.setdefault(plain_caption(scene, painter), scene)
    found: dict[str, Path] = {}
    for n, (text, pixels) in enumerate(zip(scenes, painter.render([*scenes.values()], random.Random(5)), strict=True)):
        found[text] = place / f"{n:03}.png"
        Image.fromarray((pixels.permute(1, 2, 0).cpu().numpy() * 255).round().astype(np.uint8)).save(found[text])
    return found


def cosines(model: Path, pairs: dict[str, Path]) -> np.ndarray:
    """(pictures, texts): how well each text fits each picture, the chance where the model gives one."""
    scorer, texts = load(describe(model), device="cpu", dtype="float32"), [*pairs]
    images = [flatten(read_picture(path, "images")) for path in pairs.values()]
    rows: list[list[float]] = []
    for first in range(0, len(images), TOGETHER):
        for fits in match(scorer, images[first : first + TOGETHER], texts):
            by_text = {fit.text: fit.cosine if fit.chance is None else fit.chance for fit in fits}
            rows.append([by_text[text] for text in texts])
    return np.array(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--model", type=Path, default=STARTER)
    parser.add_argument("--work", type=Path, help="where the recipe keeps its drawings")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        found = cosines(args.model, drawn(args.work or Path(place) / "work", Path(place), args.pairs))
    right = np.arange(args.pairs)
    shares = {
        "the best text for a picture": (found.argmax(1) == right).mean(),
        "the best picture for a text": (found.argmax(0) == right).mean(),
    }
    sys.stdout.write(f"{machine()}\n{args.model.name}, {args.pairs} pairs\n")
    for what, share in shares.items():
        sys.stdout.write(f"{what} is the right one: {share:.1%}\n")
    return int(min(shares.values()) < LEAST)


if __name__ == "__main__":
    sys.exit(main())
