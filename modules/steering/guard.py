"""The guard: each prediction is looked at, and one that is not a number is made again in float32. Start reading at `Guard.new_forward`."""

from __future__ import annotations

from typing import Any

import torch
from diffusers.hooks import ModelHook

from modules.faults import BlankPicture
from modules.steering.blocks import inside
from modules.steering.course import Course


class Guard(ModelHook):
    """Set on the network as the first hook. name: of the model, for sentences.

    After the first prediction with NaN or infinity the network stays in float32; `lower` gives every weight its type back.
    Whoever asks gets predictions in the type they would have had. note: a sentence for the result, "" while all is well.
    """

    _is_stateful = False

    def __init__(self, course: Course, name: str) -> None:
        super().__init__()
        self._course = course
        self._name = name
        self._was: list[tuple[torch.Tensor, torch.dtype]] = []
        self.note = ""

    def new_forward(self, module: Any, *args: Any, **kwargs: Any) -> Any:
        """Raises BlankPicture when float32 does not help."""
        if not self._was:
            output = inside(self)(*args, **kwargs)
            if _finite(output[0]):
                return output
            self._lift(module, output[0].dtype)
            again = inside(self)(*_wide(args), **_wide(kwargs))
            return self._narrow(again, output[0].dtype)
        kind = next(v.dtype for v in (*args, *kwargs.values()) if isinstance(v, torch.Tensor) and v.is_floating_point() and v.ndim)
        return self._narrow(inside(self)(*_wide(args), **_wide(kwargs)), kind)

    def _lift(self, module: torch.nn.Module, kind: torch.dtype) -> None:
        weights = [w for w in (*module.parameters(), *module.buffers()) if w.is_floating_point()]
        if all(w.dtype == torch.float32 for w in weights):
            raise BlankPicture(self._sentence(kind) + " Try another sampler, fewer LoRAs or another VAE or model.")
        if any(w.is_meta for w in weights):
            raise BlankPicture(self._sentence(kind) + " With --lowvram it cannot be made again in float32. Start with --no-half.")
        self._was = [(w, w.dtype) for w in weights]
        with torch.inference_mode(mode=False), torch.no_grad():
            for weight, _ in self._was:
                weight.data = weight.data.float()
        self.note = self._sentence(kind) + " From there on it ran in float32."

    def _narrow(self, output: Any, kind: torch.dtype) -> Any:
        narrow = output[0].to(kind)
        if not _finite(narrow):
            raise BlankPicture(self._sentence(torch.float32) + " Try another sampler, fewer LoRAs or another VAE or model.")
        return (narrow, *output[1:])

    def _sentence(self, kind: torch.dtype) -> str:
        type_name = str(kind).removeprefix("torch.")
        return f"{self._name} produced values that are not numbers in {type_name}, in network call {self._course.call + 1}."

    def lower(self) -> None:
        """Every weight in the type it had; no digit of it was lost."""
        with torch.inference_mode(mode=False), torch.no_grad():
            for weight, kind in self._was:
                weight.data = weight.data.to(kind)
        self._was = []


def _finite(prediction: torch.Tensor) -> bool:
    return bool(torch.isfinite(prediction).all())


def _wide(value: Any) -> Any:
    """The value with all floating numbers in it in float32."""
    if isinstance(value, dict):
        return {key: _wide(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_wide(inner) for inner in value)
    return value.float() if isinstance(value, torch.Tensor) and value.is_floating_point() else value
