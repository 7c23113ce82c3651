"""The backends that run here, for true: the same numbers as eager within the tolerance of their rows, and eager where they cannot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from modules.backends.backing import Backing, difference
from modules.backends.table import BACKENDS
from modules.processing.adapters import Adapter
from modules.weights.lora.maths import Factors
from tests.backends.conftest import ask, call, residuals

GRAPHS = ["onnx", "openvino"]
Plain = Callable[..., torch.Tensor]


@pytest.fixture(params=GRAPHS)
def name(request: pytest.FixtureRequest) -> str:
    if why := BACKENDS.get(request.param).probe("cpu"):
        pytest.fail(f"{request.param}: {why} It is in requirements-test.txt.", pytrace=False)
    return request.param


@pytest.fixture
def backing(kept_folder: Path) -> Backing:
    return Backing("cpu", kept_folder)


def near(told: torch.Tensor, own: torch.Tensor, name: str) -> bool:
    apart = difference(told, own)
    return apart is not None and apart <= BACKENDS.get(name).tolerance["float32"]


def test_one_graph_answers_for_every_size(name: str, network: Any, backing: Backing, plain: Plain):
    calls = [call(), call(rows=3, height=16, width=8, words=14, seed=2), call(rows=1, height=8, width=8, seed=3), call(seed=4)]
    told, use = ask(network, backing, name, *calls)
    assert use.notes == []
    assert use.answered == len(calls)
    for one, given in zip(told, calls, strict=True):
        assert near(one, plain(network, given), name)


def test_a_size_that_the_graph_cannot_is_answered_by_eager(name: str, network: Any, backing: Backing, plain: Plain):
    odd = call(height=9, width=7)  # no multiple of what the network halves; a trace of another size does not know
    told, use = ask(network, backing, name, call(), odd)
    assert near(told[1], plain(network, odd), name)
    assert use.answered == 2 or BACKENDS.get(name).title in use.notes[0]


def test_what_a_controlnet_adds_is_added(name: str, network: Any, backing: Backing, plain: Plain):
    first = call()
    with_more = {**first, **residuals(first)}
    told, use = ask(network, backing, name, with_more, first)
    assert use.notes == []
    assert use.answered == 2
    assert near(told[0], plain(network, with_more), name)
    assert not torch.allclose(told[0], told[1], atol=1e-2)


def test_a_lora_is_in_its_own_graph(name: str, network: Any, backing: Backing, plain: Plain):
    before, _ = ask(network, backing, name, call())
    layer = network.down_blocks[0].attentions[0].transformer_blocks[0].attn1.to_q
    adapter = Adapter(layer)
    torch.manual_seed(5)
    adapter.add(Factors(down=torch.randn(4, layer.in_features), up=torch.randn(layer.out_features, 4)), 0.7)
    adapter.install()
    told, use = ask(network, backing, name, call())
    assert use.answered == 1, use.notes
    assert near(told[0], plain(network, call()), name)
    assert not torch.allclose(told[0], before[0], atol=1e-4)
    adapter.remove()
    after, _ = ask(network, backing, name, call())
    assert torch.equal(after[0], before[0])


def test_a_damaged_graph_is_made_again(name: str, network: Any, tmp_path: Path, plain: Plain):
    ask(network, Backing("cpu", tmp_path), name, call())
    [graph] = tmp_path.glob("*/network.onnx")
    sound = graph.read_bytes()
    graph.write_bytes(sound[: len(sound) // 2])
    told, use = ask(network, Backing("cpu", tmp_path), name, call())
    assert use.answered == 1, use.notes
    assert near(told[0], plain(network, call()), name)
    assert len(graph.read_bytes()) == len(sound)


def test_torch_compile(network: Any, tmp_path: Path, plain: Plain, monkeypatch: pytest.MonkeyPatch):
    if why := BACKENDS.get("compile").probe("cpu"):
        pytest.skip(why)
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "inductor"))
    told, use = ask(network, Backing("cpu", tmp_path), "compile", call(), call(seed=2))
    assert use.answered == 2, use.notes
    assert near(told[1], plain(network, call(seed=2)), "compile")
    assert any((tmp_path / "inductor").rglob("*.cpp"))
