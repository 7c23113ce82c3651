"""Axes that extensions bring to X/Y/Z grids, as A1111's extensions do: found, checked, worded and applied in the cell's own job."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from modules.compat.house import ScriptHouse
from modules.compat.shelf import Scripts
from modules.faults import RequestFault
from modules.folders import Folders
from modules.grids.asked import GridAsked
from modules.grids.plan import Layout, lay_out
from modules.inputs import Inputs
from modules.library import Library
from modules.processing.resolve import resolve
from modules.processing.runner import PictureRunner
from modules.prompts.styles import Styles
from modules.request import GenerationRequest, Result
from modules.request.guests import AXES
from modules.settings import Settings, SettingsStore
from tests.model.conftest import FakeControl

# In the manner of extensions for A1111: looks for the module, puts its options behind the others, when the page is about to be built.
EXTENSION = """
from modules import script_callbacks, scripts


def confirm(p, xs):
    for x in xs:
        if x not in ("red", "green"):
            raise RuntimeError(f"unknown paint {x}")


def paint(p, x, xs):
    p.paint = x


def extend():
    for data in scripts.scripts_data:
        if data.script_class.__module__ == "xyz_grid.py" and hasattr(data, "module"):
            xyz = data.module
            if any(option.label == "[Paint] Colour" for option in xyz.axis_options):
                return
            xyz.axis_options.extend([
                xyz.AxisOption("[Paint] Colour", str, paint, xyz.format_value, confirm=confirm, choices=lambda: ["red", "green"]),
                xyz.AxisOptionTxt2Img("[Paint] Steps", int, xyz.apply_field("steps")),
                xyz.AxisOption("[Paint] Pad", bool, xyz.apply_override("pad_cond_uncond", boolean=True)),
                xyz.AxisOptionImg2Img("[Paint] Fails", float, lambda p, x, xs: 1 / 0),
            ])


script_callbacks.on_before_ui(extend)


class Painter(scripts.Script):
    def title(self):
        return "Painter"

    def show(self, is_img2img):
        return scripts.AlwaysVisible

    def postprocess_image(self, p, pp, *args):
        if getattr(p, "paint", None):
            pp.image.paste({"red": (255, 0, 0), "green": (0, 255, 0)}[p.paint], (0, 0, 8, 8))
            p.extra_generation_params["Paint"] = p.paint
"""
BASE: dict[str, Any] = {"prompt": "a red circle", "steps": 2, "width": 64, "height": 64, "seed": 5, "sampler_name": "Euler"}


@dataclasses.dataclass
class Place:
    folders: Folders
    scripts: Scripts
    library: Library
    runner: PictureRunner

    def lay_out(self, *axes: tuple[Any, str]) -> Layout:
        rows = [{"type": kind, "values": values} for kind, values in axes]
        return lay_out(GenerationRequest(**BASE), GridAsked.from_data({"axes": rows}), {}, self.scripts.axes("txt2img"))

    def make(self, request: GenerationRequest) -> Result:
        found = resolve(request, Settings(), self.library, Styles(self.folders.styles_file), Inputs(self.folders))
        found = dataclasses.replace(found, visit=self.scripts.visit(request))
        job = {"id": "cell", "kind": "txt2img", "resolved": json.loads(json.dumps(found.to_data())), "attempts": 1, "made": []}
        return Result.from_data(self.runner.run(job, FakeControl())[1])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    data = tmp_path_factory.mktemp("axes")
    file = data / "extensions" / "painter" / "scripts" / "painter.py"
    file.parent.mkdir(parents=True)
    file.write_text(EXTENSION)
    folders = Folders.at(data)
    library = Library(folders)
    scripts = Scripts(folders, {}, SettingsStore(folders.config_file), library)
    return Place(folders, scripts, library, PictureRunner(folders, {}, 0, ScriptHouse(folders, {})))


def test_they_are_found_for_their_tab_behind_a1111s_own(place: Place) -> None:
    found = {axis.label: axis for axis in place.scripts.axes("txt2img")}
    assert list(found) == ["[Paint] Colour", "[Paint] Steps", "[Paint] Pad"]
    assert [axis.label for axis in place.scripts.axes("img2img")] == ["[Paint] Colour", "[Paint] Pad", "[Paint] Fails"]
    assert (found["[Paint] Steps"].kind, found["[Paint] Colour"].choices) == ("int", ("red", "green"))
    assert place.lay_out((42, "red")).along[0].axis.label == "[Paint] Colour", "the place behind Size, as clients count"


def test_values_are_checked_and_worded_as_the_script_does(place: Place) -> None:
    layout = place.lay_out(("[Paint] Colour", "red, green"), ("[Paint] Steps", "1-3 (+2)"))
    assert [one.words for one in layout.along[:2]] == [("red", "green"), ("[Paint] Steps: 1", "[Paint] Steps: 3")]
    with pytest.raises(RequestFault, match="blue"):
        place.lay_out(("[Paint] Colour", "blue"))
    with pytest.raises(RequestFault, match="no whole number"):
        place.lay_out(("[Paint] Steps", "many"))


def test_each_cell_is_made_with_the_scripts_own_change(place: Place) -> None:
    layout = place.lay_out(("[Paint] Colour", "red, green"), ("[Paint] Steps", "1, 3"))
    colours: list[tuple[int, ...]] = []
    for cell in layout.cells:
        [picture] = [one for one in place.make(cell.request).pictures if one.kind == "sample"]
        assert f"Steps: {(1, 3)[cell.place[1]]}," in picture.infotext
        assert f"Paint: {('red', 'green')[cell.place[0]]}" in picture.infotext
        colours.append(Image.open(picture.path).convert("RGB").getpixel((3, 3)))  # pyright: ignore[reportArgumentType]
    assert colours == [(255, 0, 0), (0, 255, 0)] * 2


def test_a_cell_whose_script_is_gone_or_fails_says_so(place: Place) -> None:
    def cell(label: str, value: Any) -> GenerationRequest:
        return GenerationRequest(**BASE, alwayson_scripts={AXES: {"args": [[label, value, [value]]]}})

    with pytest.raises(RequestFault, match="not here any more"):
        place.make(cell("[Gone] Axis", 1))
    with pytest.raises(RequestFault, match="ZeroDivisionError"):
        place.make(cell("[Paint] Fails", 1))


def test_a_file_of_the_program_keeps_its_own_axes_apart(place: Place, tmp_path: Path) -> None:
    alone = Folders.at(tmp_path)
    assert Scripts(alone, {}, SettingsStore(alone.config_file), place.library).axes("txt2img") == []
    assert Scripts(alone, {"safe_mode": True}, SettingsStore(alone.config_file), place.library).axes("txt2img") == []
