"""Grids with real models: a cell is a single run to the last bit, each model is loaded once, and a grid that was cut off goes on."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from modules.grids.asked import GridAsked
from modules.grids.gathering import run_grid
from modules.grids.plan import Layout, in_order, lay_out
from modules.jobs import new_id
from modules.processing.resolve import resolve
from modules.prompts.styles import Styles
from modules.request import GenerationRequest, ResolvedRequest
from modules.saver import Saver
from modules.settings import Settings
from tests.model.conftest import FakeControl, Studio
from tests.model.plain import tiny_stable_diffusion
from tests.model.test_slot import STARTER

SMALL: dict[str, Any] = {"prompt": "a red apple, 3d", "width": 64, "height": 64, "seed": 5}


def laid_out(studio: Studio, *axes: tuple[str, str], **options: Any) -> tuple[Layout, list[ResolvedRequest]]:
    """A grid over the small request, with its cells resolved."""
    rows = [{"type": kind, "values": values} for kind, values in axes]
    layout = lay_out(GenerationRequest(**SMALL), GridAsked.from_data({"axes": rows, "options": options}), {})
    styles = Styles(studio.folders.styles_file)
    return layout, [resolve(cell.request, Settings(), studio.library, styles, studio.inputs) for cell in layout.cells]


def run(studio: Studio, cell: ResolvedRequest, control: FakeControl) -> dict[str, Any]:
    """A cell as the worker runs it."""
    job = {"id": new_id(), "kind": "txt2img", "resolved": json.loads(json.dumps(cell.to_data())), "attempts": 1, "made": []}
    return studio.runner.run(job, control)[1]


def test_three_by_three_by_two_equals_eighteen_single_runs_bit_for_bit(studio: Studio) -> None:
    layout, cells = laid_out(studio, ("Steps", "1-3"), ("CFG Scale", "1-7 [3]"), ("Sampler", "Euler a, DPM++ 2M"))
    order = in_order(cells)
    results = {n: run(studio, cells[n], FakeControl()) for n in order}
    gathered = {str(n): {"state": "done", "pictures": found["pictures"], "seconds": {}, "fault": None} for n, found in results.items()}
    axes = [{"label": a.axis.label, "used": True, "words": list(a.words), "values": list(a.words)} for a in layout.along]
    places = [{"place": list(cell.place), "job": str(n), "made": False} for n, cell in enumerate(layout.cells)]
    options = {**vars(layout.options), "draw_legend": False, "report": False}
    row = {"tab": "txt2img", "axes": axes, "options": options, "infotext": layout.infotext(), "cells": places, "estimate": {}}
    job = {"id": "grid", "resolved": {"grid": row, "there": {}, "first": cells[0].to_data()}, "gathered": gathered}
    state, result = run_grid(job, FakeControl(), Saver(studio.folders))
    assert state == "done"
    [drawn] = result["pictures"]
    whole = Image.open(drawn["path"])
    assert whole.size == (6 * 64, 3 * 64)
    assert whole.info["parameters"].count("Script: X/Y/Z plot, X Type: Steps, X Values: 1-3, Y Type: CFG Scale") == 1
    singles = itertools.product(("Euler a", "DPM++ 2M"), (1.0, 4.0, 7.0), (1, 2, 3))
    for (x, y, z), (sampler, cfg, steps) in zip((cell.place for cell in layout.cells), singles, strict=True):
        [single] = studio.pictures(**SMALL, steps=steps, cfg_scale=cfg, sampler_name=sampler)
        left, top = z * 192 + x * 64, y * 64
        assert whole.crop((left, top, left + 64, top + 64)).tobytes() == single.tobytes(), (x, y, z)


def test_two_checkpoints_and_four_prompts_load_each_checkpoint_once(tmp_path: Path, studio_with: Callable[[Path], Studio]) -> None:
    models = tmp_path / "models"
    for n, name in enumerate(("first", "second")):
        tiny_stable_diffusion(models / name, STARTER / "tokenizer", seed=n)
    studio = studio_with(models)
    _, cells = laid_out(studio, ("Checkpoint name", "first, second"), ("Prompt", "a, b, c, d"), ("Steps", "1"))
    control = FakeControl()
    asked_for = [cells[n].checkpoint.model_name for n in range(8)]
    assert asked_for == ["first", "second"] * 4, "as asked the model would change with every cell"
    for n in in_order(cells):
        assert len(run(studio, cells[n], control)["pictures"]) == 1
    loads = [about["message"] for kind, about in control.events if kind == "status" and about["message"].startswith("Loading")]
    assert [sum(name in told for told in loads) for name in ("first", "second")] == [1, 1]
