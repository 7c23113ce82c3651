"""The starter's own ControlNet through the worker: edges of the result lie where those of the control picture do."""

from __future__ import annotations

import statistics
from pathlib import Path

from PIL import Image
from torchvision.transforms.functional import to_tensor

from starter.controlnet import edge_f1, edges
from tests.model.conftest import Studio

PROMPTS = ("a red apple, 3d", "a red heart, 3d", "a panda, 3d", "a car, 3d")
SIDE, SMALL = 128, 80


def drawn(studio: Studio, prompt: str, **request: object) -> Image.Image:
    state, result = studio.make(prompt=prompt, width=SIDE, height=SIDE, steps=12, cfg_scale=5, seed=4, sampler_name="DPM++ 2M", **request)
    assert state == "done"
    with Image.open(next(Path(p.path) for p in result.pictures if p.kind == "sample")) as image:
        return image.convert("RGB")


def test_edges_follow_the_control_picture(studio: Studio) -> None:
    """The control pictures are smaller and in a corner, where the model by itself would not draw them. Drawings of the model
    itself are soft and have few edges; over clear ones `python -m starter.evaluate` counts more.
    """
    led, free = list[float](), list[float]()
    for prompt in PROMPTS:
        plain = drawn(studio, prompt)
        wanted = Image.new("RGB", (SIDE, SIDE), "white")
        wanted.paste(plain.resize((SMALL, SMALL), Image.Resampling.LANCZOS), (SIDE - SMALL, SIDE - SMALL))
        unit = {"module": "canny", "model": "darkroom-starter-canny", "image": studio.inputs.put_picture(wanted)}
        steered = drawn(studio, prompt, control_units=[unit])
        lines, of_steered, of_plain = (edges(to_tensor(image)[None])[0, 0] for image in (wanted, steered, plain))
        led.append(edge_f1(of_steered, lines))
        free.append(edge_f1(of_plain, lines))
    assert statistics.mean(led) >= 0.6, (led, free)
    assert statistics.mean(led) > statistics.mean(free) + 0.2, (led, free)
