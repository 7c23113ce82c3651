"""The configs and tokenizers that come with the program, so that single files load without the network.

A config folder has the diffusers layout without weights: model_index.json, one folder a component. Tokenizers are shared: a
folder's tokenizers.json says which one each component takes and with which padding token. Start reading at `folder`, `config`,
`tokenizer`. Imports transformers only when a tokenizer is made.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, cast

CONFIGS = Path(__file__).parent / "configs"
TOKENIZERS = CONFIGS / "tokenizers"
_TABLE = "tokenizers.json"


def names() -> list[str]:
    """Names of all config folders, such as "sd15" and "flux-dev"."""
    return sorted(path.parent.name for path in CONFIGS.glob("*/model_index.json"))


def folder(name: str) -> Path:
    """The config folder of a `Variant.config`. Raises KeyError when there is none; that is a mistake in the program."""
    path = CONFIGS / name
    if not (path / "model_index.json").is_file():
        raise KeyError(f"there is no config folder {name!r}")
    return path


def config(name: str, component: str) -> dict[str, Any]:
    """A component's config ("unet", "vae", ...; also "scheduler") as plain data. Raises KeyError."""
    base = folder(name) / component
    for file in ("config.json", "scheduler_config.json"):
        if (base / file).is_file():
            return _read(base / file)
    raise KeyError(f"the config folder {name!r} has no {component!r}")


def components(name: str) -> dict[str, tuple[str, str]]:
    """Component -> (library, class) as model_index.json says, those left empty not counted."""
    index = _read(folder(name) / "model_index.json")
    return {
        part: (str(row[0]), str(row[1]))
        for part, row in index.items()
        if isinstance(row, list) and len(cast(list[Any], row)) == 2 and row[0] is not None
    }


def tokenizer(name: str, component: str) -> Any:
    """The transformers tokenizer of a component ("tokenizer", "tokenizer_2", "tokenizer_3"), from the files that come with us."""
    row = _read(folder(name) / _TABLE)[component]
    from transformers import CLIPTokenizer, T5Tokenizer

    kinds: dict[str, Any] = {"clip": CLIPTokenizer, "t5": T5Tokenizer}
    options = {key: value for key, value in row.items() if key != "files"}
    return kinds[row["files"]].from_pretrained(TOKENIZERS / row["files"], local_files_only=True, **options)


def tokenizer_folder(name: str, component: str) -> Path:
    """Where the files of a component's tokenizer lie; that of the first one when the config folder has no such component."""
    table = _read(folder(name) / _TABLE)
    row = table.get(component) or next(iter(table.values()))
    return TOKENIZERS / row["files"]


def write(name: str, target: Path) -> Path:
    """A complete config folder with its tokenizers at `target`, as `from_single_file(config=...)` wants it. Returns the target."""
    shutil.copytree(folder(name), target, dirs_exist_ok=True, ignore=shutil.ignore_patterns(_TABLE))
    for component in _read(folder(name) / _TABLE):
        tokenizer(name, component).save_pretrained(target / component)
    return target


def _read(path: Path) -> dict[str, Any]:
    return cast(dict[str, Any], json.loads(path.read_text(encoding="utf-8")))
