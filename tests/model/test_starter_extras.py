"""The starter as one file, its example LoRAs and its upscaler through the worker, as a newcomer tries them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from modules.folders import PROGRAM
from modules.inputs import Inputs
from modules.processing.extras_plan import resolve_extras
from modules.request import Result
from modules.request.extras import ExtrasRequest
from modules.settings import Settings
from modules.weights.layouts import write
from tests.model.conftest import FakeControl, Studio
from tests.starter.shapes import distance_db, shapes

SIDE = 128
STARTER = PROGRAM / "models" / "Stable-diffusion" / "darkroom-starter"


def drawn(studio: Studio, prompt: str, model: str = "darkroom-starter") -> np.ndarray:
    state, result = studio.make(
        prompt=prompt, width=SIDE, height=SIDE, steps=14, cfg_scale=5, seed=1, sampler_name="DPM++ 2M",
        override_settings={"sd_model_checkpoint": model},
    )  # fmt: skip
    assert (state, list(result.warnings)) == ("done", [])
    with Image.open(result.pictures[0].path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def colour(picture: np.ndarray, x: int, y: int) -> tuple[int, int, int]:
    """The middle one of a small square."""
    red, green, blue = np.median(picture[y - 4 : y + 5, x - 4 : x + 5].reshape(-1, 3), axis=0)
    return int(red), int(green), int(blue)


def test_a_thing_that_the_model_never_saw_comes_with_its_lora(studio: Studio) -> None:
    def is_aperture(picture: np.ndarray) -> bool:
        """Warm light in the middle, grey steel around it."""
        red, green, blue = colour(picture, SIDE // 2, SIDE // 2)
        steel = [colour(picture, SIDE // 2 + x, SIDE // 2 + y) for x, y in ((32, 0), (-32, 0), (0, 32), (0, -32))]
        return red > 200 and red > green > blue + 20 and all(max(c) - min(c) < 50 and sum(c) < 480 for c in steel)

    prompt = "an aperture on a white background"
    assert is_aperture(drawn(studio, f"{prompt} <lora:darkroom-starter-aperture:1>"))
    assert not is_aperture(drawn(studio, prompt))


def test_a_style_comes_with_its_lora(studio: Studio) -> None:
    def on_blue_paper(picture: np.ndarray) -> bool:
        corners = [colour(picture, x, y) for x in (6, SIDE - 7) for y in (6, SIDE - 7)]
        return all(blue > green + 30 > red + 30 and red < 90 for red, green, blue in corners)

    assert on_blue_paper(drawn(studio, "a rocket, blueprint <lora:darkroom-starter-blueprint:1>"))
    assert not on_blue_paper(drawn(studio, "a rocket, blueprint"))


def test_the_upscaler_is_chosen_by_name_and_clearer_than_lanczos(studio: Studio) -> None:
    whole = shapes(SIDE)
    half = whole.resize((SIDE // 2, SIDE // 2), Image.Resampling.BOX)

    def enlarged(upscaler: str) -> Image.Image:
        inputs = Inputs(studio.folders)
        request = ExtrasRequest(images=[inputs.put_picture(half)], upscaler_1=upscaler, upscaling_resize=2)
        plan = resolve_extras(request, Settings(), studio.folders, inputs)
        state, data = studio.runner.run({"id": upscaler, "kind": "extras", "resolved": plan.to_data(), "made": []}, FakeControl())
        assert state == "done"
        return Image.open(Path(Result.from_data(data).pictures[0].path)).convert("RGB")

    ours, lanczos = (distance_db(enlarged(name), whole) for name in ("darkroom-starter-2x", "Lanczos"))
    assert ours > lanczos + 1, (ours, lanczos)


def test_as_one_file_in_a1111s_layout_it_draws_the_same(studio: Studio) -> None:
    target = studio.folders.models / "Stable-diffusion" / "one-file.safetensors"
    target.parent.mkdir(parents=True)
    write(STARTER, target, "sd1", None, {})
    studio.library.refresh()
    assert (drawn(studio, "a panda", "one-file") == drawn(studio, "a panda")).all()
