"""Scripts over the API and on the page: what is listed, what is refused, and what a job row holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from modules.app import App, build
from modules.compat.gradio_old import OldGradio
from modules.faults import UnknownScript
from modules.flags import Flags
from modules.request import GenerationRequest, ResolvedRequest
from modules.server.scripts import listed
from modules.web.controls import Controls
from modules.web.script_panel import ScriptPanel
from modules.web.ui_config import UiConfig


@pytest.fixture
def app(tmp_path: Path):
    made = build(Flags(data_dir=str(tmp_path)))
    yield made
    made.stop()


def test_a_job_row_holds_the_script_with_all_its_values(app: App):
    job = app.submit(GenerationRequest(prompt="a|b", script_name="prompt matrix", script_args=[True], width=64, height=64, seed=1))
    visit = ResolvedRequest.from_data(job.resolved).visit
    assert visit is not None
    [use] = visit.uses
    assert (use.name, use.file, use.selected) == ("prompt matrix", "prompt_matrix.py", True)
    assert use.args == (True, False, "positive", "comma", 0)
    plain = app.submit(GenerationRequest(prompt="a", width=64, height=64))
    assert ResolvedRequest.from_data(plain.resolved).visit is None


def test_what_is_listed_can_be_asked_for(app: App):
    names = {(item.name, item.is_img2img) for item in listed(app)}
    assert {("prompt matrix", False), ("prompt matrix", True), ("sd upscale", True), ("loopback", True)} <= names
    assert ("loopback", False) not in names
    with pytest.raises(UnknownScript):
        app.submit(GenerationRequest(prompt="a", script_name="loopback"))


def test_safe_mode_has_no_scripts_at_all(tmp_path: Path):
    app = build(Flags(data_dir=str(tmp_path), safe_mode=True))
    assert app.scripts is not None
    assert app.scripts.infos() == []
    app.stop()


def test_the_page_hands_over_what_its_controls_hold(app: App):
    import gradio as gr

    assert app.scripts is not None
    troupe = app.scripts.load(OldGradio())
    panel = ScriptPanel(app, troupe, "img2img", Controls("img2img", UiConfig(), {}))
    with gr.Blocks():
        panel.build()
    values = [getattr(control, "value", None) for control in panel.inputs]
    assert "script_name" not in panel.data(values)
    labels = [getattr(control, "label", "") for control in panel.inputs]
    values[0], values[labels.index("Upscaler")] = "SD upscale", "Lanczos"
    data = panel.data(values)
    assert data["script_name"] == "SD upscale"
    assert data["script_args"][1:] == [64, 1, 2.0]
