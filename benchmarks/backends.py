"""What each backend that can be used here gains over eager, as a ratio pair by pair, and how far its pictures are off.

    TORCHINDUCTOR_CACHE_DIR=FOLDER python -m benchmarks.backends [--pairs 4] [--steps 20] [--side 128] [--only onnx]

The starter model, DPM++ 2M, CFG scale 5: A with the backend, B eager, A, B, ... in this process, with the sampler's time alone.
Before the pairs the backend is built from nothing and compared, which is the build time: for torch.compile only with an empty FOLDER,
since torch keeps its code there. The difference is of the pictures, of 255.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.program import machine
from modules.backends.backing import Backing
from modules.backends.table import BACKENDS, EAGER, usable
from modules.folders import Folders
from modules.library import Library
from modules.processing.batch import Batch, make_batch
from modules.processing.passes import StepHooks
from modules.processing.resolve import resolve
from modules.processing.slot import Slot
from modules.prompts.styles import Styles
from modules.request import GenerationRequest, ResolvedRequest
from modules.settings import Settings

QUIET = StepHooks(stop=lambda: False, step=lambda done, of: None)


def asked(folders: Folders, args: argparse.Namespace, backend: str, seed: int) -> ResolvedRequest:
    request = GenerationRequest(
        prompt="a red apple, 3d", steps=args.steps, width=args.side, height=args.side, seed=seed, cfg_scale=5, sampler_name="DPM++ 2M",
        override_settings={"backend": backend, "backend_in_background": False},
    )  # fmt: skip
    return resolve(request, Settings(), Library(folders), Styles(folders.styles_file))


def make(model: Any, folders: Folders, args: argparse.Namespace, backend: str, seed: int) -> Batch:
    batch = make_batch(model, asked(folders, args, backend, seed), 0, QUIET)
    if batch.warnings:
        raise SystemExit(f"{backend}: {' '.join(batch.warnings)}")
    return batch


def compare(model: Any, folders: Folders, args: argparse.Namespace, backend: str) -> str:
    """One line: build time, ratio and largest difference."""
    began = time.perf_counter()
    make(model, folders, argparse.Namespace(**{**vars(args), "steps": 1}), backend, 0)
    built = time.perf_counter() - began
    ratios: list[float] = []
    apart = 0
    for n in range(args.pairs + 1):
        ours, theirs = (make(model, folders, args, name, n) for name in (backend, EAGER))
        pixels = [np.asarray(batch.images[0], dtype=np.int16) for batch in (ours, theirs)]
        apart = max(apart, int(np.abs(pixels[0] - pixels[1]).max()))
        if n:  # the first pair warms up
            ratios.append(ours.seconds["sample"] / theirs.seconds["sample"])
    spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    return f"{BACKENDS.get(backend).title}: ready after {built:.1f} s; time / eager's {spread}; largest difference {apart} of 255"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=4)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--only", choices=[name for name in BACKENDS.names() if name != EAGER])
    args = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        folders = Folders.at(Path(folder))
        slot = Slot(lambda p: None, lambda p: None, "float32", lambda: 2**40, backing=lambda: Backing("cpu", folders.backends))
        checkpoint = asked(folders, args, EAGER, 0).checkpoint
        model = slot.take(checkpoint, lambda *said, **more: None)
        for name, why in usable("cpu").items():
            if name != EAGER and args.only in (None, name):
                print(f"{BACKENDS.get(name).title}: {why}" if why else compare(model, folders, args, name), flush=True)


if __name__ == "__main__":
    main()
