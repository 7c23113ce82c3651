"""Sizes as they are on the disk: models with what belongs to them, folders, links counted once, and nobody waits for it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from modules.folders import Folders
from modules.machine import disk

MB = 1_000_000


def write(path: Path, size: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    return path


def own(piles: list[disk.Pile]) -> dict[str, tuple[str, int, int]]:
    return {pile.name: (pile.kind, pile.bytes, pile.files) for pile in piles if not pile.name.startswith("darkroom-starter")}


def test_models_have_their_files_beside_them_and_links_count_once(tmp_path: Path):
    folders = Folders.at(tmp_path)
    models = folders.models
    first = write(models / "Stable-diffusion" / "sub" / "one.safetensors", 3 * MB)
    write(models / "Stable-diffusion" / "sub" / "one.preview.png", 1000)
    write(models / "Stable-diffusion" / "sub" / "one.json", 10)
    write(models / "Stable-diffusion" / "folder" / "model_index.json", 5)
    write(models / "Stable-diffusion" / "folder" / "unet" / "weights.safetensors", 2 * MB)
    (models / "Lora").mkdir()
    os.link(first, models / "Lora" / "again.safetensors")
    write(models / "Lora" / "small.txt", 7)
    write(models / "Strange" / "thing.bin", MB)
    found = own(disk.count(folders).models)
    assert found["sub/one"] == ("Stable-diffusion", 3 * MB + 1010, 3)
    assert found["folder"] == ("Stable-diffusion", 2 * MB + 5, 2)
    assert found["thing"] == ("Strange", MB, 1)
    assert "again" not in found
    assert found["other files in Lora"] == ("Lora", 7, 1)
    assert next(iter(found)) == "sub/one", "the largest first"


def test_pictures_by_folder_and_the_rest(tmp_path: Path):
    folders = Folders.at(tmp_path)
    for n in range(3):
        write(folders.outputs / "txt2img-images" / "2026-11-22" / f"{n}.png", 100)
    write(folders.outputs / "extras-images" / "a.png", 1000)
    write(folders.cache / "jobs.sqlite", 50)
    usage = disk.count(folders)
    assert [(p.name, p.bytes, p.files) for p in usage.outputs] == [("extras-images", 1000, 1), ("txt2img-images", 300, 3)]
    assert own(usage.others) == {"cache": ("", 50, 1)}
    assert 0 < usage.free_bytes < usage.total_bytes


def until_counted(count: disk.DiskCount) -> dict[str, Any]:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        answer = count.look()
        if not answer["counting"] and answer["usage"] is not None:
            return answer["usage"]
        time.sleep(0.01)
    raise TimeoutError


def test_counting_goes_on_in_the_background_and_is_kept(tmp_path: Path):
    count = disk.DiskCount(Folders.at(tmp_path))
    assert count.look()["counting"]
    first = until_counted(count)
    write(Folders.at(tmp_path).outputs / "a" / "b.png", 10)
    assert until_counted(count) == first
    assert count.look(again=True)["counting"]
    assert until_counted(count)["outputs"] == [{"name": "a", "kind": "", "bytes": 10, "files": 1}]
