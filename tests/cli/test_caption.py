"""`caption` on the command line, over an App whose worker captions for real."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from PIL import Image

from modules.app import App
from modules.app import build as build_app
from modules.cli import caption
from modules.flags import Flags, parse
from modules.jobs import Jobs
from tests.processing.pictures import data_of, noise

BACKEND = "tests.processing.caption_backend:build"


def app_of(data_dir: Path) -> App:
    app = build_app(Flags(data_dir=str(data_dir)))
    app.jobs.stop()
    return dataclasses.replace(app, jobs=Jobs(app.folders, {}, runner=BACKEND))


@pytest.fixture
def run(data_dir: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(caption, "build", lambda flags: app_of(data_dir))
    return lambda *words: caption.main(Flags(data_dir=str(data_dir)), [str(word) for word in words])


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    (tmp_path / "yellow.png").write_bytes(data_of(Image.new("RGB", (96, 64), (250, 214, 60))))
    (tmp_path / "noise.jpg").write_bytes(data_of(noise(), "JPEG"))
    return tmp_path


def test_captions_of_several_files(run, pictures: Path, capsys: pytest.CaptureFixture[str]):
    maps = pictures / "maps"
    assert run(pictures / "yellow.png", pictures / "noise.jpg", "--heat-maps", maps) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{pictures / 'yellow.png'}\t")
    assert first.endswith("on a yellow background")
    assert second.startswith(f"{pictures / 'noise.jpg'}\t")
    words = first.partition("\t")[2].split()
    assert sorted(path.name for path in maps.glob("yellow-*")) == [f"yellow-{n:02}-{word}.png" for n, word in enumerate(words, 1)]


def test_what_is_printed_of_a_picture():
    candidates = [{"text": "a cat", "score": -0.1}, {"text": "a dog", "score": -0.2}]
    assert caption.lines_of({"caption": "a cat, red", "candidates": candidates[:1]}) == ["a cat, red"]
    assert caption.lines_of({"caption": "a cat", "candidates": candidates}) == ["a cat", "a dog"]
    assert caption.lines_of({"caption": "", "fault": {"message": "is damaged"}}) == []
    fits = [{"text": "a cat", "cosine": 0.51, "chance": 0.9}, {"text": "a dog", "cosine": 0.1234, "chance": None}]
    assert caption.lines_of({"caption": "a cat", "fits": fits}) == ["0.900\t0.510\ta cat", "0.123\ta dog"]


def test_what_is_here(run, data_dir: Path, capsys: pytest.CaptureFixture[str]):
    (data_dir / "models" / "BLIP" / "broken").mkdir(parents=True)
    (data_dir / "models" / "BLIP" / "broken" / "config.json").write_text("{")
    assert run("--installed") == 0
    told = capsys.readouterr()
    assert "darkroom-starter-captioner: caption, prompt; 0.00 GB; apache-2.0" in told.out
    assert "warning: broken: config.json is damaged" in told.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nowhere.png"], "cannot read nowhere.png"),
        (["--model", "darkroom-starter-captoner", "PICTURE"], "did you mean darkroom-starter-captioner"),
        (["--num-beams", "3"], "a picture is needed"),
        (["--num-beams", "30", "PICTURE"], "num_beams"),
        (["--question", "what?", "PICTURE"], "no captioner here can answer questions"),
        (["--beams", "3", "PICTURE"], "there is no --beams"),
        ([], "usage"),
    ],
)
def test_wrong_arguments_are_status_2(run, pictures: Path, words: list[str], told: str, capsys: pytest.CaptureFixture[str]):
    assert run(*(pictures / "yellow.png" if word == "PICTURE" else word for word in words)) == 2
    captured = capsys.readouterr()
    assert told in captured.out + captured.err


def test_a_file_that_is_no_picture(run, pictures: Path, capsys: pytest.CaptureFixture[str]):
    (pictures / "text.png").write_text("no picture")
    assert run(pictures / "text.png") == 2
    assert f"{pictures / 'text.png'} " in capsys.readouterr().err


def test_the_command_and_its_help(run, capsys: pytest.CaptureFixture[str]):
    assert parse(["caption", "a.png", "--model", "x"]).rest == ("a.png", "--model", "x")
    assert run("--help") == 0
    told = capsys.readouterr().out
    for flag in ("--model", "--question", "--num-beams", "--temperature", "--installed", "--texts"):
        assert flag in told


def test_a_folder_anywhere_and_back(run, pictures: Path, capsys: pytest.CaptureFixture[str]):
    (pictures / "bad.png").write_text("nothing")
    assert run(pictures, "--num-beams", "1", "--max-length", "4", "--prefix", "mine, ") == 0
    told = capsys.readouterr()
    assert "fault: bad.png: is not a picture" in told.err
    assert told.out.startswith("2 captions, 1 faults; undo with: caption --undo ")
    assert (pictures / "yellow.txt").read_text().startswith("mine, ")
    job = told.out.split()[-1]
    assert run("--undo", job) == 0
    assert capsys.readouterr().out == "2 captions taken back\n"
    assert not [*pictures.glob("*.txt")]
    assert run("--undo", job) == 2
    assert run(pictures, pictures / "yellow.png") == 2
    assert "one folder" in capsys.readouterr().err
