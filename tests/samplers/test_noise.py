"""Noise: the numbers of an NVIDIA card, Brownian paths, and each picture drawing from its own seed alone."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from modules.faults import RequestFault
from modules.samplers.brownian import BrownianPath
from modules.samplers.noise import PictureNoise, SharedNoise, centred, stream, turned
from modules.samplers.options import SOURCES
from modules.samplers.philox import PhiloxNormal, philox

SHAPE = (4, 6, 10)


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_has_its_authors_known_answers(counter: tuple[int, ...], key: tuple[int, int], words: tuple[int, ...]) -> None:
    assert philox(np.array(counter, np.uint32)[:, None], key)[:, 0].tolist() == list(words)


@pytest.mark.parametrize(("seed", "numbers"), [(0, [-0.9247, -0.4253, -2.6438, 0.1452]), (42, [0.1940, 2.1614, -0.1721, 0.8491])])
def test_the_numbers_are_those_of_a_card(seed: int, numbers: list[float]) -> None:
    np.testing.assert_allclose(PhiloxNormal(seed).draw((4,)), numbers, atol=5e-5)  # printed by torch on CUDA


def test_a_second_draw_goes_on_and_a_large_seed_counts_whole() -> None:
    numbers = PhiloxNormal(7)
    assert not np.array_equal(numbers.draw((8,)), numbers.draw((8,)))
    assert not np.array_equal(PhiloxNormal(7).draw((8,)), PhiloxNormal(7 + 2**32).draw((8,)))
    many = PhiloxNormal(3).draw((200_000,))
    assert (abs(many.mean()), abs(many.std() - 1)) < (0.01, 0.01)
    assert np.isfinite(many).all()


@pytest.mark.parametrize("source", SOURCES)
def test_a_batch_equals_its_singles_and_is_float32(source: str) -> None:
    batch = PictureNoise([5, 6, 7], source=source)
    single = PictureNoise([6], source=source)
    first = batch.first(SHAPE)
    assert first.dtype == torch.float32
    assert torch.equal(first[1:2], single.first(SHAPE))
    for like in (torch.zeros(3, *SHAPE), torch.zeros(3, *SHAPE, dtype=torch.float16)):
        assert torch.equal(batch.normal(like)[1:2], single.normal(like[:1]))
        assert torch.equal(batch.along(like, 9.0, 4.0)[1:2], single.along(like[:1], 9.0, 4.0))
    assert batch.normal(torch.zeros(3, *SHAPE, dtype=torch.float16)).dtype == torch.float16


def test_the_cpu_source_is_torchs_generator() -> None:
    noise, plain = PictureNoise([5]), torch.Generator().manual_seed(5)
    assert torch.equal(noise.first(SHAPE)[0], torch.randn(SHAPE, generator=plain))
    assert torch.equal(noise.normal(torch.zeros(1, *SHAPE))[0], torch.randn(SHAPE, generator=plain))


def test_another_source_gives_other_numbers_and_an_unknown_one_is_refused() -> None:
    assert not torch.equal(PictureNoise([1]).first(SHAPE), PictureNoise([1], source="NV").first(SHAPE))
    with pytest.raises(RequestFault, match="CPU, GPU, NV"):
        stream(1, "TPU")


def test_ensd_changes_all_noise_but_the_first() -> None:
    plain, moved, there = PictureNoise([5]), PictureNoise([5], ensd=31337), PictureNoise([5 + 31337])
    assert torch.equal(plain.first(SHAPE), moved.first(SHAPE))
    like = torch.zeros(1, *SHAPE)
    again = moved.normal(like)
    assert not torch.equal(plain.normal(like), again)
    assert torch.equal(again, there.normal(like))


@pytest.mark.parametrize("source", SOURCES)
def test_generators_for_other_classes_never_repeat_the_first_noise(source: str) -> None:
    noise = PictureNoise([5, 6], source=source)
    first = noise.first(SHAPE)
    assert len(noise.generators) == 2
    assert not torch.equal(first[0], torch.randn(SHAPE, generator=noise.generators[0]))


def test_a_variation_goes_from_one_seed_to_the_other() -> None:
    def noise(strength: float) -> torch.Tensor:
        return PictureNoise([5]).first(SHAPE, subseeds=[9], subseed_strength=strength)

    own, other = PictureNoise([5]).first(SHAPE), PictureNoise([9]).first(SHAPE)
    assert torch.equal(noise(0.0), own)
    torch.testing.assert_close(noise(1.0), other)
    half = noise(0.5)
    assert abs(float(half.std()) - 1) < 0.15
    assert float((half * own).sum()) == pytest.approx(float((half * other).sum()), rel=0.3)


def test_turning_keeps_the_angle_even() -> None:
    flat = torch.zeros(1, 2, 1)
    one, two = flat.clone(), flat.clone()
    one[0, 0, 0], two[0, 1, 0] = 1.0, 1.0
    torch.testing.assert_close(turned(1 / 3, one, two)[0, :, 0], torch.tensor([3**0.5 / 2, 0.5]))
    torch.testing.assert_close(turned(0.3, one, one), one)


def test_a_seed_known_from_another_size_keeps_its_middle() -> None:
    small = PictureNoise([5]).first((4, 4, 6))[0]
    grown = PictureNoise([5]).first((4, 8, 8), resize_from=(4, 6))[0]
    assert torch.equal(grown[:, 2:6, 1:7], small)
    assert torch.equal(grown[:, 0], PictureNoise([5]).first((4, 8, 8))[0][:, 0])
    cut = centred(torch.arange(48.0).reshape(1, 6, 8), torch.zeros(1, 2, 4))
    assert torch.equal(cut[0, 0], torch.arange(16.0, 24.0)[2:6])


def path(seed: int, count: int = 4000) -> BrownianPath:
    return BrownianPath(seed, lambda place: torch.randn(count, generator=torch.Generator().manual_seed(place)))


def test_a_path_has_the_variances_of_brownian_motion() -> None:
    walk = path(1)
    for start, end in [(14.6, 9.1), (9.1, 9.0), (0.5, 0.0292), (0.0292, 0.0)]:
        assert float(walk.gain(start, end).std()) == pytest.approx(1.0, abs=0.05), (start, end)
    apart = torch.corrcoef(torch.stack([walk.gain(14.6, 9.1), walk.gain(9.1, 3.0), walk.gain(3.0, 0.03)]))
    assert float((apart - torch.eye(3)).abs().max()) < 0.07
    assert float(walk.at(2.0).var()) == pytest.approx(2.0, rel=0.1)


def test_finer_steps_follow_the_same_path() -> None:
    walk, again = path(2), path(2)
    coarse = walk.at(2.0) - walk.at(8.0)
    levels = np.geomspace(8.0, 2.0, 33)
    fine = sum(again.gain(float(a), float(b)) * abs(a - b) ** 0.5 for a, b in pairwise(levels))
    torch.testing.assert_close(fine, coarse, atol=1e-4, rtol=1e-4)


def test_the_order_of_asking_does_not_matter() -> None:
    down, up = path(3, 16), path(3, 16)
    levels = [12.0, 7.5, 7.4999, 1.0, 0.2]
    there = {level: down.at(level) for level in levels}
    assert all(torch.equal(there[level], up.at(level)) for level in reversed(levels))
    assert not torch.equal(there[1.0], path(4, 16).at(1.0))


def test_noise_of_generators_goes_on_where_they_are() -> None:
    generators = [torch.Generator().manual_seed(s) for s in (5, 6)]
    begun = [torch.randn(SHAPE, generator=g) for g in generators]
    batch, whole = PictureNoise.of_generators(generators), PictureNoise([5, 6])
    assert torch.equal(torch.stack(begun), whole.first(SHAPE))
    like = torch.zeros(2, *SHAPE)
    assert torch.equal(batch.normal(like), whole.normal(like))
    assert torch.equal(batch.along(like, 5.0, 4.0), whole.along(like, 5.0, 4.0))


def test_one_generator_for_a_batch_draws_as_diffusers_does() -> None:
    like = torch.zeros(3, *SHAPE)
    drawn = SharedNoise(torch.Generator().manual_seed(8)).normal(like)
    assert torch.equal(drawn, torch.randn(like.shape, generator=torch.Generator().manual_seed(8)))
    along = SharedNoise(torch.Generator().manual_seed(8)).along(like, 3.0, 2.0)
    assert torch.equal(along, PictureNoise([8, 9, 10]).along(like, 3.0, 2.0))


def test_a_batch_of_another_size_than_its_seeds_is_refused() -> None:
    with pytest.raises(ValueError, match="2 seeds for a batch of 3"):
        PictureNoise([1, 2]).normal(torch.zeros(3, 1))
