"""What a job needs from this machine, and the job with the other machine's paths in it."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from modules.cluster.goods import Digests, goods_of, with_paths
from modules.control.maps.files import lacking
from modules.control.maps.table import MAPS
from modules.folders import Folders
from modules.inputs import Inputs
from modules.upscale.finishing import FINISHING
from tests.processing.pictures import data_of, noise


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders.at(data=tmp_path / "data")


@pytest.fixture
def digests(tmp_path: Path) -> Digests:
    return Digests(tmp_path / "digests.json")


def model_folder(base: Path) -> Path:
    folder = base / "models" / "Stable-diffusion" / "pear"
    for name, text in {
        "model_index.json": "{}",
        "unet/weights.safetensors": "unet",
        "tokenizer/merges.txt": "a b",
        "unet/old.bin": "pickle",
        ".git/config": "x",
        "picture.png": "shown",
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def job(**resolved: Any) -> dict[str, Any]:
    return {"id": "1", "kind": "txt2img", "resolved": resolved, "made": []}


def test_files_and_folders_that_a_job_names(folders: Folders, digests: Digests, tmp_path: Path):
    folder, lora = model_folder(tmp_path), tmp_path / "apple.safetensors"
    lora.write_text("lora")
    goods = goods_of(job(checkpoint={"path": str(folder)}, networks=[{"path": str(lora)}, {"path": "/not/there"}]), folders, digests)
    assert goods.views == {
        str(folder): {
            "model_index.json": digest(b"{}"),
            "tokenizer/merges.txt": digest(b"a b"),
            "unet/weights.safetensors": digest(b"unet"),
        },
        str(lora): {"": digest(b"lora")},
    }
    assert goods.files[digest(b"unet")] == folder / "unet" / "weights.safetensors"
    assert goods.size_bytes(digest(b"lora")) == 4


def test_pictures_that_were_sent_and_made(folders: Folders, digests: Digests, tmp_path: Path):
    data = data_of(noise(8, 8))
    reference = Inputs(folders).put(data)
    made = tmp_path / "made.png"
    made.write_bytes(data)
    goods = goods_of({**job(image={"init_images": [reference]}), "made": [{"path": str(made)}]}, folders, digests)
    assert goods.placed == {f"cache/inputs/{digest(data)}.png": digest(data)}
    assert goods.views == {str(made): {"": digest(data)}}


def test_files_that_a_worker_finds_by_their_names(folders: Folders, digests: Digests):
    for kind, name in (("embeddings", "sunny"), ("embeddings", "rainy"), ("ESRGAN", "sharp"), ("SwinIR", "soft")):
        path = folders.models / kind / f"{name}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    goods = goods_of(
        job(all_prompts=["a sunny day"], all_negative_prompts=[""], hires={"upscaler": "soft", "all_prompts": []}), folders, digests
    )
    assert goods.placed == {
        "models/embeddings/sunny.safetensors": digest(b"sunny"),
        "models/SwinIR/soft.safetensors": digest(b"soft"),
    }


def test_weights_of_preprocessors_lie_where_the_other_machine_looks(folders: Folders, digests: Digests, tmp_path: Path):
    here = folders.models / "ControlNetPreprocessor"
    for name in ("lineart/sk_model.safetensors", "dpt-large/config.json", "dpt-large/model.safetensors", "dpt-large/model.bin"):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text(name)
    units = [{"unit": {"module": name}} for name in ("lineart_realistic", "depth_midas", "softedge_hed", "canny", "none")]
    goods = goods_of(job(control=units), folders, digests)
    assert goods.placed == {
        "models/ControlNetPreprocessor/sk_model.safetensors": digest(b"lineart/sk_model.safetensors"),
        "models/ControlNetPreprocessor/dpt-large/config.json": digest(b"dpt-large/config.json"),
        "models/ControlNetPreprocessor/dpt-large/model.safetensors": digest(b"dpt-large/model.safetensors"),
    }
    there = Folders.at(data=tmp_path / "there")
    for place, sent in goods.placed.items():
        (there.data / place).parent.mkdir(parents=True, exist_ok=True)
        (there.data / place).write_bytes(goods.files[sent].read_bytes())
    assert [lacking(MAPS.get(name), there) for name in ("lineart_realistic", "depth_midas", "canny")] == ["", "", ""]


@pytest.mark.parametrize(
    ("resolved", "names"),
    [
        ({"settings": {"face_restoration": True, "face_restoration_model": "GFPGAN"}}, {"GFPGAN"}),
        ({"settings": {"face_restoration": False, "face_restoration_model": "GFPGAN"}}, set()),
        ({"request": {"gfpgan_visibility": 0.0, "codeformer_visibility": 0.5, "background_removal": "u2net"}}, {"CodeFormer", "u2net"}),
        ({"request": {"background_removal": "silueta"}}, set()),  # not here: the worker says so
    ],
)
def test_weights_of_what_finishes_a_picture(resolved: dict[str, Any], names: set[str], folders: Folders, digests: Digests):
    wanted: set[str] = set()
    for name in ("GFPGAN", "CodeFormer", "u2net"):
        tool = FINISHING[name]
        for file in tool.files:
            path = folders.models / tool.folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
            if name in names:
                wanted.add(f"models/{tool.folder}/{file}")
    assert goods_of(job(**resolved), folders, digests).placed.keys() == wanted


def test_a_file_is_read_again_only_when_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path, read = tmp_path / "a.safetensors", []
    path.write_text("one")
    monkeypatch.setattr("modules.cluster.goods.file_sha256", lambda p: read.append(p) or digest(p.read_bytes()))
    assert Digests(tmp_path / "digests.json").of(path) == digest(b"one")
    assert Digests(tmp_path / "digests.json").of(path) == digest(b"one")
    assert len(read) == 1
    path.write_text("two")
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
    assert Digests(tmp_path / "digests.json").of(path) == digest(b"two")
    (tmp_path / "digests.json").write_text("damaged")
    assert Digests(tmp_path / "digests.json").of(path) == digest(b"two")


def test_paths_are_put_in_wherever_they_stand():
    data = {"path": "/a", "rows": [{"path": "/b"}, "/a"], "text": "about /a", "number": 3}
    assert with_paths(data, {"/a": "/x"}) == {"path": "/x", "rows": [{"path": "/b"}, "/x"], "text": "about /a", "number": 3}
    assert json.loads(json.dumps(with_paths(data, {"/a": "/x"})))
