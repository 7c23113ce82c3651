"""From what is asked to cells: seeds, counts, the order of least cost, texts that come back, A1111's positional arguments."""

from __future__ import annotations

import dataclasses
import itertools
from types import SimpleNamespace
from typing import Any

import pytest

from modules import infotext
from modules.faults import RequestFault
from modules.grids.asked import GridAsked
from modules.grids.estimate import Estimate, estimate
from modules.grids.plan import MOST_CELLS, Layout, digest_of, from_infotext, in_order, lay_out
from modules.request import Checkpoint, GenerationRequest, Network, RefinerPass, ResolvedRequest
from modules.settings import Settings

BASE = GenerationRequest(prompt="a cat", seed=100)


def grid(*axes: tuple[Any, ...], base: GenerationRequest = BASE, **options: Any) -> Layout:
    """axes: (type, values text)."""
    rows = [{"type": kind, "values": values} for kind, values in axes]
    return lay_out(base, GridAsked.from_data({"axes": rows, "options": options}), {"samplers": lambda: ["Euler", "LMS"]})


def test_cells_stand_x_first_then_y_then_z() -> None:
    found = grid(("Steps", "1-3"), ("CFG Scale", "1, 2"), ("Sampler", "Euler, LMS"))
    assert found.shape == (3, 2, 2)
    told = [(c.request.steps, c.request.cfg_scale, c.request.sampler_name) for c in found.cells]
    assert told == [(x, y, z) for z, y, x in itertools.product(("Euler", "LMS"), (1.0, 2.0), (1, 2, 3))]
    assert found.title == "X/Y/Z plot: Steps (3) × CFG Scale (2) × Sampler (2)"
    assert grid().shape == (1, 1, 1)


def test_seeds_are_drawn_once_and_kept_or_varied_as_asked() -> None:
    random = dataclasses.replace(BASE, seed=-1)
    assert len({c.request.seed for c in grid(("Steps", "1-3"), base=random).cells}) == 1
    assert {c.request.seed for c in grid(("Steps", "1-3"), base=random, no_fixed_seeds=True).cells} == {-1}
    drawn = grid(("Seed", "5, -1"))
    assert drawn.cells[0].request.seed == 5
    assert drawn.cells[1].request.seed >= 0
    assert drawn.infotext()["Fixed X Values"] == f"5, {drawn.cells[1].request.seed}"
    assert [c.request.seed for c in grid(("Seed", "5, -1"), no_fixed_seeds=True).cells] == [5, -1]
    varied = grid(("Steps", "1-3"), ("CFG Scale", "1, 2"), ("Eta", "0, 1"), vary_seeds_x=True, vary_seeds_z=True)
    assert [c.request.seed - 100 for c in varied.cells] == [0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5]


def test_what_is_wrong_is_said_before_anything_is_made() -> None:
    with pytest.raises(RequestFault, match="has no values") as caught:
        grid(("Steps", "1"), ("CFG Scale", " "))
    assert caught.value.extra["axis"] == "y"
    with pytest.raises(RequestFault, match=f"the most is {MOST_CELLS}"):
        grid(("Steps", "1-100"), ("CFG Scale", "1-20"))
    with pytest.raises(RequestFault, match=r"axes\[0\]"):
        GridAsked.from_data({"axes": ["Steps"]})


def test_a_grids_text_brings_it_back_with_the_seeds_it_had() -> None:
    first = grid(("Seed", "5, -1"), ("Prompt S/R", 'cat, "a, b"'), ("Size", "64x64"))
    text = infotext.write(resolved(), -1, extra=first.infotext())
    found = from_infotext(infotext.parse(text))
    assert found is not None
    again = lay_out(BASE, found, {})
    assert [dataclasses.asdict(c.request) for c in again.cells] == [
        {**dataclasses.asdict(c.request), "subseed": a.request.subseed} for c, a in zip(first.cells, again.cells, strict=True)
    ]
    assert from_infotext(infotext.parse(infotext.write(resolved(), 0))) is None


ARGS_110 = [4, "1-2", [], 9, "", ["Euler", "LMS"], 0, "", [], True, True, False, False, True, False, False, 6, False]


def test_a1111s_arguments_of_every_version_that_clients_send() -> None:
    new = GridAsked.from_script_args(ARGS_110)
    assert [axis.type for axis in new.axes] == [4, 9, 0]
    assert new.axes[1].chosen == ("Euler", "LMS")
    told = new.options
    assert (told.include_lone_images, told.include_sub_grids, told.vary_seeds_x, told.margin_size) == (True, False, True, 6)
    old = GridAsked.from_script_args([*ARGS_110[:9], True, False, True, False, 8])  # up to 1.6
    assert (old.options.include_sub_grids, old.options.margin_size, old.options.vary_seeds_x) == (True, 8, False)
    short = GridAsked.from_script_args([1, "1-3"])
    assert (short.axes[0].values, short.axes[2].type, short.options.draw_legend) == ("1-3", "Nothing", True)
    before_lists = GridAsked.from_script_args([4, "1", 1, "5-6", 0, "", False])
    assert (before_lists.axes[1].values, before_lists.options.draw_legend) == ("5-6", False)
    assert grid_of(new) == [(1, "Euler"), (2, "Euler"), (1, "LMS"), (2, "LMS")]


def grid_of(asked: GridAsked) -> list[tuple[int, str | None]]:
    cells = lay_out(dataclasses.replace(BASE, seed=-1), asked, {"samplers": lambda: ["Euler", "LMS"]}).cells
    return [(c.request.steps, c.request.sampler_name) for c in cells]


# ---- Cost --------------------------------------------------------------------------------------------------------------


def resolved(model: str = "a", prompt: str = "p", refiner: str = "", lora: float = 0.0, **more: Any) -> ResolvedRequest:
    """One cell."""
    second = RefinerPass(checkpoint=checkpoint(refiner), switch_at=0.8) if refiner else None
    networks = (Network(name="n", path="/n", sha256="0" * 64, te=lora, unet=lora),) if lora else ()
    values: dict[str, Any] = {
        "prompt": prompt, "negative_prompt": "", "all_prompts": (prompt,), "all_negative_prompts": ("",), "all_seeds": (1,), "styles": (),
        "steps": 2, "sampler_name": "Euler", "scheduler": "Automatic", "cfg_scale": 7.0, "width": 64, "height": 64, "batch_size": 1,
        "n_iter": 1, "checkpoint": checkpoint(model), "save_images": True, "settings": Settings().to_data(), "overrides": {},
    }  # fmt: skip
    return ResolvedRequest(**{**values, "refiner": second, "networks": networks, **more})


def checkpoint(name: str) -> Checkpoint:
    return Checkpoint(title=name, model_name=name, path=f"/models/{name}", family="sd15")


def loads(cells: list[ResolvedRequest], order: list[int], what: str) -> int:
    """How often something changes on the way."""
    seen = [getattr(cells[n], what) for n in order]
    return sum(1 for n, value in enumerate(seen) if n == 0 or value != seen[n - 1])


def test_each_model_is_loaded_once_and_equal_prompts_stand_together() -> None:
    cells = [resolved(model, prompt) for prompt in "wxyz" for model in "ab" for _ in range(2)]
    order = in_order(cells)
    assert sorted(order) == list(range(16))
    assert loads(cells, order, "checkpoint") == 2
    assert loads(cells, order, "prompt") == 8
    assert loads(cells, list(range(16)), "checkpoint") == 8
    assert cells[in_order(cells, loaded="b")[0]].checkpoint.title == "b", "the model that is in memory goes first"


def test_loras_and_refiners_change_as_seldom_as_models_allow() -> None:
    cells = [resolved(model, "p", refiner, lora) for lora in (0.5, 1.0) for refiner in "rs" for model in "ab"]
    order = in_order(cells)
    assert loads(cells, order, "checkpoint") == 2
    assert loads(cells, order, "refiner") == 3, "there and back: the refiner that is loaded goes on with the next model"
    plain = [resolved("a", prompt, lora=lora) for prompt in "pq" for lora in (0.5, 1.0)]
    assert loads(plain, in_order(plain), "networks") == 2


def test_requests_that_give_the_same_pictures_have_the_same_digest() -> None:
    assert digest_of(resolved(all_subseeds=(1,))) == digest_of(resolved(all_subseeds=(2,), warnings=("said",)))
    different = [resolved(), resolved("b"), resolved(prompt="q"), resolved(lora=1.0), resolved(all_seeds=(2,)), resolved(save_images=False),
                 resolved(subseed_strength=0.5, all_subseeds=(1,)), resolved(subseed_strength=0.5, all_subseeds=(2,))]  # fmt: skip
    assert len({digest_of(cell) for cell in different}) == len(different)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "18 pictures, about 40 s, loads 2 models once each, grid 384 × 192, 39 MB of memory"),
        ({"made": 6, "pictures": 12}, "12 pictures, 6 of 18 are there already, about 40 s, loads 2 models once each"),
        ({"seconds": None, "models": ("a",), "loads": 0}, "18 pictures, time not known yet, the model is loaded already"),
        ({"sure": False, "seconds": 3700.0, "loads": 4}, "about 1 h 1 min, roughly, loads models 4 times"),
        ({"sheets": 3, "models": ("a",), "loads": 1}, "loads 1 model once, grid 384 × 192 in 3 files"),
    ],
)
def test_what_a_grid_takes_in_words(values: dict[str, Any], words: str) -> None:
    start: dict[str, Any] = {
        "cells": 18, "made": 0, "pictures": 18, "megapixels": 0.07, "grid_px": (384, 192), "sheets": 1, "seconds": 40.2, "sure": True,
        "models": ("a", "b"), "loads": 2, "memory_bytes": 39_000_000,
    }  # fmt: skip
    assert words in Estimate(**{**start, **values}).words


def past(cell: ResolvedRequest, peak_bytes: int, sample_s: float = 4.0) -> Any:
    """A finished job of that request."""
    told = {"seconds": {"sample": sample_s, "decode": 1.0, "total": 5.5}, "peak_bytes": peak_bytes}
    return SimpleNamespace(state="done", resolved=cell.to_data(), result=told)


def test_time_and_memory_are_those_of_earlier_jobs() -> None:
    layout, cell, large = grid(("Steps", "2,4")), resolved(), resolved(width=128, height=128)
    jobs = [past(cell, 900), past(cell, 700), past(large, 5000), past(resolved("b"), 40)]
    known = estimate(layout, [cell], [0], 0, jobs, "a")
    assert (known.seconds, known.sure, known.peak_bytes) == (5.1, True, 900), "the newest counts"
    assert estimate(layout, [cell, large], [0, 1], 0, jobs, "a").peak_bytes == 5000
    unlike = [resolved(batch_size=2), resolved(width=192), resolved("c")]
    assert [estimate(layout, [cell, other], [0, 1], 0, jobs, "a").peak_bytes for other in unlike] == [0, 0, 0]
    assert estimate(layout, [cell], [0], 0, [past(cell, 0)], "a").peak_bytes == 0
