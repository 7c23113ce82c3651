"""`upscale` on the command line, over an App whose worker does Extras for real."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from PIL import Image

from modules.app import App
from modules.app import build as build_app
from modules.cli import extras
from modules.flags import Flags, parse
from modules.jobs import Jobs
from tests.processing.pictures import PARAMETERS, data_of, noise, with_text

BACKEND = "tests.processing.extras_backend:build"


def app_of(data_dir: Path) -> App:
    app = build_app(Flags(data_dir=str(data_dir)))
    app.jobs.stop()
    return dataclasses.replace(app, jobs=Jobs(app.folders, {}, runner=BACKEND))


@pytest.fixture
def run(data_dir: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(extras, "build", lambda flags: app_of(data_dir))
    return lambda *words: extras.main(Flags(data_dir=str(data_dir)), [str(word) for word in words])


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "cat.png").write_bytes(with_text(noise(), parameters=PARAMETERS))
    (folder / "dog.jpg").write_bytes(data_of(noise(seed=1), "JPEG"))
    return folder


def test_one_picture_into_a_file_of_another_format(run, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "new" / "large.webp"
    assert run(pictures / "cat.png", "--upscaling-resize", "3", "--upscaler-1", "Lanczos", "--out", out) == 0
    assert capsys.readouterr().out == f"{out}\n"
    with Image.open(out) as image:
        assert (image.format, image.size) == ("WEBP", (120, 90))


def test_a_folder_into_a_folder_outside_of_the_data_folder(run, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (pictures / "broken.png").write_bytes(b"nothing")
    assert run(pictures, "--upscaling-resize=2", f"--out={tmp_path / 'out'}/") == 0
    told = capsys.readouterr()
    assert [Path(line).name for line in told.out.splitlines()] == ["cat.png", "dog.png"]
    assert Image.open(tmp_path / "out" / "dog.png").size == (80, 60)
    assert "warning: broken.png" in told.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nowhere.png"], "cannot read nowhere.png"),
        (["--upscaler-1", "Lancos", "PICTURE"], "did you mean Lanczos"),
        (["PICTURE", "PICTURE", "--out", "a.png"], "name a folder"),
        (["--upscaler-1", "Lanczos"], "a picture is needed"),
        (["--upscaling-resize", "0", "PICTURE"], "upscaling_resize"),
        (["--gfpgan-visibility", "1", "PICTURE"], "GFPGANv1.4.safetensors"),
        (["--image-names", "x"], "there is no --image-names"),
        ([], "usage"),
    ],
)
def test_wrong_arguments_are_status_2(run, pictures: Path, words: list[str], told: str, capsys: pytest.CaptureFixture[str]):
    assert run(*(pictures / "cat.png" if word == "PICTURE" else word for word in words)) == 2
    captured = capsys.readouterr()
    assert told in captured.out + captured.err


def test_the_command_and_its_help(run, capsys: pytest.CaptureFixture[str]):
    assert parse(["upscale", "a.png", "--upscaling-resize", "2"]).rest == ("a.png", "--upscaling-resize", "2")
    assert run("--help") == 0
    told = capsys.readouterr().out
    for flag in ("--upscaler-1", "--upscaling-resize", "--out", "--background-removal", "--input-dir"):
        assert flag in told
