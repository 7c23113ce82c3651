"""Which adapters for captioners lie in the model folders: LoRAs in peft's folder form, some with words that the base does not know.

Reads descriptions and headers; imports no torch. What is done with one is `adapting`'s. Start reading at `adapters` and `find_adapter`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modules.faults import ModelFault, RequestFault, UnknownName
from modules.folders import Folders
from modules.weights import header

PLACE = "caption-adapters"  # in models/, a folder an adapter
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"  # as peft calls them
ABOUT, NEW_WORDS, TOKENIZER = "darkroom.json", "new_words.safetensors", "tokenizer"
_LIMIT_BYTES = 4_000_000


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """An adapter in a folder. kind: id of the captioners it is for, "" when its file does not say; base: the captioner it was trained on.

    language: as the person called it; new_words: words that its tokenizer has beyond the base's; rank: of its LoRA.
    """

    name: str
    path: Path
    kind: str = ""
    base: str = ""
    language: str = ""
    new_words: int = 0
    rank: int = 0
    size_bytes: int = 0
    about: dict[str, Any] = field(default_factory=dict[str, Any], repr=False, compare=False)

    def check(self, kind: str) -> None:
        """Raises RequestFault when it is not for captioners of this kind."""
        if self.kind and self.kind != kind:
            base = f", such as {self.base}" if self.base else ""
            raise RequestFault(
                "adapter", f"{self.name} was trained for captioners of the kind {self.kind}{base}, not {kind}; choose another"
            )


def adapters(folders: Folders) -> tuple[list[Adapter], dict[str, str]]:
    """(every adapter by name, {name of a folder that looks like one: why it cannot be used})."""
    found: dict[str, Adapter] = {}
    refused: dict[str, str] = {}
    for base in folders.model_folders(PLACE):
        for config in sorted(base.glob(f"*/{CONFIG}")):
            name = config.parent.name
            if name in found or name in refused:
                continue
            try:
                found[name] = describe_adapter(config.parent)
            except ModelFault as fault:
                refused[name] = fault.message
    return sorted(found.values(), key=lambda row: row.name.casefold()), refused


def find_adapter(rows: Iterable[Adapter], refused: dict[str, str], wanted: str) -> Adapter:
    """The adapter of a name; letters' case does not matter. Raises UnknownName, ModelFault when its files are damaged."""
    rows = list(rows)
    text = wanted.strip().casefold()
    row = next((row for row in rows if row.name.casefold() == text), None)
    if row is None:
        for name, why in refused.items():
            if name.casefold() == text:
                raise ModelFault(why)
        raise UnknownName("adapter", wanted, [row.name for row in rows])
    return row


def describe_adapter(folder: Path) -> Adapter:
    """What the adapter in a folder is. Raises ModelFault in words: no weights, damage, not a LoRA."""
    name = folder.name
    config = _object(folder / CONFIG, name)
    if str(config.get("peft_type", "")).upper() != "LORA":
        raise ModelFault(f"The adapter {name} is {config.get('peft_type') or 'of no kind'}; only LoRA can be used.")
    if not (folder / WEIGHTS).is_file():
        raise ModelFault(f"The adapter {name} has no {WEIGHTS}. Copy it again, in safetensors.")
    tensors = header.read(folder / WEIGHTS).tensors
    if not any(".lora_A." in tensor for tensor in tensors):
        raise ModelFault(f"The adapter {name} holds no LoRA weights. Copy it again.")
    about = _object(folder / ABOUT, name) if (folder / ABOUT).is_file() else {}
    words = 0
    if (folder / NEW_WORDS).is_file():
        if not (folder / TOKENIZER / "tokenizer.json").is_file():
            raise ModelFault(f"The adapter {name} has words of its own, but no tokenizer that knows them. Copy the whole folder.")
        words = header.read(folder / NEW_WORDS).tensors["rows"].shape[0]
    files = [folder / WEIGHTS, *([folder / NEW_WORDS] if words else [])]
    return Adapter(
        name=name,
        path=folder,
        kind=str(about.get("kind", "")),
        base=str(about.get("base", "") or Path(str(config.get("base_model_name_or_path") or "")).name),
        language=str(about.get("language", "")),
        new_words=words,
        rank=int(config.get("r") or 0),
        size_bytes=sum(path.stat().st_size for path in files),
        about=about,
    )


def _object(path: Path, name: str) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path.stat().st_size <= _LIMIT_BYTES else None
    except (OSError, ValueError, RecursionError) as error:
        raise ModelFault(f"The adapter {name}: {path.name} cannot be read ({error}). Copy it again.") from error
    if not isinstance(found, dict):
        raise ModelFault(f"The adapter {name}: {path.name} is damaged. Copy it again.")
    return found
