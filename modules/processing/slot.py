"""Stage 2: the model in hand. One loaded model a worker; another one replaces it, and its memory is given back first."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from modules.families import FAMILIES, Family, LoadPlan
from modules.faults import ModelFault
from modules.processing.preview import Previewer
from modules.prompts.encode import Encoder
from modules.request import Checkpoint


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """pipeline: a diffusers text-to-image pipeline on its device; scheduler_config: as the model came."""

    checkpoint: Checkpoint
    family: Family
    pipeline: Any
    scheduler_config: dict[str, Any]
    previewer: Previewer
    encoder: Encoder


class Slot:
    """Owns the loaded model. place(pipeline) puts it on the device under the memory policy in force; dtype: of its weights."""

    def __init__(self, place: Callable[[Any], None], dtype: str) -> None:
        self._place = place
        self._dtype = dtype
        self._model: LoadedModel | None = None

    @property
    def title(self) -> str | None:
        return self._model.checkpoint.title if self._model else None

    def take(self, checkpoint: Checkpoint, status: Callable[..., None]) -> LoadedModel:
        """The model of a checkpoint, loaded if it is not the one in hand. Raises ModelFault; the old model is gone then."""
        held = self._model
        if held is not None and (held.checkpoint.path, held.checkpoint.sha256) == (checkpoint.path, checkpoint.sha256):
            return held
        self.release()
        status(f"Loading the model {checkpoint.model_name}…", model=None)
        family = FAMILIES.get(checkpoint.family)
        try:
            pipeline = family.load(
                LoadPlan(path=Path(checkpoint.path), dtype=self._dtype, variant=checkpoint.variant, prediction=checkpoint.prediction)
            )
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            logging.getLogger(__name__).exception("loading %s", checkpoint.path)
            raise ModelFault(
                f"{checkpoint.model_name} could not be loaded: {_first_line(error)}. Its files may be damaged; copy it again."
            ) from error
        pipeline.set_progress_bar_config(disable=True)
        self._place(pipeline)
        self._model = LoadedModel(
            checkpoint=checkpoint,
            family=family,
            pipeline=pipeline,
            scheduler_config=dict(pipeline.scheduler.config),
            previewer=Previewer(pipeline.vae, family.cell_px),
            encoder=Encoder(pipeline.tokenizer, pipeline.text_encoder),
        )
        status("Ready", model=checkpoint.title)
        return self._model

    def release(self) -> None:
        """Let go of the model and give its memory back to the system."""
        self._model = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).strip().splitlines()[0][:300]
