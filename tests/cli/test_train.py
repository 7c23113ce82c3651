"""`python launch.py train`: sessions, a training that is followed, Ctrl+C; only the training itself is a stand-in."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from modules.cli import train
from modules.flags import Flags
from modules.folders import PROGRAM, Folders
from modules.jobs import service
from modules.request.train import TrainConfig
from modules.train.sessions import Session
from tests.cli.train_stand_in import BACKEND
from tests.processing.train_rig import drawing


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    monkeypatch.setattr(service.Jobs.__init__, "__kwdefaults__", {**(service.Jobs.__init__.__kwdefaults__ or {}), "train_runner": BACKEND})

    def command(*words: str) -> int:
        return train.main(Flags(data_dir=str(tmp_path)), list(words))

    return command


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "holiday"
    folder.mkdir()
    for number in range(2):
        (folder / f"{number}.png").write_bytes(drawing(number))
    return folder


def opened(data: Path, name: str = "cat") -> Session:
    return Session.open(Folders.at(data), name)


def test_a_session_is_made_trained_and_listed(
    run: Callable[..., int], pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = tmp_path / "mine.toml"
    TrainConfig(max_train_steps=5, resolution=128).save(given)
    assert run("cat", "--new", str(pictures), "--config", str(given), "--check") == 0
    assert "LoRA on darkroom-starter, 5 steps" in capsys.readouterr().out
    assert run("cat") == 0
    assert opened(tmp_path).summary().step == 5
    assert run("--list") == 0
    assert "cat: lora, 2 pictures, step 5 of 5" in capsys.readouterr().out
    assert run("cat", "--export", str(tmp_path / "cat.zip")) == 0
    assert run("tom", "--take-in", str(tmp_path / "cat.zip")) == 0
    assert opened(tmp_path, "tom").summary().step == 5


def test_ctrl_c_saves_and_the_same_command_goes_on(run: Callable[..., int], pictures: Path, tmp_path: Path) -> None:
    given = tmp_path / "mine.toml"
    TrainConfig(max_train_steps=3000, resolution=128).save(given)
    assert run("cat", "--new", str(pictures), "--config", str(given), "--check") == 0

    metrics = opened(tmp_path).paths.metrics
    command = [sys.executable, "-m", "tests.cli.train_stand_in", str(tmp_path), "cat"]  # a signal to this process might end the test run
    with subprocess.Popen(command, cwd=PROGRAM, stderr=subprocess.PIPE, text=True) as program:
        try:
            end = time.monotonic() + 120
            while not (metrics.is_file() and metrics.stat().st_size > 200):
                assert program.poll() is None
                assert time.monotonic() < end, "no step was made"
                time.sleep(0.02)
            program.send_signal(signal.SIGINT)
            _, said = program.communicate(timeout=120)
        finally:
            program.kill()
    assert program.returncode == 130
    step = opened(tmp_path).summary().step
    assert 0 < step < 3000
    assert f"saved at step {step}; go on with: python launch.py train cat" in said
    opened(tmp_path).save_config(opened(tmp_path).config().changed(max_train_steps=step + 2))
    assert run("cat") == 0
    assert opened(tmp_path).summary().step == step + 2


def test_what_is_wrong_is_said_with_its_line(
    run: Callable[..., int], pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("nobody") == 2
    assert run() == 2
    assert run("cat", "--new", str(tmp_path / "none")) == 2
    assert Session.names(Folders.at(tmp_path)) == []
    assert run("cat", "--new", str(pictures), "--preset", "nonsense") == 2
    path = tmp_path / "bad.toml"
    path.write_text("learning_rate = 1e-4\nresolution = 'large'\n")
    assert run("cat", "--new", str(pictures), "--config", str(path)) == 2
    assert "resolution" in capsys.readouterr().err
    opened(tmp_path).save_config(TrainConfig(resolution=100))
    assert run("cat") == 2
    assert "/config.toml)" in capsys.readouterr().err
