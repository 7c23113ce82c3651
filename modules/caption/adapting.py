"""An adapter put on a loaded captioner, and taken off exactly: the base's modules are hung aside and back, never written to.

Start reading at `adapted`; `Changes` is what both this and training change a model by.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from modules.caption.adapters import CONFIG, NEW_WORDS, TOKENIZER, WEIGHTS
from modules.caption.loading import Captioner
from modules.caption.new_words import MoreLogits, MoreRows
from modules.faults import ModelFault
from modules.request.caption import CaptionAdapter

if TYPE_CHECKING:
    from peft import LoraConfig

OWN = "caption"  # what peft calls the adapter inside the model
PREFIX = "base_model.model."  # peft's, in its files
BROKEN = (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError)


class Changes:
    """Everything that was changed on a model, in order, so that it can be undone."""

    def __init__(self) -> None:
        self._done: list[tuple[Any, str, Any]] = []

    def put(self, owner: Any, name: str, value: Any) -> None:
        """owner.name = value, and the former value when it is undone."""
        self._done.append((owner, name, getattr(owner, name)))
        setattr(owner, name, value)

    def undo(self) -> None:
        """Put everything back, the last change first."""
        while self._done:
            owner, name, value = self._done.pop()
            setattr(owner, name, value)


@contextmanager
def adapted(captioner: Captioner, adapter: CaptionAdapter | None) -> Iterator[Captioner]:
    """Inside, the captioner with the adapter on; afterwards the model is what it was, bit for bit. None: the captioner itself.

    Raises ModelFault when the adapter is damaged or for another model.
    """
    if adapter is None:
        yield captioner
        return
    if not isinstance(captioner.model, nn.Module):
        raise ModelFault(f"The adapter {adapter.name} needs the captioner's own weights; this form of it has none. Take another precision.")
    changes = Changes()
    try:
        yield _put_on(captioner, adapter, changes)
    finally:
        take_lora_off(captioner.model)
        changes.undo()


def lora_config(said: dict[str, Any]) -> LoraConfig:
    """A LoRA's configuration from peft's adapter_config.json; what this version of peft does not know is left out."""
    from peft import LoraConfig  # takes a second, and most captions need no adapter

    known = {field.name for field in dataclasses.fields(LoraConfig)} - {"peft_type", "auto_mapping", "runtime_config"}
    kept: dict[str, Any] = {name: value for name, value in said.items() if name in known and value is not None}
    kept["inference_mode"] = False
    return LoraConfig(**kept)


def add_lora(model: nn.Module, config: LoraConfig) -> dict[str, nn.Parameter]:
    """LoRA layers around the layers that the configuration names. Returns their weights by peft's names in files, without its prefix."""
    from peft import inject_adapter_in_model

    inject_adapter_in_model(config, model, adapter_name=OWN)
    found: dict[str, nn.Parameter] = {}
    for name, parameter in model.named_parameters():
        if f".{OWN}." in name and ".lora_" in name:
            found[name.replace(f".{OWN}.", ".")] = parameter
    return found


def take_lora_off(model: nn.Module) -> None:
    """Hang the layers that LoRA layers stand around back into their places. Their weights were never written to."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, module in list(model.named_modules()):
        if isinstance(module, BaseTunerLayer):
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, module.get_base_layer())
    if hasattr(model, "peft_config"):
        del model.peft_config


def add_words(captioner: Captioner, rows: nn.Parameter, bias: nn.Parameter, changes: Changes) -> None:
    """Rows behind those of the embedding and the output layer. Raises ModelFault for a kind whose tokenizer lacks nothing."""
    if not captioner.kind.words:
        raise ModelFault(f"{captioner.installed.name} can write every word already; an adapter with new words is not for it.")
    model = captioner.model
    inner, outer = captioner.kind.words
    embedding, output = model.get_submodule(inner), model.get_submodule(outer)
    for path, module in ((inner, MoreRows(embedding, rows)), (outer, MoreLogits(output, rows, bias))):
        parent, _, child = path.rpartition(".")
        changes.put(model.get_submodule(parent), child, module)
    total = embedding.num_embeddings + len(rows)
    part = model.get_submodule(inner.split(".")[0])
    configs = {id(config): config for config in (model.config.get_text_config(), getattr(part, "config", None)) if config is not None}
    for config in configs.values():
        changes.put(config, "vocab_size", total)


def with_tokenizer(captioner: Captioner, tokenizer: Any) -> Captioner:
    """The same captioner with another tokenizer; the given one keeps its own."""
    processor = copy(captioner.processor)
    processor.tokenizer = tokenizer
    return dataclasses.replace(captioner, processor=processor)


def _put_on(captioner: Captioner, adapter: CaptionAdapter, changes: Changes) -> Captioner:
    folder = Path(adapter.path)
    made = captioner
    try:
        config = lora_config(json.loads((folder / CONFIG).read_text(encoding="utf-8")))
        stored = {name.removeprefix(PREFIX): tensor for name, tensor in load_file(folder / WEIGHTS).items()}
        if (folder / NEW_WORDS).is_file():
            words = load_file(folder / NEW_WORDS)
            _check_width(captioner, adapter, words["rows"])
            rows, bias = (nn.Parameter(words[name].to(captioner.device), requires_grad=False) for name in ("rows", "bias"))
            add_words(captioner, rows, bias, changes)
            tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(
                folder / TOKENIZER, local_files_only=True, trust_remote_code=False
            )
            made = with_tokenizer(captioner, tokenizer)
        _fill(adapter, add_lora(captioner.model, config), stored, captioner.device)
    except BROKEN as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        logging.getLogger(__name__).exception("adapter %s", folder)
        why = (str(error) or type(error).__name__).strip().splitlines()[0][:300]
        raise ModelFault(f"The adapter {adapter.name} cannot be put on {captioner.installed.name}: {why}") from error
    captioner.model.requires_grad_(False).train(False)
    return made


def _check_width(captioner: Captioner, adapter: CaptionAdapter, rows: torch.Tensor) -> None:
    width = captioner.model.get_submodule(captioner.kind.words[0]).weight.shape[1] if captioner.kind.words else rows.shape[1]
    if rows.shape[1] != width:
        raise ModelFault(
            f"The adapter {adapter.name} was trained for a model of width {rows.shape[1]}; {captioner.installed.name} is {width} wide. "
            "Use it with the captioner it was trained on."
        )


def _fill(adapter: CaptionAdapter, layers: dict[str, nn.Parameter], stored: dict[str, torch.Tensor], device: str) -> None:
    """The file's numbers into the LoRA layers; every one of both must have its partner. Raises ModelFault."""
    wrong = sorted(layers.keys() ^ stored.keys()) or sorted(n for n in layers if layers[n].shape != stored[n].shape)
    if wrong:
        raise ModelFault(
            f"The adapter {adapter.name} was trained for another model: {len(wrong)} of its layers do not fit, the first is {wrong[0]}. "
            "Use it with the captioner it was trained on."
        )
    for name, parameter in layers.items():
        parameter.data = stored[name].to(device=device, dtype=parameter.dtype)
