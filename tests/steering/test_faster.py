"""Token merging: the published algorithm, written out plainly, against ours."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from modules.steering.merging import Grid, largest, matched
from tests.steering.conftest import Bench

RATIO = {"token_merging_ratio": 0.5}


def slowly_merged(
    x: torch.Tensor, others: list[int], chosen: list[int], count: int
) -> tuple[list[tuple[int, int]], dict[int, torch.Tensor]]:
    """(pairs of who joins whom, mean of each chosen place), one picture, by loops."""
    unit = x / x.norm(dim=-1, keepdim=True)
    best = {o: max(chosen, key=lambda c: float(unit[o] @ unit[c])) for o in others}
    alike = sorted(others, key=lambda o: -float(unit[o] @ unit[best[o]]))[:count]
    pairs = [(o, best[o]) for o in alike]
    means = {c: torch.stack([x[c], *(x[o] for o, into in pairs if into == c)]).mean(0) for c in chosen}
    return pairs, means


def test_merging_is_the_published_algorithm():
    torch.manual_seed(0)
    grid = Grid(0, (5, 6))
    grid.begin(torch.zeros(2, 4, 6, 7))
    x = torch.randn(2, 42, 8)
    others, chosen = grid.drawn(2, x.device)
    merging = matched(x, others, chosen, 20)
    merged = merging.merged(x)
    assert merged.shape == (2, 22, 8)
    for row in range(2):
        pairs, means = slowly_merged(x[row], others[row].tolist(), chosen[row].tolist(), 20)
        joined = {int(merging.joined[row, n]): int(chosen[row][merging.into[row, n]]) for n in range(20)}
        assert joined == dict(pairs)
        for n, place in enumerate(chosen[row].tolist()):
            assert torch.allclose(merged[row, -len(chosen[row]) + n], means[place], atol=1e-6)
        back = merging.parted(merged, 42)
        for place in range(42):
            source = means[joined[place]] if place in joined else means.get(place, x[row, place])
            assert torch.allclose(back[row, place], source, atol=1e-6)


def test_one_place_of_every_cell_is_chosen():
    grid = Grid(1, (1, 2, 3))
    grid.begin(torch.zeros(3, 4, 11, 16))  # 6 x 8 places at the second level
    others, chosen = grid.drawn(6, torch.device("cpu"))
    assert others.shape == (6, 36)
    assert chosen.shape == (6, 12)
    for row in range(6):
        cells = sorted((p // 8 // 2, p % 8 // 2) for p in chosen[row].tolist())
        assert cells == [(y, x) for y in range(3) for x in range(4)]
        assert sorted(others[row].tolist() + chosen[row].tolist()) == list(range(48))
    assert torch.equal(chosen[:3], chosen[3:])  # rows of the same picture
    assert not torch.equal(chosen[0], chosen[1])
    assert not torch.equal(chosen, grid.drawn(6, torch.device("cpu"))[1])  # drawn anew each time


@pytest.mark.parametrize(("kind", "level", "count"), [("sd1", 0, 5), ("sdxl", 1, 5)])
def test_the_largest_attention_is_found(bench: Callable[[str], Bench], kind: str, level: int, count: int):
    found, layers = largest(bench(kind).network)
    assert (found, len(layers)) == (level, count)


@pytest.mark.parametrize("kind", ["sd1", "sdxl"])
def test_merging_shortens_only_the_largest_attention(bench: Callable[[str], Bench], kind: str):
    made = bench(kind)
    lengths: dict[str, int] = {}
    handles = [
        m.to_q.register_forward_hook(lambda module, given, out, name=name: lengths.__setitem__(name, out.shape[1]))
        for name, m in made.network.named_modules()
        if name.endswith("attn1")
    ]
    made.plain()
    before = dict(lengths)
    made.steered(settings=RATIO)
    for handle in handles:
        handle.remove()
    most = max(before.values())
    assert any(n < most for n in before.values())
    for name, n in before.items():
        assert lengths[name] == (n // 2 if n == most else n), name


def test_merging_is_made_of_the_seed(bench: Callable[[str], Bench]):
    made = bench("sd1")
    once = made.steered(settings=RATIO)
    assert torch.equal(once, made.steered(settings=RATIO))
    other = {k: v for k, v in made.arguments((1,)).items() if k == "latents"}
    assert not torch.allclose(once, made.steered((2,), settings=RATIO, call=other), atol=1e-4)


@pytest.mark.parametrize("side", [72, 88])
def test_merging_of_odd_sizes(bench: Callable[[str], Bench], side: int):
    found = bench("sd1").steered(side=side, settings={"token_merging_ratio": 0.9})
    assert bool(torch.isfinite(found).all())


def test_what_was_merged_is_known(bench: Callable[[str], Bench]):
    ratios = {"token_merging_ratio": 0.3, "token_merging_ratio_hr": 0.5, "token_merging_ratio_img2img": 0.7}
    made = bench("sd1")
    assert made.made(settings=ratios)[1].infotext == {"Token merging ratio": 0.3}
    assert made.made(settings=ratios, stage="img2img")[1].infotext == {"Token merging ratio": 0.7}
    assert made.made(settings=ratios, stage="hires")[1].infotext == {"Token merging ratio hr": 0.5}
