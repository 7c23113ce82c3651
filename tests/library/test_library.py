"""The list of checkpoints: found, named, hashed, refused with reasons."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modules.faults import ModelFault, UnknownName
from modules.folders import Folders
from modules.library import Library


def test_the_checkpoint_is_found_by_every_name_a1111_accepts(folders: Folders, starter_path: Path) -> None:
    library = Library(folders)
    row = library.with_hash(library.checkpoints()[0])
    assert row.sha256 is not None
    for text in (row.title, row.model_name, "darkroom-starter", row.sha256, row.sha256[:10], f"old name [{row.sha256[:10]}]", "starter"):
        assert library.find_checkpoint(text).path == str(starter_path), text
    with pytest.raises(UnknownName, match="darkroom-starter"):
        library.find_checkpoint("darkroom-startre")


def test_a_users_own_model_comes_before_the_starter(tmp_path: Path, starter_path: Path) -> None:
    shutil.copytree(starter_path, tmp_path / "models" / "Stable-diffusion" / "mine")
    library = Library(Folders.at(tmp_path))
    assert library.default_checkpoint("").model_name == "mine"
    assert library.default_checkpoint("darkroom-starter").model_name == "darkroom-starter"


def test_the_digest_of_a_model_follows_its_files(tmp_path: Path, starter_path: Path) -> None:
    model = tmp_path / "models" / "Stable-diffusion" / "mine"
    shutil.copytree(starter_path, model)
    first = Library(Folders.at(tmp_path))
    before = first.with_hash(first.find_checkpoint("mine")).sha256
    config = model / "scheduler" / "scheduler_config.json"
    config.write_text(config.read_text().replace("v_prediction", "epsilon"))
    second = Library(Folders.at(tmp_path))
    assert second.with_hash(second.find_checkpoint("mine")).sha256 != before


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda m: (m / "unet" / "config.json").write_text("{"), "cannot be read"),
        (lambda m: (m / "unet" / "diffusion_pytorch_model.safetensors").unlink(), "no .safetensors weights"),
        (lambda m: (m / "model_index.json").write_text('{"_class_name": "FluxPipeline"}'), "FluxPipeline"),
        (lambda m: (m / "model_index.json").write_text('{"_class_name": "X", "unet": ["my_code", "Unet"]}'), "foreign code"),
    ],
)
def test_a_model_that_cannot_be_used_is_not_listed_but_its_reason_is(tmp_path: Path, starter_path: Path, damage: Any, words: str) -> None:
    model = tmp_path / "models" / "Stable-diffusion" / "mine"
    shutil.copytree(starter_path, model)
    damage(model)
    library = Library(Folders.at(tmp_path))
    assert [c.model_name for c in library.checkpoints()] == ["darkroom-starter"]
    assert words in library.refused()[str(model)]


def test_a_model_that_was_added_is_there_after_a_refresh_and_gone_when_taken_away(tmp_path: Path, starter_path: Path) -> None:
    library = Library(Folders.at(tmp_path))
    model = tmp_path / "models" / "Stable-diffusion" / "sub" / "mine"
    shutil.copytree(starter_path, model)
    library.refresh()
    assert [c.model_name for c in library.checkpoints()] == ["darkroom-starter", "sub_mine"]
    shutil.rmtree(model)
    library.refresh()
    assert [c.model_name for c in library.checkpoints()] == ["darkroom-starter"]
    library.close()


def test_hashes_follow_in_the_background_and_are_remembered(tmp_path: Path) -> None:
    library = Library(Folders.at(tmp_path))
    end = time.monotonic() + 20
    while library.checkpoints()[0].sha256 is None:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert library.checkpoints()[0].title.endswith(f"[{library.checkpoints()[0].short_hash}]")
    library.close()
    again = Library(Folders.at(tmp_path))
    assert again.checkpoints()[0].sha256 is not None  # without computing it a second time
    again.close()


def test_a_hash_file_that_is_broken_is_made_anew(tmp_path: Path) -> None:
    folders = Folders.at(tmp_path)
    folders.library_file.parent.mkdir(parents=True)
    folders.library_file.write_bytes(b"nonsense" * 1000)
    library = Library(folders)
    assert library.with_hash(library.checkpoints()[0]).sha256
    library.close()


def test_a_model_that_vanishes_before_it_is_hashed_is_said(tmp_path: Path, starter_path: Path) -> None:
    model = tmp_path / "models" / "Stable-diffusion" / "mine"
    shutil.copytree(starter_path, model)
    library = Library(Folders.at(tmp_path))
    row = replace(next(c for c in library.checkpoints() if c.model_name == "mine"), sha256=None)
    shutil.rmtree(model)
    with pytest.raises(ModelFault, match="Refresh the list"):
        library.with_hash(row)
    library.close()
