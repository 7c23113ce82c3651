"""Settings: checked, overlaid, saved so that nothing is lost, and read from whatever lies there."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from modules.faults import DiskFault, RequestFault, UnknownName
from modules.knobs import coerce, knobs_of
from modules.settings import GENERATIONS, Settings, SettingsStore, check


@pytest.fixture
def path(data_dir: Path) -> Path:
    return data_dir / "config.json"


def test_every_setting_has_a_knob_a_section_and_a_default_that_passes_its_own_check() -> None:
    knobs = knobs_of(Settings)
    assert set(knobs) == set(Settings().to_data())
    for name, field in knobs.items():
        assert field.knob.section, name
        assert coerce(field, field.default) == field.default, name


def test_an_overlay_changes_a_copy() -> None:
    base = Settings()
    assert base.overlay({"jpeg_quality": "95", "samples_format": "webp"}).jpeg_quality == 95
    assert base.samples_format == "png"


@pytest.mark.parametrize(
    ("values", "fault", "word"),
    [
        ({"jpeg_qualty": 5}, UnknownName, "jpeg_quality"),
        ({"jpeg_quality": 0}, RequestFault, "between 1 and 100"),
        ({"samples_format": "bmp"}, RequestFault, "png"),
        ({"samples_save": "perhaps"}, RequestFault, "true or false"),
    ],
)
def test_bad_values_name_the_setting(values: dict, fault: type[RequestFault], word: str) -> None:
    with pytest.raises(fault, match=word):
        check(values, Settings())


def test_saved_settings_are_there_again(path: Path) -> None:
    SettingsStore(path).set({"jpeg_quality": 95})
    assert SettingsStore(path).current.jpeg_quality == 95
    assert not path.with_name("config.json.1").exists()


def test_a_bad_value_changes_nothing(path: Path) -> None:
    store = SettingsStore(path)
    with pytest.raises(RequestFault):
        store.set({"jpeg_quality": 95, "n_rows": 1000})
    assert store.current == Settings()
    assert not path.exists()


def test_the_same_values_write_nothing(path: Path) -> None:
    store = SettingsStore(path)
    store.set(store.current.to_data())
    assert not path.exists()


def test_unknown_keys_of_another_program_are_kept(path: Path) -> None:
    path.write_text(json.dumps({"forge_preset": "sd", "jpeg_quality": 70}), encoding="utf-8")
    store = SettingsStore(path)
    assert store.current.jpeg_quality == 70
    store.set({"jpeg_quality": 71})
    assert json.loads(path.read_text(encoding="utf-8")) == {"forge_preset": "sd", "jpeg_quality": 71}


def test_a_value_out_of_range_takes_the_default_and_says_so(path: Path) -> None:
    path.write_text(json.dumps({"jpeg_quality": 1000, "n_rows": 3}), encoding="utf-8")
    store = SettingsStore(path)
    assert (store.current.jpeg_quality, store.current.n_rows) == (80, 3)
    assert any("jpeg_quality" in notice for notice in store.notices)


@pytest.mark.parametrize("broken", [b"", b"{", b"[1, 2]", b"\xff\xfe\x00", b"null"])
def test_a_broken_file_is_kept_aside_and_the_last_good_one_taken(path: Path, broken: bytes) -> None:
    store = SettingsStore(path)
    store.set({"jpeg_quality": 95})
    store.set({"jpeg_quality": 96})
    path.write_bytes(broken)
    again = SettingsStore(path)
    assert again.current.jpeg_quality == 95
    assert len(again.notices) == 2
    [kept] = path.parent.glob("config.json.bad-*")
    assert kept.read_bytes() == broken


def test_a_broken_file_alone_gives_the_defaults(path: Path) -> None:
    path.write_bytes(b"{")
    store = SettingsStore(path)
    assert store.current == Settings()
    assert store.notices


def test_five_generations_are_kept(path: Path) -> None:
    store = SettingsStore(path)
    for quality in range(10, 20):
        store.set({"jpeg_quality": quality})
    kept = [json.loads(path.with_name(f"config.json.{n}").read_text())["jpeg_quality"] for n in range(1, GENERATIONS + 1)]
    assert kept == [18, 17, 16, 15, 14]
    assert not path.with_name(f"config.json.{GENERATIONS + 1}").exists()


def test_threads_lose_no_change(path: Path) -> None:
    store = SettingsStore(path)
    names = ["jpeg_quality", "n_rows", "directories_max_prompt_words", "live_preview_refresh_period"]

    def change(name: str) -> None:
        for value in range(10, 30):
            store.set({name: value if name != "live_preview_refresh_period" else value * 100})

    threads = [threading.Thread(target=change, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    saved = json.loads(path.read_text())
    assert [saved[name] for name in names] == [29, 29, 29, 2900]


def test_a_full_disk_leaves_the_settings_as_they_were(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SettingsStore(path)
    store.set({"jpeg_quality": 95})
    before = path.read_bytes()

    def full(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fdopen", full)
    with pytest.raises(DiskFault):
        store.set({"jpeg_quality": 96})
    assert store.current.jpeg_quality == 95
    assert path.read_bytes() == before
    assert not list(path.parent.glob(".*.tmp"))
