"""Which versions of what the program runs on. Reads what is installed and imports none of it. Start reading at `versions`."""

from __future__ import annotations

import importlib.metadata
import platform

from modules import __version__
from modules.folders import PROGRAM
from modules.setup import environment

TOLD = ("torch", "torchvision", "diffusers", "transformers", "accelerate", "peft", "safetensors", "gradio", "fastapi", "uvicorn", "numpy",
        "pillow", "onnxruntime", "bitsandbytes", "xformers", "torch-directml", "controlnet-aux", "spandrel")  # fmt: skip


def versions() -> list[dict[str, str]]:
    """{"name", "version", "tested"}: the program, Python, the system, then packages that are installed. tested: "" where nobody says."""
    tested = dict(environment.pins(PROGRAM / environment.REQUIREMENTS))
    rows = [("Darkroom", __version__, ""), ("Python", platform.python_version(), ""), ("System", platform.platform(terse=True), "")]
    for name in TOLD:
        try:
            rows.append((name, importlib.metadata.version(name), tested.get(name, "")))
        except importlib.metadata.PackageNotFoundError:
            continue
    return [{"name": name, "version": version, "tested": pin} for name, version, pin in rows]


def short() -> dict[str, str]:
    """Those that a result of a benchmark is kept with."""
    wanted = {"Darkroom", "Python", "System", "torch", "diffusers"}
    return {row["name"]: row["version"] for row in versions() if row["name"] in wanted}
