"""What a captioner's LoRA is written as: peft's own files in a folder, and beside them the words that the base does not know.

Without such words the folder loads in plain peft (`PeftModel.from_pretrained`). Start reading at `save_adapter`.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from modules.caption.adapters import ABOUT, CONFIG, NEW_WORDS, TOKENIZER, WEIGHTS
from modules.caption.adapting import PREFIX
from modules.faults import DiskFault


@dataclass(frozen=True, kw_only=True)
class Learnt:
    """What was learnt for a captioner. base, kind: its name and kind's id; config: peft's; lora, rows: weights by parameter name.

    tokenizer: the base's with the words it lacked; new: those words; share: trained of all parameters, 0 to 1.
    """

    base: str
    kind: str
    config: Mapping[str, Any]
    lora: Mapping[str, Tensor]
    rows: Mapping[str, Tensor]
    tokenizer: Any
    new: Sequence[str]
    share: float


def save_adapter(trained: Learnt, path: Path, metadata: Mapping[str, str]) -> Path:
    """The folder `path`, whole or not at all; a former one of that name is replaced. metadata: kept in its description.

    Raises DiskFault.
    """
    temp = Path(tempfile.mkdtemp(dir=path.parent, prefix=".new-"))
    try:
        _fill(trained, temp, metadata)
        os.chmod(temp, 0o755)
        if path.exists():
            old = Path(tempfile.mkdtemp(dir=path.parent, prefix=".old-"))
            os.replace(path, old / path.name)
            os.replace(temp, path)
            shutil.rmtree(old, ignore_errors=True)
        else:
            os.replace(temp, path)
    except OSError as error:
        raise DiskFault(f"{path.name} cannot be written: {error.strerror or error}. Free some space and try again.") from error
    finally:
        shutil.rmtree(temp, ignore_errors=True)
    return path


def _fill(trained: Learnt, folder: Path, metadata: Mapping[str, str]) -> None:
    config = {name: _plain(value) for name, value in trained.config.items()}
    config |= {"inference_mode": True, "base_model_name_or_path": trained.base}
    _json(folder / CONFIG, config)
    tensors = {PREFIX + name: parameter.detach().cpu().contiguous() for name, parameter in trained.lora.items()}
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    if trained.rows:
        rows = {name.rpartition(".")[2]: parameter.detach().cpu().contiguous() for name, parameter in trained.rows.items()}
        save_file(rows, folder / NEW_WORDS, metadata={"format": "pt"})
        trained.tokenizer.save_pretrained(folder / TOKENIZER)
    about = {"kind": trained.kind, "base": trained.base, "new_words": trained.new, "share_trained": round(trained.share, 5)}
    _json(folder / ABOUT, {**about, "language": metadata.get("language", ""), "training": dict(metadata)})


def _plain(value: Any) -> Any:
    if isinstance(value, set | frozenset):
        return sorted(value)
    return getattr(value, "value", value)


def _json(path: Path, data: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False, default=str) + "\n", encoding="utf-8")
