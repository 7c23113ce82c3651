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
from tests.backends.conftest import ask, call, residuals, unet

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


def halved(given: dict[str, Any], dtype: torch.dtype) -> dict[str, Any]:
    """A call in half precision; the timestep stays as the sampler tells it."""

    def half(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(half(one) for one in value)
        return value.to(dtype) if isinstance(value, torch.Tensor) and value.ndim else value

    return {name: half(value) for name, value in given.items()}


def dressed(network: Any) -> Adapter:
    """A LoRA on one layer, in the network's number type."""
    layer = network.down_blocks[0].attentions[0].transformer_blocks[0].attn1.to_q
    adapter, kind = Adapter(layer), layer.weight.dtype
    torch.manual_seed(5)
    adapter.add(Factors(down=torch.randn(4, layer.in_features, dtype=kind), up=torch.randn(layer.out_features, 4, dtype=kind)), 0.2)
    adapter.install()
    return adapter


def test_half_precision_with_a_controlnet_and_a_lora(name: str, backing: Backing, plain: Plain):
    network = unet().half()
    adapter, first = dressed(network), call()
    given = halved({**first, **residuals(first)}, torch.float16)
    told, use = ask(network, backing, name, given)
    own = plain(network, given)
    adapter.remove()
    assert (use.answered, use.notes) == (1, [])
    assert told[0].dtype == torch.float16
    apart = difference(told[0], own)
    assert apart is not None
    assert apart <= BACKENDS.get(name).tolerance["float16"]
    assert not torch.allclose(own, plain(network, given), atol=1e-3)


def test_bfloat16_is_eagers_where_a_graph_has_none(name: str, backing: Backing, plain: Plain):
    network, given = unet().to(torch.bfloat16), halved(call(), torch.bfloat16)
    told, use = ask(network, backing, name, given)
    assert torch.equal(told[0], plain(network, given))
    assert use.notes == [f"{BACKENDS.get(name).title} stood aside for eager torch: it does not compute in bfloat16 here."]


@pytest.mark.slow
def test_compiled_blocks_in_bfloat16_with_a_controlnet_and_a_lora(backing: Backing, plain: Plain):
    row = BACKENDS.get("compile")
    if why := row.probe("cpu"):
        pytest.skip(why)
    network = unet().to(torch.bfloat16)
    adapter, first = dressed(network), call()
    given = halved({**first, **residuals(first)}, torch.bfloat16)
    told, use = ask(network, backing, "compile", given)
    own = plain(network, given)
    adapter.remove()
    assert (use.answered, use.notes) == (1, [])
    apart = difference(told[0], own)
    assert apart is not None
    assert apart <= row.tolerance["bfloat16"]
