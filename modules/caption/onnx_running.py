"""An exported captioner, run by ONNX Runtime: `generate` as transformers' models have it, with our own loop over the exported parts.

Start reading at `opened` and `OnnxModel.generate`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from modules.backends.onnx_session import session
from modules.caption.decoding import Made, Rules, decode
from modules.caption.installed import Installed
from modules.caption.onnx_files import BEGIN, STEP, Export, file_of, must_be_exported
from modules.faults import ModelFault


class OnnxModel:
    """What `loading.Captioner.model` is when ONNX Runtime does the work. begin, step: its sessions of the two parts."""

    def __init__(self, export: Export, begin: Any, step: Any) -> None:
        self.export = export
        self._begin, self._step = begin, step

    def generate(
        self,
        *,
        pixel_values: torch.Tensor,
        input_ids: torch.Tensor | None = None,
        stopping_criteria: Any = None,
        streamer: Any = None,
        **asked: Any,
    ) -> Made:
        """Tokens for pictures (B,3,H,W). asked: of a GenerationConfig what `Rules` has; the rest changes only the form of the answer."""
        export = self.export
        rules = {name: value for name, value in asked.items() if name in Rules.__dataclass_fields__}
        given = self._given(input_ids, len(pixel_values))
        how = Rules(ends=export.ends, pad=export.pad, **rules)
        return decode(given, _State(self, pixel_values).following, how, stopped=stopping_criteria, streamer=streamer)

    def begin(self, pixel_values: np.ndarray) -> list[np.ndarray]:
        """Everything that is kept of the pictures."""
        return self._begin.run(None, {"pixel_values": pixel_values})

    def step(self, tokens: np.ndarray, past: list[np.ndarray], seen: list[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
        """(likelihoods (N,V), the longer past)."""
        given = {f"past_{n}": tensor for n, tensor in enumerate(past)} | {f"seen_{n}": tensor for n, tensor in enumerate(seen)}
        logits, *present = self._step.run(None, {"input_ids": tokens, **given})
        return logits, present

    def _given(self, input_ids: torch.Tensor | None, count: int) -> torch.Tensor:
        """(B,T) tokens that the text begins with."""
        if input_ids is None:
            return torch.full((count, 1), self.export.first)
        given = input_ids[:, : -1 if self.export.ends_given else None].clone()
        if self.export.replaces:
            given[:, 0] = self.export.first
        return given


class _State:
    """What is kept between the steps of one batch."""

    def __init__(self, model: OnnxModel, pixel_values: torch.Tensor) -> None:
        export, kept = model.export, model.begin(pixel_values.float().numpy())
        layers, heads, width = export.grows
        self._model, self._skip = model, export.unread
        self._seen = kept[len(kept) - export.fixed :] if export.fixed else []
        empty = np.zeros((len(pixel_values), heads, 0, width), np.float32)
        self._past = [empty] * layers if export.fixed else kept

    def following(self, tokens: torch.Tensor, rows: torch.Tensor | None) -> torch.Tensor:
        """Likelihoods (N,V) behind new tokens (N,t); rows: which of the last rows each goes on from."""
        if rows is not None:
            places = rows.numpy()
            self._past = [tensor[places] for tensor in self._past]
            if self._seen and len(places) != len(self._seen[0]):  # later rows stay with their own picture
                self._seen = [tensor[places] for tensor in self._seen]
        logits, self._past = self._model.step(tokens[:, self._skip :].numpy(), self._past, self._seen)
        self._skip = 0
        return torch.from_numpy(logits)


def opened(found: Installed, precision: str) -> OnnxModel:
    """The exported captioner, ready. Raises ModelFault when there is none in that precision, or ONNX Runtime is not installed."""
    export = must_be_exported(found)
    if precision not in export.precisions:
        raise ModelFault(f"{found.name} was exported to ONNX in {' and '.join(export.precisions)}, not in {precision}.")
    parts = (session(file_of(found.path, part, precision)) for part in (BEGIN, STEP))
    return OnnxModel(export, *parts)
