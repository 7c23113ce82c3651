"""The shipped plugins: each is left out of a job while it is off, and does its work on the starter model when it is on."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from modules.compat.shelf import Scripts
from modules.faults import RequestFault
from modules.folders import Folders
from modules.hooks import HOOKS, Guest
from modules.request import GenerationRequest, Result
from tests.compat.conftest import Theatre, pixels, samples
from tests.house.tree import ROOT

SHIPPED = ("detailer", "prompt enhancer", "seed plan", "symmetry", "cads", "dynamic thresholding", "finish", "step film", "picture log")
ON: dict[str, Any] = {
    "seed plan": {"plan": "one for all"},
    "symmetry": {"mirror": "both", "until": 1.0},
    "cads": {"enabled": True, "scale": 0.5},
    "dynamic thresholding": {"enabled": True, "mimic_scale": 3.0},
    "finish": {"detail": 0.5, "saturation": -1.0, "grain": 0.2},
}


def args(**by_title: Any) -> dict[str, Any]:
    return {"alwayson_scripts": {title.replace("_", " "): {"args": values} for title, values in by_title.items()}}


def opened(result: Result, n: int = 0) -> np.ndarray:
    with Image.open(samples(result)[n].path) as image:
        return np.asarray(image.convert("RGB"), float)


def changed(result: Result, guest: str) -> dict[str, list[str]]:
    assert not [text for text in result.warnings if "failed" in text]
    return {row["hook"]: row["changed"] for row in result.trace if row["guest"] == guest}


@pytest.fixture(scope="module")
def plain(theatre: Theatre) -> Result:
    return theatre.make()


def natives(theatre: Theatre) -> dict[str, Guest]:
    _, found = theatre.scripts._cast("txt2img")  # pyright: ignore[reportPrivateUsage]
    return {guest.name: guest for guest in found}


def test_every_hook_has_a_shipped_plugin_that_uses_it(theatre: Theatre):
    shipped = [type(natives(theatre)[name]) for name in SHIPPED]
    unused = [hook for hook in HOOKS if all(getattr(kind, hook) is getattr(Guest, hook) for kind in shipped)]
    assert not unused
    pages = "\n".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs").glob("*.md"))
    assert not [name for name in SHIPPED if f"`{name}`" not in pages]


def test_plugins_that_are_off_are_no_part_of_a_job(tmp_path: Path, theatre: Theatre):
    folders = Folders.at(tmp_path)
    shelf = Scripts(folders, {}, theatre.scripts._settings, theatre.library)  # pyright: ignore[reportPrivateUsage]
    assert set(SHIPPED) <= set(shelf.names()["txt2img"]) & set(shelf.names()["img2img"])
    assert shelf.visit(GenerationRequest(prompt="a")) is None
    visit = shelf.visit(GenerationRequest(prompt="a", alwayson_scripts={"Seed plan": {"args": ["in steps"]}, "finish": {}}))
    assert visit is not None
    assert [(use.name, use.args) for use in visit.uses] == [("seed plan", ("in steps", 1000))]


@pytest.mark.parametrize("name", ON)
def test_a_plugin_changes_the_picture_when_it_is_on(theatre: Theatre, plain: Result, name: str):
    more = {"n_iter": 2} if name == "seed plan" else {}
    found = theatre.make(**more, alwayson_scripts={name: {"args": ON[name]}})
    assert any(changed(found, name).values())
    if name != "seed plan":
        assert pixels(samples(found)[0]) != pixels(plain.pictures[0])


def test_one_seed_for_all_gives_the_same_picture_twice(theatre: Theatre, plain: Result):
    found = theatre.make(n_iter=2, **args(seed_plan=["one for all"]))
    assert [pixels(picture) for picture in samples(found)] == [pixels(plain.pictures[0])] * 2
    apart = theatre.make(n_iter=3, steps=1, **args(seed_plan=["in steps", 10]))
    assert [picture.seed for picture in samples(apart)] == [5, 15, 25]


def test_a_mirrored_run_gives_a_mirrored_picture(theatre: Theatre, plain: Result):
    def unlike(image: np.ndarray) -> float:
        return float(np.abs(image - image[:, ::-1]).mean())

    found = theatre.make(**args(symmetry=["left and right", 1.0]))
    assert unlike(opened(found)) < 0.5 * unlike(opened(plain))  # the decoder is no mirror


def test_dynamic_thresholding_takes_back_the_contrast_of_a_high_scale(theatre: Theatre):
    def spread(more: dict[str, Any]) -> float:
        return float(opened(theatre.make(steps=4, cfg_scale=25.0, **more)).std())

    theirs = {"alwayson_scripts": {"Dynamic Thresholding (CFG Scale Fix)": {"args": [True, 2.0, 1.0, "Constant", 0, "Constant"]}}}
    assert spread(theirs) < 0.85 * spread({})
    with pytest.raises(RequestFault, match="only the mode Constant"):
        theatre.make(alwayson_scripts={"dynamic thresholding (cfg scale fix)": {"args": [True, 2.0, 1.0, "Cosine Up"]}})


def test_cads_needs_its_ends_in_order(theatre: Theatre):
    with pytest.raises(RequestFault, match="tau1 below tau2"):
        theatre.make(**args(cads=[True, 0.9, 0.6]))


def test_finish_makes_a_picture_grey_and_finer(theatre: Theatre):
    image = opened(theatre.make(**args(finish={"saturation": -1.0})))
    assert np.abs(image - image.mean(-1, keepdims=True)).max() < 1
    fine = [np.abs(np.diff(opened(theatre.make(**args(finish={"detail": detail}))), axis=1)).mean() for detail in (-1.0, 2.0)]
    assert fine[1] > 1.3 * fine[0]


def test_a_film_of_the_steps_lies_beside_the_picture(theatre: Theatre):
    found = theatre.make(steps=4, batch_size=2, **args(step_film={"enabled": True, "every": 2, "longest_px": 64}))
    for picture in samples(found):
        with Image.open(Path(picture.path).with_name(Path(picture.path).stem + "-steps.webp")) as film:
            assert getattr(film, "n_frames", 1) == 4  # steps 1, 2, 4 and the picture
            assert film.size == (64, 64)
            film.seek(3)
            last = np.asarray(film.convert("RGB"), float)
        with Image.open(picture.path) as image:
            assert np.abs(np.asarray(image.convert("RGB").resize((64, 64)), float) - last).mean() < 12
    quiet = theatre.make(**args(step_film={"enabled": True}), save_images=False)
    assert not Path(quiet.pictures[0].path).with_name(Path(quiet.pictures[0].path).stem + "-steps.webp").exists()


def test_the_log_has_a_line_for_every_picture_and_job(theatre: Theatre):
    for prompt in ("=1+1", 'a "red", circle'):
        theatre.make(steps=1, prompt=prompt, negative_prompt="blue", **args(picture_log=[True]))
    outputs = theatre.folders.data / "outputs"
    with (outputs / "pictures.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["prompt"] for row in rows] == ["'=1+1", 'a "red", circle']
    assert {(row["seed"], row["negative prompt"]) for row in rows} == {("5", "blue")}
    assert all(Path(row["file"]).is_file() and row["parameters"].startswith("Steps: 1,") for row in rows)
    with (outputs / "jobs.csv").open(encoding="utf-8", newline="") as file:
        assert [(row["pictures"], row["stopped"]) for row in csv.DictReader(file)] == [("1", "False")] * 2
