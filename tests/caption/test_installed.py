"""What a folder is: told by its description and tensors; folders that cannot be used say why."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from modules.caption import CAPTIONERS
from modules.caption.installed import captioners, describe, find
from modules.caption.loading import load
from modules.faults import ModelFault, UnknownName
from modules.folders import Folders
from tests.caption.tiny import MAKERS


@pytest.mark.parametrize("kind", MAKERS)
def test_the_kind_is_told_whatever_the_folder_is_called(kind: str, model_of: Callable[[str], Path], tmp_path: Path):
    folder = tmp_path / "git-clip-blip2-vqa"
    shutil.copytree(model_of(kind), folder)
    found = describe(folder)
    assert (found.kind, found.does) == (kind, CAPTIONERS.get(kind).does)
    assert found.size_bytes == (folder / "model.safetensors").stat().st_size
    config = json.loads((folder / "config.json").read_text())
    if not kind.startswith("blip-") or kind == "blip-2":  # three kinds share the model type blip; the first of them captions
        (folder / "config.json").write_text(json.dumps({k: v for k, v in config.items() if k != "architectures"}))
        assert describe(folder).kind == kind


def test_the_starters_models_are_there_and_a_persons_own_go_first(folders: Folders, model_of: Callable[[str], Path]):
    rows, refused = captioners(folders)
    assert [row.name for row in rows] == ["darkroom-starter-captioner", "darkroom-starter-scorer"]
    assert [row.licence for row in rows] == ["apache-2.0"] * 2
    assert refused == {}
    shutil.copytree(model_of("git"), folders.models / "BLIP" / "zebra")
    shutil.copytree(model_of("clip"), folders.models / "CLIP" / "models--org--deep" / "snapshots" / "abc")
    rows, _ = captioners(folders)
    assert [row.name for row in rows] == ["deep", "zebra", "darkroom-starter-captioner", "darkroom-starter-scorer"]


def test_two_of_one_name_are_told_apart(folders: Folders, model_of: Callable[[str], Path]):
    for place in ("BLIP", "CLIP"):
        shutil.copytree(model_of("git"), folders.models / place / "same")
    assert [row.name for row in captioners(folders)[0]][:2] == ["CLIP/same", "same"]


def test_found_by_name_path_and_address(folders: Folders, model_of: Callable[[str], Path]):
    shutil.copytree(model_of("blip"), folders.models / "BLIP" / "blip-image-captioning-base")
    rows, refused = captioners(folders)
    for text in ("Blip-Image-Captioning-Base", "Salesforce/blip-image-captioning-base", str(rows[0].path)):
        assert find(rows, refused, text).name == "blip-image-captioning-base"
    assert (rows[0].repo, rows[0].licence) == ("Salesforce/blip-image-captioning-base", "BSD-3-Clause")
    with pytest.raises(
        ModelFault, match=r"microsoft/git-base-coco is not here yet: 0\.71 GB, MIT\. .*models download microsoft/git-base-coco"
    ):
        find(rows, refused, "git-base-coco")
    with pytest.raises(UnknownName, match="did you mean darkroom-starter-captioner"):
        find(rows, refused, "darkroom-starter-captoner")


def test_a_model_does_no_more_than_it_was_trained_for(folders: Folders, model_of: Callable[[str], Path]):
    shutil.copytree(model_of("blip-2"), folders.models / "BLIP" / "blip2-opt-2.7b-coco")
    assert captioners(folders)[0][0].does == ("caption", "prompt")


def copy(model_of: Callable[[str], Path], kind: str, to: Path) -> Path:
    shutil.copytree(model_of(kind), to)
    return to


def _as_pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _other_class(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "architectures": ["BlipForImageTextRetrieval"]}))


def _stranger(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"architectures": ["LlavaForConditionalGeneration"], "model_type": "llava"}))


BAD: dict[str, tuple[Any, str]] = {
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "has no model.safetensors"),
    "pickle": (_as_pickle, "as pytorch_model.bin, a pickle"),
    "cut off": (lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:-40]), "is cut off"),
    "no json": (lambda f: (f / "config.json").write_text("{"), r"config\.json is damaged"),
    "a list": (lambda f: (f / "config.json").write_text("[]"), r"config\.json is damaged"),
    "heads missing": (_other_class, r"weights have no text_encoder\. and no itm_head\."),
    "another kind": (_stranger, "is LlavaForConditionalGeneration; this version runs BLIP captioning"),
    "part missing": (
        lambda f: (f / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "model-1.safetensors"}})),
        r"lacks model-1\.safetensors",
    ),
    "part elsewhere": (
        lambda f: (f / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../../x.safetensors"}})),
        r"lacks \.\./\.\./x\.safetensors",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_folder_that_cannot_be_used_says_why(case: str, folders: Folders, model_of: Callable[[str], Path]):
    spoil, told = BAD[case]
    folder = copy(model_of, "blip", folders.models / "BLIP" / "mine")
    spoil(folder)
    with pytest.raises(ModelFault, match=told):
        describe(folder)
    rows, refused = captioners(folders)
    assert "mine" not in [row.name for row in rows]
    with pytest.raises(ModelFault, match=told):
        find(rows, refused, "mine")


def _without(folder: Path, name: str) -> None:
    weights = load_file(folder / "model.safetensors")
    save_file({key: value for key, value in weights.items() if name not in key}, folder / "model.safetensors", {"format": "pt"})


def _other_size(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    name = next(key for key in weights if key.endswith("cls.predictions.transform.dense.weight"))
    save_file({**weights, name: torch.zeros(3, 3)}, folder / "model.safetensors", {"format": "pt"})


def _configured(folder: Path, **text: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["text_config"] |= text
    (folder / "config.json").write_text(json.dumps(config))


LATE: dict[str, tuple[Any, str]] = {
    "weights missing": (lambda f: _without(f, "layer.1.attention"), "lacks text_decoder.* among its weights"),
    "weights of another size": (_other_size, "mine "),
    "no tokenizer": (lambda f: [(f / n).unlink() for n in ("tokenizer.json", "tokenizer_config.json")], "has no tokenizer"),
    "no processor": (lambda f: (f / "processor_config.json").unlink(), "could not be loaded"),
    "sizes that do not go together": (lambda f: _configured(f, num_attention_heads=3), "could not be loaded"),
}  # fmt: skip


@pytest.mark.parametrize("case", LATE)
def test_nothing_random_takes_the_place_of_what_is_missing(case: str, tmp_path: Path, model_of: Callable[[str], Path]):
    spoil, told = LATE[case]
    folder = copy(model_of, "blip", tmp_path / "mine")
    spoil(folder)
    with pytest.raises(ModelFault, match=told):
        load(describe(folder), device="cpu", dtype="float32")


def test_code_that_a_model_brings_along_is_not_run(tmp_path: Path, model_of: Callable[[str], Path]):
    folder = copy(model_of, "vit-gpt2", tmp_path / "mine")
    mark = tmp_path / "was-run"
    (folder / "evil.py").write_text(f"open({str(mark)!r}, 'w')\nclass Evil: pass\n")
    for name in ("config.json", "preprocessor_config.json", "tokenizer_config.json"):
        config = json.loads((folder / name).read_text())
        parts = {
            "AutoImageProcessor": "evil.Evil",
            "AutoTokenizer": ["evil.Evil", None],
            "AutoModel": "evil.Evil",
            "AutoConfig": "evil.Evil",
        }
        (folder / name).write_text(json.dumps({**config, "auto_map": parts}))
    with contextlib.suppress(ModelFault):  # refused or loaded by transformers' own classes: both will do
        load(describe(folder), device="cpu", dtype="float32")
    assert not mark.exists()
