"""Stage 2: the model in hand. One on the device; former ones may wait in main memory; what is let go gives its memory back.

Start reading at `Slot.take`.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from modules.families import FAMILIES, Family, LoadPlan
from modules.faults import ModelFault
from modules.processing.calls import call_of
from modules.processing.networks import Networks
from modules.processing.preview import Previewer
from modules.prompts.embeddings import Embeddings
from modules.prompts.encode import Encoder
from modules.request import Checkpoint, SideFile
from modules.weights import taesd
from modules.weights.embeddings import EmbeddingFile

ROOM_SHARE = 1.5  # a model waits in memory only while room for the next one, this many times its own size, is left


class LearntWords:
    """Which embedding files a model's encoder knows at present, so that they are read again only when they change."""

    def __init__(self) -> None:
        self._known: tuple[Any, ...] = ()

    def offer(self, encoder: Encoder, paths: Sequence[Path], carried: Sequence[EmbeddingFile]) -> None:
        """Let an encoder know the embeddings of these files, and those that LoRAs carry along."""
        wanted = (*((path, path.stat().st_mtime_ns) for path in paths), *carried)
        if wanted == self._known:
            return
        parts = encoder.text_encoders
        tokenizers, encoders = ({name: pair[n] for name, pair in parts.items()} for n in (0, 1))
        encoder.use(Embeddings.of(paths, tokenizers, encoders, carried))
        self._known = wanted


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """pipeline: a diffusers text-to-image pipeline on its device; scheduler_config: as the model came."""

    checkpoint: Checkpoint
    plan: LoadPlan
    family: Family
    pipeline: Any
    scheduler_config: dict[str, Any]
    previewer: Previewer
    encoder: Encoder
    networks: Networks
    words: LearntWords = field(default_factory=LearntWords)
    tinies: dict[str, Any] = field(default_factory=dict[str, Any])

    def tiny(self, file: SideFile | None) -> Any:
        """The tiny autoencoder of a file, kept for the next picture; None for None. Raises ModelFault."""
        if file is not None and file.path not in self.tinies:
            self.tinies[file.path] = taesd.load(Path(file.path), self.plan.dtype)
        return self.tinies[file.path] if file is not None else None


class Slot:
    """Owns the loaded models: one on the device, and as many former ones in main memory as the settings allow.

    place(pipeline) puts one on the device under the memory policy in force; lift(pipeline) takes it back to main memory;
    dtype: of the weights; room(): bytes of main memory that are free, for deciding what to keep.
    """

    def __init__(self, place: Callable[[Any], None], lift: Callable[[Any], None], dtype: str, room: Callable[[], int]) -> None:
        self._place = place
        self._lift = lift
        self._dtype = dtype
        self._room = room
        self._models: list[LoadedModel] = []  # the one on the device last

    @property
    def title(self) -> str | None:
        return self._models[-1].checkpoint.title if self._models else None

    def take(
        self, checkpoint: Checkpoint, status: Callable[..., None], *, parts: Mapping[str, Path] | None = None, keep: int = 1
    ) -> LoadedModel:
        """The model of a checkpoint on the device, loaded only if it is not in memory. keep: how many may stay in memory.

        parts: components from other files ("vae" -> path). Raises ModelFault; the model that was on the device is not there then.
        """
        plan = LoadPlan(
            path=Path(checkpoint.path),
            dtype=self._dtype,
            variant=checkpoint.variant,
            prediction=checkpoint.prediction,
            parts=dict(parts or {}),
        )
        wanted = next((m for m in self._models if m.plan == plan and m.checkpoint.sha256 == checkpoint.sha256), None)
        if wanted is not None and wanted is self._models[-1]:
            return wanted
        self._make_room(keep - 1, spare=wanted)
        if wanted is None:
            status(f"Loading the model {checkpoint.model_name}…", model=None)
            wanted = self._load(checkpoint, plan)
        else:
            status(f"Taking the model {checkpoint.model_name} from memory…", model=None)
            self._models.remove(wanted)
        self._place(wanted.pipeline)
        self._models.append(wanted)
        status("Ready", model=checkpoint.title)
        return wanted

    def _make_room(self, others: int, *, spare: LoadedModel | None) -> None:
        """Take the present model off the device and let go of the oldest ones, until so many others are left."""
        if self._models and others > 0:
            self._lift(self._models[-1].pipeline)
            self._models[-1].encoder.forget()  # what was encoded lies on the device
        kept = [m for m in self._models if m is not spare]
        for model in kept[: max(0, len(kept) - others)]:
            self._models.remove(model)
        while len(self._models) > (spare in self._models) and self._room() < ROOM_SHARE * _weights_bytes(self._models[-1].pipeline):
            self._models.remove(next(m for m in self._models if m is not spare))
        free_unused()

    def _load(self, checkpoint: Checkpoint, plan: LoadPlan) -> LoadedModel:
        family = FAMILIES.get(checkpoint.family)
        try:
            pipeline = family.load(plan)
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            logging.getLogger(__name__).exception("loading %s", checkpoint.path)
            raise ModelFault(
                f"{checkpoint.model_name} could not be loaded: {_first_line(error)}. Its files may be damaged; copy it again."
            ) from error
        pipeline.set_progress_bar_config(disable=True)
        return LoadedModel(
            checkpoint=checkpoint,
            plan=plan,
            family=family,
            pipeline=pipeline,
            scheduler_config=dict(pipeline.scheduler.config),
            previewer=Previewer(pipeline.vae, family.cell_px),
            encoder=encoder_of(pipeline, family.variant(checkpoint.variant).prompt_tokens),
            networks=Networks(pipeline, family.architecture, checkpoint.model_name),
        )

    def release(self) -> None:
        """Let go of every model and give the memory back to the system."""
        self._models.clear()
        free_unused()


def free_unused() -> None:
    """Give memory that nobody uses back to the device and to the system."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if sys.platform == "linux":  # glibc keeps freed blocks otherwise, and the process seems to grow
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def _weights_bytes(pipeline: Any) -> int:
    """Bytes of all weights of a pipeline."""
    modules = [m for m in pipeline.components.values() if isinstance(m, torch.nn.Module)]
    return sum(p.numel() * p.element_size() for m in modules for p in m.parameters())


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).strip().splitlines()[0][:300]


def encoder_of(pipeline: Any, prompt_tokens: int | None = None) -> Encoder:
    """The encoder of a loaded pipeline. prompt_tokens: how long a text its T5 reads, None the usual."""
    text = call_of(pipeline).text
    if prompt_tokens is not None and text.long:
        text = replace(text, long_tokens=prompt_tokens)
    return Encoder.of(pipeline, text)
