"""Latents enlarged: each mode does what its name says, in the latent's own number type."""

from __future__ import annotations

import pytest
import torch

from modules.upscale.latent import resize_latent
from modules.upscale.table import LATENT_MODES


@pytest.mark.parametrize("name", LATENT_MODES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_size_and_type(name: str, dtype: torch.dtype) -> None:
    result = resize_latent(torch.randn(2, 4, 9, 16).to(dtype), (24, 13), name)
    assert result.shape == (2, 4, 13, 24)
    assert result.dtype == dtype
    assert torch.isfinite(result).all()


def test_modes_differ_and_nearest_repeats() -> None:
    latent = torch.randn(1, 4, 8, 8)
    doubled = latent.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert torch.equal(resize_latent(latent, (16, 16), "Latent (nearest)"), doubled)
    assert torch.equal(resize_latent(latent, (16, 16), "Latent (nearest-exact)"), doubled)
    smooth = [resize_latent(latent, (5, 5), name) for name in list(LATENT_MODES)[:4]]
    assert all(not torch.equal(a, b) for n, a in enumerate(smooth) for b in smooth[n + 1 :])


def test_a_ramp_stays_a_ramp() -> None:
    ramp = torch.arange(8.0).expand(1, 4, 8, 8)
    middle = resize_latent(ramp, (16, 16))[0, 0, 0, 2:-2]
    assert torch.allclose(middle.diff(), torch.full((11,), 0.5))


def test_an_unknown_mode() -> None:
    with pytest.raises(KeyError):
        resize_latent(torch.zeros(1, 4, 8, 8), (9, 9), "Lanczos")
