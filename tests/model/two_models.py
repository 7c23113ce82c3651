"""Two loaded models that take turns, and a run of a request with what may follow the first pass; all on the CPU."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from modules.families import identify
from modules.processing.batch import Batch, make_batch
from modules.processing.passes import Sampled, StepHooks, first_pass
from modules.processing.refiner import refiner_of
from modules.processing.sampling import sample
from modules.processing.slot import LoadedModel, Slot
from modules.processing.tools import Tools, Wanted
from modules.request import Checkpoint, ResolvedRequest
from modules.upscale.enlarge import Upscaling
from modules.weights import model_folder

SIDE = 64
PROMPT, NEGATIVE = "a red apple, 3d", "blue"
Build = Callable[[Path], Path]


def checkpoint_of(folder: Path) -> Checkpoint:
    """As the library finds it."""
    family, match = identify(model_folder.read(folder))
    return Checkpoint(
        title=folder.name,
        model_name=folder.name,
        path=str(folder),
        family=family.id,
        native_px=match.native_px,
        variant=match.variant,
        prediction=match.prediction,
    )


class Stage:
    """A slot, and the tools over it. taken: names of the models that were asked for, in order; kept: pictures that were put aside."""

    def __init__(self) -> None:
        self.slot = Slot(lambda p: None, lambda p: None, "float32", lambda: 2**40)
        self.taken: list[str] = []
        self.kept: list[tuple[Image.Image, int, str]] = []
        self.given: dict[str, Image.Image] = {}
        self.tools = Tools(
            take=self.take,
            upscaling=Upscaling,
            open=lambda reference: self.given[reference],
            keep=lambda image, index, suffix: self.kept.append((image, index, suffix)),
        )

    def take(self, wanted: Wanted) -> LoadedModel:
        self.taken.append(wanted.checkpoint.model_name)
        model = self.slot.take(wanted.checkpoint, lambda *a, **k: None, keep=3, meanwhile=wanted.meanwhile)
        if model.networks.set(wanted.networks).text_changed:
            model.encoder.forget()
        return model

    def latents(self, resolved: ResolvedRequest, hooks: StepHooks | None = None) -> Sampled:
        """The first pass alone."""
        model = self.take(Wanted.first(resolved))
        run = dataclasses.replace(first_pass(resolved, 0), refiner=refiner_of(resolved, "first pass", self.tools))
        return sample(model, resolved, run, hooks or QUIET)

    def batch(self, resolved: ResolvedRequest, hooks: StepHooks | None = None) -> Batch:
        return make_batch(self.take(Wanted.first(resolved)), resolved, 0, hooks or QUIET, self.tools)


QUIET = StepHooks(stop=lambda: False, step=lambda done, of: None)


def request(checkpoint: Checkpoint, sampler: str = "Euler", **changes: Any) -> ResolvedRequest:
    """4 steps at 64 px."""
    base: dict[str, Any] = {
        "prompt": PROMPT,
        "negative_prompt": NEGATIVE,
        "steps": 4,
        "cfg_scale": 4.0,
        "width": SIDE,
        "height": SIDE,
        "seed": 5,
        "batch_size": 1,
        "scheduler": "Automatic",
        "settings": {},
        **changes,
    }
    seed, count = base.pop("seed"), base["batch_size"]
    return ResolvedRequest(
        all_prompts=(base["prompt"],) * count,
        all_negative_prompts=(base["negative_prompt"],) * count,
        all_seeds=tuple(seed + i for i in range(count)),
        all_subseeds=(0,) * count,
        styles=(),
        sampler_name=sampler,
        n_iter=1,
        checkpoint=checkpoint,
        save_images=True,
        overrides={},
        **base,
    )
