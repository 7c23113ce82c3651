"""A training over a cluster of two raylets on loopback, and the same on one device with the doubled batch; a raylet that is lost."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from modules.faults import Fault
from modules.processing.train_run import TrainDesk, run_train
from modules.train.sessions import Session
from tests.cluster.trial import Raylets, raylets
from tests.processing.train_rig import FLAGS, Heard, Place

pytest.importorskip("ray")
pytest.importorskip("pyarrow", reason="Ray Train needs it: pip install -r requirements-cluster.txt")
pytestmark = [pytest.mark.faults, pytest.mark.slow]

# An epsilon above the noise of float32: AdamW makes a whole step of a gradient that is nothing but rounding.
CONFIG = {"learning_rate": 1e-3, "optimizer_args": ["eps=1e-3"], "keep_last": 1}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Raylets]:
    with raylets(2) as found:
        yield found


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "here")


def over(cluster: Raylets, place: Place, session: Session, control: Heard, *, shared: bool) -> tuple[str, dict[str, Any]]:
    """Train on the cluster, whose machines keep what they need in a folder of their own."""
    flags = {
        **FLAGS, "cluster": cluster.address, "cluster_shared": shared, "cluster_home": str(place.folders.data.parent / "there"),
        "cluster_disk_gb": 1,
    }  # fmt: skip
    work = {"id": "job", "kind": "train", "resolved": place.plan(session).to_data(), "attempts": 1, "made": []}
    return run_train(work, control, TrainDesk(place.folders, place.bench, flags))


def sent(place: Place) -> list[Path]:
    """Files that went to the other machines."""
    return list((place.folders.data.parent / "there" / "cache" / "blobs" / "whole").iterdir())


def losses(session: Session) -> list[float]:
    return [float(json.loads(line)["loss"]) for line in session.paths.metrics.read_text().splitlines()]


def drift(place: Place, one: str, other: str) -> float:
    """The largest difference of weights, as a part of the largest weight."""
    first, second = (load_file(place.folders.models / "Lora" / f"{name}.safetensors") for name in (one, other))
    return max(float((first[name] - second[name]).abs().max()) for name in first) / max(float(each.abs().max()) for each in first.values())


def test_two_raylets_train_what_one_process_does_with_the_doubled_batch(cluster: Raylets, place: Place):
    alone = place.session("alone", train_batch_size=2, max_train_steps=6, **CONFIG)
    both = place.session("both", train_batch_size=1, num_processes=2, on_cluster=True, max_train_steps=6, **CONFIG)
    place.train(alone)
    control = Heard()
    state, told = over(cluster, place, both, control, shared=True)
    assert (state, told["step"]) == ("done", 6)
    assert losses(both) == pytest.approx(losses(alone), rel=1e-5)
    assert drift(place, "alone", "both") < 1e-4
    assert not any("lost" in str(event) for event in control.events)
    assert not sent(place), "the folder was seen from there"


class Losing(Heard):
    """Loses one of the raylets after the third step."""

    def __init__(self, cluster: Raylets) -> None:
        super().__init__()
        self._cluster: Raylets | None = cluster

    def progress(self, **where: Any) -> None:
        if where["step"] >= 3 and self._cluster is not None:
            self._cluster.lose_one(random.Random(1))
            self._cluster = None


def test_a_lost_machine_leaves_the_others_to_go_on(cluster: Raylets, place: Place):
    """No folder is shared: it goes on from the last state that came home, with one process, which learns the same."""
    alone = place.session("alone", train_batch_size=2, max_train_steps=60, **CONFIG)
    both = place.session("both", train_batch_size=1, num_processes=2, on_cluster=True, max_train_steps=60, save_every=1, **CONFIG)
    place.train(alone)
    control = Losing(cluster)
    state, told = over(cluster, place, both, control, shared=False)
    cluster.add_one()
    assert (state, told["step"]) == ("done", 60)
    said = [data["text"] for kind, data in control.events if kind == "warning" and "was lost" in data["text"]]
    assert len(said) == 1
    assert "1 of 2 processes" in said[0]
    assert losses(both) == pytest.approx(losses(alone), rel=1e-3)
    assert sorted(path.name for path in both.paths.state.glob("step-*")) == ["step-000059", "step-000060"]
    assert sent(place), "the model and the pictures went there"
    assert not (place.folders.data.parent / "there" / "training" / "0" / "models" / "train" / "both").exists(), "and are not left there"


def test_more_processes_than_places_are_refused(cluster: Raylets, place: Place):
    session = place.session("many", num_processes=3, on_cluster=True)
    with pytest.raises(Fault, match="2 places"):
        over(cluster, place, session, Heard(), shared=False)
