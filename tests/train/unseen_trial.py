"""`python -m tests.train.unseen_trial [METHOD …]`: does a thing that the starter model never saw appear when it is named, and only then?

Twelve pictures of it (`tests.train.unseen`) are trained by each method through the real session, data set and loop; pictures before and
after are judged by the starter's scorer. `--sheet FILE` keeps a sheet of them. docs/training-methods.md has the figures.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from modules.families import LoadPlan, identify
from modules.folders import Folders
from modules.request.train import TrainConfig
from modules.train.data.dataset import Dataset
from modules.train.loop import train
from modules.train.methods import make_trainee
from modules.train.sessions import Session
from modules.weights import model_folder
from tests.train import unseen
from tests.train.runs import Quiet

NAME = unseen.WORD
SIZES = {
    "resolution": 128, "any_resolution": True, "enable_bucket": False, "smart_crop": False, "train_batch_size": 4, "lr_scheduler": "cosine",
    "validate_every": 0, "sample_every": 0, "save_every": 100_000, "tensorboard": False, "seed": 1,
}  # fmt: skip
METHODS: dict[str, dict[str, Any]] = {
    "lora": {"learning_rate": 2e-3, "text_encoder_lr": 3e-4, "network_dim": 16, "network_alpha": 16, "max_train_steps": 140},
    "dreambooth": {"learning_rate": 2e-4, "text_encoder_lr": 1e-4, "text_encoder_steps": 60, "max_train_steps": 240},
    "textual_inversion": {"learning_rate": 2e-2, "num_vectors": 4, "initializer_text": "a blue star", "max_train_steps": 300},
}
# Pictures of the class, made by the model itself and trained beside; none of them is judged afterwards.
PRIOR = {"prior_preservation": True, "class_prompt": "a thing", "num_class_images": 12, "train_batch_size": 6}
BESIDE = (
    "a rose", "a dog", "a car on a blue background", "a birthday cake", "a banana on a green background", "a tree", "a yellow star",
    "a frog on a red background", "a smiling face", "a ghost", "a pizza", "a mushroom on a yellow background",
)  # fmt: skip
GROUNDS = ("white", "blue", "green", "yellow", "gray", "red")


@dataclass(frozen=True)
class Seen:
    """Pictures by prompts that name the thing, and by others."""

    named: list[Image.Image]
    others: list[Image.Image]


class Painter:
    """The starter model, loaded by our families; few steps, fixed seeds."""

    def __init__(self, steps: int = 12) -> None:
        self.family, self.match = identify(model_folder.read(unseen.STARTER))
        plan = LoadPlan(path=unseen.STARTER, dtype="float32", variant=self.match.variant, prediction=None, parts={})
        self.pipeline: Any = self.family.load(plan)
        self.pipeline.set_progress_bar_config(disable=True)
        self.steps = steps

    @torch.no_grad()
    def draw(self, prompts: Sequence[str], seed: int = 0) -> list[Image.Image]:
        """One picture a prompt; prompt n has the seed seed + n."""
        draws = [torch.Generator().manual_seed(seed + n) for n in range(len(prompts))]
        return self.pipeline(
            list(prompts), num_inference_steps=self.steps, guidance_scale=5.0, generator=draws, height=128, width=128
        ).images

    def seen(self, grounds: Sequence[str] = GROUNDS, others: Sequence[str] = unseen.OTHERS) -> Seen:
        return Seen(self.draw([f"a {NAME} on a {ground} background" for ground in grounds], 50), self.draw(others, 90))


def learn(home: Path, method: str, painter: Painter, **changed: Any) -> tuple[list[Path], Any]:
    """Train the twelve pictures. Returns (files written, the trainee, still on the pipeline)."""
    config = TrainConfig.from_data({"session": NAME, "method": method, **SIZES, **METHODS[method], **changed})
    session = Session.create(Folders.at(data=home), NAME, config)
    unseen.fill_session(session.paths.pictures)
    if config.prior_preservation:
        unseen.keep(session.paths.class_pictures, list(zip(painter.draw(BESIDE, 300), BESIDE, strict=True)))
    trainee = make_trainee(config, painter.pipeline, painter.family, painter.match.variant)
    outcome = train(session, config, trainee, Dataset.of(session, config), Quiet())
    for part in painter.pipeline.components.values():
        if isinstance(part, torch.nn.Module):
            part.eval()
    return list(outcome.files), trainee


def sheet(rows: Sequence[Sequence[Image.Image]]) -> Image.Image:
    """Rows of 128 px pictures."""
    made = Image.new("RGB", (unseen.SIDE * max(map(len, rows)), unseen.SIDE * len(rows)), "white")
    for row, images in enumerate(rows):
        for column, image in enumerate(images):
            made.paste(image, (column * unseen.SIDE, row * unseen.SIDE))
    return made


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("methods", nargs="*", default=list(METHODS))
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--steps", type=int)
    asked = parser.parse_args(arguments)
    rows: list[list[Image.Image]] = []
    for method in asked.methods:
        painter = Painter()
        known = {prompt: painter.draw([prompt] * 3) for prompt in unseen.OTHERS}
        judge = unseen.Judge(known)
        before = painter.seen()
        began = time.process_time()
        changed = {} if method == "textual_inversion" else dict(PRIOR)
        changed |= {"max_train_steps": asked.steps} if asked.steps else {}
        with tempfile.TemporaryDirectory() as home:
            learn(Path(home), method, painter, **changed)
            seconds = time.process_time() - began
            after = painter.seen()
        was, now = (sum(name == NAME for name in judge.named(seen.named)) for seen in (before, after))
        right = [
            sum(name == prompt for name, prompt in zip(judge.named(seen.others), unseen.OTHERS, strict=True)) for seen in (before, after)
        ]
        kept = judge.alike(before.others, after.others)
        print(
            f"{method}: {seconds:.0f} s of one core; the thing in {was} of {len(before.named)} pictures that name it before, {now} after; "
            f"other prompts right {right[0]} before and {right[1]} after of {len(unseen.OTHERS)}, likeness {kept:.3f}",
            flush=True,
        )
        rows += [before.named, after.named, before.others, after.others]
        if asked.sheet:
            sheet(rows).save(asked.sheet)


if __name__ == "__main__":
    main(sys.argv[1:])
