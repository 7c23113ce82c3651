"""Machines as Ray tells them, the workers that they have places for, and which jobs those may do."""

from __future__ import annotations

from typing import Any

import pytest

from modules.cluster.fitting import fits
from modules.cluster.hosts import Host, Place, hosts_of, places_of

ROW = {"NodeID": "ab" * 28, "Alive": True, "NodeManagerAddress": "10.0.0.7", "NodeManagerHostname": "attic"}


def row(**changes: Any) -> dict[str, Any]:
    return {**ROW, "Resources": {"CPU": 8.0, "GPU": 2.0, "darkroom": 3.0, "accelerator_type:A100": 1.0, "memory": 2e9}, **changes}


def test_a_machine_with_cards():
    [host] = hosts_of([row()])
    assert (host.name, host.address, host.workers, host.cards, host.card, host.cpus, host.memory_bytes) == (
        "attic", "10.0.0.7", 3, 2, "A100", 8.0, 2_000_000_000
    )  # fmt: skip
    assert Host.from_data(host.to_data()) == host
    places = [place for _, place in places_of([host], Place(address="auto", shared=True))]
    assert [(p.index, p.gpu) for p in places] == [(0, True), (1, True), (2, False)]
    assert len({p.actor for p in places}) == 3
    assert all(p.shared and p.node == host.node for p in places)


@pytest.mark.parametrize("changes", [{"Alive": False}, {"Resources": {"CPU": 4.0}}, {"Resources": None}])
def test_machines_that_are_gone_or_offer_nothing_are_left_out(changes: dict[str, Any]):
    assert hosts_of([row(**changes)]) == []


def resolved(**changes: Any) -> dict[str, Any]:
    return {"visit": None, "settings": {}, "control": [], **changes}


@pytest.mark.parametrize(
    ("kind", "data", "wanted"),
    [
        ("txt2img", resolved(), True),
        ("img2img", resolved(control=[{"unit": {"module": "canny"}}, {"unit": {"module": "none"}}]), True),
        ("txt2img", resolved(control=[{"unit": {"module": "mediapipe_face"}}]), False),
        ("txt2img", resolved(control=[{"unit": {"module": "softedge_hed"}}]), True),
        ("txt2img", resolved(visit={"script": "x"}), False),
        ("txt2img", resolved(settings={"face_restoration": True}), True),
        ("caption", {"search": "", "words": None}, True),
        ("caption", {"search": "/pictures", "words": None}, False),
        ("caption_folder", {}, False),
        ("train", {}, False),
        ("grid", {}, False),
    ],
)
def test_which_jobs_can_be_done_elsewhere(kind: str, data: dict[str, Any], wanted: bool):
    assert fits(kind, data) is wanted


def test_extras_of_extensions_stay_here():
    plain = {"gfpgan_visibility": 0.5, "codeformer_visibility": 0.0, "background_removal": "u2net", "postprocessing": {}}
    assert fits("extras", {"request": plain})
    assert not fits("extras", {"request": {**plain, "postprocessing": {"x": {}}}})
