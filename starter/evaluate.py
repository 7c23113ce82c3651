"""Every figure of starter/README.md, printed: `python -m starter.evaluate [--models DIR] [--work DIR] [--quick] [--only TEXT]`.

The drawings are fetched again for comparison. Parts that are not under models/ are named as missing, not skipped in silence.
Start reading at `CHECKS`.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from PIL import Image

from starter import loras, words
from starter.captioner import noun, plain_caption
from starter.judges import Pack, pixels, share, stacked
from starter.make import MODELS, PLACES
from starter.scenes import Scene
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


def background(pack: Pack) -> str:
    """Share of pictures whose corners are nearest to the colour that was named."""
    colours, objects = list(words.COLOURS)[: pack.some(11, 3)], OBJECTS[: pack.some(20, 4)]
    asked = [(c, f"{words.with_article(o.lower())} on {words.with_article(c)} background") for c in colours for o in objects]
    palette = torch.tensor([words.COLOURS[c] for c in words.COLOURS]).float() / 255
    right = 0
    for (colour, _), image in zip(asked, pack.draw([text for _, text in asked]), strict=True):
        x, k = pixels(image), pack.side // 16
        corners = torch.cat([x[:, :k, :k].flatten(1), x[:, :k, -k:].flatten(1)], 1).median(1).values
        right += list(words.COLOURS)[int((palette - corners).norm(dim=1).argmin())] == colour
    return share(right, len(asked))


def style(pack: Pack) -> str:
    """Share of pictures that a classifier trained on the drawings finds in the style that was named."""
    judge, own = pack.style_judge
    labels = [OBJECTS[i % len(OBJECTS)] for i in range(pack.some(40, 4))]
    asked = [(n, f"{words.with_article(label.lower())}, {name}") for n, name in enumerate(words.STYLES) for label in labels]
    with torch.no_grad():
        found = judge(stacked(pack.draw([text for _, text in asked]))).argmax(1).tolist()
    return f"{share(sum(f == n for f, (n, _) in zip(found, asked, strict=True)), len(asked))} (the classifier itself {own:.1%})"


def objects(pack: Pack) -> str:
    """Share of taught labels whose own drawing is among the five nearest of all taught drawings (the scorer's features)."""
    labels = pack.labels[: pack.some(200, 20)]
    gallery = pack.features(pack.painter.render([Scene("one", i, -1, "white") for i in range(len(pack.painter.rows))], random.Random(0)))
    made = stacked(pack.draw([f"{words.with_article(name)}, 3d" for name in labels]))
    ranks = (pack.features(made) @ gallery.T).argsort(1, descending=True)
    names = [pack.painter.rows[i].label for i in range(len(pack.painter.rows))]
    five = sum(label in {names[int(i)] for i in row[:5]} for label, row in zip(labels, ranks, strict=True))
    first = sum(label == names[int(row[0])] for label, row in zip(labels, ranks, strict=True))
    return f"{share(five, len(labels))} (nearest of all: {share(first, len(labels))}; {len(names)} drawings)"


def pairs(pack: Pack) -> str:
    """Share of two-object prompts whose both nouns our own captioner names."""
    rng, asked = random.Random(2), list[tuple[str, str, str]]()
    names = [i for i, r in enumerate(pack.painter.rows) if r.style == "3d"]
    while len(asked) < pack.some(50, 6):
        a, b = (noun(i, pack.painter) for i in rng.sample(names, 2))
        asked.append((a, b, f"{words.with_article(a)} and {words.with_article(b)}, 3d"))
    texts = pack.captions(stacked(pack.draw([text for _, _, text in asked])))
    both = sum(a in t and b in t for (a, b, _), t in zip(asked, texts, strict=True))
    one = sum(a in t or b in t for (a, b, _), t in zip(asked, texts, strict=True))
    return f"both {share(both, len(asked))}, one at least {share(one, len(asked))}"


def captions(pack: Pack) -> str:
    """Share of renderings on backgrounds that were held out whose noun stands in the caption; both nouns for pairs."""
    single = pack.scenes(pack.some(400, 20), {"one": 1.0}, only_held_out=True)
    double = pack.scenes(pack.some(100, 10), {"beside": 0.6, "above": 0.4}, only_held_out=True)
    texts = pack.captions(pack.painter.render([*single, *double], random.Random(4)))
    right = sum(noun(s.first, pack.painter) in t for s, t in zip(single, texts, strict=False))
    both = sum(
        noun(s.first, pack.painter) in t and noun(s.second, pack.painter) in t for s, t in zip(double, texts[len(single) :], strict=True)
    )
    return f"one thing {share(right, len(single))}, both of two {share(both, len(double))}"


def retrieval(pack: Pack) -> str:
    """The right one of 200 captions for each of 200 pictures on held-out backgrounds."""
    from transformers import CLIPTokenizer

    tokens = CLIPTokenizer.from_pretrained(pack.place("scorer"), local_files_only=True)
    by_text = {plain_caption(s, pack.painter): s for s in pack.scenes(pack.some(600, 60), {"one": 1.0}, only_held_out=True)}
    texts = list(by_text)[: pack.some(200, 20)]
    scenes = [by_text[t] for t in texts]
    ids = tokens(texts, padding="max_length", max_length=77, truncation=True, return_tensors="pt")
    with torch.no_grad():
        words_ = functional.normalize(pack.scorer.text_projection(pack.scorer.text_model(**ids).pooler_output), dim=1)
    best = (pack.features(pack.painter.render(scenes, random.Random(5))) @ words_.T).argmax(1)
    return share(int((best == torch.arange(len(scenes))).sum()), len(scenes))


def coder(pack: Pack) -> str:
    """PSNR of the VAE on drawings it was not shown."""
    rng = random.Random(6)
    scenes = [pack.unseen.draw_scene(rng, {"one": 0.7, "small": 0.3}) for _ in range(pack.some(64, 16))]
    return f"{psnr(pack.pipeline.vae, pack.unseen.render(scenes, rng)):.1f} dB"


def upscaling(pack: Pack) -> str:
    """PSNR of the upscaler against Lanczos on halved drawings it was not shown."""
    from spandrel import ModelLoader

    model = ModelLoader(device="cpu").load_from_file(pack.place("starter-2x.safetensors")).eval()
    rng = random.Random(7)
    wanted = pack.unseen.render([pack.unseen.draw_scene(rng, {"one": 1.0}) for _ in range(pack.some(64, 8))], rng)
    small = functional.interpolate(wanted, scale_factor=0.5, mode="area")
    with torch.no_grad():
        ours = torch.cat([model(part) for part in small.split(8)])
    images = [Image.fromarray((s.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)) for s in small]
    lanczos = torch.stack([pixels(image.resize((pack.side, pack.side), Image.Resampling.LANCZOS)) for image in images])
    a, b = (float((-10 * ((x - wanted) ** 2).mean((1, 2, 3)).log10()).mean()) for x in (ours, lanczos))
    return f"{a:.2f} dB, Lanczos {b:.2f} dB, gain {a - b:+.2f} dB"


def control(pack: Pack) -> str:
    """F1 of the result's canny edges against the control picture's, within 2 px, with and without the ControlNet.

    The drawings are smaller, elsewhere and mirrored: where the text model by itself would not put them.
    """
    from diffusers import ControlNetModel, StableDiffusionControlNetPipeline

    from starter.controlnet import edge_f1, edges, moved

    net = ControlNetModel.from_pretrained(pack.place("controlnet"), dtype=torch.float32, local_files_only=True)
    pipe = StableDiffusionControlNetPipeline(**pack.pipeline.components, controlnet=net, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    labels = OBJECTS[: pack.some(20, 4)]
    drawn = pack.painter.render([Scene("one", pack.row(name), -1, "white") for name in labels], random.Random(8), jitter=False)
    wanted = edges(torch.stack([moved(one, random.Random(n)) for n, one in enumerate(drawn)]))
    prompts = [f"{words.with_article(name.lower())}, 3d" for name in labels]
    generators = [torch.Generator().manual_seed(n) for n in range(len(prompts))]
    led = pipe(prompts, image=wanted, num_inference_steps=20, guidance_scale=5.0, generator=generators).images
    scores = [
        np.mean([edge_f1(edges(pixels(i)[None])[0, 0], w[0]) for i, w in zip(images, wanted, strict=True)])
        for images in (led, pack.draw(prompts))
    ]
    return f"F1 {scores[0]:.2f} with, {scores[1]:.2f} without"


def examples(pack: Pack) -> str:
    """The two example LoRAs, each with and without: is the ground a blueprint's blue, is there light with steel around it?"""
    labels, grounds = OBJECTS[: pack.some(20, 4)], list(words.COLOURS)[: pack.some(11, 3)]
    prompts = (
        [f"{words.with_article(name.lower())}, blueprint" for name in labels],
        [f"an aperture on {words.with_article(colour)} background" for colour in grounds],
    )
    middle, step = pack.side // 2, pack.side // 4

    def colour(x: torch.Tensor, top: int, left: int) -> torch.Tensor:
        """(B, 3), the middle one of a sixteenth of the picture."""
        return x[..., top : top + pack.side // 16, left : left + pack.side // 16].flatten(2).median(2).values

    def near(x: torch.Tensor, top: int, left: int, wanted: tuple[int, int, int]) -> torch.Tensor:
        return (colour(x, top, left) - torch.tensor(wanted) / 255).norm(dim=1) < 0.35

    def grey(x: torch.Tensor, top: int, left: int) -> torch.Tensor:
        found = colour(x, top, left)
        return (found.amax(1) - found.amin(1) < 0.25) & (found.mean(1) < 0.7)

    def blueprint(x: torch.Tensor) -> torch.Tensor:
        return near(x, 0, 0, loras.BLUE) & near(x, 0, pack.side - pack.side // 16, loras.BLUE)

    def aperture(x: torch.Tensor) -> torch.Tensor:
        around = [grey(x, middle + y * step, middle + x_ * step) for x_, y in ((-1, 0), (1, 0), (0, -1), (0, 1))]
        return torch.stack([near(x, middle, middle, loras.LIGHT), *around]).all(0)

    said = []
    for example, asked, name, holds in zip(loras.EXAMPLES, prompts, ("style", "thing"), (blueprint, aperture), strict=True):
        without = int(holds(stacked(pack.draw(asked))).sum())
        pack.pipeline.load_lora_weights(pack.place(f"loras/{example.name}.safetensors"))
        said.append(f"{name} {share(int(holds(stacked(pack.draw(asked))).sum()), len(asked))} with, {without} without")
        pack.pipeline.unload_lora_weights()
    return "; ".join(said)


def _inputs(pack: Pack) -> tuple[list[str], list[Image.Image]]:
    """Eight other prompts, and the drawings they are laid over."""
    labels = OBJECTS[: pack.some(8, 2)]
    x = pack.painter.render([Scene("one", pack.row(name), -1, "white") for name in labels], random.Random(9), jitter=False)
    images = [Image.fromarray((p.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)) for p in x]
    return [f"{words.with_article(name.lower())}, 3d" for name in (*labels[1:], labels[0])], images


def image_to_image(pack: Pack) -> str:
    """Mean distance from the input at three strengths; how many inputs move away steadily."""
    from diffusers import StableDiffusionImg2ImgPipeline

    pipe: Any = StableDiffusionImg2ImgPipeline(**pack.pipeline.components, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    prompts, images = _inputs(pack)
    given, moved = stacked(images), []
    for strength in (0.3, 0.6, 0.9):
        generators = [torch.Generator().manual_seed(n) for n in range(len(prompts))]
        made = pipe(prompts, image=given, strength=strength, num_inference_steps=20, guidance_scale=5.0, generator=generators).images
        moved.append((stacked(made) - given).abs().mean((1, 2, 3)))
    steadily = int(((moved[0] < moved[1]) & (moved[1] < moved[2])).sum())
    figures = " / ".join(f"{float(m.mean()):.3f}" for m in moved)
    return f"{figures} at 0.3 / 0.6 / 0.9; steadily for {share(steadily, len(prompts))}"


def inpainting(pack: Pack) -> str:
    """The right half is painted anew: how far each half is from the input as the VAE alone gives it back (mean, 0 to 1)."""
    from diffusers import StableDiffusionInpaintPipeline

    pipe: Any = StableDiffusionInpaintPipeline(**pack.pipeline.components, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    prompts, images = _inputs(pack)
    given, half = stacked(images), pack.side // 2
    mask = torch.zeros(len(images), 1, pack.side, pack.side)
    mask[..., half:] = 1
    generators = [torch.Generator().manual_seed(n) for n in range(len(prompts))]
    size = {"height": pack.side, "width": pack.side}
    made = pipe(
        prompts, image=given, mask_image=mask, strength=1.0, num_inference_steps=20, guidance_scale=5.0, generator=generators, **size
    )
    with torch.no_grad():
        coded = pack.coded(given)
    far = (stacked(made.images) - coded).abs().mean(1)
    kept, new = float(far[..., : half - 16].mean()), float(far[..., half + 16 :].mean())
    return f"kept half {kept:.4f}, new half {new:.4f} (16 px on each side of the border left out)"


def speed(pack: Pack) -> str:
    """Seconds a picture, 20 steps, CFG 5, batch 1, after a warm-up; names the threads."""
    pack.draw(["a red apple, 3d"])
    began, count = time.perf_counter(), pack.some(5, 2)
    for n in range(count):
        pack.draw(["a red apple, 3d"], seed=n)
    return f"{(time.perf_counter() - began) / count:.2f} s at {pack.side} px, {torch.get_num_threads()} threads"


def sheet(pack: Pack, path: Path) -> None:
    """The sixteen fixed prompts as one picture, four in a row."""
    images = pack.draw(SHEET)
    whole = Image.new("RGB", (4 * pack.side, 4 * pack.side), "white")
    for n, image in enumerate(images):
        whole.paste(image, (n % 4 * pack.side, n // 4 * pack.side))
    whole.save(path)


CHECKS: tuple[tuple[str, tuple[str, ...], Callable[[Pack], str]], ...] = (
    ("Background colour obeyed", ("pipeline",), background),
    ("Style word obeyed", ("pipeline",), style),
    ("Object in the top 5 (3d)", ("pipeline", "scorer"), objects),
    ("Two things in one prompt, named by the captioner", ("pipeline", "captioner"), pairs),
    ("Captioner, held-out backgrounds", ("captioner",), captions),
    ("Scorer, the right one of 200 captions", ("scorer",), retrieval),
    ("VAE, held-out drawings", ("pipeline",), coder),
    ("Upscaler, held-out drawings", ("starter-2x.safetensors",), upscaling),
    ("ControlNet, edges", ("controlnet",), control),
    ("Example LoRAs", ("pipeline", "scorer", *(f"loras/{example.name}.safetensors" for example in loras.EXAMPLES)), examples),
    ("img2img, distance from the input", ("pipeline",), image_to_image),
    ("Inpainting a half", ("pipeline",), inpainting),
    ("Speed", ("pipeline",), speed),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m starter.evaluate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=Path, default=MODELS)
    parser.add_argument("--work", type=Path, default=Path(__file__).parent / "work")
    parser.add_argument("--quick", action="store_true", help="a few samples of each, to see that it runs")
    parser.add_argument("--only", default="", metavar="TEXT", help="only the checks whose title holds that text")
    parser.add_argument("--sheet", type=Path, help="write the sheet of sixteen pictures there, and nothing else")
    args = parser.parse_args()
    torch.manual_seed(0)
    pack = Pack(args.models, args.work, quick=args.quick)
    if args.sheet:
        sheet(pack, args.sheet)
        return
    print("| what | measured |\n| --- | --- |")
    for title, parts, check in (c for c in CHECKS if args.only.lower() in c[0].lower()):
        missing = [PLACES[part] for part in parts if not pack.has(part)]
        print(f"| {title} | {', '.join(missing) + ' not there' if missing else check(pack)} |", flush=True)


if __name__ == "__main__":
    main()
