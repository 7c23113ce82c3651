"""torch.compile of the blocks that a network repeats, which diffusers calls regional compilation. Start reading at `build`.

Generated code is kept by torch itself, in the folder that the worker's environment names (see `modules.jobs.process`).
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

from modules.backends.record import Answer, Backend, CannotStandIn, Work

if TYPE_CHECKING:
    import torch

COMPILERS = ("g++", "clang++", "cl")
TRITON = ("cuda", "rocm", "xpu")


def probe(kind: str) -> str:
    """On the CPU torch writes C++, which needs a compiler and Python's own headers; on graphics cards it needs Triton."""
    if kind == "cpu":
        compiler = os.environ.get("CXX")
        if not any(shutil.which(name) for name in ([compiler] if compiler else COMPILERS)):
            return "there is no C++ compiler here (g++ or clang++); install one, on Debian with: apt install g++."
        if not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
            return "Python's header files are missing, which generated code needs; install them, on Debian with: apt install python3-dev."
        return ""
    if kind not in TRITON:
        return f"torch.compile is not used on {kind} here."
    return "" if importlib.util.find_spec("triton") else "the package triton is missing, in which torch writes code for this device."


def build(work: Work) -> Answer:
    """Compiles for the example's sizes, from the cache where it was done before. Raises CannotStandIn for a network without such blocks."""
    import torch

    try:
        work.network.network.compile_repeated_blocks()
    except ValueError as error:
        raise CannotStandIn("this network has no repeated blocks that diffusers can compile.") from error

    def answer(tensors: list[torch.Tensor]) -> torch.Tensor:
        with torch.inference_mode():  # what was compiled under another mode would be compiled again
            return work.network(*[tensor.clone() for tensor in tensors])

    answer(list(work.example))
    return answer  # pyright: ignore[reportReturnType]


ROW = Backend(
    title="torch.compile",
    help="Repeated blocks compiled by torch; on the CPU with a C++ compiler, on graphics cards with Triton. Built for each size.",
    source="https://huggingface.co/docs/diffusers/optimization/fp16#regional-compilation",
    probe=probe,
    build=build,
    tolerance={"float32": 1e-4, "float16": 2e-2, "bfloat16": 1e-1},
    any_size=False,
)
