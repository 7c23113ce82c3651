"""What goes along when another model is chosen; and the settings that stand above the tabs, stored as soon as they are changed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from modules.request import Checkpoint
from modules.settings import SettingsStore
from modules.users import ADMIN, GUEST, USER
from modules.web.quick_controls import lists_of
from modules.web.quicksettings import FOLLOWING, QuickSettings, followed

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


VAE, CLIP = "vae-ft-mse.safetensors", "clip_l.safetensors"
FILES = {"vae": [VAE], "text_encoder": [CLIP]}


def row(kind: str, name: str) -> Any:
    return SimpleNamespace(path=f"/models/{name}", kind=kind, title=name, name=name)


class Row:
    """The row of an App with these quick settings, and the events of its controls as a browser would call them."""

    def __init__(self, app: Any, names: list[str] | None) -> None:
        if names is not None:
            app.settings.set({"quicksettings_list": names})
        app.library.rows = lambda kind="", *rest: [row(kind, name) for name in FILES.get(kind, [])]
        self.app = app
        with gr.Blocks() as self.blocks:
            self.quick = QuickSettings(app, lambda: [], {"checkpoints": lambda: [], **lists_of(app)})
            self.quick.build()
            form = {name: gr.Number() for name in FOLLOWING}
            self.opened = self.quick.wire([form], {})
        self.parts = {c.elem_id: c for c in self.blocks.blocks.values() if getattr(c, "elem_id", None)}

    def change(self, elem_id: str, value: Any, role: str = ADMIN) -> str:
        """What the notices show after a person of that role changed a control."""
        request = SimpleNamespace(state=SimpleNamespace(user="somebody", role=role))
        target = self.parts[elem_id]._id
        [run] = [f.fn for f in self.blocks.fns.values() if any(t[0] == target for t in f.targets) and f.fn is not None]
        return run(request, value)


@pytest.mark.parametrize("role", [GUEST, USER])
def test_settings_are_for_administrators_to_change(app: Any, role: str) -> None:
    shown = Row(app, ["samples_save"]).change("setting_samples_save", False, role)
    assert "to change settings takes the role admin" in shown
    assert app.settings.current.samples_save is True


def test_the_usual_row_has_checkpoint_vae_and_clip_skip(app: Any) -> None:
    parts = Row(app, None).parts
    named = [elem_id for elem_id in parts if elem_id.startswith("setting_")]
    assert named == ["setting_sd_model_checkpoint", "setting_sd_vae", "setting_CLIP_stop_at_last_layers"]
    vae, skip = parts["setting_sd_vae"], parts["setting_CLIP_stop_at_last_layers"]
    assert (vae.label, vae.value, [value for _, value in vae.choices]) == ("SD VAE", "Automatic", ["Automatic", "None", VAE])
    assert (type(skip), skip.value, skip.minimum, skip.maximum) == (gr.Number, 1, 1, 12)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sd_vae", VAE), ("sd_vae", "None"), ("CLIP_stop_at_last_layers", 2), ("forge_additional_modules", [CLIP, VAE]),
        ("forge_additional_modules", []), ("sd_vae_decode_method", "TAESD"), ("samples_save", False),
        ("samples_filename_pattern", "[seed]"), ("extra_networks_default_multiplier", 0.5),
    ],
)  # fmt: skip
def test_any_setting_can_stand_there_and_is_stored_at_once(app: Any, name: str, value: Any) -> None:
    shown = Row(app, [name]).change(f"setting_{name}", value)
    assert "role=" not in shown
    assert getattr(app.settings.current, name) == value
    assert getattr(SettingsStore(app.folders.config_file).current, name) == value


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("sd_vae", "<b>gone</b>.safetensors", "&lt;b&gt;gone"), ("forge_additional_modules", [CLIP, "gone"], "gone"),
        ("CLIP_stop_at_last_layers", 13, "between 1 and 12"), ("sd_vae_decode_method", "Half", "must be one of Full, TAESD"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_and_not_stored(app: Any, name: str, value: Any, words: str) -> None:
    before = getattr(app.settings.current, name)
    shown = Row(app, [name]).change(f"setting_{name}", value)
    assert 'role="alert"' in shown
    assert words in shown
    assert getattr(app.settings.current, name) == before


def test_a_number_box_that_is_empty_for_a_moment_changes_nothing(app: Any) -> None:
    app.settings.set({"CLIP_stop_at_last_layers": 3})
    assert "role=" not in Row(app, None).change("setting_CLIP_stop_at_last_layers", None)
    assert app.settings.current.CLIP_stop_at_last_layers == 3


def test_the_refresh_and_a_reload_bring_new_files_and_values_set_elsewhere(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Row(app, ["sd_vae", "CLIP_stop_at_last_layers"])
    monkeypatch.setitem(FILES, "vae", [VAE, "new.safetensors"])
    app.settings.set({"sd_vae": "new.safetensors", "CLIP_stop_at_last_layers": 4})
    vae, skip = made.opened["fn"](None, *(None for _ in FOLLOWING))[-2:]
    assert (vae["value"], vae["choices"][-1]) == ("new.safetensors", "new.safetensors")
    assert skip["value"] == 4


def test_a_name_that_is_no_setting_is_said_and_the_checkpoint_stays_part_of_the_form(app: Any) -> None:
    made = Row(app, ["sd_vae", "no_such_thing"])
    assert made.parts["setting_sd_model_checkpoint"].visible == "hidden"
    notices = made.opened["fn"](None, *(None for _ in FOLLOWING))[1 + len(FOLLOWING)]
    assert "&#x27;no_such_thing&#x27;, which is no setting" in notices
