"""Tabs of extensions: one that cannot be shown says so in its place, and the others stay."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import gradio as gr

from modules.web.script_page import ScriptPage


class Broken:
    """What an extension gave for its tab, which fails when it is placed."""

    def render(self) -> None:
        raise KeyError("<b>no such list</b>")


def test_a_tab_that_fails_says_so_and_the_next_is_there() -> None:
    app: Any = SimpleNamespace(scripts=None)
    guests = ScriptPage(app)
    with gr.Blocks() as healthy:
        gr.Textbox(label="Healthy")
    tabs: list[Any] = [(Broken(), "Broken", "broken"), (healthy, "Fine", "fine")]
    guests.tabs = tabs
    with gr.Blocks() as page, gr.Tabs():
        guests.place_tabs()
    config: Any = page.get_config_file()
    assert [c["props"]["label"] for c in config["components"] if c["type"] == "tabitem"] == ["Broken", "Fine"]
    [told] = [c["props"]["value"] for c in config["components"] if c["type"] == "html"]
    assert 'role="alert"' in told
    assert "KeyError" in told
    assert "<b>" not in told
    assert "Healthy" in [c["props"].get("label") for c in config["components"]]


def test_without_a_server_nobody_is_told_of_one() -> None:
    app: Any = SimpleNamespace(scripts=None)
    guests = ScriptPage(app)
    told: list[Any] = []
    troupe: Any = SimpleNamespace(tell=lambda *given: told.append(given))
    guests.troupe = troupe
    guests.started(None)
    assert told == []
