"""What a training made and the figures on the way, as they are read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from modules.folders import Folders
from modules.request.train import TrainConfig
from modules.train.log import cut
from modules.train.metrics import points_after
from modules.train.results import install, is_installed, outputs, samples
from modules.train.sessions import Session


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders.at(tmp_path)


def made(folders: Folders, *names: str, **config: object) -> Session:
    session = Session.create(folders, "cat", TrainConfig.from_data(config))
    for name in names:
        (session.paths.output / name).write_bytes(name.encode())
    return session


def test_results_stand_in_order_with_their_steps(folders: Folders) -> None:
    session = made(folders, "cat-000250.safetensors", "cat-1000000.safetensors", "cat-diffusers.safetensors", "cat.safetensors", ".x.tmp")
    assert [(one.path.name, one.step) for one in outputs(session)] == [
        ("cat.safetensors", None), ("cat-diffusers.safetensors", None), ("cat-1000000.safetensors", 1000000),
        ("cat-000250.safetensors", 250),
    ]  # fmt: skip
    assert outputs(session)[0].insert(0.8) == "<lora:cat:0.8>"


def test_installing_copies_a_result_whole_and_replaces_the_former_one(folders: Folders) -> None:
    session = made(folders, "cat.safetensors", method="textual_inversion")
    target = folders.models / "embeddings" / "cat.safetensors"
    target.parent.mkdir(parents=True)
    target.write_bytes(b"old")
    one = outputs(session)[0]
    assert (one.insert(), is_installed(folders, one, "textual_inversion")) == ("cat", True)
    assert [each.path for each in install(folders, [one], "textual_inversion")] == [target]
    assert target.read_bytes() == b"cat.safetensors"
    assert [path.name for path in target.parent.iterdir()] == ["cat.safetensors"]


def test_a_folder_is_installed_too(folders: Folders) -> None:
    session = made(folders, method="captioner_lora")
    for text in ("one", "two"):
        (session.paths.output / "cat").mkdir(exist_ok=True)
        (session.paths.output / "cat" / "adapter.json").write_text(text)
        found = install(folders, outputs(session), "captioner_lora")[0].path
        assert found == folders.models / "caption-adapters" / "cat"
        assert (found / "adapter.json").read_text() == text


def test_samples_know_their_prompts(folders: Folders) -> None:
    session = made(folders, sample_prompts=["a cat", "a dog"])
    for name in ("000500-1.png", "000250-0.png", "000500-2.png", "notes.txt"):
        (session.paths.samples / name).write_bytes(b"x")
    assert [(one.step, one.prompt, one.text) for one in samples(session)] == [(250, 0, "a cat"), (500, 1, "a dog"), (500, 2, "")]


def write(path: Path, rows: list[dict[str, object]], tail: str = "") -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + tail)


def test_figures_are_read_from_where_one_was_and_half_a_line_waits(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    assert points_after(path, -1, 100).points == []
    write(path, [{"step": n, "epoch": n / 2, "loss": 1 / n, "lr": 1e-4} for n in range(1, 6)], '{"step": 6, "lo')
    assert [point["step"] for point in points_after(path, 3, 100).points] == [4, 5]
    found = points_after(path, 5, 100)
    assert (found.points, found.last) == ([], 5)


def test_many_figures_are_thinned_but_the_last_and_validations_stay(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    write(path, [{"step": n, "loss": 1.0, **({"val_loss": 2.0} if n % 97 == 0 else {})} for n in range(1, 1001)])
    found = points_after(path, -1, 100)
    steps = [point["step"] for point in found.points]
    assert found.thinned == 10
    assert len(steps) <= 100 + 10
    assert steps[-1] == 1000
    assert {97, 194, 970} <= set(steps)
    assert steps == sorted(steps)


def test_figures_that_are_no_numbers_are_none(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "loss": NaN, "lr": "x"}\n{"step": 2, "loss": Infinity}\n[]\n{"loss": 3}\n')
    assert [(point["step"], point["loss"], point["lr"]) for point in points_after(path, -1, 10).points] == [
        (1, None, None),
        (2, None, None),
    ]


def test_a_plot_is_told_when_earlier_figures_were_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    write(path, [{"step": n, "loss": 1.0} for n in range(1, 11)])
    before = points_after(path, -1, 100)
    with path.open("a") as file:
        file.write('{"step": 11, "loss": 1.0}\n')
    assert points_after(path, 10, 100).begun == before.begun
    cut(path, 5)
    after = points_after(path, -1, 100)
    assert after.last == 5
    assert after.begun != before.begun
