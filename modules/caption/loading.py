"""From a folder to a captioner on the device: transformers' own classes, safetensors only, no code from the model, no network.

Start reading at `load`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import torch
import transformers

from modules.caption import CAPTIONERS, Kind, tagger
from modules.caption.installed import Installed, describe
from modules.caption.onnx_running import opened
from modules.caption.quantised import configured, fit_kernels, full_bytes
from modules.caption.tagging import opened_tagger
from modules.faults import ModelFault
from modules.request.caption import ONNX, TORCH
from modules.weights.held import held_bytes

# What transformers raises for folders that are not as it expects.
BROKEN = (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, ImportError, IndexError)


class SideBySide:
    """An image processor and a tokenizer of a model that has no processor of its own."""

    def __init__(self, image_processor: Any, tokenizer: Any) -> None:
        self.image_processor = image_processor
        self.tokenizer = tokenizer

    def __call__(self, images: Any, return_tensors: str) -> Any:
        return self.image_processor(images=images, return_tensors=return_tensors)


@dataclass(frozen=True)
class Captioner:
    """A loaded model. model: of the class that its kind names, on the device, in eval mode, or what ONNX Runtime runs; processor: its own.

    dtype: what is computed in; precision: how the weights are kept where that is another ("int8"); full_bytes: what they would hold in
    float32, 0 where nobody asked.
    """

    installed: Installed
    kind: Kind
    model: Any
    processor: Any
    device: str
    dtype: str
    precision: str = ""
    full_bytes: int = 0

    @property
    def tokenizer(self) -> Any:
        return self.processor.tokenizer

    @property
    def positions(self) -> int | None:
        """Places for text that the model has, None for no limit."""
        return self.kind.positions(self.installed.config)

    @property
    def form(self) -> str:
        """How it runs, for people: "float16", "int8, 3 MB held instead of 9 MB", "int8 by ONNX Runtime"."""
        if isinstance(self.model, torch.nn.Module):
            held = f", {_mb(held_bytes(self.model))} held instead of {_mb(self.full_bytes)}" if self.full_bytes else ""
            return f"{self.precision or self.dtype}{held}"
        return f"{self.precision or self.dtype} by ONNX Runtime"

    @property
    def ends(self) -> Any:
        """The token or tokens that end a text."""
        return self.kind.ends(self.model) if isinstance(self.model, torch.nn.Module) else [*self.model.export.ends]

    def placed(self, inputs: Any) -> dict[str, Any]:
        """Tensors on the model's device, floating ones in its number type."""
        kinds = {True: getattr(torch, self.dtype), False: None}
        return {name: value.to(self.device, dtype=kinds[value.is_floating_point()]) for name, value in inputs.items()}


def load(found: Installed, *, device: str, dtype: str, precision: str = "", backend: str = TORCH) -> Captioner:
    """A captioner on a device ("cuda:0", "cpu") in a number type ("float16").

    precision: how its weights are kept, "" as dtype says; backend: ONNX runs what was exported, on the processor.
    Raises ModelFault when its files are damaged or incomplete; nothing random takes their place. torch.OutOfMemoryError passes.
    """
    found = describe(found.path, found.name)  # it may have changed since it was listed
    kind = CAPTIONERS.get(found.kind)
    try:
        if kind.id == tagger.ID:
            model, processor = opened_tagger(found)
            return Captioner(found, kind, model, processor, "cpu", "float32")
        if backend == ONNX:
            return _by_onnx(kind, found, precision or "float32")
        return _by_torch(kind, found, device, dtype, precision)
    except BROKEN as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        logging.getLogger(__name__).exception("loading %s", found.path)
        why = (str(error) or type(error).__name__).strip().splitlines()[0][:300]
        raise ModelFault(f"{found.name} could not be loaded: {why}. Its files may be damaged or incomplete; copy it again.") from error


def _by_torch(kind: Kind, found: Installed, device: str, dtype: str, precision: str) -> Captioner:
    quantised = configured(precision, dtype)
    how: dict[str, Any] = {"quantization_config": quantised, "device_map": {"": device}} if quantised else {}
    model, report = _class(kind.architecture).from_pretrained(
        found.path, dtype=getattr(torch, dtype), local_files_only=True, use_safetensors=True, output_loading_info=True, **how
    )
    _refuse_random(found.name, report)
    processor = _processor(kind, found)
    kind.complete(model, processor)
    model.eval().requires_grad_(False)
    if quantised is None:
        model.to(device)
    else:
        fit_kernels(model)
    return Captioner(found, kind, model, processor, device, dtype, precision if quantised else "", full_bytes(model) if quantised else 0)


def _by_onnx(kind: Kind, found: Installed, precision: str) -> Captioner:
    """On the processor, with numbers as ONNX Runtime takes them."""
    model = opened(found, precision)
    processor = _processor(kind, found)
    if getattr(processor, "num_query_tokens", 0) is None:  # old snapshots say nothing of the places that a picture takes
        processor.num_query_tokens = model.export.unread
    return Captioner(found, kind, model, processor, "cpu", "float32", precision)


def _mb(count: int) -> str:
    return f"{count / 1e6:,.0f} MB" if count >= 10_000_000 else f"{count / 1e6:.1f} MB"


def _class(name: str) -> Any:
    return getattr(transformers, name)


def _processor(kind: Kind, found: Installed) -> Any:
    if kind.processor:
        return _class(kind.processor).from_pretrained(found.path, local_files_only=True, trust_remote_code=False)
    images = transformers.AutoImageProcessor.from_pretrained(found.path, local_files_only=True, trust_remote_code=False)
    return SideBySide(images, transformers.AutoTokenizer.from_pretrained(found.path, local_files_only=True, trust_remote_code=False))


def _refuse_random(name: str, report: Any) -> None:
    """Raises ModelFault when weights are missing or have other sizes than the config says: transformers would fill them with noise."""
    bad = [*report.get("missing_keys", ()), *(str(row[0]) for row in report.get("mismatched_keys", ()))]
    if bad:
        more = f" and {len(bad) - 3} more" if len(bad) > 3 else ""
        raise ModelFault(f"{name} lacks {', '.join(sorted(bad)[:3])}{more} among its weights. Copy the model again.")
