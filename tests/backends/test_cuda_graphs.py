"""CUDA graphs without a card: where it may be used, how blocks are compiled, and that an answer is no part of what is played back."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from modules.backends import compiled, cuda_graphs
from modules.backends.record import CannotStandIn, Work


class Network(torch.nn.Module):
    """Answers with the same memory each time, as a recorded graph does. asked: how its blocks were compiled."""

    def __init__(self, refuses: bool = False) -> None:
        super().__init__()
        self.asked: list[dict[str, Any]] = []
        self.out = torch.zeros(2)
        self.network = SimpleNamespace(compile_repeated_blocks=self._compile)
        self._refuses = refuses

    def _compile(self, **options: Any) -> None:
        if self._refuses:
            raise ValueError("no repeated blocks")
        self.asked.append(options)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.out.copy_(x * 2)
        return self.out


def work(network: Network) -> Work:
    return Work(network=network, example=(torch.ones(2),), kind="cuda", key="k", folder=Path("nowhere"))


def test_it_is_for_nvidias_cards(monkeypatch: pytest.MonkeyPatch):
    assert "not for cpu" in cuda_graphs.probe("cpu")
    assert "not for rocm" in cuda_graphs.probe("rocm")
    monkeypatch.setattr(compiled.importlib.util, "find_spec", lambda name: None)
    assert "triton" in cuda_graphs.probe("cuda")
    monkeypatch.setattr(compiled.importlib.util, "find_spec", lambda name: object())
    assert cuda_graphs.probe("cuda") == ""


def test_answers_are_not_written_over_by_the_next(monkeypatch: pytest.MonkeyPatch):
    begun: list[bool] = []
    monkeypatch.setattr(torch.compiler, "cudagraph_mark_step_begin", lambda: begun.append(True))
    network = Network()
    answer = cuda_graphs.build(work(network))
    assert network.asked == [{"mode": "reduce-overhead"}]
    assert len(begun) == cuda_graphs.ROUNDS
    first = answer([torch.tensor([1.0, 2.0])])
    answer([torch.tensor([5.0, 5.0])])
    assert first.tolist() == [2.0, 4.0]


def test_a_network_without_such_blocks_is_told():
    with pytest.raises(CannotStandIn, match="no repeated blocks"):
        cuda_graphs.build(work(Network(refuses=True)))
