"""One command a part: `python -m starter.make PART [--size gpu|cpu] [--work DIR]`. Every part can be stopped and goes on where it was.

Parts, in order: tokenizer, vae, text2image, captioner, scorer, upscaler, controlnet, loras; `all` makes them one after another;
`install` copies what was made to its places under models/.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from starter import captioner, controlnet, loras, scorer, text2image, tokenizer, upscaler, vae
from starter.drawings import Drawing, prepare
from starter.scenes import Painter
from starter.sizes import EVERYDAY, SIZES, Size
from starter.training import device

MODELS = Path(__file__).resolve().parent.parent / "models"
PLACES = {
    "pipeline": "Stable-diffusion/darkroom-starter",
    "captioner": "BLIP/darkroom-starter-captioner",
    "scorer": "CLIP/darkroom-starter-scorer",
    "controlnet": "ControlNet/darkroom-starter-canny",
    "starter-2x.safetensors": "ESRGAN/darkroom-starter-2x.safetensors",
    **{
        f"loras/{example.name}{suffix}": f"Lora/{example.name}{suffix}"
        for example in loras.EXAMPLES
        for suffix in (".safetensors", ".json", ".preview.png")
    },
}


def painter_for(work: Path, size: Size, part: str = "text2image") -> Painter:
    """The drawings that are taught at that size, on the device that trains. Parts that learn only pixels see all labels but some."""
    array, rows = prepare(work, size.side_px)
    kept = [i for i in range(len(rows)) if not kept_back(i)] if part in ONLY_PIXELS else chosen(rows, size.labels)
    picked = np.stack([array[i] for i in kept])
    return Painter(torch.from_numpy(picked).to(device()), [rows[i] for i in kept], [size.styles[rows[i].style] for i in kept])


def kept_back(row: int) -> bool:
    """Is that drawing kept from the parts that learn only pixels, to measure them with?"""
    return row % 20 == 7


def chosen(rows: list[Drawing], labels: int) -> list[int]:
    """Rows of the first `labels` everyday names; all of them for 0."""
    if labels == 0:
        return list(range(len(rows)))
    wanted = {name.lower() for name in EVERYDAY[:labels]}
    return [i for i, row in enumerate(rows) if row.label in wanted]


def make_tokenizer(work: Path, size: Size, painter: Painter) -> Path:
    """The tokenizer is made over all drawings, so that it does not change with the vocabulary that is taught."""
    array, rows = prepare(work, size.side_px)
    tokenizer.make(work / "tokenizer", Painter(torch.from_numpy(array[:1].copy()), rows))
    return work / "tokenizer"


PARTS: dict[str, Callable[[Path, Size, Painter], Path]] = {
    "tokenizer": make_tokenizer,
    "vae": vae.make,
    "text2image": text2image.make,
    "captioner": captioner.make,
    "scorer": scorer.make,
    "upscaler": upscaler.make,
    "controlnet": controlnet.make,
    "loras": loras.make,
}


ONLY_PIXELS = ("vae", "upscaler", "controlnet")


def begin_with(work: Path, pipeline: Path) -> None:
    """Let vae and text2image start from another pack's weights instead of random ones; its tokenizer is kept too."""
    for part in ("vae", "text_encoder", "unet"):
        shutil.copytree(pipeline / part, work / "begin" / part, dirs_exist_ok=True)
    shutil.copytree(pipeline / "tokenizer", work / "tokenizer", dirs_exist_ok=True)


def install(work: Path) -> None:
    """Copy every part that was made to its place under models/."""
    for made, place in PLACES.items():
        source, target = work / made, MODELS / place
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
            _forget_folders(target)
        elif source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        else:
            continue
        print(f"{made} -> {target.relative_to(MODELS.parent)}")


def _forget_folders(model: Path) -> None:
    """A model does not say where it lay when it was made."""
    for file in model.glob("**/*config.json"):
        told = json.loads(file.read_text(encoding="utf-8"))
        if told.pop("_name_or_path", None) is not None:
            file.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m starter.make", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=[*PARTS, "all", "install"])
    parser.add_argument("--size", choices=list(SIZES), default="gpu" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--work", type=Path, default=Path(__file__).parent / "work")
    parser.add_argument("--begin-with", type=Path, metavar="PIPELINE", help="go on from the weights of an earlier pack of the same sizes")
    args = parser.parse_args()
    if args.part == "install":
        install(args.work)
        return
    size = SIZES[args.size]
    if args.begin_with:
        begin_with(args.work, args.begin_with)
    for part in PARTS if args.part == "all" else [args.part]:
        if part == "tokenizer" and (args.work / "begin").exists():
            continue
        painter = painter_for(args.work, size, part)
        print(f"--- {part}: {len({r.code for r in painter.rows})} labels, {len(painter.rows)} drawings", flush=True)
        print(f"made {PARTS[part](args.work, size, painter)}", flush=True)


if __name__ == "__main__":
    main()
