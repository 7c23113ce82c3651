"""What a single file written here carries in its metadata beyond tensors, so that models unlike the published ones come back whole.

Keys: "darkroom.configs" (component -> config values that shapes cannot tell and that differ from the family's),
"darkroom.scheduler", "darkroom.tokenizer" (component -> file name -> text; only for vocabularies of their own). All of it is data:
names of files are checked, classes are not named. Start reading at `tokenizer_files` and `scheduler`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from modules.faults import ModelFault
from modules.weights.header import Header

CONFIGS, SCHEDULER, TOKENIZER = "darkroom.configs", "darkroom.scheduler", "darkroom.tokenizer"
VOCABULARIES = {"clip": 49408, "t5": 32128}
_FILES = ("tokenizer_config.json", "special_tokens_map.json", "tokenizer.json", "vocab.json", "merges.txt", "added_tokens.json")
_LIMIT = 20_000_000


def config(source: Header, component: str) -> Mapping[str, Any]:
    """Config values of a component; empty when the file says nothing."""
    found = _read(source, CONFIGS).get(component)
    return cast(dict[str, Any], found) if isinstance(found, dict) else {}


def scheduler(source: Header) -> Mapping[str, Any]:
    """The scheduler's config, with "_class_name"; empty when the file says nothing."""
    return _read(source, SCHEDULER)


def tokenizer_files(source: Header, component: str) -> Mapping[str, str]:
    """File name -> text of a tokenizer ("tokenizer", "tokenizer_2", ...); empty when the file has none."""
    found = _read(source, TOKENIZER).get(component)
    rows = cast(dict[str, Any], found) if isinstance(found, dict) else {}
    return {name: text for name, text in rows.items() if name in _FILES and isinstance(text, str)}


def unpack_tokenizer(source: Header, component: str, folder: Path) -> bool:
    """Write a carried tokenizer's files into a folder. False when the file carries none."""
    files = tokenizer_files(source, component)
    if files:
        folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return bool(files)


def pack_tokenizer(folder: Path) -> dict[str, str]:
    """File name -> text of a tokenizer's folder. Raises ModelFault when it has none of the files known here."""
    found = {name: (folder / name).read_text(encoding="utf-8") for name in _FILES if (folder / name).is_file()}
    if not found:
        raise ModelFault(f"{folder.parent.name}: its {folder.name} holds no files that can be carried in a single file.")
    return found


def differing(own: Mapping[str, Any], guessed: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a component's config that its shapes do not tell, or tell differently."""
    skipped = ("architectures", "dtype", "torch_dtype", "transformers_version", "model_type")
    return {
        name: value
        for name, value in own.items()
        if not name.startswith("_") and name not in skipped and (name not in guessed or plain(guessed[name]) != plain(value))
    }


def plain(value: Any) -> Any:
    """As JSON would give it back, so that tuples and lists compare equal."""
    return [plain(item) for item in cast(list[Any], value)] if isinstance(value, list | tuple) else value


def _read(source: Header, key: str) -> Mapping[str, Any]:
    text = source.metadata.get(key, "")
    if not text:
        return {}
    try:
        found = json.loads(text) if len(text) <= _LIMIT else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        logging.getLogger(__name__).warning("%s: its metadata %s cannot be used", source.path.name, key)
        return {}
    return cast(dict[str, Any], found)
