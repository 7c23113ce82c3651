"""What goes along when another model is chosen, and what a person has changed stays."""

from __future__ import annotations

from typing import Any

import gradio as gr
import pytest

from modules.request import Checkpoint
from modules.web.quicksettings import followed

SMALL = Checkpoint(title="s", model_name="s", path="s", family="sd15", native_px=512)
TURBO = Checkpoint(title="t", model_name="t", path="t", family="sd3", variant="3.5-large-turbo", native_px=1024)
SKIP: Any = gr.skip()


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ((512, 512, 20, 7.0), [1024, 1024, 4, 1.0]),
        ((512, 768, 20, 7.0), [SKIP, SKIP, 4, 1.0]),
        ((512, 512, 33, 7.0), [1024, 1024, SKIP, 1.0]),
        ((None, None, 33, 5), [SKIP, SKIP, SKIP, SKIP]),
    ],
)
def test_what_is_still_the_former_models_own_goes_along(values: tuple[Any, ...], wanted: list[Any]):
    assert followed(SMALL, TURBO, values) == wanted


def test_nothing_changes_without_a_change_of_model():
    values = (512, 512, 20, 7.0)
    assert followed(SMALL, SMALL, values) == [SKIP] * 4
    assert followed(None, SMALL, values) == [SKIP] * 4
