"""The store of forms: the newest change wins, presets have names, limits hold, and no file is ever half written or lost."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modules.faults import RequestFault
from modules.forms import FOR_GUESTS, Forms, Limits


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def forms(tmp_path: Path, clock: Clock) -> Forms:
    return Forms(tmp_path / "forms", clock, guest_files=3)


def test_a_form_comes_back_with_its_age_after_a_restart(forms: Forms, clock: Clock, tmp_path: Path):
    assert forms.keep("anna", "txt2img", {"prompt": "ein Apfel 🍎", "steps": 30})
    clock.now += 60
    again = Forms(tmp_path / "forms", clock).of("anna")
    assert again == {"forms": {"txt2img": {"values": {"prompt": "ein Apfel 🍎", "steps": 30}, "age_s": 60.0}}, "presets": {}, "marks": {}}
    assert forms.of("bert") == {"forms": {}, "presets": {}, "marks": {}}


def test_the_newest_change_wins_however_late_it_arrives(forms: Forms, clock: Clock):
    forms.keep("anna", "txt2img", {"prompt": "of the phone"}, age_s=5)
    assert not forms.keep("anna", "txt2img", {"prompt": "of a laptop that was away"}, age_s=600)
    assert forms.of("anna")["forms"]["txt2img"]["values"] == {"prompt": "of the phone"}
    clock.now += 1
    assert forms.keep("anna", "txt2img", {"prompt": "later"}, age_s=0.5)
    assert forms.of("anna")["forms"]["txt2img"]["values"] == {"prompt": "later"}


def test_presets(forms: Forms):
    forms.save_preset("anna", "txt2img", " Quick ", {"steps": 8, "cfg_scale": 1.5})
    forms.save_preset("anna", "txt2img", "portrait", {"width": 512})
    assert forms.of("anna")["presets"] == {"txt2img": ["portrait", "Quick"]}
    assert forms.preset("anna", "txt2img", "Quick") == {"steps": 8, "cfg_scale": 1.5}
    with pytest.raises(RequestFault, match="taken"):
        forms.save_preset("anna", "txt2img", "Quick", {"steps": 4})
    forms.save_preset("anna", "txt2img", "Quick", {"steps": 4}, replace=True)
    forms.rename_preset("anna", "txt2img", "Quick", "Quicker")
    with pytest.raises(RequestFault, match="taken"):
        forms.rename_preset("anna", "txt2img", "Quicker", "portrait")
    forms.delete_preset("anna", "txt2img", "portrait")
    assert forms.preset("anna", "txt2img", "Quicker") == {"steps": 4}
    for gone in (lambda: forms.preset("anna", "txt2img", "portrait"), lambda: forms.delete_preset("bert", "txt2img", "Quicker")):
        with pytest.raises(RequestFault, match="no preset"):
            gone()


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (lambda f: f.keep("a", "../x", {}), "tab"),
        (lambda f: f.keep("a", "txt2img", ["no object"]), "values"),
        (lambda f: f.keep("a", "txt2img", {"prompt": "x" * Limits().form_bytes}), "values"),
        (lambda f: f.keep("a", "txt2img", {"prompt": "x" * FOR_GUESTS.form_bytes}, guest=True), "values"),
        (lambda f: f.keep("a", "txt2img", {}, age_s=-1), "age_s"),
        (lambda f: f.keep("a", "txt2img", {}, age_s=float("nan")), "age_s"),
        (lambda f: f.save_preset("a", "txt2img", "two\nlines", {"steps": 1}), "name"),
        (lambda f: f.save_preset("a", "txt2img", "empty", {}), "values"),
        (lambda f: f.mark("a", "tour", ["long"]), "value"),
    ],
)
def test_what_is_refused_names_its_field(forms: Forms, tmp_path: Path, wrong: Callable[[Forms], Any], field: str):
    with pytest.raises(RequestFault) as fault:
        wrong(forms)
    assert fault.value.field == field
    assert not (tmp_path / "forms").exists()


def test_guests_are_bounded_in_size_and_number(forms: Forms, tmp_path: Path):
    forms.keep("anna", "txt2img", {"prompt": "of a user"})
    for n in range(6):
        forms.keep(f"guest {n}", "txt2img", {"prompt": str(n)}, guest=True)
    assert len(list((tmp_path / "forms").glob("*.json"))) == 4
    assert forms.of("anna")["forms"]
    assert forms.of("guest 5")["forms"]
    for n in range(FOR_GUESTS.presets):
        forms.save_preset("guest 5", "txt2img", f"preset {n}", {"steps": n}, guest=True)
    with pytest.raises(RequestFault, match="one too many"):
        forms.save_preset("guest 5", "txt2img", "one more", {"steps": 1}, guest=True)


def test_a_file_that_cannot_be_read_is_kept_aside(forms: Forms, tmp_path: Path):
    forms.keep("anna", "txt2img", {"prompt": "x"})
    [path] = (tmp_path / "forms").glob("*.json")
    path.write_text('{"forms": {"txt2img"')
    assert forms.of("anna")["forms"] == {}
    assert path.with_suffix(".broken").read_text() == '{"forms": {"txt2img"'
    forms.keep("anna", "txt2img", {"prompt": "y"})
    assert json.loads(path.read_text())["owner"] == "anna"


def test_many_at_once_lose_nothing(forms: Forms):
    def save(n: int) -> None:
        forms.save_preset("anna", "txt2img", f"preset {n}", {"steps": n})

    threads = [threading.Thread(target=save, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(forms.of("anna")["presets"]["txt2img"]) == 16
