"""Every figure of starter/README.md, printed: `python -m starter.evaluate [--models DIR] [--work DIR] [--quick]`.

The drawings are fetched again for comparison. Parts that are not under models/ are named as missing, not skipped in silence.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from starter import words
from starter.captioner import plain_caption
from starter.drawings import prepare
from starter.make import MODELS, PLACES
from starter.scenes import Painter, Scene
from starter.sizes import EVERYDAY
from starter.vae import psnr

OBJECTS = (
    "red apple", "banana", "cat face", "dog face", "red heart", "automobile", "house", "rocket", "pizza", "panda", "crown", "frog",
    "airplane", "star", "birthday cake", "umbrella with rain drops", "robot", "fish", "tulip", "guitar",
)  # fmt: skip
SHEET = (
    "a red apple, 3d", "a happy cat on a blue background", "a dog, 3d", "a red heart", "a car on a yellow background",
    "a banana, flat", "a cat and a dog", "an apple left of a banana", "a house, cartoon", "a tree on a green background",
    "a rocket on a black background", "a slice of pizza, 3d", "a smiling face with sunglasses",
    "a blue butterfly, 3d, on a pink background", "a panda", "a birthday cake on a purple background",
)  # fmt: skip


class Pack:
    """The models as a user loads them, and the drawings they were made from."""

    def __init__(self, models: Path, work: Path) -> None:
        from diffusers import StableDiffusionPipeline

        self.models = models
        self.pipeline = StableDiffusionPipeline.from_pretrained(
            self.place("pipeline"), dtype=torch.float32, safety_checker=None, local_files_only=True
        )
        self.pipeline.set_progress_bar_config(disable=True)
        self.side = self.pipeline.unet.config.sample_size * self.pipeline.vae_scale_factor
        array, rows = prepare(work, self.side)
        self.painter = Painter(torch.from_numpy(np.array(array)), rows)
        self.rng = random.Random(0)

    def place(self, part: str) -> Path:
        return self.models / PLACES[part]

    def has(self, part: str) -> bool:
        return self.place(part).exists()

    def draw(self, prompts: Sequence[str], seed: int = 0, **more: Any) -> list[Image.Image]:
        """One picture a prompt, 20 steps, CFG 5."""
        made: list[Image.Image] = []
        for n in range(0, len(prompts), 16):
            part = list(prompts[n : n + 16])
            generators = [torch.Generator().manual_seed(seed + n + i) for i in range(len(part))]
            made += self.pipeline(part, num_inference_steps=20, guidance_scale=5.0, generator=generators, **more).images
        return made

    def row(self, label: str, style: str = "3d") -> int:
        return next(i for i, r in enumerate(self.painter.rows) if r.label == label.lower() and r.style == style)


def pixels(image: Image.Image, side: int | None = None) -> torch.Tensor:
    """(3, H, W) in [0, 1]."""
    resized = image if side is None else image.resize((side, side), Image.Resampling.BOX)
    return torch.from_numpy(np.asarray(resized.convert("RGB")).copy()).permute(2, 0, 1).float() / 255


def background(pack: Pack, quick: bool) -> str:
    """Share of pictures whose corners are nearest to the colour that was named."""
    colours = list(words.COLOURS)[: 3 if quick else None]
    objects = OBJECTS[: 4 if quick else None]
    asked = [
        (c, f"a {pack.painter.rows[pack.row(o)].label} on {'an' if c[0] in 'aeiou' else 'a'} {c} background")
        for c in colours
        for o in objects
    ]
    palette = torch.tensor([words.COLOURS[c] for c in words.COLOURS]).float() / 255
    right = 0
    for (colour, _), image in zip(asked, pack.draw([text for _, text in asked]), strict=True):
        x, k = pixels(image), pack.side // 16
        corners = torch.cat([x[:, :k, :k].flatten(1), x[:, :k, -k:].flatten(1)], 1).median(1).values
        right += list(words.COLOURS)[int((palette - corners).norm(dim=1).argmin())] == colour
    return f"{right}/{len(asked)} = {right / len(asked):.1%}"


def objects(pack: Pack, quick: bool) -> str:
    """Share of everyday labels whose true drawing is among the five nearest of all drawings (colours of 16 x 16 cells)."""
    labels = [name for name in EVERYDAY if any(r.label == name.lower() for r in pack.painter.rows)][: 20 if quick else 200]
    scenes = [Scene("one", i, -1, "white") for i in range(len(pack.painter.rows))]
    rendered = [pack.painter.render(scenes[n : n + 64], pack.rng, jitter=False) for n in range(0, len(scenes), 64)]
    gallery = torch.cat([torch.nn.functional.interpolate(x, (16, 16), mode="area").flatten(1) for x in rendered])
    made = pack.draw([f"{words.with_article(name)}, 3d" for name in labels])
    features = torch.stack([pixels(image, 16).flatten() for image in made])
    ranks = torch.cdist(features, gallery).argsort(1)
    found = [any(pack.painter.rows[int(i)].label == name.lower() for i in row[:5]) for name, row in zip(labels, ranks, strict=True)]
    return f"{sum(found)}/{len(found)} = {sum(found) / len(found):.1%}"


def coder(pack: Pack, quick: bool) -> str:
    """PSNR of the VAE on scenes it has not seen in this composition."""
    scenes = [pack.painter.draw_scene(pack.rng, {"one": 0.5, "small": 0.2, "beside": 0.3}) for _ in range(16 if quick else 64)]
    return f"{psnr(pack.pipeline.vae, pack.painter.render(scenes, pack.rng)):.1f} dB"


def captions(pack: Pack, quick: bool) -> str:
    """Share of renderings whose object noun stands in the caption; share of two-object scenes with both named."""
    from transformers import BlipForConditionalGeneration, BlipProcessor

    folder = pack.place("captioner")
    model = BlipForConditionalGeneration.from_pretrained(folder, dtype=torch.float32, local_files_only=True).eval()
    processor = BlipProcessor.from_pretrained(folder, local_files_only=True)
    shares = {"one": 1.0} if quick else {"one": 0.8, "beside": 0.2}
    scenes = [pack.painter.draw_scene(random.Random(n), shares) for n in range(20 if quick else 250)]
    x = torch.nn.functional.interpolate(pack.painter.render(scenes, pack.rng), (128, 128), mode="area") * 2 - 1
    with torch.no_grad():
        texts = processor.batch_decode(model.generate(pixel_values=x, max_length=40), skip_special_tokens=True)
    one = [_nouns(s, pack)[0] in t for s, t in zip(scenes, texts, strict=True) if s.kind == "one"]
    two = [all(noun in t for noun in _nouns(s, pack)) for s, t in zip(scenes, texts, strict=True) if s.kind == "beside"]
    return f"one object {sum(one)}/{len(one)}, both of two {sum(two)}/{len(two)}"


def _nouns(scene: Scene, pack: Pack) -> list[str]:
    text = plain_caption(Scene("one", scene.first, -1, "white"), pack.painter)
    first = text.split(" ", 2)[2].rsplit(" on ", 1)[0]
    if scene.second < 0:
        return [first]
    return [first, plain_caption(Scene("one", scene.second, -1, "white"), pack.painter).split(" ", 2)[2].rsplit(" on ", 1)[0]]


def retrieval(pack: Pack, quick: bool) -> str:
    """Top-1 of the scorer among 200 pairs."""
    from transformers import CLIPModel, CLIPTokenizer

    folder = pack.place("scorer")
    model = CLIPModel.from_pretrained(folder, dtype=torch.float32, local_files_only=True).eval()
    tokens = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    rng, rows = random.Random(5), list({r.label: i for i, r in enumerate(pack.painter.rows)}.values())
    scenes = [Scene("one", i, -1, rng.choice(list(words.COLOURS))) for i in rng.sample(rows, 20 if quick else 200)]
    x = torch.nn.functional.interpolate(pack.painter.render(scenes, rng), (128, 128), mode="area") * 2 - 1
    ids = tokens(
        [plain_caption(s, pack.painter) for s in scenes], padding="max_length", max_length=77, truncation=True, return_tensors="pt"
    )
    with torch.no_grad():
        best = model(pixel_values=x, **ids).logits_per_image.argmax(1)
    right = int((best == torch.arange(len(scenes))).sum())
    return f"{right}/{len(scenes)} = {right / len(scenes):.1%}"


def upscaling(pack: Pack, quick: bool) -> str:
    """PSNR of the upscaler against Lanczos on halved pictures."""
    from spandrel import ModelLoader

    model = ModelLoader(device="cpu").load_from_file(pack.place("starter-2x.safetensors")).eval()
    scenes = [pack.painter.draw_scene(pack.rng, {"one": 0.7, "beside": 0.3}) for _ in range(8 if quick else 64)]
    wanted = pack.painter.render(scenes, pack.rng)
    small = torch.nn.functional.interpolate(wanted, scale_factor=0.5, mode="area")
    with torch.no_grad():
        ours = torch.cat([model(part) for part in small.split(8)])
    images = [Image.fromarray((s.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)) for s in small]
    lanczos = torch.stack([pixels(image.resize((wanted.shape[3], wanted.shape[2]), Image.Resampling.LANCZOS)) for image in images])
    a, b = (float((-10 * ((x - wanted) ** 2).mean((1, 2, 3)).log10()).mean()) for x in (ours, lanczos))
    return f"{a:.2f} dB, Lanczos {b:.2f} dB, gain {a - b:+.2f} dB"


def control(pack: Pack, quick: bool) -> str:
    """F1 of the result's canny edges against the control picture's, within 2 px, with and without the ControlNet."""
    from diffusers import ControlNetModel, StableDiffusionControlNetPipeline

    from starter.controlnet import edges

    net = ControlNetModel.from_pretrained(pack.place("controlnet"), dtype=torch.float32, local_files_only=True)
    pipe = StableDiffusionControlNetPipeline(**pack.pipeline.components, controlnet=net, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    labels = OBJECTS[: 4 if quick else 20]
    scenes = [Scene("one", pack.row(name), -1, "white") for name in labels]
    wanted = edges(pack.painter.render(scenes, pack.rng, jitter=False))
    prompts = [f"{words.with_article(name)}, 3d" for name in labels]
    generators = [torch.Generator().manual_seed(n) for n in range(len(prompts))]
    led = pipe(prompts, image=wanted, num_inference_steps=20, guidance_scale=5.0, generator=generators).images
    scores = [
        np.mean([_edge_f1(edges(pixels(i)[None])[0, 0], w[0]) for i, w in zip(images, wanted, strict=True)])
        for images in (led, pack.draw(prompts))
    ]
    return f"F1 {scores[0]:.2f} with, {scores[1]:.2f} without"


def _edge_f1(made: torch.Tensor, wanted: torch.Tensor, reach: int = 2) -> float:
    near = [torch.nn.functional.max_pool2d(x[None, None], 2 * reach + 1, 1, reach)[0, 0] for x in (made, wanted)]
    precision = float((made * near[1]).sum() / made.sum().clamp_min(1))
    recall = float((wanted * near[0]).sum() / wanted.sum().clamp_min(1))
    return 0.0 if precision + recall == 0 else 2 * precision * recall / (precision + recall)


def speed(pack: Pack, quick: bool) -> str:
    """Seconds a picture, 20 steps, CFG 5, batch 1, after a warm-up; names the threads."""
    pack.draw(["a red apple, 3d"])
    began = time.perf_counter()
    count = 2 if quick else 5
    for n in range(count):
        pack.draw(["a red apple, 3d"], seed=n)
    return f"{(time.perf_counter() - began) / count:.2f} s at {pack.side} px, {torch.get_num_threads()} threads"


def sheet(pack: Pack, path: Path) -> None:
    """The sixteen fixed prompts as one picture."""
    images = pack.draw(SHEET)
    whole = Image.new("RGB", (8 * pack.side, 2 * pack.side), "white")
    for n, image in enumerate(images):
        whole.paste(image, (n % 8 * pack.side, n // 8 * pack.side))
    whole.save(path)


CHECKS: tuple[tuple[str, str, Callable[[Pack, bool], str]], ...] = (
    ("Background colour obeyed", "pipeline", background), ("Object in the top 5 (3d)", "pipeline", objects), ("VAE", "pipeline", coder),
    ("Speed", "pipeline", speed), ("Captioner", "captioner", captions), ("Scorer, top 1", "scorer", retrieval),
    ("Upscaler", "starter-2x.safetensors", upscaling), ("ControlNet", "controlnet", control),
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m starter.evaluate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=Path, default=MODELS)
    parser.add_argument("--work", type=Path, default=Path(__file__).parent / "work")
    parser.add_argument("--quick", action="store_true", help="a few samples of each, to see that it runs")
    parser.add_argument("--sheet", type=Path, help="also write the sheet of sixteen pictures there")
    args = parser.parse_args()
    torch.manual_seed(0)
    pack = Pack(args.models, args.work)
    print("| what | measured |\n| --- | --- |")
    for title, part, check in CHECKS:
        print(f"| {title} | {check(pack, args.quick) if pack.has(part) else f'{PLACES[part]} is not there'} |", flush=True)
    if args.sheet:
        sheet(pack, args.sheet)


if __name__ == "__main__":
    main()
