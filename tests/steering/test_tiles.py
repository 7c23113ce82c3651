"""Tiled diffusion: the same as a whole run where it must be, joined without seams, and nothing of it stays."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from modules.steering.tiles import Tiles, waning
from tests.steering.conftest import Bench

SHORT = {"num_inference_steps": 2}


class Pointwise(torch.nn.Module):
    """A network that looks at each place alone, so that tiles change nothing; it keeps the sizes it was asked about."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, ...]] = []

    def forward(self, sample: torch.Tensor, timestep: float, **_: object) -> tuple[torch.Tensor]:
        self.seen.append(tuple(sample.shape))
        return (sample * timestep + 1,)


def through(side_px: int, overlap_px: int, sample: torch.Tensor, *, named: bool = False) -> tuple[torch.Tensor, Pointwise]:
    network = Pointwise()
    hook = Tiles(side_px, overlap_px)
    hook.fn_ref = type("Ref", (), {"original_forward": network.forward})()  # pyright: ignore[reportAttributeAccessIssue]
    answer = hook.new_forward(network, sample=sample, timestep=3.0) if named else hook.new_forward(network, sample, 3.0)
    return answer[0], network


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize(("h", "w"), [(16, 40), (33, 17), (24, 24)])
def test_tiles_of_a_network_without_neighbourhood_are_the_whole(h: int, w: int, named: bool) -> None:
    sample = torch.randn(2, 4, h, w, generator=torch.Generator().manual_seed(1))
    found, network = through(128, 32, sample, named=named)
    assert torch.allclose(found, sample * 3 + 1, atol=1e-5)
    assert {max(shape[-2:]) for shape in network.seen} == {16}


def test_weights_wane_towards_neighbours_only() -> None:
    assert waning((0, 8), 8).tolist() == [1.0] * 8
    first, middle = waning((0, 8), 20), waning((6, 14), 20)
    assert first[0] == 1
    assert first[-1] < 0.1
    assert middle[0] == middle[-1] < 0.2
    assert middle.min() > 0


@pytest.mark.parametrize("kind", ["sd1", "sdxl"])
def test_a_picture_that_fits_into_a_tile_is_the_plain_one(bench: Callable[[str], Bench], kind: str) -> None:
    one = bench(kind)
    before, plain = one.state(), one.plain(**SHORT)
    assert torch.equal(one.steered(tile_px=128, tile_overlap=64, call=SHORT), plain)
    tiled, steer = one.made(tile_px=64, tile_overlap=0, call=SHORT)
    assert tiled.isfinite().all()
    assert not torch.equal(tiled, plain)
    assert not steer.notes
    assert one.state() == before


def test_what_needs_the_whole_picture_is_said(bench: Callable[[str], Bench]) -> None:
    one = bench("sd1")
    found, steer = one.made(tile_px=64, looked_at=True, call=SHORT)
    assert torch.equal(found, one.plain(**SHORT))
    assert "another picture's look needs the whole picture" in steer.notes[0]
    assert "Tiling needs" in one.made(tile_px=64, tiling=True, call=SHORT)[1].notes[0]
    cached, steer = one.made(tile_px=64, tile_overlap=0, cache="DeepCache", call=SHORT)
    assert steer.notes == ["DeepCache had no effect: with tiled diffusion no two network calls are about the same place."]
    assert torch.equal(cached, one.steered(tile_px=64, tile_overlap=0, call=SHORT))
