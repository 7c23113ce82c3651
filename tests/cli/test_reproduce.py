"""`reproduce`: wrong words, files that cannot be made, and real pictures of the starter model made again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from modules.app import build as build_app
from modules.cli import reproduce, txt2img
from modules.flags import Flags
from modules.pixels.metadata import encode, open_picture

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """(status, what stands on the output) of the command with these words."""

    def carry_out(*words: str | Path) -> tuple[int, str]:
        status = reproduce.main(Flags(data_dir=str(data_dir)), [str(word) for word in words])
        return status, capsys.readouterr().out

    return carry_out


def test_help_and_wrong_words(run: Run):
    status, told = run("--help")
    assert status == 0
    assert "--tolerance" in told
    assert "--input" in told
    assert run()[0] == run("--tolerance", "3")[0] == run("--odd", "1", "x.png")[0] == run("x.png", "--tolerance", "999")[0] == 2


def test_files_that_cannot_be_made_again(run: Run, tmp_path: Path):
    (tmp_path / "notes.png").write_text("no picture")
    Image.new("RGB", (8, 8)).save(tmp_path / "bare.png")
    status, told = run(tmp_path / "notes.png", tmp_path / "bare.png", tmp_path / "nothing.png")
    assert status == 2
    assert [line.partition(": ")[0] for line in told.splitlines()] == [str(tmp_path / n) for n in ("notes.png", "bare.png", "nothing.png")]
    assert told.count("cannot be made again") == 3


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    """(data folder, two real pictures of one batch)."""
    data = tmp_path_factory.mktemp("real")
    words = ["a red apple, 3d", "--steps", "2", "--seed", "1", "--batch-size", "2", "--width", "64", "--height", "64"]
    assert txt2img.main(Flags(data_dir=str(data), use_cpu=("all",)), words) == 0
    return data, sorted((data / "outputs" / "txt2img-images").rglob("*.png"))


@pytest.mark.slow
def test_real_pictures_are_made_again(made: tuple[Path, list[Path]], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    data, pictures = made
    saved = sorted(data.rglob("outputs/**/*"))
    text = Image.open(pictures[1]).text["parameters"]
    image = open_picture(pictures[1])
    (tmp_path / "lossy.jpg").write_bytes(encode(image, "jpg", infotext=text, quality=75))
    other = text.replace("Seed: 2,", "Seed: 77,")
    (tmp_path / "other.png").write_bytes(encode(image, "png", infotext=other))
    app = build_app(Flags(data_dir=str(data)))
    app.settings.set({"samples_format": "jpg", "eta_ancestral": 0.3, "CLIP_stop_at_last_layers": 2})  # nothing here may change the result
    app.stop()
    capsys.readouterr()

    def run(*words: str | Path) -> tuple[int, str]:
        status = reproduce.main(Flags(data_dir=str(data), use_cpu=("all",)), [str(word) for word in words])
        return status, capsys.readouterr().out

    status, told = run(pictures[1], tmp_path / "lossy.jpg", tmp_path / "other.png")
    assert (status, told.count("equal: every pixel is the same")) == (1, 2), told
    assert f"{tmp_path / 'other.png'}: different: largest difference" in told
    assert "made again: " in told
    assert sorted(data.rglob("outputs/**/*")) == saved
