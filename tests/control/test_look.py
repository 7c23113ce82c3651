"""Looking at another picture while painting: what it changes, what it leaves, and that nothing stays behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel

from modules.control.look import Look, can_look, layers_of, looking_at
from modules.control.statistics import with_statistics_of


@pytest.fixture(scope="module")
def unet(starter_path: Path) -> Any:
    return UNet2DConditionModel.from_pretrained(starter_path / "unet", local_files_only=True).eval()


def _look(latent: torch.Tensor, strength: float = 1.0) -> Look:
    return Look(latent=latent, noise=torch.zeros_like(latent), strength=strength, noised=lambda z, n, _t: z + n)


def _ask(unet: Any, sample: torch.Tensor) -> torch.Tensor:
    text = torch.ones(len(sample), 4, unet.config.cross_attention_dim) * 0.1
    with torch.inference_mode():
        return unet(sample, torch.tensor(500), encoder_hidden_states=text).sample


def _noise(seed: int, rows: int = 1) -> torch.Tensor:
    return torch.randn(rows, 4, 16, 16, generator=torch.Generator().manual_seed(seed))


def test_a_picture_that_looks_at_itself_is_unchanged(unet: Any) -> None:
    """Keys and values that stand twice weigh the same as those that stand once."""
    sample = _noise(1)
    plain = _ask(unet, sample)
    with looking_at(unet, _look(sample)):
        assert torch.allclose(_ask(unet, sample), plain, atol=1e-4)


def test_another_picture_changes_it_the_more_the_stronger(unet: Any) -> None:
    sample, plain = _noise(1), _ask(unet, _noise(1))
    moved: list[float] = []
    for strength in (0.0, 0.3, 1.0):
        with looking_at(unet, _look(_noise(2), strength)):
            moved.append(float((_ask(unet, sample) - plain).abs().mean()))
    assert moved[0] == 0.0
    assert 0 < moved[1] < moved[2]


def test_rows_of_a_batch_do_not_see_each_other(unet: Any) -> None:
    with looking_at(unet, _look(_noise(2))):
        both = _ask(unet, torch.cat([_noise(1), _noise(3)]))
        alone = _ask(unet, _noise(1))
    assert torch.allclose(both[:1], alone, atol=1e-4)


def test_nothing_stays_behind_even_after_an_error(unet: Any) -> None:
    sample, plain = _noise(1), _ask(unet, _noise(1))

    def broken(*_: Any) -> torch.Tensor:
        raise RuntimeError("made up")

    look = Look(latent=sample, noise=sample, strength=1.0, noised=broken)
    with pytest.raises(RuntimeError, match="made up"), looking_at(unet, look):
        _ask(unet, sample)
    assert torch.equal(_ask(unet, sample), plain)
    assert can_look(unet)
    assert len(layers_of(unet)) > 2


def test_statistics_move_all_the_way_or_not_at_all() -> None:
    content, style = _noise(1, rows=2) * 3 + 1, _noise(2) * 0.5 - 2
    assert torch.equal(with_statistics_of(content, style, 0.0), content)
    moved = with_statistics_of(content, style, 1.0)
    assert torch.allclose(moved.mean((2, 3)), style.mean((2, 3)).expand(2, -1), atol=1e-4)
    assert torch.allclose(moved.std((2, 3)), style.std((2, 3)).expand(2, -1), atol=1e-4)
    half = with_statistics_of(content, style, 0.5)
    assert torch.allclose(half, (content + moved) / 2, atol=1e-5)
