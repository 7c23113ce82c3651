"""Model folders and digests: descriptions are read as data, and nothing else is trusted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from modules.faults import ModelFault
from modules.weights.hashes import file_sha256, folder_sha256, model_files
from modules.weights.model_folder import read


def folder(path: Path, index: dict[str, Any], configs: dict[str, dict[str, Any]] | None = None) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    (path / "model_index.json").write_text(json.dumps(index))
    for part, config in (configs or {}).items():
        (path / part).mkdir()
        (path / part / "config.json").write_text(json.dumps(config))
        (path / part / "model.safetensors").write_bytes(b"x")
    return path


def test_what_a_folder_says_is_read(tmp_path: Path) -> None:
    made = read(
        folder(tmp_path / "m", {"_class_name": "P", "unet": ["diffusers", "U"], "safety_checker": [None, None]}, {"unet": {"a": 1}})
    )
    assert (made.pipeline, made.components, made.configs) == ("P", {"unet": "U"}, {"unet": {"a": 1}})


@pytest.mark.parametrize(
    ("index", "words"),
    [
        ({"_class_name": "P", "unet": ["evil", "Unet"]}, "foreign code"),
        ({"_class_name": "P", "unet": ["modules.evil", "Unet"]}, "foreign code"),
        ([1, 2], "not a model description"),
        ("x" * 2_000_000, "larger than"),
    ],
)
def test_what_cannot_be_trusted_is_refused(tmp_path: Path, index: Any, words: str) -> None:
    with pytest.raises(ModelFault, match=words):
        read(folder(tmp_path / "m", index))


def test_weights_that_are_pickles_are_refused(tmp_path: Path) -> None:
    made = folder(tmp_path / "m", {"_class_name": "P", "unet": ["diffusers", "U"]}, {"unet": {}})
    (made / "unet" / "model.safetensors").rename(made / "unet" / "model.bin")
    with pytest.raises(ModelFault, match=r"no \.safetensors"):
        read(made)


def test_a_folder_without_an_index_is_refused_with_words(tmp_path: Path) -> None:
    with pytest.raises(ModelFault, match="copied whole"):
        read(tmp_path)


def test_a_digest_changes_with_names_and_contents_only(tmp_path: Path) -> None:
    a = folder(tmp_path / "a", {"_class_name": "P"}, {"unet": {}})
    b = folder(tmp_path / "b", {"_class_name": "P"}, {"unet": {}})
    (b / "notes.txt").write_text("not part of the model")
    assert folder_sha256(a) == folder_sha256(b)
    assert [p.name for p in model_files(a)] == ["model_index.json", "config.json", "model.safetensors"]
    (b / "unet" / "model.safetensors").write_bytes(b"y")
    assert folder_sha256(a) != folder_sha256(b)
    assert file_sha256(a / "unet" / "model.safetensors") == "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
