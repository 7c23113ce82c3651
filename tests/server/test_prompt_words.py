"""Tags of earlier prompts: taken apart, counted, and asked over HTTP."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, PngImagePlugin
from starlette.testclient import TestClient

from modules.app import App
from modules.server.prompt_words import counts, tags_of


def test_a_prompt_is_taken_apart():
    text = "(masterpiece:1.2), a red apple, [blurry], <lora:ink:1> BREAK soft light AND ((rim light))\nred hair"
    assert tags_of(text) == ["masterpiece", "a red apple", "blurry", "soft light", "rim light", "red hair"]


def test_the_most_frequent_comes_first():
    prompts = ["red apple, red hair", "Red hair, blue eyes", "red", "credit"]
    assert counts(prompts, "red") == [("Red hair", 1), ("red apple", 1), ("red hair", 1)]
    assert counts(["soft light", "soft light, x", "soft focus"], "soft") == [("soft light", 2), ("soft focus", 1)]


def test_over_http(app: App, client: TestClient, folders: object):
    folder = Path(app.folders.outputs) / "txt2img-images"
    folder.mkdir(parents=True)
    for n, prompt in enumerate(("a lamp, volumetric light", "volumetric light", "a volume of poems")):
        chunk = PngImagePlugin.PngInfo()
        chunk.add_text("parameters", f"{prompt}\nSteps: 3, Sampler: Euler, Seed: {n}, Size: 8x8")
        Image.new("RGB", (8, 8)).save(folder / f"{n}.png", pnginfo=chunk)
    app.pictures.refresh(thorough=True)
    answer = client.get("/internal/prompt-words", params={"begin": "volu"})
    assert answer.json() == {"words": [{"text": "volumetric light", "count": 2}]}
    assert client.get("/internal/prompt-words", params={"begin": "v"}).status_code == 422
