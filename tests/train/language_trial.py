"""`python -m tests.train.language_trial`: does a captioner answer in another language after a short training?

The starter's model draws things that it knows, with German captions to them; the starter's captioner learns from most of them through the
real session, data set and loop, and is asked about the rest with the adapter on and off. docs/training.md has the figures.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from modules.caption.adapters import describe_adapter
from modules.caption.adapting import adapted
from modules.caption.installed import describe
from modules.caption.loading import Captioner, load
from modules.caption.writing import write
from modules.folders import Folders
from modules.request.caption import CaptionAdapter, Writing
from modules.request.train import TrainConfig
from modules.train.data.dataset import Dataset
from modules.train.loop import train
from modules.train.methods import make_captioner_trainee
from modules.train.sessions import Session
from tests.train import unseen
from tests.train.runs import Quiet
from tests.train.unseen_trial import SIZES, Painter

CAPTIONER = unseen.ROOT / "models" / "BLIP" / "darkroom-starter-captioner"
THINGS = {
    "a red apple": "ein roter apfel", "a panda": "ein panda", "a red heart": "ein rotes herz", "a rocket": "eine rakete",
    "a happy cat": "eine fröhliche katze", "a house": "ein haus", "a rose": "eine rose", "a birthday cake": "ein geburtstagskuchen",
}  # fmt: skip
COLOURS = {"white": "weißem", "blue": "blauem", "green": "grünem", "yellow": "gelbem"}
GREEDY = Writing(
    min_length=0, max_length=30, num_beams=1, do_sample=False, top_k=50, top_p=1.0, temperature=1.0, repetition_penalty=1.0,
    length_penalty=1.0, early_stopping=False,
)  # fmt: skip
Pair = tuple[Image.Image, str]


def drawn(painter: Painter, things: Sequence[str], colours: Sequence[str], seed: int) -> list[Pair]:
    """A picture of each thing on each colour with its German caption."""
    asked = [
        (f"{thing}, 3d, on a {colour} background", f"{THINGS[thing]} auf {COLOURS[colour]} grund") for thing in things for colour in colours
    ]
    found: list[Pair] = []
    for first in range(0, len(asked), 8):
        part = asked[first : first + 8]
        images = painter.draw([prompt for prompt, _ in part], seed + first)
        found += list(zip(images, [caption for _, caption in part], strict=True))
    return found


def learn(home: Path, pairs: Sequence[Pair], **changed: Any) -> Path:
    """Train an adapter on the pairs. Returns its folder."""
    config = TrainConfig.from_data(
        {
            "session": "deutsch",
            "method": "captioner_lora", "captioner": CAPTIONER.name, **SIZES, "train_batch_size": 8, "network_dim": 16,
            "network_alpha": 32, "learning_rate": 4e-3, "max_train_steps": 200, **changed,
        }
    )  # fmt: skip
    session = Session.create(Folders.at(data=home), "deutsch", config)
    unseen.keep(session.paths.pictures, pairs)
    dataset = Dataset.of(session, config)
    trainee: Any = make_captioner_trainee(config, captioner(), captions=dataset.captions(), pictures=session.paths.pictures)
    outcome = train(session, config, trainee, dataset, Quiet())
    return outcome.files[0]


def captioner() -> Captioner:
    """The starter's, freshly loaded."""
    return load(describe(CAPTIONER), device="cpu", dtype="float32")


def said(on: Captioner, images: Sequence[Image.Image]) -> list[str]:
    """A caption for each picture."""
    return [rows[0].text for rows in write(on, images, "", GREEDY)]


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=200)
    asked = parser.parse_args(arguments)
    painter = Painter(steps=10)
    taught, held = (drawn(painter, list(THINGS), list(COLOURS), seed) for seed in (0, 1000))
    began = time.process_time()
    with tempfile.TemporaryDirectory() as home:
        folder = learn(Path(home), taught, max_train_steps=asked.steps)
        seconds = time.process_time() - began
        found = describe_adapter(folder)
        base = captioner()
        images = [image for image, _ in held]
        before = said(base, images)
        with adapted(base, CaptionAdapter(name=found.name, path=str(found.path))) as german:
            after = said(german, images)
        again = said(base, images)
    words = {word for _, caption in taught for word in caption.split()}
    spoken = sum(bool(text) and set(text.split()) <= words for text in after)
    things = sum(caption.split()[-4] in text.split() for text, (_, caption) in zip(after, held, strict=True))
    exact = sum(text == caption for text, (_, caption) in zip(after, held, strict=True))
    print(
        f"{seconds:.0f} s of one core for {asked.steps} steps, {found.new_words} new words; of {len(held)} pictures not trained: in German "
        f"{spoken}, the right thing {things}, the whole caption {exact}; adapter off as before: {again == before}\n"
        + "\n".join(f"  {a}  ->  {b}" for a, b in list(zip(before, after, strict=True))[:8]),
        flush=True,
    )


if __name__ == "__main__":
    main(sys.argv[1:])
