"""Which device and which number type, on made-up devices."""

from __future__ import annotations

from typing import Any

import pytest

from modules.faults import SetupFault
from modules.hardware.choice import asks_for_speed, choose_dtypes, pick, unusable
from modules.hardware.detect import Device

ALL = ("float32", "float16", "bfloat16")


def device(kind: str, number: int = 0, **facts: Any) -> Device:
    name = kind if kind in ("cpu", "mps") else f"{kind}:{number}"
    return Device(**{"kind": kind, "torch_name": name, "name": f"{kind} {number}", "memory_bytes": 2**30, "dtypes": ALL, **facts})


CPU = device("cpu")


def test_the_first_kind_without_problems_wins_and_its_devices_are_counted():
    found, count = pick([device("cuda"), device("cuda", 1), device("xpu"), CPU], {}, 1)
    assert (found.torch_name, count) == ("cuda:1", 2)


def test_a_device_with_problems_is_passed_over():
    found, count = pick([device("cuda", problems=("no kernels",)), device("cuda", 1), CPU], {}, 0)
    assert (found.torch_name, count) == ("cuda:1", 1)
    assert pick([device("cuda", problems=("no kernels",)), CPU], {})[0] == CPU


def test_use_cpu_takes_the_cpu():
    assert pick([device("cuda"), CPU], {"use_cpu": ["all"]})[0] == CPU


def test_a_number_that_is_not_there_lists_those_that_are():
    with pytest.raises(SetupFault, match=r"no device number 2; there is 0 = cuda 0, 1 = cuda 1"):
        pick([device("cuda"), device("cuda", 1), CPU], {}, 2)


@pytest.mark.parametrize(
    ("kind", "works", "flags", "wanted"),
    [
        ("cuda", ALL, {}, ("float16", "float16")),
        ("cuda", ("float32", "bfloat16"), {}, ("bfloat16", "bfloat16")),
        ("cuda", ALL, {"no_half": True}, ("float32", "float32")),
        ("cuda", ALL, {"precision": "full"}, ("float32", "float32")),
        ("cuda", ALL, {"no_half_vae": True}, ("float16", "float32")),
        ("rocm", ALL, {"precision": "autocast"}, ("float16", "float16")),
        ("xpu", ALL, {}, ("bfloat16", "bfloat16")),
        ("mps", ALL, {}, ("float16", "float16")),
        ("cpu", ALL, {}, ("float32", "float32")),
        ("cpu", ALL, {"precision": "half"}, ("bfloat16", "bfloat16")),
    ],
)
def test_number_types(kind: str, works: tuple[str, ...], flags: dict[str, Any], wanted: tuple[str, str]):
    network, vae, notes = choose_dtypes(device(kind, dtypes=works), flags)
    assert (network, vae) == wanted
    assert notes == []


def test_a_fall_back_to_float32_is_said_with_the_reason():
    weak = device("mps", dtypes=("float32",), refused={"float16": "attention is wrong by 40%"})
    network, vae, notes = choose_dtypes(weak, {})
    assert (network, vae) == ("float32", "float32")
    assert "attention is wrong by 40%" in notes[0]


def test_a_device_that_computes_nothing_right_cannot_be_used():
    assert unusable(CPU) is None
    broken = device("cuda", dtypes=(), refused={"all": "trying the devices ended the process (signal 11)"})
    assert "signal 11" in (unusable(broken) or "")


@pytest.mark.parametrize(
    ("precision", "gain", "wanted", "words"),
    [
        ("fastest", 1.9, "bfloat16", ["bfloat16 is 1.9 times as fast as float32 on this processor."]),
        ("fastest", 1.1, "float32", ["bfloat16 is 1.1 times as fast as float32 on this processor: computing in float32."]),
        ("half", 0.4, "bfloat16", ["bfloat16 is 0.4 times as fast as float32 on this processor; start without --precision half."]),
        ("half", None, "bfloat16", []),
        ("autocast", 1.9, "float32", []),
    ],
)
def test_the_processor_computes_in_half_precision_where_it_is_faster(precision: str, gain: float | None, wanted: str, words: list[str]):
    assert choose_dtypes(CPU, {"precision": precision}, gain) == (wanted, wanted, words)


def test_speed_is_asked_for_on_the_processor_alone():
    assert asks_for_speed(CPU, {"precision": "fastest"})
    assert not asks_for_speed(CPU, {"precision": "autocast"})
    assert not asks_for_speed(CPU, {"precision": "fastest", "no_half": True})
    assert not asks_for_speed(device("cuda"), {"precision": "fastest"})
    assert choose_dtypes(device("cuda"), {"precision": "fastest"}) == ("float16", "float16", [])


def test_no_half_precision_is_no_question_of_speed():
    [note] = choose_dtypes(device("cpu", dtypes=("float32",)), {"precision": "fastest"}, None)[2]
    assert "does not work" in note
