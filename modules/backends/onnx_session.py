"""Sessions of ONNX Runtime, and which of its packages are there. Imports no torch and no ONNX by itself. Start reading at `session`."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from modules.faults import ModelFault

CPU = "CPUExecutionProvider"


def session(path: Path, providers: Sequence[Any] = (CPU,)) -> Any:
    """An ONNX file, ready to run, on the processor with as many threads as torch takes. Raises ModelFault when it is damaged.

    providers: names, or (name, options), of what runs it, the first that can; see ONNX Runtime's documentation.
    """
    import onnxruntime  # imported late: slow to come
    import torch

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4  # what it could not do is told by its exception
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=list(providers))
    except Exception as error:  # its own exception classes have no common public base
        raise ModelFault(f"{path.parent.name}/{path.name} cannot be read by ONNX Runtime: {str(error)[:200]}") from error


def lacking(packages: Mapping[str, str]) -> list[str]:
    """Which of some packages are not installed. packages: module -> package."""
    return [package for module, package in packages.items() if importlib.util.find_spec(module) is None]


def missing(packages: Mapping[str, str], who: str) -> str:
    """A sentence with how to get what is not installed; "" when all is there."""
    names = lacking(packages)
    return f"{who} needs {' and '.join(names)}; install it: python -m pip install {' '.join(names)}." if names else ""
