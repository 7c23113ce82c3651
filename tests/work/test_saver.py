"""The saver: A1111's folders and names, whole files or none, and the text in every one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from modules.faults import DiskFault
from modules.folders import PROGRAM, Folders
from modules.infotext import write
from modules.pixels.metadata import read_parameters
from modules.prompts.styles import Style, Styles
from modules.request import Picture
from modules.saver import Saver, sweep
from tests.words.examples import resolved

IMAGE = Image.radial_gradient("L").resize((64, 48)).convert("RGB")


def save(saver: Saver, index: int = 0, *, kind: str = "sample", job: str = "job-1", saved: bool = True, **changes: Any) -> Picture:
    return saver.save(IMAGE, resolved=resolved(**changes), index=index, job=job, kind=kind, saved=saved)


def names(folder: Path) -> list[str]:
    """Of the files in it, but for what the saver notes about its jobs."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and path.parent.name != "receipts")


@pytest.fixture
def saver(folders: Folders) -> Saver:
    return Saver(folders)


@pytest.fixture
def samples(folders: Folders) -> Path:
    return folders.outputs / "txt2img-images"


def test_the_place_and_the_record(saver: Saver, samples: Path) -> None:
    picture = save(saver, 1, n_iter=2)
    assert Path(picture.path) == samples / f"{datetime.now():%Y-%m-%d}" / "00000-1001.png"
    text = write(resolved(n_iter=2), 1)
    assert picture == Picture(index=1, path=picture.path, seed=1001, width=64, height=48, infotext=text, kind="sample", saved=True)
    assert read_parameters(Path(picture.path)) == (text, {})
    with Image.open(picture.path) as image:
        assert image.tobytes() == IMAGE.tobytes()


def test_numbers_go_on(saver: Saver, folders: Folders, samples: Path) -> None:
    save(saver)
    save(saver, seed=5)
    assert Path(save(Saver(folders), seed=6).path).name == "00002-6.png"
    folder = next(samples.iterdir())
    for name in ("00041-old.png", "77.png", "note.txt", "123456789012-x.png", "x-99.png"):
        (folder / name).touch()
    assert Path(save(saver, seed=7).path).name == "00078-7.png"


def test_numbers_begin_again_in_a_folder_that_was_taken_away(saver: Saver, samples: Path) -> None:
    path = Path(save(saver).path)
    path.unlink()
    path.parent.rmdir()
    assert Path(save(saver).path).name == "00000-1000.png"


def test_the_folder_is_not_listed_for_each_picture(saver: Saver, monkeypatch: pytest.MonkeyPatch) -> None:
    save(saver)
    listed: list[object] = []
    scandir = os.scandir

    def counting(path: Any) -> Any:
        listed.append(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", counting)
    for seed in range(20):
        save(saver, seed=seed)
    assert not listed


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"samples_filename_pattern": "[seed]-[prompt_spaces]"}, "00000-1000-a red apple, 3d.png"),
        ({"samples_filename_pattern": "[none]"}, "00000.png"),
        ({"samples_filename_pattern": "a/b:[unknown]"}, "00000-a_b_[unknown].png"),
        ({"samples_filename_pattern": "con", "save_images_add_number": False}, "_con.png"),
        ({"save_to_dirs": False}, "00000-1000-a red apple, 3d.png"),
        ({"save_images_add_number": False}, "1000.png"),
        ({"save_images_add_number": False, "samples_filename_pattern": "[none]"}, "00000.png"),
        ({"samples_format": "jpg"}, "00000-1000.jpg"),
        ({"samples_format": "jpeg"}, "00000-1000.jpeg"),
        ({"samples_format": "webp"}, "00000-1000.webp"),
    ],
)
def test_names_by_the_settings(saver: Saver, settings: dict, name: str) -> None:
    path = Path(save(saver, settings=settings).path)
    assert path.name == name
    assert read_parameters(path)[0] == write(resolved(settings=settings), 0)


def test_folders_by_the_settings(saver: Saver, folders: Folders, tmp_path: Path) -> None:
    flat = {"save_to_dirs": False, "samples_filename_pattern": "x"}
    assert Path(save(saver, settings={**flat, "outdir_txt2img_samples": "here"}).path) == folders.data / "here" / "00000-x.png"
    elsewhere = {**flat, "outdir_txt2img_samples": str(tmp_path / "there")}
    assert Path(save(saver, settings=elsewhere).path) == tmp_path / "there" / "00000-x.png"
    nested = {"directories_filename_pattern": "[model_name]/../[prompt_words]/ /x.", "directories_max_prompt_words": 2}
    assert Path(save(saver, settings=nested).path).parent == folders.outputs / "txt2img-images" / "exampleMix_v1" / "a red" / "x"


ODD_PROMPTS = [
    "../../../etc/passwd", "/absolute", "C:\\x", "a" * 5000, "🍎" * 3000, "con", ".", "..", "\u202egnp.exe", "a\nb", "", "  ",
]  # fmt: skip


@pytest.mark.parametrize("prompt", ODD_PROMPTS)
def test_any_prompt_stays_in_its_folder(saver: Saver, samples: Path, prompt: str) -> None:
    settings = {"directories_filename_pattern": "[prompt_spaces]/[styles]", "samples_filename_pattern": "[prompt_spaces]"}
    path = Path(save(saver, prompt=prompt, settings=settings).path)
    assert path.resolve().is_relative_to(samples)
    assert path.is_file()
    assert len(path.relative_to(samples).parts) <= 3


def test_the_prompt_without_styles_is_that_of_the_styles_file(folders: Folders) -> None:
    Styles(folders.styles_file).save(Style("oil", "oil painting", ""))
    settings = {"samples_filename_pattern": "[prompt_no_styles]"}
    path = Path(save(Saver(folders), prompt="a cat, oil painting", styles=("oil", "gone"), settings=settings).path)
    assert path.name == "00000-a cat.png"


def test_a_grid_has_its_own_folder_format_and_numbers(saver: Saver, folders: Folders) -> None:
    pictures = [save(saver, -1, kind="grid", n_iter=2, settings={"grid_format": "jpg"}) for _ in range(2)]
    assert [Path(p.path).name for p in pictures] == ["grid-0000.jpg", "grid-0001.jpg"]
    assert Path(pictures[0].path).parent.parent == folders.outputs / "txt2img-grids"
    assert (pictures[0].index, pictures[0].seed, pictures[0].kind) == (-1, 1000, "grid")
    flat = Path(save(saver, -1, kind="grid", settings={"grid_save_to_dirs": False, "save_txt": True}).path)
    assert flat == folders.outputs / "txt2img-grids" / "grid-0000.png"
    assert not flat.with_suffix(".txt").exists()


def test_a_picture_too_large_for_its_format_is_a_png(saver: Saver) -> None:
    wide = Image.new("RGB", (16384, 1))
    picture = saver.save(wide, resolved=resolved(settings={"samples_format": "webp"}), index=0, job="j")
    assert picture.path.endswith(".png")
    assert Path(save(saver, prompt="x" * 40_000, settings={"samples_format": "jpg"}).path).suffix == ".png"


def test_no_text_when_it_is_not_wanted(saver: Saver) -> None:
    picture = save(saver, settings={"enable_pnginfo": False})
    assert read_parameters(Path(picture.path)) == ("", {})
    assert "Seed: 1000" in picture.infotext


def test_a_text_file_beside_the_picture(saver: Saver) -> None:
    path = Path(save(saver, settings={"save_txt": True, "samples_filename_pattern": "v1.5"}).path)
    assert path.with_name("00000-v1.5.txt").read_text(encoding="utf-8") == write(resolved(), 0) + "\n"


def test_pictures_that_are_not_to_be_saved(saver: Saver, folders: Folders) -> None:
    first, grid = save(saver, 1, saved=False, n_iter=2), save(saver, -1, kind="grid", saved=False)
    assert Path(first.path) == folders.job_files / "job-1" / "1.png"
    assert Path(grid.path) == folders.job_files / "job-1" / "grid.png"
    assert not first.saved
    assert not folders.outputs.exists()
    assert Path(save(saver, job="../../x", saved=False).path).is_relative_to(folders.job_files)


def test_params_txt_holds_the_last_job(saver: Saver, folders: Folders) -> None:
    params = folders.data / "params.txt"
    save(saver, 0, n_iter=2)
    save(saver, 1, n_iter=2)
    assert params.read_text(encoding="utf-8") == write(resolved(n_iter=2), 0)
    save(saver, job="job-2", prompt="中", saved=False)
    assert params.read_text(encoding="utf-8").startswith("中\nSteps: ")


def test_without_numbers_a_picture_takes_the_place_of_the_older_one(saver: Saver, samples: Path) -> None:
    settings = {"save_images_add_number": False}
    assert save(saver, settings=settings).path == save(saver, settings=settings).path
    assert names(samples) == ["1000.png"]


def test_threads_and_savers_take_each_name_once(folders: Folders, samples: Path) -> None:
    savers = [Saver(folders) for _ in range(2)]
    paths: list[str] = []

    def work(n: int) -> None:
        for _ in range(12):
            paths.append(save(savers[n], job=f"job-{n}", settings={"samples_filename_pattern": "[none]"}).path)

    threads = [threading.Thread(target=work, args=(n % 2,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(paths)) == 48
    assert names(samples) == [f"{n:05}.png" for n in range(48)]


def test_a_job_that_is_made_again_is_given_its_pictures(folders: Folders, samples: Path) -> None:
    """By the process that takes over from one which was killed before it could tell."""
    first = [save(Saver(folders), index).path for index in (0, -1)]
    again = Saver(folders)
    assert [save(again, index).path for index in (0, -1)] == first
    assert save(again).path not in first, "asked once more by the same process, it is another picture"
    assert save(Saver(folders), seed=77).path not in first
    assert len(names(samples)) == 4


# --- what goes wrong ---


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 KiB, where this user may make one."""
    place = tmp_path / "small"
    place.mkdir()
    mount = shutil.which("mount")
    command = [mount or "", "-t", "tmpfs", "-o", "size=64k", "none", str(place)]
    if mount is None or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("this user may not mount a small disk; the test with a made-up error stands in")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_is_really_full(small_disk: Path) -> None:
    saver, noise = Saver(Folders.at(small_disk)), Image.effect_noise((100, 100), 90).convert("RGB")
    pictures: list[Picture] = []

    def fill() -> None:
        for seed in range(100):
            pictures.append(saver.save(noise, resolved=resolved(seed=seed), index=0, job="j"))

    with pytest.raises(DiskFault, match="No space left"):
        fill()
    assert 1 <= len(pictures) < 100
    kept = [name for name in names(small_disk) if not name.startswith("pictures.sqlite")]  # the list of pictures is not what was saved
    assert kept == sorted(["params.txt", *(Path(p.path).name for p in pictures)])
    for picture in pictures:
        with Image.open(picture.path) as image:
            image.load()
    Path(pictures[0].path).unlink()
    assert saver.save(noise, resolved=resolved(), index=0, job="j").saved


@pytest.mark.parametrize("saved", [True, False])
def test_a_full_disk_leaves_nothing(saver: Saver, folders: Folders, monkeypatch: pytest.MonkeyPatch, saved: bool) -> None:
    def full(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fdopen", full)
    with pytest.raises(DiskFault, match="No space left"):
        save(saver, saved=saved)
    assert names(folders.data) == []


def test_params_txt_is_not_worth_a_picture(saver: Saver, folders: Folders, caplog: pytest.LogCaptureFixture) -> None:
    (folders.data / "params.txt").mkdir()
    assert Path(save(saver).path).is_file()
    assert "params.txt" in caplog.text


@pytest.mark.parametrize(
    ("blocked", "saved", "settings"),
    [
        ("outputs", True, {}), ("outputs/txt2img-images", True, {}), ("outputs/txt2img-images", True, {"save_images_add_number": False}),
        ("cache", False, {}), ("cache/job-files/job-1", False, {}),
    ],
)  # fmt: skip
def test_a_file_in_the_place_of_the_folder(saver: Saver, folders: Folders, blocked: str, saved: bool, settings: dict) -> None:
    place = folders.data / blocked
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(b"mine")
    with pytest.raises(DiskFault):
        save(saver, saved=saved, settings=settings)
    assert place.read_bytes() == b"mine"


def test_sweep_takes_only_what_a_crash_left(saver: Saver, folders: Folders) -> None:
    kept, cached = Path(save(saver).path), Path(save(saver, saved=False).path)
    stray = kept.with_name(".abcd_12x.tmp")
    mine = kept.with_name(".my notes.tmp")
    config = folders.data / ".zyxw9876.tmp"
    for path in (stray, mine, config):
        path.write_bytes(b"part")
    assert sweep(folders) == 0
    now = time.time()
    assert sweep(folders, now + 2 * 3600) == 2
    assert (stray.exists(), config.exists(), mine.exists(), kept.exists(), cached.exists()) == (False, False, True, True, True)
    assert sweep(folders, now + 25 * 3600) == 1
    assert not cached.parent.exists()
    assert kept.exists()


def test_sweep_of_an_empty_folder(tmp_path: Path) -> None:
    assert sweep(Folders.at(tmp_path / "none")) == 0
    assert not (tmp_path / "none").exists()


def test_saving_needs_no_torch() -> None:
    code = "import sys, modules.saver; print([m for m in ('torch', 'diffusers', 'numpy', 'gradio', 'fastapi') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROGRAM, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
