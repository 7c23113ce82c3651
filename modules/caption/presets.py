"""Ways of writing as GenerationConfig files beside a model: generation_config.json, and generation_config.NAME.json for named ones.

transformers reads them too: GenerationConfig.from_pretrained(folder, "generation_config.NAME.json"). Only what has an effect is written,
since transformers refuses the rest. Start reading at `save`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modules.faults import RequestFault, UnknownName
from modules.folders import write_atomic

USUAL = "generation_config.json"
_FILE = re.compile(r"generation_config\.(?P<name>.+)\.json")
_NAME = re.compile(r"[\w][\w .+-]{0,59}")
_LIMIT_BYTES = 1_000_000
# A field of a request -> its name in a GenerationConfig. Lengths are those of the new tokens alone.
FIELDS: Mapping[str, str] = {
    "min_length": "min_new_tokens", "max_length": "max_new_tokens", "num_beams": "num_beams", "do_sample": "do_sample", "top_k": "top_k",
    "top_p": "top_p", "temperature": "temperature", "repetition_penalty": "repetition_penalty", "length_penalty": "length_penalty",
    "early_stopping": "early_stopping",
}  # fmt: skip
_OF_SAMPLING, _OF_BEAMS = ("top_k", "top_p", "temperature"), ("length_penalty", "early_stopping")
_OTHER_LENGTHS = ("min_length", "max_length")


def names(folder: Path) -> list[str]:
    """The named presets of a model's folder, by name."""
    found = (_FILE.fullmatch(path.name) for path in folder.glob("generation_config.*.json"))
    return sorted((match["name"] for match in found if match), key=str.casefold)


def read(folder: Path, name: str) -> dict[str, Any]:
    """A preset's GenerationConfig. Raises UnknownName("preset"), RequestFault("preset") when it is damaged."""
    path = _path(folder, name)
    if not path.is_file():
        raise UnknownName("preset", name, names(folder))
    return _object(path)


def save(folder: Path, name: str, values: Mapping[str, Any]) -> Path:
    """Write a preset; "" changes the model's own generation_config.json, whose other entries stay.

    values: fields of a request, all of FIELDS. Raises RequestFault("preset") for a name that is none, DiskFault.
    """
    path = _path(folder, name)
    own = folder / USUAL
    base = _object(own) if own.is_file() else {}
    kept = {key: value for key, value in base.items() if key not in (*FIELDS.values(), *_OTHER_LENGTHS)}
    idle = {*(() if values["do_sample"] else _OF_SAMPLING), *(() if values["num_beams"] > 1 else _OF_BEAMS)}
    if not values["min_length"]:
        idle.add("min_length")
    said = {key: values[field] for field, key in FIELDS.items() if field not in idle}
    write_atomic(path, (json.dumps({**kept, **said}, indent=2, sort_keys=True) + "\n").encode())
    return path


def remove(folder: Path, name: str) -> None:
    """Delete a named preset. Raises UnknownName, RequestFault."""
    path = _path(folder, name)
    if not name.strip() or not path.is_file():
        raise UnknownName("preset", name, names(folder))
    path.unlink()


def _path(folder: Path, name: str) -> Path:
    if not name.strip():
        return folder / USUAL
    if not _NAME.fullmatch(name.strip()) or ".." in name:
        raise RequestFault("preset", "must be a name of letters, digits, spaces, dots, + or -, at most 60", got=name)
    return folder / f"generation_config.{name.strip()}.json"


def _object(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path.stat().st_size <= _LIMIT_BYTES else None
    except (OSError, ValueError, RecursionError) as error:
        raise RequestFault("preset", f"{path.name} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise RequestFault("preset", f"{path.name} is not a GenerationConfig")
    return found
