"""The guard: values that are not numbers are found in the call that made them, and made again in float32."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch

from modules.faults import BlankPicture
from tests.steering.conftest import Bench


@pytest.fixture
def half(bench: Callable[[str], Bench]) -> Bench:
    """A pipeline of its own whose UNet lies in float16. Its texts are given, and stay as they are without an encoder."""
    own = {"unet": copy.deepcopy(bench("sd1").network), "text_encoder": None, "tokenizer": None}
    pipeline: Any = type(bench("sd1").pipeline)(**{**bench("sd1").pipeline.components, **own})
    pipeline.set_progress_bar_config(disable=True)
    pipeline.unet.to(torch.float16)
    return Bench(pipeline, "sd1")


def halved(made: Bench) -> dict[str, Any]:
    return {name: value.half() for name, value in made.arguments((1,)).items() if isinstance(value, torch.Tensor)}


def overflowing(made: Bench) -> None:
    """The first layer's answers are beyond float16, and well within float32."""
    with torch.no_grad():
        made.network.conv_in.weight.mul_(1e6).clamp_(-6e4, 6e4)


def weights(made: Bench) -> list[torch.Tensor]:
    return [w.clone() for w in made.network.parameters()]


def test_what_overflows_is_made_again(half: Bench):
    overflowing(half)
    before = weights(half)
    wide = copy.deepcopy(half.network).float()
    found, steer = half.made(call=halved(half))
    assert bool(torch.isfinite(found).all())
    assert found.dtype == torch.float16
    assert steer.notes == ["Tiny produced values that are not numbers in float16, in network call 1. From there on it ran in float32."]
    half.pipeline.unet = wide
    wanted = half.plain(**{name: value.float() for name, value in halved(half).items()})
    assert (wanted - found.float()).abs().mean() < 0.02 * wanted.abs().mean()
    half.pipeline.unet = steer.network
    assert all(torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(before, weights(half), strict=True))


def test_without_the_guard_it_would_be_lost(half: Bench):
    overflowing(half)
    assert not bool(torch.isfinite(half.plain(**halved(half))).all())


def test_only_from_the_failing_call_on(half: Bench):
    """The third call fails; the first two are as they were."""
    kinds: list[torch.dtype] = []

    def fail(module: Any, given: Any, out: torch.Tensor) -> torch.Tensor | None:
        kinds.append(out.dtype)
        return out * float("inf") if len(kinds) >= 3 and out.dtype == torch.float16 else None

    handle = half.network.conv_in.register_forward_hook(fail)
    found, steer = half.made(call=halved(half))
    handle.remove()
    assert bool(torch.isfinite(found).all())
    assert kinds == [torch.float16] * 3 + [torch.float32] * 2
    assert "network call 3" in steer.notes[0]
    assert half.network.dtype == torch.float16


def test_float16_that_is_well_stays(half: Bench):
    plain = half.plain(**halved(half))
    found, steer = half.made(call=halved(half))
    assert torch.equal(plain, found)
    assert steer.notes == []


@pytest.mark.parametrize(
    "asked", [{"cache": "DeepCache"}, {"pag_scale": 2.0}, {"settings": {"token_merging_ratio": 0.5}}, {"cfg_stop": 0.5}]
)
def test_together_with_others(half: Bench, asked: dict[str, Any]):
    overflowing(half)
    found, steer = half.made(call=halved(half), **asked)
    assert bool(torch.isfinite(found).all())
    assert len(steer.notes) == 1


def test_what_float32_cannot_mend(half: Bench):
    with torch.no_grad():
        half.network.conv_out.weight[0, 0, 0, 0] = float("nan")
    before = half.state()
    with pytest.raises(BlankPicture, match="not numbers in float32, in network call 1"):
        half.steered(call=halved(half))
    assert half.state()["network types"] == before["network types"]
    assert half.network.dtype == torch.float16


def test_a_network_in_float32_ends_at_once(bench: Callable[[str], Bench]):
    made = bench("sd1")
    calls: list[int] = []

    def fail(module: Any, given: Any, out: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return out * float("nan")

    handle = made.network.conv_out.register_forward_hook(fail)
    with pytest.raises(BlankPicture, match="network call 1"):
        made.steered()
    handle.remove()
    assert len(calls) == 1
