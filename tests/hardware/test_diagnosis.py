"""Diagnoses over made-up facts about cards and drivers."""

from __future__ import annotations

import pytest

from modules.hardware.diagnosis import missing_kernels, unused_card

BUILD = ["sm_75", "sm_80", "sm_90", "sm_120"]


@pytest.mark.parametrize(
    ("capability", "built_for", "fine"),
    [
        ((9, 0), BUILD, True),
        ((8, 9), BUILD, True),  # 8.0's kernels run on every later 8.x
        ((5, 2), BUILD, False),
        ((10, 0), BUILD, False),
        ((7, 0), BUILD, False),  # 7.5's kernels do not run on 7.0
        ((10, 0), [*BUILD, "compute_90"], True),  # translated when it is loaded
        ((8, 0), [*BUILD, "compute_120"], True),
        ((7, 0), ["sm_80", "compute_80"], False),
        ((9, 0), ["sm_90a"], True),
        ((5, 0), [], True),  # a build that does not say what it was built for
    ],
)
def test_kernels_for_a_card(capability: tuple[int, int], built_for: list[str], fine: bool):
    found = missing_kernels("cuda", "GeForce", capability, built_for)
    assert (found is None) == fine


def test_missing_kernels_are_named_with_what_to_do():
    found = missing_kernels("cuda", "GeForce GTX 960", (5, 2), BUILD)
    assert found is not None
    assert found.startswith("No kernel image: GeForce GTX 960 needs kernels for sm_52")
    assert "sm_75, sm_80, sm_90, sm_120" in found
    assert "Install a torch build" in found


def test_amd_cards_are_not_judged_by_nvidias_numbers():
    assert missing_kernels("rocm", "Radeon", (11, 0), ["gfx1100"]) is None


@pytest.mark.parametrize(
    ("facts", "begins"),
    [
        ({"driver": None, "cuda_build": "13.2", "available": False}, None),
        ({"driver": "580.1", "cuda_build": "13.2", "available": True}, None),
        ({"driver": "580.1", "cuda_build": None, "available": False}, "CPU build of torch"),
        (
            {"driver": "470.1", "cuda_build": "13.2", "available": False, "error": "The NVIDIA driver on your system is too old"},
            "Driver too old",
        ),
        ({"driver": "580.1", "cuda_build": "13.2", "available": False, "error": "unknown error"}, "No CUDA device"),
    ],
)
def test_a_card_that_cannot_be_used(facts: dict, begins: str | None):
    found = unused_card(hip_build=None, **facts)
    assert (found is None) if begins is None else (found or "").startswith(begins)
