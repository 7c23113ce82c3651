"""What the loop asks of whatever is trained, what a dataset gives it, and where every random number of a step comes from.

The loop owns order, accumulation, clipping, optimizer, schedule, EMA, state and log. A trainee owns the model: what is trained in it, the
loss of each row, encoding for the caches, samples and the files that come out. Nothing random may come from anywhere but `StepNoise` (and
torch's own generator, which the loop seeds before every batch, for dropout): that is why a run that was killed goes on bit for bit.

Start reading at `Trainee`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from PIL import Image

Tensors = dict[str, torch.Tensor]
__all__ = ["Cache", "Dataset", "Example", "ParamGroup", "SampleAsked", "Stage", "StepNoise", "Tensors", "Trainee", "seed_of"]


@dataclass(frozen=True, kw_only=True)
class Example:
    """A picture with its caption as one step sees it. A pure function of (seed, epoch, index).

    pixels: (3, H, W) float32 in [-1, 1], or None when the dataset was asked for an example without them (their latents are cached).
    caption: as it is trained: trigger word put in, shuffled, or "" when it was dropped. original_size, target_size: (height, width) in
    pixels; crop_top_left: (top, left) in pixels of the resized picture, after the flip: SDXL's time ids. target_size is (H, W).
    weight: what the picture counts, 1.0 as a rule. is_prior: a picture of the class (prior preservation); the loop multiplies those with
    prior_loss_weight, nobody else. key: names exactly these pixels (a hash of file, crop, size and flip); cached latents are found by it.
    name: of the file, for messages. latents, text: what the trainee's encode_pixels and encode_text said of it, put in by the loop where
    they are cached; else None.
    """

    pixels: torch.Tensor | None
    caption: str
    original_size: tuple[int, int]
    crop_top_left: tuple[int, int]
    target_size: tuple[int, int]
    weight: float = 1.0
    is_prior: bool = False
    key: str = ""
    name: str = ""
    latents: Tensors | None = None
    text: Tensors | None = None


class Dataset(Protocol):
    """What the loop reads. `modules.train.data` has the one over a session's pictures."""

    def __len__(self) -> int:
        """Examples of an epoch, repeats counted."""
        ...

    def order(self, epoch: int, seed: int) -> list[list[int]]:
        """The batches of an epoch, each of one size: indices below len(self). A pure function of its arguments.

        A batch holds up to `TrainConfig.global_batch` indices (all devices together); the last one of a bucket may be shorter. With prior
        preservation it holds pictures of both kinds.
        """
        ...

    def example(self, index: int, epoch: int, *, pixels: bool = True) -> Example:
        """The example of that index in that epoch. pixels=False: without opening the picture."""
        ...

    def validation(self) -> Sequence[int]:
        """Indices of the pictures that are kept apart for validation (never in `order`); one bucket after another; may be empty."""
        ...

    def no_larger(self, resolution: int) -> Dataset:
        """The same pictures in sizes of at most this resolution, in pixels; itself where they are no larger."""
        ...

    def fingerprint(self) -> str:
        """A hash of all that the order and the examples follow from: files, captions, crops, sizes. A change since the state is told."""
        ...


class Cache(Protocol):
    """Tensors on disk by key. `modules.train.data` has the one in a session's folder."""

    def get(self, key: str) -> Tensors | None: ...

    def put(self, key: str, tensors: Tensors) -> None: ...


def seed_of(*parts: int | str) -> int:
    """A 63-bit seed that depends on every part and on nothing else: no process, no machine, no order of calls."""
    digest = hashlib.blake2b("\x1f".join(str(part) for part in parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


@dataclass(frozen=True)
class StepNoise:
    """Every random number of one batch: a pure function of (seed, step, row, purpose).

    step: counts batches (micro-steps), not steps of the optimizer. rows: the place of each example in the batch over all devices, so that
    two devices with a batch of 1 draw what one device with a batch of 2 does. All numbers are drawn on the CPU and then moved.
    """

    seed: int
    step: int
    rows: tuple[int, ...]

    def generator(self, row: int, purpose: str) -> torch.Generator:
        """A CPU generator for one row (an index into `rows`) and one purpose ("noise", "timestep", "dropout", ...)."""
        return torch.Generator().manual_seed(seed_of(self.seed, self.step, self.rows[row], purpose))

    def normal(
        self, shape: Sequence[int], purpose: str = "noise", *, device: Any = "cpu", dtype: torch.dtype = torch.float32
    ) -> torch.Tensor:
        """(B, *shape) of standard normal numbers; B is len(rows), shape that of one row."""
        rows = [torch.randn(tuple(shape), generator=self.generator(row, purpose)) for row in range(len(self.rows))]
        return torch.stack(rows).to(device=device, dtype=dtype)

    def uniform(self, purpose: str = "timestep", *, device: Any = "cpu") -> torch.Tensor:
        """(B,) float32 in [0, 1)."""
        return torch.stack([torch.rand((), generator=self.generator(row, purpose)) for row in range(len(self.rows))]).to(device)


@dataclass(frozen=True)
class SampleAsked:
    """A picture to be made on the way. None: the model's own."""

    prompt: str
    negative_prompt: str = ""
    width: int | None = None
    height: int | None = None
    steps: int = 20
    cfg_scale: float | None = None
    seed: int = 42


@dataclass(frozen=True)
class Stage:
    """A part of a training with an optimizer and a schedule of its own. name: "text_encoder", "network"; title: for people.

    most_px: the largest resolution of its pictures, 0 for that of the config.
    """

    name: str
    title: str
    steps: int
    most_px: int = 0


@dataclass
class ParamGroup:
    """Trained tensors (float32, requires_grad) that share a learning rate. name: "unet", "text_encoder", ... as the log calls it."""

    name: str
    params: list[torch.nn.Parameter]
    lr: float
    weight_decay: float | None = None
    extra: dict[str, Any] = field(default_factory=dict[str, Any])


class Trainee(Protocol):
    """What is trained. Rows of `TRAINEES` make one (`modules.train.methods`). All methods run on one thread."""

    def stages(self) -> tuple[Stage, ...]:
        """One after the other, in this order; a single one as a rule: (Stage("network", "Training", config.max_train_steps),)."""
        ...

    def begin(self, stage: Stage) -> None:
        """Get ready to train this stage: what is trained has requires_grad and train mode, the rest is frozen."""
        ...

    def parameters(self) -> list[ParamGroup]:
        """What the stage that was begun trains. The same tensors in the same order at every call."""
        ...

    def loss(self, examples: Sequence[Example], rng: StepNoise) -> torch.Tensor:
        """(B,) float32, one a row, with gradients: unreduced, weighted by min-SNR and the like and by `Example.weight`.

        Examples of one size; uses `Example.latents` and `.text` where they are given, else encodes.
        """
        ...

    def encode_pixels(self, examples: Sequence[Example]) -> list[Tensors]:
        """What a cache holds of each picture, on the CPU: for example mean and deviation of its latents. No gradients."""
        ...

    def encode_text(self, captions: Sequence[str]) -> list[Tensors]:
        """What a cache holds of each caption, on the CPU. Only called while `text_is_frozen`."""
        ...

    def text_is_frozen(self) -> bool:
        """Whether this stage leaves the text encoders alone, so that captions can be cached."""
        ...

    def cache_name(self, what: str) -> str:
        """A hash of the model that encodes "pixels" or "text": a part of the key in the cache."""
        ...

    def encoders_not_needed(self, *, pixels: bool, text: bool) -> None:
        """All are cached: the encoders may leave the device until they are called again."""
        ...

    def after_step(self) -> None:
        """After each step of the optimizer: largest weight norms, the length of a word's vectors."""
        ...

    def state_dict(self) -> Tensors:
        """Everything trained in any stage so far, to go on from; names as stable as the parameters' order."""
        ...

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        """Back from `state_dict`, in place. Raises ModelFault when it does not fit."""
        ...

    def sample(self, asked: SampleAsked) -> Image.Image:
        """A picture (or, of a captioner, a drawn answer) by what is trained as it is now. Leaves everything as it was."""
        ...

    def export(self, path: Path, metadata: Mapping[str, str]) -> list[Path]:
        """Write what people use. path: without an ending, in a folder that exists; returns the files and folders written, each whole."""
        ...

    def trained_modules(self) -> Mapping[str, int]:
        """What is trained: name -> number of values, for the log."""
        ...
