"""`txt2img` with an App over a made-up runner in a real worker process, and once over the real model."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from PIL import Image

from modules.app import App
from modules.app import build as build_app
from modules.cli import txt2img
from modules.flags import Flags
from modules.folders import PROGRAM
from modules.jobs import Jobs

BACKEND = "tests.cli.backend:build"


def app_of(data_dir: Path) -> App:
    app = build_app(Flags(data_dir=str(data_dir)))
    app.jobs.stop()
    return dataclasses.replace(app, jobs=Jobs(app.folders, {}, runner=BACKEND))


@pytest.fixture
def made_up(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The command works on this data folder, with the runner of tests/cli/backend.py."""
    monkeypatch.setattr(txt2img, "build", lambda flags: app_of(data_dir))
    return data_dir


def run(data_dir: Path, *words: str) -> int:
    return txt2img.main(Flags(data_dir=str(data_dir)), words)


def test_paths_go_to_the_output_and_everything_else_to_the_errors(made_up: Path, capsys: pytest.CaptureFixture[str]):
    assert run(made_up, "a red apple", "--steps", "2", "--seed", "5") == 0
    told = capsys.readouterr()
    assert [Path(line).read_text() for line in told.out.splitlines()] == ["a red apple 5"]
    assert "warning: made up" in told.err


def test_pictures_are_given_as_files(made_up: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """The job names them by what they hold; the size is the picture's unless another one is asked for."""
    Image.new("RGB", (96, 64), "red").save(tmp_path / "picture.png")
    Image.new("L", (96, 64), 255).save(tmp_path / "mask.png")
    begin = ("--init-image", str(tmp_path / "picture.png"), "--mask", str(tmp_path / "mask.png"))
    flags = Flags(data_dir=str(made_up))
    assert txt2img.main(flags, ("a red apple", "--seed", "5", *begin), txt2img.IMG2IMG) == 0
    assert txt2img.main(flags, ("a red apple", "--seed", "6", *begin, "--width", "128"), txt2img.IMG2IMG) == 0
    app = build_app(flags)
    sized, first = (job.resolved for job in app.jobs.list())
    app.stop()
    assert (first["width"], first["height"], first["image"]["scale_by"]) == (96, 64, None)
    assert sized["width"] == 128
    assert app.inputs.path(first["image"]["init_images"][0]).read_bytes() == (tmp_path / "picture.png").read_bytes()
    assert app.inputs.path(first["image"]["mask"]).read_bytes() == (tmp_path / "mask.png").read_bytes()
    capsys.readouterr()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("x",), "a picture to begin with is needed"),
        (("x", "--init-image", "no-such-file.png"), "cannot be read"),
        (("x", "--init-image", __file__), "is not a picture"),
    ],
)
def test_without_a_picture_img2img_says_so(made_up: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], told: str):
    assert txt2img.main(Flags(data_dir=str(made_up)), words, txt2img.IMG2IMG) == 2
    assert told in capsys.readouterr().err


def test_a_failed_job_is_one_message_and_status_1(made_up: Path, capsys: pytest.CaptureFixture[str]):
    assert run(made_up, "fail") == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines()[-1] == "There is no picture. Try another sampler."


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--steps", "0"], "steps: must lie between 1 and 1000"),
        (["--sampler-name", "Eular", "x"], "did you mean Euler"),
        (["--stpes", "1"], "did you mean --steps"),
    ],
)
def test_wrong_arguments_are_status_2_and_queue_nothing(made_up: Path, words: list[str], told: str, capsys: pytest.CaptureFixture[str]):
    assert run(made_up, *words) == 2
    assert told in capsys.readouterr().err
    app = app_of(made_up)
    assert app.jobs.list() == []
    app.stop()


def test_a_missing_checkpoint_is_named(made_up: Path, capsys: pytest.CaptureFixture[str]):
    assert txt2img.main(Flags(data_dir=str(made_up), ckpt="no-such-model"), ["x"]) == 2
    assert "no-such-model" in capsys.readouterr().err


def test_a_worker_that_cannot_live_ends_the_wait(made_up: Path, capsys: pytest.CaptureFixture[str]):
    assert run(made_up, "die") == 1
    assert "worker" in capsys.readouterr().err.lower()


def test_a_running_server_on_the_same_folder_does_the_job(made_up: Path, capsys: pytest.CaptureFixture[str]):
    server = app_of(made_up)
    assert server.start()
    try:
        assert run(made_up, "for the server") == 0
        assert Path(capsys.readouterr().out.strip()).read_text().startswith("for the server")
        assert [(j.owner, j.state) for j in server.jobs.list()] == [("cli", "done")]
    finally:
        server.stop()


def test_when_the_server_ends_the_command_takes_the_queue_over(made_up: Path):
    server = app_of(made_up)
    server.start()
    server.jobs.pause()
    answer: list[int] = []
    thread = threading.Thread(target=lambda: answer.append(run(made_up, "later")))
    thread.start()
    until = time.monotonic() + 20
    while not server.jobs.list() and time.monotonic() < until:
        time.sleep(0.05)
    assert [j.state for j in server.jobs.list()] == ["queued"]
    server.stop()
    other = app_of(made_up)
    other.jobs.resume()
    other.stop()
    thread.join(60)
    assert answer == [0]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT reaches one process only on POSIX")
def test_ctrl_c_cancels_the_job(data_dir: Path):
    """In a process of its own, over the real program: 900 steps, interrupted as soon as the model is at work."""
    command = [
        sys.executable,
        str(PROGRAM / "launch.py"),
        "txt2img",
        "--data-dir",
        str(data_dir),
        "--use-cpu",
        "all",
        "a red apple",
        "--steps",
        "900",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in process.stderr or ():
        if line.startswith("batch 1"):
            break
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.endswith("canceled\n")
    app = build_app(Flags(data_dir=str(data_dir)))
    assert [j.state for j in app.jobs.list()] == ["canceled"]
    app.stop()


@pytest.mark.slow
def test_the_real_program_prints_the_paths_of_real_pictures(data_dir: Path):
    words = ["a red apple, 3d", "--steps", "2", "--seed", "1", "--batch-size", "2", "--width", "64", "--height", "64"]
    command = [sys.executable, str(PROGRAM / "launch.py"), "txt2img", "--data-dir", str(data_dir), "--use-cpu", "all", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    paths = [Path(line) for line in done.stdout.splitlines()]
    sizes = [Image.open(p).size for p in paths]
    assert sizes[:2] == [(64, 64), (64, 64)]
    assert "Seed: 1," in Image.open(paths[0]).text["parameters"]
    assert json.loads((data_dir / "cache" / "hardware.json").read_text())
