"""Full-size models with random weights, built, loaded and run for two steps by the program itself; time and memory printed.

    python -m benchmarks.full_size [sd15] [sdxl] [sd3.5-medium] [--side 512] [--t5] [--keep FOLDER]

Random weights make no pictures worth looking at, but every tensor has its true size: what loads and runs here loads and runs with
the true files. Each model runs in a process of its own, so that its peak of memory is its own. SD 3.5 runs without T5 unless --t5.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.program import machine

MODELS = ("sd15", "sdxl", "sd3.5-medium")
COLUMNS = (
    "model", "weights", "found as", "built", "found", "hashed", "loaded, with a first step", "2 steps", "decoded", "peak of main memory",
    "device",
)  # fmt: skip
SHARD_BYTES = 2**31
GIB = 2**30


def build(name: str, target: Path, *, t5: bool) -> None:
    """A diffusers folder of the published configs, float16 weights drawn at random."""
    import torch
    from accelerate import init_empty_weights

    from modules.families import shipped

    shipped.write(name, target)
    if not t5:
        _leave_out(target, ("text_encoder_3", "tokenizer_3"))
    for part, (library, kind) in shipped.components(name).items():
        folder = target / part
        if not (folder / "config.json").is_file():
            continue
        cls: Any = getattr(__import__(library), kind)
        with init_empty_weights():
            if library == "transformers":
                module = cls(cls.config_class.from_pretrained(folder))
            else:
                module = cls.from_config(cls.load_config(folder))
        write_random(
            {k: v for k, v in module.state_dict().items() if v.dtype.is_floating_point}, folder, library, torch.Generator().manual_seed(0)
        )


def write_random(wanted: dict[str, Any], folder: Path, library: str, generator: Any) -> None:
    """Weights of these names and shapes, in shards as from_pretrained reads them; no more than a shard is in memory."""
    import torch
    from safetensors.torch import save_file

    stem = "model" if library == "transformers" else "diffusion_pytorch_model"
    shards: list[list[str]] = [[]]
    filled = 0
    for name, tensor in wanted.items():
        if filled + tensor.numel() * 2 > SHARD_BYTES and shards[-1]:
            shards.append([])
            filled = 0
        shards[-1].append(name)
        filled += tensor.numel() * 2
    files = (
        [f"{stem}.safetensors"]
        if len(shards) == 1
        else [f"{stem}-{n:05}-of-{len(shards):05}.safetensors" for n in range(1, len(shards) + 1)]
    )
    for file, names in zip(files, shards, strict=True):
        tensors = {}
        for name in names:
            shape = wanted[name].shape
            spread = 1.0 if len(shape) < 2 else 1 / math.sqrt(math.prod(shape[1:]))
            drawn = torch.randn(shape, generator=generator, dtype=torch.float32)
            tensors[name] = (1 + 0.02 * drawn if len(shape) < 2 and name.endswith("weight") else spread * drawn).half()
        save_file(tensors, folder / file, metadata={"format": "pt"})
    if len(files) > 1:
        where = {name: file for file, names in zip(files, shards, strict=True) for name in names}
        total = sum(t.numel() * 2 for t in wanted.values())
        (folder / f"{stem}.safetensors.index.json").write_text(json.dumps({"metadata": {"total_size": total}, "weight_map": where}))


def _leave_out(target: Path, parts: tuple[str, ...]) -> None:
    index = json.loads((target / "model_index.json").read_text())
    for part in parts:
        if part in index:
            index[part] = [None, None]
            shutil.rmtree(target / part, ignore_errors=True)
    (target / "model_index.json").write_text(json.dumps(index))


class Quiet:
    """The worker's end of the conversation, with nobody listening."""

    interrupted = watched = False

    def take_skip(self) -> bool:
        return False

    def progress(self, **_: Any) -> None: ...
    def preview(self, _: bytes) -> None: ...
    def event(self, *_: Any) -> None: ...
    def status(self, *_: Any, **__: Any) -> None: ...


def run(models: Path, data: Path, side: int) -> dict[str, Any]:
    """Find, load and run the only model of a folder; seconds and bytes."""
    from modules.folders import Folders
    from modules.library import Library
    from modules.processing.resolve import resolve
    from modules.processing.runner import PictureRunner
    from modules.prompts.styles import Styles
    from modules.request import GenerationRequest
    from modules.settings import Settings

    folders = Folders.at(data, models)
    runner = PictureRunner(folders, {}, 0)
    before = _peak()
    began = time.perf_counter()
    library = Library(folders)
    library.refresh("checkpoint")
    checkpoint = next(c for c in library.checkpoints() if Path(c.path).parent.parent == models)
    found = time.perf_counter()
    request = GenerationRequest(prompt="a cat", negative_prompt="rain", steps=2, width=side, height=side, seed=1, cfg_scale=5.0)
    overrides = {"sd_model_checkpoint": checkpoint.title, "grid_save": False, "return_grid": False}
    resolved = resolve(
        GenerationRequest.from_data({**request.to_data(), "override_settings": overrides}), Settings(), library, Styles(folders.styles_file)
    )
    hashed = time.perf_counter()
    model_time = time.perf_counter()
    runner.run({"id": "load", "kind": "txt2img", "made": [], "resolved": {**resolved.to_data(), "steps": 1, "save_images": False}}, Quiet())
    loaded = time.perf_counter()
    _, result = runner.run({"id": "run", "kind": "txt2img", "made": [], "resolved": resolved.to_data()}, Quiet())
    library.close()
    return {
        "family": f"{checkpoint.family} {checkpoint.variant}".strip(),
        "find_s": found - began,
        "hash_s": hashed - found,
        "load_and_first_s": loaded - model_time,
        "steps_s": result["seconds"]["sample"],
        "decode_s": result["seconds"]["decode"],
        "device": runner.device()["lines"][0].removeprefix("Device:").strip(),
        "dtype": runner.device()["dtype"],
        "peak_bytes": _peak(),
        "before_bytes": before,
        "device_bytes": runner.memory()["cuda"].get("allocated", {}).get("peak", 0),
    }


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def one(name: str, args: argparse.Namespace, base: Path) -> str:
    """A row of the table."""
    folder = base / name / "Stable-diffusion" / f"random-{name}"
    began = time.perf_counter()
    if not (folder / "model_index.json").exists():
        build(name, folder, t5=args.t5)
    built = time.perf_counter() - began
    size = sum(p.stat().st_size for p in folder.rglob("*.safetensors"))
    child = [sys.executable, "-m", "benchmarks.full_size", "--run", str(base / name), "--side", str(args.side)]
    done = subprocess.run(child, capture_output=True, text=True, check=False)
    if done.returncode:
        return f"| {name} | {size / GIB:.1f} GiB | failed: {done.stderr.strip().splitlines()[-1][:200]} |"
    f = json.loads(done.stdout.splitlines()[-1])
    device = f", {f['device_bytes'] / GIB:.1f} GiB on the device" if f["device_bytes"] else ""
    seconds = [built, *(f[key] for key in ("find_s", "hash_s", "load_and_first_s", "steps_s", "decode_s"))]
    memory = f"{f['peak_bytes'] / GIB:.1f} GiB{device}"
    return " | ".join(
        [f"| {name}", f"{size / GIB:.1f} GiB", f["family"], *(f"{s:.1f} s" for s in seconds), memory, f"{f['device']}, {f['dtype']} |"]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=list(MODELS), help=f"config names; default: {' '.join(MODELS)}")
    parser.add_argument("--side", type=int, default=512, help="pixels of a side")
    parser.add_argument("--t5", action="store_true", help="with the T5 text encoder (10 GB more)")
    parser.add_argument("--keep", type=Path, help="keep what was built there")
    parser.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        with tempfile.TemporaryDirectory() as data:
            print(json.dumps(run(args.run, Path(data), args.side)))
        return
    print(machine())
    print(f"\n{args.side} x {args.side}, 2 steps with guidance\n")
    print(f"| {' | '.join(COLUMNS)} |\n{'| --- ' * len(COLUMNS)}|")
    with tempfile.TemporaryDirectory() as temporary:
        for name in args.models:
            print(one(name, args, args.keep or Path(temporary)), flush=True)
            if args.keep is None:
                shutil.rmtree(Path(temporary) / name)


if __name__ == "__main__":
    main()
