"""Every name of the survey is there, and does its work in a job on the starter model or says why it cannot."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from modules.compat.cast import Cast, Class_
from modules.compat.face import AlwaysVisible, Script
from modules.compat.gradio_old import OldGradio
from modules.compat.processed import Processed, StableDiffusionProcessingTxt2Img
from modules.compat.shelf import Scripts
from modules.compat.sketch import SketchModule
from modules.compat.views import Views, Ways
from modules.folders import Folders
from modules.library import Library
from modules.request import Use
from modules.settings import SettingsStore
from tests.compat import survey
from tests.compat.conftest import Theatre, samples

REFUSED = {
    "from modules import sd_samplers_kdiffusion": "samplers are diffusers schedulers",
    "from modules.sd_samplers_common import setup_img2img_steps": "samplers are diffusers schedulers",
    "import modules.sd_hijack_unet": "no LDM network to patch",
    "from modules.sd_hijack_optimizations import split_cross_attention_forward": "no LDM network to patch",
    "from ldm.modules.attention import CrossAttention": "no LDM network to patch",
    "import sgm.modules": "no LDM network to patch",
    "import k_diffusion.sampling": "samplers are diffusers schedulers",
    "from modules_forge.shared import supported_preprocessors": "Forge's own",
    "from modules.hypernetworks import hypernetwork": "hypernetworks are not supported",
    "from modules import no_such_module": "modules.no_such_module is not offered to scripts here",
    "from modules.shared import no_such_name": "modules.shared.no_such_name is not offered to scripts here",
    "import no_such_package_of_anybody": "No module named 'no_such_package_of_anybody'",
}


def views(worker: bool) -> Views:
    nothing: Any = None
    ways = Ways(
        settings=dict,
        process_images=nothing,
        process_many=nothing,
        save=nothing,
        upscale=nothing,
        model=lambda: None,
        checkpoints=list,
        worker=worker,
    )
    return Views(Folders.at(), {}, ways, SketchModule("gradio"))


@pytest.mark.parametrize("worker", [False, True], ids=["web", "worker"])
def test_every_name_of_the_survey_is_there(worker: bool):
    there = views(worker)
    for module, names in survey.MODULES.items():
        view = there.offer(module)
        assert view is not None, module
        assert [name for name in names.split() if not hasattr(view, name)] == [], module
    assert [name for name in survey.STATE if not hasattr(there.state, name)] == []


def test_p_processed_and_the_runner_have_every_name():
    p = StableDiffusionProcessingTxt2Img()
    assert [name for name in survey.P if not hasattr(p, name)] == []
    assert [name for name in survey.PROCESSED if not hasattr(Processed(p, []), name)] == []
    assert [name for name in survey.RUNNER if not hasattr(Cast(tab="txt2img"), name)] == []


@pytest.mark.parametrize("gradio", [OldGradio(), SketchModule("gradio")], ids=["page", "sketch"])
def test_gradio_has_every_name(gradio: Any):
    assert [name for name in survey.GRADIO if not hasattr(gradio, name)] == []


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """import -> the grade of a script that begins with it."""
    folders = Folders.at(tmp_path_factory.mktemp("refused"))
    (folders.data / "scripts").mkdir()
    for n, line in enumerate(REFUSED):
        (folders.data / "scripts" / f"asks_{n:02}.py").write_text(f"{line}\n")
    library = Library(folders)
    try:
        grades = Scripts(folders, {}, SettingsStore(folders.config_file), library).grades()
    finally:
        library.close()
    own = sorted((row for row in grades if row["file"].startswith("asks_")), key=lambda row: str(row["file"]))
    return dict(zip(REFUSED, own, strict=True))


@pytest.mark.parametrize("line", REFUSED)
def test_what_cannot_work_is_refused_with_the_reason(refused: dict[str, dict[str, Any]], line: str):
    assert refused[line]["grade"] == "C"
    assert REFUSED[line] in refused[line]["reasons"][0]


def cooked(theatre: Theatre, part: str, **asked: Any) -> dict[str, Any]:
    found = theatre.make(steps=1, script_name="Kitchen", script_args=[part], **asked)
    assert not [text for text in found.warnings if "failed" in text]
    return theatre.module("kitchen.py").found[part]


def test_the_prompt_language(theatre: Theatre):
    found = cooked(theatre, "prompts", styles=[])
    assert found["attention"][:2] == [["a ", 1.0], ["red", 1.5]]
    assert ["BREAK", -1] in found["attention"]
    assert found["schedule"] == [[[2, "a cat"], [4, "a dog"]]]
    assert found["parts"][0] == [[(0, 1.2), (1, 1.0)]]
    assert found["tags"] == ["x", "0.5"]
    assert found["count"] == (3, 75)
    assert found["paste"] == "3"
    assert found["infotext"].startswith("a red circle\nSteps: 1, Sampler: Euler")
    assert found["pattern"] == "64-5"


def test_facts_about_models(theatre: Theatre):
    found = cooked(theatre, "models")
    assert (found["match"], found["tiles"], found["digest"]) == (True, True, True)
    [prediction] = [one.prediction for one in theatre.library.checkpoints() if one.model_name == "darkroom-starter"]
    assert found["family"] == (False, True, "v" if prediction == "v_prediction" else "eps")
    assert found["vae"][:2] == ["Automatic", "None"]
    assert (found["sampler"], found["scheduler"]) == ("Euler a", "Karras")
    assert "kitchen.py" in found["files"]
    assert found["tensors"] == ["weight", "refused", "refused"]
    assert {"marker", "surveyed"} <= set(found["extension"])
    assert found["git"] == "v1.10.1"
    assert (found["lowvram"], found["embeddings_dir"]) == (False, True)


def test_work_on_pictures_and_noise(theatre: Theatre):
    found = cooked(theatre, "pictures")
    assert found["base64"] == (255, 0, 0)
    assert found["mask"] == 255
    assert found["box"] == (12, 20, 36, 44)
    assert found["wide"] == (0, 20, 48, 44)
    assert found["filled"][2] > 200
    assert found["larger"] == ("Lanczos", (80, 40))
    assert found["own"] == (80, 40)
    assert found["overlay"] == (0, 255, 0)
    assert found["colours"] == "RGB"
    assert (found["latents"], found["decoded"], found["seen"]) == (True, (1, 3, 64, 64), (64, 64))
    assert (found["noise"], found["philox"], found["random"]) == (True, (2,), (2, 4, 8, 8))
    assert found["faces"] == ["GFPGAN", "CodeFormer"]


def test_the_program_itself_and_settings_that_a_script_changes(theatre: Theatre):
    found = cooked(theatre, "program")
    assert found["pantry"] == ("Pantry", "plum", 3, "Pantry")
    assert (found["shared"], found["anew"]) == (True, True)
    assert "pantry" not in sys.modules
    assert found["clock"] == ["cook"]
    assert found["meals"] == 1
    assert found["kept"] == {"lines": 1}
    assert found["sorted"] == ["a9", "a10"]
    assert found["walked"]
    assert found["opts"] == (1, 2)
    assert "Clip skip: 2" in theatre.module("kitchen.py").found["again"]
    assert "Clip skip" not in samples(theatre.make(steps=1))[0].infotext  # it ends with the job


def test_values_stay_in_their_places_when_a_script_is_dropped():
    def kind(name: str, count: int) -> type[Script]:
        def ui(self: Script, is_img2img: bool) -> list[Any]:
            return [SketchModule("gradio").Textbox(value=f"{name}{n}") for n in range(count)]

        return type(name, (Script,), {"title": lambda self: name, "show": lambda self, is_img2img: AlwaysVisible, "ui": ui})

    cast = Cast.of("txt2img", [Class_(kind=kind(name, count), path=Path(name), basedir=Path()) for name, count in (("a", 2), ("b", 1))])
    a, b = cast.scripts
    assert cast.values([]) == [0, "a0", "a1", "b0"]
    cast.drop(a)
    found = cast.values([Use(name="b", args=("new",))])
    assert found[b.args_from : b.args_to] == ["new"]


def test_txt2img_can_be_called_by_position(theatre: Theatre):
    assert cooked(theatre, "txt2img") == {"made": [(64, 64)], "facts": "{", "told": "<p>"}


def test_what_cannot_work_says_so_when_it_is_called(theatre: Theatre):
    said = cooked(theatre, "refusals")
    assert "no captioner" in said["deepbooru"]
    assert "no captioner" in said["interrogate"]
    assert "process_images(p)" in said["sample"]
    assert "inside the diffusers pipeline" in said["conditioning"]
    assert "install no packages" in said["pip"]
    assert "no LDM network" in said["network"]
    assert "net.pth is not in" in said["download"]


def test_a_kind_of_tag_that_a_script_adds_is_carried_out_in_each_batch(theatre: Theatre):
    theatre.make(steps=1)
    seen = theatre.module("seasoning.py").seen
    seen.clear()
    found = theatre.make(steps=1, prompt="a red circle<season:dusk:2>", n_iter=2)
    assert seen == [["dusk", "2"], ["dusk", "2"], "off"]
    assert [picture.infotext.partition("\n")[0] for picture in samples(found)] == ["a red circle, dusk"] * 2
    assert "Season: dusk" in samples(found)[0].infotext
    assert not [text for text in found.warnings if "season" in text]


def test_a_page_of_cards_is_a_limit_that_the_grade_names(theatre: Theatre):
    theatre.scripts.own_tags()
    [row] = [row for row in theatre.scripts.grades() if row["file"] == "seasoning.py"]
    assert row["grade"] == "B"
    assert "the cards of Seasons are not shown" in row["reasons"][0]


def test_post_processing_scripts_work_in_extras(theatre: Theatre):
    asked = {"frame": {"enable": True, "width": 3, "copy": True}, "nobody": {}}
    found, picture = theatre.extras(Image.new("RGB", (20, 10), "blue"), asked)
    assert [(one.width, one.height) for one in found.pictures] == [(26, 16), (26, 16)]
    assert "Frame: 3 of 26" in found.pictures[0].infotext
    assert picture.getpixel((0, 0)) == (255, 215, 0)
    assert picture.getpixel((13, 8)) == (0, 0, 255)
    assert [text for text in found.warnings if "nobody is not here" in text]
    assert len({Path(one.path) for one in found.pictures}) == 2
