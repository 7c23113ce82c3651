"""Models of real size with random weights: plain diffusers, compiled blocks, and the whole stack of the program, in turn, on one device.

    python -m benchmarks.real_size [sd15 sdxl ...] [--pairs 3] [--device cuda] [--dtype bfloat16] [--side N] [--steps N] [--t5] [--tiny]

Random weights take as long as true ones. They are drawn on the device: nothing is downloaded, nothing is written. Sizes and steps: Stable
Diffusion 1.5 at 512 px in 20, XL at 1024 in 30, 3.5 Medium, 3.5 Large and Flux at 1024 in 28, 3.5 Large Turbo in 4.

A time is that of a whole picture: prompt (another one for each), steps, VAE. Speed and processor time are medians, pair by pair, against
plain diffusers; other programs on the machine disturb the latter less. Stable Diffusion 3.5 goes without T5 unless --t5. --tiny: few and
narrow layers, to try the script without a card.
"""

from __future__ import annotations

import argparse
import dataclasses
import gc
import inspect
import math
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.backends import QUIET, asked
from benchmarks.program import machine

GIB = 2**30


@dataclass(frozen=True, kw_only=True)
class Model:
    """family, variant: of the program's; side: pixels; cfg: scale, 1 where the network has guidance in it or needs none."""

    family: str
    variant: str = ""
    side: int = 1024
    steps: int = 28
    cfg: float = 5.0


MODELS = {
    "sd15": Model(family="sd15", side=512, steps=20, cfg=7.0),
    "sdxl": Model(family="sdxl", steps=30, cfg=7.0),
    "sd3.5-medium": Model(family="sd3", variant="3.5-medium"),
    "sd3.5-large": Model(family="sd3", variant="3.5-large"),
    "sd3.5-large-turbo": Model(family="sd3", variant="3.5-large-turbo", steps=4, cfg=1.0),
    "flux-dev": Model(family="flux", variant="dev", cfg=1.0),
}


def prompt_of(seed: int) -> str:
    """Another one for each picture: the program remembers what it has encoded."""
    return f"a red apple on a table, number {seed}"


def small(config: dict[str, Any]) -> dict[str, Any]:
    """A component's configuration with few and narrow layers, whose inputs and outputs fit to the others as before."""
    found = dict(config)
    if "block_out_channels" in found:
        found |= {"block_out_channels": [32] * len(found["block_out_channels"]), "layers_per_block": 1}
        found |= {name: value for name, value in (("attention_head_dim", 8), ("transformer_layers_per_block", 1)) if name in found}
    elif "num_attention_heads" in found and "attention_head_dim" in found:
        found |= {"num_layers": 2, "num_attention_heads": 2, "num_single_layers": 1, "dual_attention_layers": [0]}
        found["caption_projection_dim"] = 2 * found["attention_head_dim"]
    return {name: value for name, value in found.items() if name in config}


def built(name: str, device: str, dtype: Any, *, t5: bool, tiny: bool) -> Any:
    """The diffusers pipeline of a config folder of the program, its weights drawn at random on the device."""
    import diffusers
    import transformers

    from modules.families import shipped

    parts: dict[str, Any] = {}
    for part, (library, kind) in shipped.components(name).items():
        if part.startswith("tokenizer"):
            parts[part] = shipped.tokenizer(name, part)
            continue
        cls: Any = getattr(transformers if library == "transformers" else diffusers, kind, None)
        if cls is None or part in ("safety_checker", "feature_extractor", "image_encoder"):
            continue
        config = shipped.config(name, part)
        if part == "scheduler":
            parts[part] = cls.from_config(config)
        else:
            parts[part] = _drawn(cls, small(config) if tiny else config, library, device, dtype, tiny=tiny)
    if not t5 and name.startswith("sd3"):
        parts |= {"text_encoder_3": None, "tokenizer_3": None}
    pipeline_class: Any = getattr(diffusers, _class_name(name))
    wanted = inspect.signature(pipeline_class.__init__).parameters
    more = {part: None for part in ("safety_checker", "feature_extractor", "image_encoder") if part in wanted}
    if "requires_safety_checker" in wanted:
        more["requires_safety_checker"] = False
    pipeline = pipeline_class(**parts, **more)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _class_name(name: str) -> str:
    import json

    from modules.families import shipped

    return json.loads((shipped.folder(name) / "model_index.json").read_text(encoding="utf-8"))["_class_name"]


def _drawn(cls: Any, config: dict[str, Any], library: str, device: str, dtype: Any, *, tiny: bool) -> Any:
    """A component without numbers, then each weight by itself: no more than the component is ever in memory."""
    import torch
    from accelerate import init_empty_weights
    from accelerate.utils import set_module_tensor_to_device

    with init_empty_weights():
        if library == "transformers":
            options = {
                name: value for name, value in (("num_hidden_layers", 2), ("num_layers", 2), ("d_ff", 64)) if tiny and name in config
            }
            module = cls(cls.config_class(**{**config, **options}))
        else:
            module = cls.from_config(config)
    generator = torch.Generator(device).manual_seed(0)
    for name, weight in dict(module.named_parameters()).items():
        value = torch.randn(weight.shape, generator=generator, device=device, dtype=dtype)
        value *= 0.02 if weight.ndim < 2 else 1 / math.sqrt(math.prod(weight.shape[1:]))
        if weight.ndim < 2 and name.endswith("weight"):
            value += 1
        set_module_tensor_to_device(module, name, device, value=value)
    if hasattr(module, "tie_weights"):
        module.tie_weights()
    return module.to(device).eval().requires_grad_(False)


def loaded(name: str, row: Model, pipeline: Any, device: tuple[str, str], dtype: str, folder: Path) -> Any:
    """The pipeline as the program holds a model."""
    from modules.backends.backing import Backing
    from modules.families import FAMILIES, LoadPlan
    from modules.processing.networks import Networks
    from modules.processing.preview import Previewer
    from modules.processing.slot import LoadedModel, encoder_of
    from modules.request import Checkpoint

    family = FAMILIES.get(row.family)
    return LoadedModel(
        checkpoint=Checkpoint(
            title=name, model_name=name, path=name, family=row.family, sha256=name, native_px=row.side, variant=row.variant
        ),
        plan=LoadPlan(path=Path(name), dtype=dtype, variant=row.variant, device=device),
        family=family,
        pipeline=pipeline,
        scheduler_config=dict(pipeline.scheduler.config),
        previewer=Previewer(pipeline.vae, family.cell_px),
        encoder=encoder_of(pipeline, family.variant(row.variant).prompt_tokens),
        networks=Networks(pipeline, family.architecture, name),
        backing=Backing(device[0], folder),
    )


def ways(name: str, row: Model, pipeline: Any, args: argparse.Namespace, folder: Path) -> dict[str, Callable[[int], Any]]:
    """Way -> what makes the picture of a seed. The first is what the others are compared with."""
    import torch

    from modules.backends.state import twin_of
    from modules.backends.table import EAGER, usable
    from modules.folders import Folders
    from modules.processing.batch import make_batch
    from modules.samplers.build import build_scheduler

    kind = args.device.partition(":")[0]
    model = loaded(name, row, pipeline, (kind, args.device), args.dtype, folder)
    config, network = model.scheduler_config, "unet" if hasattr(pipeline, "unet") else "transformer"

    def plain(pipe: Any) -> Callable[[int], Any]:
        def make(seed: int) -> Any:
            pipe.scheduler = build_scheduler("Euler", "Automatic", config)
            call = {"prompt": prompt_of(seed), "num_inference_steps": args.steps or row.steps, "guidance_scale": row.cfg}
            call |= {"width": args.side or row.side, "height": args.side or row.side}
            with torch.inference_mode():
                return pipe(**call, generator=torch.Generator("cpu").manual_seed(seed)).images[0]

        return make

    def stack(backend: str) -> Callable[[int], Any]:
        def make(seed: int) -> Any:
            side = args.side or row.side
            wanted = asked(Folders.at(folder), argparse.Namespace(steps=args.steps or row.steps, side=side), backend, seed)
            resolved = dataclasses.replace(
                wanted, checkpoint=model.checkpoint, cfg_scale=row.cfg, sampler_name="Euler", scheduler="Automatic",
                all_prompts=(prompt_of(seed),), distilled_cfg_scale=row.cfg if row.family == "flux" else None,
            )  # fmt: skip
            batch = make_batch(model, resolved, 0, QUIET)
            if batch.warnings and backend != EAGER:
                print(f"{name}, {backend}: {' '.join(batch.warnings)}", flush=True)
            return batch.images[0]

        return make

    found = {"plain diffusers": plain(pipeline), "the program": stack(EAGER)}
    can = usable(kind)
    if not can["compile"] and not args.eager:
        twin = twin_of(getattr(pipeline, network))
        twin.compile_repeated_blocks()
        found["plain diffusers, compiled blocks"] = plain(type(pipeline)(**{**pipeline.components, network: twin}))
        found["the program, compiled blocks"] = stack("compile")
    if not can["cuda-graphs"] and not args.eager:
        found["the program, CUDA graphs"] = stack("cuda-graphs")
    return found


def measured(name: str, args: argparse.Namespace) -> list[str]:
    """Lines of the table."""
    import torch

    row = MODELS[name]
    pipeline = built(name, args.device, getattr(torch, args.dtype), t5=args.t5, tiny=args.tiny)
    with tempfile.TemporaryDirectory() as folder:
        made = ways(name, row, pipeline, args, Path(folder))
        spent: dict[str, list[float]] = {way: [] for way in made}
        worked: dict[str, list[float]] = {way: [] for way in made}
        pictures: dict[str, Any] = {}
        for n in range(args.pairs + 1):
            for way, make in made.items():
                began, before = time.perf_counter(), time.process_time()
                pictures[way] = make(n)
                if n:  # the first round warms up and compiles
                    spent[way].append(time.perf_counter() - began)
                    worked[way].append(time.process_time() - before)
    first = next(iter(made))
    weights = sum(
        w.numel() * w.element_size() for part in pipeline.components.values() if hasattr(part, "parameters") for w in part.parameters()
    )
    rows = [f"{weights / GIB:.1f} GiB"]
    for way, seconds in spent.items():
        faster = statistics.median(a / b for a, b in zip(spent[first], seconds, strict=True))
        work = statistics.median(a / b for a, b in zip(worked[way], worked[first], strict=True))
        same = "equal" if pictures[way].tobytes() == pictures[first].tobytes() else "another"
        spread = f"{statistics.median(seconds):.3f} ({min(seconds):.3f} to {max(seconds):.3f})"
        rows.append(f"| {name}: {way} | {faster:.3f}x | {spread} | {work:.3f} | {same} | {rows[0]} |")
    return rows[1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=list(MODELS), help=", ".join(MODELS))
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--side", type=int, help="instead of the model's own")
    parser.add_argument("--steps", type=int, help="instead of the usual number")
    parser.add_argument("--t5", action="store_true")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--eager", action="store_true", help="without compiled blocks")
    args = parser.parse_args()
    import torch

    if args.device.startswith("cuda") and not torch.cuda.is_available():
        raise SystemExit("There is no CUDA device here. Name another one: --device cpu, best with --dtype float32 and one model.")
    if unknown := set(args.models) - set(MODELS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there is {', '.join(MODELS)}")
    print(machine())
    if args.device.startswith("cuda"):
        print(f"{torch.cuda.get_device_name(args.device)}, CUDA {torch.version.cuda}")
    print(f"{args.pairs} pairs in turn, {args.dtype}{', few and narrow layers' if args.tiny else ''}\n")
    print("| model and way | speed | seconds a picture | processor time | its picture | weights |\n| --- | --- | --- | --- | --- | --- |")
    for name in args.models:
        print("\n".join(measured(name, args)), flush=True)
        gc.collect()
        if args.device.startswith("cuda"):
            torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
