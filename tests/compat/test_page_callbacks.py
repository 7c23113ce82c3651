"""What scripts hear of the page where there is none, and that another set of files is loaded when there are others."""

from __future__ import annotations

from pathlib import Path

import pytest

from modules.compat.shelf import Scripts
from modules.folders import Folders
from modules.library import Library
from modules.settings import SettingsStore

SCRIPT = """
import gradio as gr
from modules import script_callbacks, scripts

class Wheel(scripts.Script):
    def __init__(self):
        self.on_after_component(lambda told: setattr(self, "steps", told.component), elem_id="txt2img_steps")

    def title(self): return "Wheel"
    def show(self, is_img2img): return scripts.AlwaysVisible if not is_img2img else False

    def after_component(self, component, **kwargs):
        if kwargs.get("elem_id") == "txt2img_prompt":
            self.prompt = component

    def ui(self, is_img2img):
        self.prompt.change(fn=None, inputs=[self.prompt, self.steps], outputs=[])
        return [gr.Slider(minimum=1, maximum=9, value=4, label="Spokes")]

def failing(component, **kwargs):
    raise ValueError("no")

script_callbacks.on_before_component(failing)
script_callbacks.on_cfg_after_cfg(lambda params: None)
"""


@pytest.fixture
def scripts(tmp_path: Path) -> Scripts:
    folders = Folders.at(tmp_path)
    place = folders.data / "extensions" / "wheel" / "scripts" / "wheel.py"
    place.parent.mkdir(parents=True)
    place.write_text(SCRIPT)
    return Scripts(folders, {}, SettingsStore(folders.config_file), Library(folders))


def reasons(scripts: Scripts) -> tuple[str, list[str]]:
    found = next(row for row in scripts.grades() if row["file"] == "wheel.py")
    return found["grade"], found["reasons"]


def test_a_script_finds_the_controls_it_builds_upon(scripts: Scripts):
    found = next(row for row in scripts.infos() if row["name"] == "wheel")
    assert [arg["label"] for arg in found["args"]] == ["Spokes"]
    grade, said = reasons(scripts)
    assert grade == "B"
    assert said == ["on_cfg_after_cfg is taken and not called", "before_component failed: ValueError: no"]


def test_what_is_installed_later_is_found(scripts: Scripts, tmp_path: Path):
    assert "hub" not in scripts.names()["txt2img"]
    place = tmp_path / "extensions" / "hub" / "scripts" / "hub.py"
    place.parent.mkdir(parents=True)
    place.write_text(
        "from modules import scripts\nclass Hub(scripts.Script):\n def title(self): return 'Hub'\n def ui(self, i): return []\n"
    )
    assert "hub" in scripts.names()["txt2img"]
    assert scripts.homes()["hub"] == str(place)
