"""Stand-ins for libraries that a process does not load: names that can be imported, inherited from and used as decorators.

In the web process they stand for torch and its like, in the worker for nothing but Gradio (see `sketch`). What a stand-in is asked to
compute is nothing, and false. Start reading at `module`.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

HEAVY = frozenset({
    "torch", "torchvision", "torchaudio", "diffusers", "transformers", "accelerate", "peft", "safetensors", "xformers",
    "torchsde", "torchdiffeq", "open_clip", "timm", "einops", "kornia", "controlnet_aux", "onnxruntime", "mediapipe",
    "ultralytics", "spandrel", "huggingface_hub", "tokenizers", "pytorch_lightning", "lightning", "clip", "basicsr", "gfpgan",
    "insightface",
})  # fmt: skip
"""Top names that stay out of the web process."""


class _Kind(type):
    """Classes whose attributes are further stand-ins."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return absent(name)

    def __bool__(cls) -> bool:
        return not cls.__dict__.get("_stands_in", False)


class Absent(metaclass=_Kind):
    """An object that is not here. Calling, entering and reading it give nothing; as a decorator it gives back what it decorates."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Absent()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return args[0] if len(args) == 1 and not kwargs and callable(args[0]) else Absent()

    def __bool__(self) -> bool:
        return False

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def __iter__(self) -> Any:
        return iter(())


def absent(name: str) -> type[Absent]:
    """A class of that name that can be called, inherited from and used as a decorator."""
    return _Kind(name, (Absent,), {"_stands_in": True})


class AbsentModule(ModuleType):
    """A module that has every name."""

    __path__ = ()  # pyright: ignore[reportAssignmentType]

    def __getattr__(self, name: str) -> Any:
        if name == "__version__":
            return "0"
        if name.startswith("__"):
            raise AttributeError(name)
        return absent(name)


def module(name: str) -> ModuleType:
    """A stand-in for the module of that name."""
    return AbsentModule(name, "Stands for a library that this process does not load.")
