"""Stage 2: the model in hand. One on the device; former ones may wait in main memory; what is let go gives its memory back.

Start reading at `Slot.take`.
"""

from __future__ import annotations

import gc
import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import diffusers
import torch

from modules.backends.backing import Backing
from modules.families import FAMILIES, Family, LoadPlan
from modules.faults import ModelFault, RequestFault
from modules.hardware.bench import Bench
from modules.hardware.memory import give_back
from modules.hardware.policies import POLICIES, is_on_cpu
from modules.processing.calls import call_of
from modules.processing.networks import Networks
from modules.processing.preview import Previewer
from modules.prompts.embeddings import Embeddings
from modules.prompts.encode import Encoder
from modules.request import Checkpoint, SideFile
from modules.weights import taesd
from modules.weights.embeddings import EmbeddingFile
from modules.weights.held import held_bytes
from modules.weights.quantisers import QUANTISERS
from modules.weights.quantisers.component import is_quantised

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
    """pipeline: a diffusers text-to-image pipeline on its device; scheduler_config: as the model came.

    backing: what may stand in for its network, None for nothing.
    """

    checkpoint: Checkpoint
    plan: LoadPlan
    family: Family
    pipeline: Any
    scheduler_config: dict[str, Any]
    previewer: Previewer
    encoder: Encoder
    networks: Networks
    backing: Backing | None = None
    words: LearntWords = field(default_factory=LearntWords)
    tinies: dict[str, Any] = field(default_factory=dict[str, Any])
    others: dict[str, Any] = field(default_factory=dict[str, Any])

    def for_task(self, task: str) -> Any:
        """The pipeline for "txt2img", "img2img" or "inpaint", of the same components. Raises RequestFault when there is none."""
        wanted = self.family.variant(self.checkpoint.variant).tasks.get(task)
        if wanted is None:
            raise RequestFault("sd_model_checkpoint", f"{self.checkpoint.model_name} cannot do {task}. Choose another")
        if type(self.pipeline).__name__ == wanted:
            return self.pipeline
        if wanted not in self.others:
            self.others[wanted] = _sharing(self.pipeline, wanted)
        return self.others[wanted]

    def tiny(self, file: SideFile | None) -> Any:
        """The tiny autoencoder of a file, kept for the next picture; None for None. Raises ModelFault."""
        if file is not None and file.path not in self.tinies:
            self.tinies[file.path] = taesd.load(Path(file.path), self.plan.dtype)
        return self.tinies[file.path] if file is not None else None


class Slot:
    """Owns the loaded models: one on the device, and as many former ones in main memory as the settings allow.

    place(pipeline) puts one on the device under the memory policy in force; lift(pipeline) takes it back to main memory;
    aside(pipeline) does so in the middle of a call, None: as lift does. dtype: of the weights; room(): bytes of main memory that are
    free, for deciding what to keep; device: its kind and torch's name for it. backing(): a new one for each loaded model, None: only eager.
    reading(): around the reading of a model.
    """

    def __init__(
        self,
        place: Callable[[Any], None],
        lift: Callable[[Any], None],
        dtype: str,
        room: Callable[[], int],
        aside: Callable[[Any], None] | None = None,
        device: tuple[str, str] = ("cpu", "cpu"),
        backing: Callable[[], Backing] | None = None,
        reading: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._place = place
        self._lift = lift
        self._set_aside = aside or lift
        self._dtype = dtype
        self._room = room
        self._device = device
        self._backing = backing
        self._reading = reading
        self._models: list[LoadedModel] = []  # the one on the device last
        self._hooked: list[LoadedModel] = []  # set aside, with the hooks of their policy still on
        self._away = False  # the last of the models waits in main memory too

    @classmethod
    def of(cls, bench: Bench, graphs: Path) -> Self:
        """The slot of a worker's bench. graphs: folder of what backends keep."""
        device = (bench.device.kind, bench.device.torch_name)

        def place(pipeline: Any) -> None:
            refuse_layerwise(pipeline, bench.policy, bench.on_cpu)
            bench.place(pipeline)

        return cls(
            place, bench.lift, bench.dtype, lambda: bench.memory()["ram"]["free"], aside=bench.aside, device=device,
            backing=lambda: Backing(bench.device.kind, graphs), reading=bench.reading,
        )  # fmt: skip

    @property
    def title(self) -> str | None:
        return self._models[-1].checkpoint.title if self._models else None

    @property
    def count(self) -> int:
        """How many models are in memory."""
        return len(self._models)

    @property
    def present(self) -> LoadedModel | None:
        """The one on the device."""
        return self._models[-1] if self._models else None

    def take(
        self,
        checkpoint: Checkpoint,
        status: Callable[..., None],
        *,
        parts: Mapping[str, Path] | None = None,
        quantise: Mapping[str, str] | None = None,
        keep: int = 1,
        meanwhile: bool = False,
    ) -> LoadedModel:
        """The model of a checkpoint on the device, loaded only if it is not in memory. keep: how many may stay in memory.

        parts: components from other files ("vae" -> path); quantise: component -> quantiser. meanwhile: the model on the device is in the
        middle of a run. Raises ModelFault; the model that was on the device is not there then, unless a quantiser cannot run on it.
        """
        for name in (quantise or {}).values():
            QUANTISERS.get(name).check(name, self._device[0])
        plan = self._plan(checkpoint, parts, quantise)
        wanted = next((m for m in self._models if m.plan == plan and m.checkpoint.sha256 == checkpoint.sha256), None)
        if wanted is not None and wanted is self._models[-1] and not self._away:
            return wanted
        if meanwhile and self._models:
            self._set_aside(self._models[-1].pipeline)
            self._hooked.append(self._models[-1])
        self._make_room(keep - 1, spare=wanted)
        if wanted is None:
            status(f"Loading the model {checkpoint.model_name}…", model=None)
            with self._reading():
                wanted = self._load(checkpoint, plan)
        else:
            status(f"Taking the model {checkpoint.model_name} from memory…", model=None)
            self._models.remove(wanted)
        if any(model is wanted for model in self._hooked):
            self._lift(wanted.pipeline)
        self._hooked = [model for model in self._hooked if any(model is other for other in self._models)]
        self._place(wanted.pipeline)
        self._models.append(wanted)
        self._away = False
        status("Ready", model=checkpoint.title)
        return wanted

    def holds(self, checkpoint: Checkpoint, parts: Mapping[str, Path], quantise: Mapping[str, str]) -> bool:
        """`take` would move nothing: that very model is on the device."""
        present = None if self._away else self.present
        plan = self._plan(checkpoint, parts, quantise)
        return present is not None and present.plan == plan and present.checkpoint.sha256 == checkpoint.sha256

    def _plan(self, checkpoint: Checkpoint, parts: Mapping[str, Path] | None, quantise: Mapping[str, str] | None) -> LoadPlan:
        return LoadPlan(
            path=Path(checkpoint.path),
            dtype=self._dtype,
            variant=checkpoint.variant,
            prediction=checkpoint.prediction,
            parts=dict(parts or {}),
            quantise=dict(quantise or {}),
            device=self._device,
        )

    def _make_room(self, others: int, *, spare: LoadedModel | None) -> None:
        """Take the present model off the device and let go of the oldest ones, until so many others are left."""
        if self._models and others > 0:
            if not any(model is self._models[-1] for model in self._hooked):
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
            backing=None if self._backing is None else self._backing(),
        )

    def set_aside(self) -> None:
        """Take the present model off the device; it waits in main memory, as former ones do, until it is wanted again."""
        if self._models and not self._away:
            self._lift(self._models[-1].pipeline)
            self._models[-1].encoder.forget()  # what was encoded lies on the device
            self._away = True
        free_unused()

    def release(self) -> None:
        """Let go of every model and give the memory back to the system."""
        self._away = False
        self._models.clear()
        self._hooked.clear()
        free_unused()


def refuse_layerwise(pipeline: Any, policy: str, on_cpu: tuple[str, ...] = ()) -> None:
    """Raises ModelFault where a memory policy would take quantised weights apart: it makes every weight anew from its numbers alone.

    on_cpu: beginnings of names of components that a person wants to work on the CPU, for which quantised weights were not made.
    """
    apart = POLICIES.get(policy).apart
    parts = {name: part for name, part in pipeline.components.items() if isinstance(part, torch.nn.Module)}
    if any(is_on_cpu(name, policy, on_cpu) and is_quantised(part) for name, part in parts.items()):
        raise ModelFault(
            "Quantised weights cannot work on the CPU beside a device. Set one of Quantise text encoders and Work on the CPU to None, or "
            "start without --use-cpu text_encoder."
        )
    if any(apart(name) and is_quantised(part) for name, part in parts.items()):
        raise ModelFault(
            f"Quantised weights cannot be moved layer by layer, as the memory policy {policy} does. Take --medvram, or set both "
            "quantisations to None."
        )


def free_unused() -> None:
    """Give memory that nobody uses back to the device and to the system."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    give_back()


def _sharing(pipeline: Any, wanted: str) -> Any:
    """A pipeline of the class of that name with the components and plain options of another one; nothing is copied."""
    kind: Any = getattr(diffusers, wanted)
    names = inspect.signature(kind.__init__).parameters
    plain = {name: value for name, value in pipeline.config.items() if not name.startswith("_") and not isinstance(value, list | tuple)}
    found = kind(**{name: value for name, value in {**plain, **pipeline.components}.items() if name in names})
    found.set_progress_bar_config(disable=True)
    return found


def _weights_bytes(pipeline: Any) -> int:
    """Bytes of all weights of a pipeline."""
    return sum(held_bytes(m) for m in pipeline.components.values() if isinstance(m, torch.nn.Module))


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).strip().splitlines()[0][:300]


def encoder_of(pipeline: Any, prompt_tokens: int | None = None) -> Encoder:
    """The encoder of a loaded pipeline. prompt_tokens: how long a text its T5 reads, None the usual."""
    text = call_of(pipeline).text
    if prompt_tokens is not None and text.long:
        text = replace(text, long_tokens=prompt_tokens)
    return Encoder.of(pipeline, text)
