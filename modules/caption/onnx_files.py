"""What lies in a captioner's folder once it was exported to ONNX: in `onnx/`, `begin.onnx`, `step.onnx`, both in int8, and `export.json`.

`begin` sees the picture once; `step` writes the next token from what was kept (see `onnx_parts`). Imports no torch and no ONNX.
Start reading at `exported`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from modules.backends.onnx_session import lacking
from modules.caption.installed import Installed, weight_files
from modules.faults import ModelFault

FOLDER, ABOUT = "onnx", "export.json"
FLOAT32, INT8 = PRECISIONS = ("float32", "int8")
BEGIN, STEP = PARTS = ("begin", "step")
FORMAT = 1
PIECES, PIECE_BYTES = 64, 16_384  # of weights, to tell them from others
RUNS_WITH = {"onnxruntime": "onnxruntime"}  # module -> package
MADE_WITH = {"onnxruntime": "onnxruntime", "onnx": "onnx", "onnxscript": "onnxscript"}
# Kinds that can be exported: those whose words come from a text decoder behind one look at the picture.
KINDS = ("blip", "vit-gpt2", "git", "blip-2")


@dataclass(frozen=True, kw_only=True)
class Export:
    """What export.json says. source: file name -> digest of the weights it was made from.

    first: token that begins every text that is given none, and takes the place of the first of a given one where replaces is true.
    ends_given: a given text ends with a sign that is left out. unread: how many tokens at the beginning stand for the picture.
    shape, fixed: (layers, heads, length of a head) of what grows and of what stays between steps; layers count keys and values.
    checked: precision -> what the comparison with torch found.
    """

    kind: str
    first: int
    pad: int
    ends: tuple[int, ...]
    vocabulary: int
    grows: tuple[int, int, int]
    fixed: int
    source: Mapping[str, str]
    replaces: bool = False
    ends_given: bool = False
    unread: int = 0
    precisions: tuple[str, ...] = PRECISIONS
    checked: Mapping[str, Mapping[str, Any]] | None = None
    form: int = FORMAT

    def to_text(self) -> str:
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """Raises TypeError, KeyError, ValueError for what is no such description."""
        lists = {name: tuple(data[name]) for name in ("ends", "grows", "precisions")}
        values: dict[str, Any] = {**data, **lists}
        found = cls(**values)
        if found.form != FORMAT or len(found.grows) != 3:
            raise ValueError(f"format {found.form}")
        return found


def exported(found: Installed) -> Export | None:
    """What was exported of a captioner; None when nothing was.

    Raises ModelFault when it is damaged, or was made from other weights than those that lie there now.
    """
    path = found.path / FOLDER / ABOUT
    if not path.is_file():
        return None
    again = f"Export it again: python launch.py models export-captioner {found.name} --overwrite"
    try:
        export = Export.from_data(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ModelFault(f"{found.name}: {FOLDER}/{ABOUT} cannot be read ({error}). {again}") from error
    if dict(export.source) != source_of(found):
        raise ModelFault(f"{found.name} was exported to ONNX from other weights than it has now. {again}")
    lacking = [file.name for name in export.precisions for file in files(found.path, name) if not file.is_file()]
    if lacking:
        raise ModelFault(f"{found.name} lacks {FOLDER}/{lacking[0]}. {again}")
    return export


def onnx_precisions(found: Installed) -> tuple[str, ...]:
    """In which precisions something was exported, whether it can be used or not."""
    return tuple(name for name in PRECISIONS if all(file.is_file() for file in files(found.path, name)))


def must_be_exported(found: Installed) -> Export:
    """What was exported of a captioner. Raises ModelFault with how to do it when nothing was, or ONNX Runtime is not installed."""
    need(RUNS_WITH, "Running an exported captioner")
    export = exported(found)
    if export is None:
        raise ModelFault(f"{found.name} was not exported to ONNX yet: python launch.py models export-captioner {found.name}")
    return export


def file_of(folder: Path, part: str, precision: str) -> Path:
    """The file of a part, in a captioner's folder."""
    return folder / FOLDER / (f"{part}.onnx" if precision == FLOAT32 else f"{part}_{precision}.onnx")


def files(folder: Path, precision: str) -> list[Path]:
    """Those of both parts."""
    return [file_of(folder, part, precision) for part in PARTS]


def size_bytes(folder: Path, precision: str) -> int:
    """Of both parts, with weights that lie beside them in files of their own."""
    there = [path for file in files(folder, precision) for path in (file, file.with_name(f"{file.name}.data"))]
    return sum(path.stat().st_size for path in there if path.is_file())


def source_of(found: Installed) -> dict[str, str]:
    """Name and a digest of the weights that an export is made from. The digest is of pieces all over a file: training changes every one."""
    return {path.name: _digest(path) for path in weight_files(found.path, found.name)}


def _digest(path: Path) -> str:
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        for n in range(PIECES):
            file.seek(max(0, size - PIECE_BYTES) * n // (PIECES - 1))
            digest.update(file.read(PIECE_BYTES))
    return digest.hexdigest()


def need(packages: Mapping[str, str], what: str) -> None:
    """Raises ModelFault with how to get what is missing."""
    if missing := lacking(packages):
        raise ModelFault(f"{what} needs {' and '.join(missing)}. Install it: python -m pip install {' '.join(missing)}")
