"""The memory planner's forecasts against what runs really needed; and the table of footprints that comes with the program.

    python -m benchmarks.memory_plan [--full sd15 sdxl] [--sides 512 ...]
    python -m benchmarks.memory_plan --write

Small random models of every family are counted tensor by tensor (`modules.hardware.live`), since what the system says of a process is
coarser than they are large. --full: models of true size with random weights, each run in a process of its own, by the kernel's figure
(VmHWM) beyond what the process held before the model was loaded. --write walks through the families' published components.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.full_size import Quiet, build
from benchmarks.program import machine

SMALL = ("sd15", "sd2", "sdxl", "sd3", "flux")
SIZES = ((64, 64, 1), (64, 64, 2), (96, 64, 4), (128, 128, 1), (192, 128, 3), (128, 192, 2))
POLICIES = ("resident", "tiled")
MODES = ("float32", "bfloat16")
GIB = 2**30


class Studio:
    """A runner over a folder with one model. dtype: what it computes in."""

    def __init__(self, models: Path, data: Path, dtype: str) -> None:
        from modules.folders import Folders
        from modules.library import Library
        from modules.processing.memory_book import MemoryBook
        from modules.processing.runner import PictureRunner
        from modules.processing.tracing import walked

        self.folders = Folders.at(data, models)
        self.runner = PictureRunner(self.folders, {"precision": "half"} if dtype != "float32" else {}, 0)
        self.library = Library(self.folders)
        self.library.refresh("checkpoint")
        self.checkpoint = next(c for c in self.library.checkpoints() if Path(c.path).parent.parent == models)
        self.book = MemoryBook(data / "book.json", walk=walked)

    def resolved(self, width: int, height: int, batch: int, policy: str) -> Any:
        from modules.processing.resolve import resolve
        from modules.prompts.styles import Styles
        from modules.request import GenerationRequest
        from modules.settings import Settings

        overrides = {"sd_model_checkpoint": self.checkpoint.title, "grid_save": False, "return_grid": False, "memory_policy": policy}
        request = GenerationRequest(
            prompt="a cat", negative_prompt="rain", steps=1, width=width, height=height, seed=1, cfg_scale=5.0, batch_size=batch,
            save_images=False, override_settings=overrides,
        )  # fmt: skip
        return resolve(request, Settings(), self.library, Styles(self.folders.styles_file))

    def run(self, resolved: Any) -> None:
        self.runner.run({"id": "run", "kind": "txt2img", "made": [], "resolved": resolved.to_data()}, Quiet())

    def forecast(self, resolved: Any, policy: str) -> int:
        from modules.hardware.plan import peak

        device = self.runner.device()
        need = self.book.counting.need(resolved, device["dtype"], device["vae_dtype"])
        if need is None:
            raise SystemExit(f"nothing is known of {self.checkpoint.title}")
        return peak(need.on("cpu"), policy)


def small(name: str, dtype: str) -> Iterator[tuple[str, int, int]]:
    """(combination, forecast, counted) for a small model."""
    import torch

    from modules.hardware.live import Live, tensors_of
    from modules.weights.held import held_bytes
    from tests.model import tiny

    with tempfile.TemporaryDirectory() as base:
        tiny.BUILDERS[name](Path(base) / "models" / "Stable-diffusion" / name)
        studio = Studio(Path(base) / "models", Path(base) / "data", dtype)
        for policy in POLICIES:
            for width, height, batch in SIZES:
                studio.run(studio.resolved(64, 64, 1, policy))
                model = studio.runner._slot.present  # pyright: ignore[reportPrivateUsage]
                if model is None:
                    raise SystemExit(f"{name} is not loaded after its run")
                model.encoder.forget()
                parts = [part for part in model.pipeline.components.values() if isinstance(part, torch.nn.Module)]
                resolved = studio.resolved(width, height, batch, policy)
                gc.collect()
                with Live([tensor for part in parts for tensor in tensors_of(part)], on_cpu=True) as live:
                    studio.run(resolved)
                measured = sum(held_bytes(part) for part in parts) + live.peak_bytes
                yield f"{name} {dtype} {width}x{height} batch {batch} {policy}", studio.forecast(resolved, policy), measured
        studio.library.close()


def large(models: Path, side: int, batch: int, policy: str) -> tuple[int, int]:
    """(forecast, VmHWM beyond what was held before) of a model of true size, float32."""
    import diffusers
    import transformers

    from modules.hardware.peak import SELF, Peak, held_at_most

    with tempfile.TemporaryDirectory() as data:
        studio = Studio(models, Path(data), "float32")
        _ = (diffusers.StableDiffusionPipeline, diffusers.StableDiffusionXLPipeline, transformers.CLIPTextModel)
        resolved = studio.resolved(side, side, batch, policy)
        forecast = studio.forecast(resolved, policy)
        Peak("cpu", "cpu").begin()
        before = held_at_most(SELF / "status")
        studio.run(resolved)
        after = held_at_most(SELF / "status")
        studio.library.close()
        return forecast, after - before


def write() -> None:
    """The table of footprints: every published component, and the starter model's."""
    import torch

    from modules.families import FAMILIES, shipped
    from modules.folders import PROGRAM, write_atomic
    from modules.hardware.footprint import SHIPPED
    from modules.processing.memory_known import counted
    from modules.processing.tracing import footprint_of
    from modules.weights.layouts import LAYOUTS
    from modules.weights.layouts.component import Component, open_component
    from modules.weights.layouts.module import empty_module

    found: dict[str, Any] = {}
    layouts = {v.config: family.layout for _, family in FAMILIES for v in family.variants.values() if v.config}
    starter = PROGRAM / "models" / "Stable-diffusion" / "darkroom-starter"
    todo = [(part, shipped.config(name, key), key) for name, at in layouts.items() for key, part in LAYOUTS[at].parts.items()
            if key in shipped.components(name)]  # fmt: skip
    todo += [(part, open_component(starter, "sd1", key).config, key) for key, part in LAYOUTS["sd1"].parts.items()]
    for part, config, key in todo:
        module = empty_module(part, config)
        tensors = {n: _Shape(tuple(t.shape)) for n, t in module.state_dict().items() if not n.endswith("position_ids")}
        component: Any = Component(name=key, part=part, tensors=tensors, places={}, config=config, naming="", raw={}, unknown=())
        for size, dtype in ((4, torch.float32), (2, torch.float16)):
            name = counted(component).key(size)
            if name not in found:
                found[name] = footprint_of(empty_module(part, config), dtype)
                print(key, part.model, size, name, flush=True)
    write_atomic(SHIPPED, (json.dumps(found, separators=(",", ":")).replace('},"', '},\n"') + "\n").encode())


class _Shape:
    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape


def row(name: str, forecast: int, measured: int) -> str:
    return f"| {name} | {forecast / 2**20:.1f} MiB | {measured / 2**20:.1f} MiB | {forecast / measured - 1:+.1%} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="*", default=list(SMALL), help="small models; default: all")
    parser.add_argument("--full", nargs="*", default=[], help="models of true size: sd15, sdxl")
    parser.add_argument("--sides", nargs="*", type=int, default=[512], help="for --full")
    parser.add_argument("--batches", nargs="*", type=int, default=[1], help="for --full")
    parser.add_argument("--keep", type=Path, help="where models of true size are kept")
    parser.add_argument("--write", action="store_true", help="make the table of footprints anew")
    parser.add_argument("--run", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.write:
        write()
        return
    if args.run:
        models, side, batch, policy = args.run
        print(json.dumps(large(Path(models), int(side), int(batch), policy)))
        return
    print(machine(), "\n\n| run | forecast | measured | error |\n| --- | --- | --- | --- |")
    errors: list[float] = []
    for name in args.models:
        for dtype in MODES:
            for told, forecast, measured in small(name, dtype):
                errors.append(abs(forecast / measured - 1))
                print(row(told, forecast, measured), flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        for name in args.full:
            base = (args.keep or Path(temporary)) / name
            folder = base / "Stable-diffusion" / f"random-{name}"
            if not (folder / "model_index.json").exists():
                build(name, folder, t5=False)
            for side, batch, policy in ((s, b, p) for s in args.sides for b in args.batches for p in POLICIES):
                child = [sys.executable, "-m", "benchmarks.memory_plan", "--run", str(base), str(side), str(batch), policy]
                done = subprocess.run(child, capture_output=True, text=True, check=False)
                if done.returncode:
                    print(f"| {name} {side} | failed: {done.stderr.strip().splitlines()[-1][:200]} |")
                    continue
                forecast, measured = json.loads(done.stdout.splitlines()[-1])
                errors.append(abs(forecast / measured - 1))
                print(row(f"{name} float32 {side}x{side} batch {batch} {policy}, true size", forecast, measured), flush=True)
    if errors:
        print(f"\n{len(errors)} combinations; largest error {max(errors):.1%}, {sum(e <= 0.1 for e in errors)} within 10 %.")


if __name__ == "__main__":
    main()
