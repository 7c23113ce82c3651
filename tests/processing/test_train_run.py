"""A training from its session to the file among the models, on a tiny model: stopped, gone on with, begun anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from modules.faults import OutOfMemory, RequestFault
from modules.processing import train_run
from modules.processing.train_plan import ResolvedTrain
from modules.processing.train_run import TrainDesk, run_train
from modules.train.loop import Outcome
from tests.processing.train_rig import FLAGS, Heard, Place


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("train"))


def weights(place: Place, name: str) -> dict[str, torch.Tensor]:
    return load_file(place.folders.models / "Lora" / f"{name}.safetensors")


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_training_that_was_paused_and_stopped_ends_as_the_unbroken_one(place: Place) -> None:
    whole, broken = place.session("whole", max_train_steps=5), place.session("broken", max_train_steps=5)
    state, told = place.train(whole)
    assert (state, told["step"], told["files"]) == ("done", 5, [str(place.folders.models / "Lora" / "whole.safetensors")])
    for control, wanted in ((Heard(2, pause=True), ("paused", 2)), (Heard(4), ("canceled", 4)), (Heard(), ("done", 5))):
        state, told = place.train(broken, control)
        assert (state, told["step"]) == wanted
        assert bool(told["files"]) == (state == "done")
    assert equal(weights(place, "whole"), weights(place, "broken"))
    losses = [[json.loads(line)["loss"] for line in session.paths.metrics.read_text().splitlines()] for session in (whole, broken)]
    assert losses[0] == losses[1]
    assert len(losses[0]) == 5


def test_begun_anew_it_forgets_once_and_not_when_the_job_goes_on(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    session = place.session("anew")
    there: list[bool] = []

    def begun(*_: Any) -> Outcome:
        state = session.paths.state / "step-000002"
        there.append(state.exists())
        state.mkdir(parents=True, exist_ok=True)
        return Outcome("canceled", 2, 4)

    monkeypatch.setattr(train_run, "run_here", begun)
    for job, again in (("first", False), ("second", True), ("second", True), ("third", True), ("fourth", False)):
        place.train(session, again=again, job=job)
    assert there == [False, False, True, False, True]


def test_pictures_of_the_class_are_made_before_the_training_by_the_model_itself(place: Place) -> None:
    prior = {"prior_preservation": True, "class_prompt": "a ball", "num_class_images": 2}
    session = place.session("prior", max_train_steps=1, sample_steps=1, **prior)
    stopped = Heard()
    stopped.interrupted = True
    assert place.train(session, stopped)[0] == "canceled"
    assert not list(session.paths.class_pictures.glob("*"))
    control = Heard()
    assert place.train(session, control)[0] == "done"
    made = sorted(session.paths.class_pictures.glob("*.png"))
    assert len(made) == 2
    assert "Making pictures of the class, 2 of 2" in control.said
    before = [path.stat().st_mtime_ns for path in made]
    session.save_config(session.config().changed(max_train_steps=2))
    assert place.train(session)[0] == "done"
    assert [path.stat().st_mtime_ns for path in made] == before


def test_memory_that_runs_out_is_asked_for_once_and_then_told(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    session, control = place.session("short"), Heard()
    tries: list[int] = []

    def out_of_memory(*_: Any) -> Outcome:
        tries.append(1)
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB")

    monkeypatch.setattr(train_run, "run_here", out_of_memory)
    with pytest.raises(OutOfMemory, match="smaller batch"):
        place.train(session, control)
    assert (len(tries), control.rooms) == (2, 1)


def test_models_of_other_workers_go_when_what_is_free_will_hardly_do(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    session, control = place.session("room"), Heard()
    monkeypatch.setattr(train_run, "run_here", lambda *_: Outcome("canceled", 1, 4))
    short = {"ram": {"free": 10, "used": 1, "total": 11}, "cuda": {"error": "none"}}
    monkeypatch.setattr(type(place.bench), "memory", lambda self: short)
    assert place.train(session, control)[0] == "canceled"
    assert control.rooms == 1


def test_what_the_device_cannot_do_is_told_with_its_line(place: Place) -> None:
    session = place.session("precise", mixed_precision="fp16")
    bench = place.bench
    able = bench.device.dtypes
    bench.device = type(bench.device)(**{**vars(bench.device), "dtypes": ("float32",)})
    try:
        with pytest.raises(RequestFault, match=r"float16 does not work .* \(line \d+ of precise/config\.toml\)"):
            place.train(session)
    finally:
        bench.device = type(bench.device)(**{**vars(bench.device), "dtypes": able})


def test_a_plan_survives_the_job_row(place: Place) -> None:
    plan = place.plan(place.session("row"))
    assert ResolvedTrain.from_data(json.loads(json.dumps(plan.to_data()))) == plan
    with pytest.raises(RequestFault, match="another version"):
        ResolvedTrain.from_data({"title": "x"})


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"checkpoint": "no such one"}, "line"), ({"resolution": 60}, "line"), ({"method": "captioner_lora"}, "name the captioner"),
        ({"method": "captioner_lora", "captioner": "nobody"}, "line"), ({"resolution": 64, "any_resolution": False}, "line"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_before_a_job_is_made(place: Place, config: dict[str, Any], words: str) -> None:
    name = f"wrong{abs(hash(str(config)))}"
    assert words in place.fault(place.session(name, **config)).message


def test_a_size_that_follows_from_the_model_is_a_number_where_training_starts(place: Place) -> None:
    session = place.session("own", resolution=0, any_resolution=False)
    plan = place.plan(session)
    assert plan.checkpoint is not None
    assert plan.config["resolution"] == plan.checkpoint.native_px
    assert session.config().resolution == 0, "the file stays as it was written"
    word = place.plan(place.session("word", method="textual_inversion", prior_preservation=True))
    assert not word.config["prior_preservation"]
    assert "no use for pictures of the class" in word.warnings[0]


def test_pictures_that_cannot_be_trained_are_told_by_name(place: Place) -> None:
    session = place.session("pictures")
    (session.paths.pictures / "broken ä.png").write_bytes(b"\x89PNG no")
    assert "broken ä.png" in place.fault(session).message
    empty = place.session("empty")
    for path in list(empty.pictures()):
        path.unlink()
    assert "no pictures" in place.fault(empty).message


def test_a_session_that_is_being_trained_is_not_trained_twice(place: Place) -> None:
    session = place.session("busy")
    with session.lock():
        assert "being trained" in place.fault(session).message


def test_paths(place: Place) -> None:
    """Nothing of a training lies outside its session and the folder of what it made."""
    names = {path.name for path in Path(place.folders.models).iterdir()}
    assert names <= {"Stable-diffusion", "Lora", "train"}


@pytest.mark.parametrize(("address", "said"), [("", "--cluster ADDRESS"), ("ray://10.0.0.1:10001", "on a machine of the cluster itself")])
def test_a_training_over_a_cluster_needs_one(place: Place, address: str, said: str) -> None:
    session = place.session(f"far{len(address)}", on_cluster=True)
    work = {"id": "job", "kind": "train", "resolved": place.plan(session).to_data(), "attempts": 1, "made": []}
    with pytest.raises(RequestFault, match=said) as raised:
        run_train(work, Heard(), TrainDesk(place.folders, place.bench, {**FLAGS, "cluster": address}))
    assert raised.value.field == "on_cluster"


def test_a_training_over_a_cluster_names_the_packages_that_it_lacks(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_run, "CLUSTER_PACKAGES", ("json", "no_such_package"))
    session = place.session("lacking", on_cluster=True)
    work = {"id": "job", "kind": "train", "resolved": place.plan(session).to_data(), "attempts": 1, "made": []}
    with pytest.raises(RequestFault, match="needs no_such_package: pip install"):
        run_train(work, Heard(), TrainDesk(place.folders, place.bench, {**FLAGS, "cluster": "127.0.0.1:6379"}))
