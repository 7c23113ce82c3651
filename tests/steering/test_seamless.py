"""Tiling: with circular padding a picture that is moved around its edges gives the picture moved."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from modules.steering.seamless import circular
from tests.steering.conftest import Bench


def moved(x: torch.Tensor, by: int) -> torch.Tensor:
    return x.roll((by, by), (-2, -1))


@pytest.mark.parametrize("kind", ["sd1", "sdxl"])
def test_a_network_has_no_edges(bench: Callable[[str], Bench], kind: str):
    """Moved by whole cells of its lowest level."""
    made = bench(kind)
    given = made.arguments((1,))
    noise = given["latents"]
    wanted = made.steered(tiling=True)
    again = made.steered(tiling=True, call={"latents": moved(noise, 8)})
    assert torch.allclose(moved(wanted, 8), again, atol=1e-3)
    plain = made.plain()
    assert not torch.allclose(moved(plain, 8), made.plain(latents=moved(noise, 8)), atol=1e-2)


def test_a_vae_has_no_edges(bench: Callable[[str], Bench]):
    vae = bench("sd1").pipeline.vae
    latent = torch.randn(1, 4, 8, 8)
    with torch.inference_mode():
        plain = vae.decode(latent).sample
        with circular(vae):
            found = vae.decode(latent).sample
            around = vae.decode(moved(latent, 3)).sample
        assert torch.allclose(moved(found, 24), around, atol=1e-4)
        assert not torch.allclose(found, plain, atol=1e-3)
        assert torch.equal(vae.decode(latent).sample, plain)


def test_inside_one_another(bench: Callable[[str], Bench]):
    vae = bench("sd1").pipeline.vae
    modes = [m.padding_mode for m in vae.modules() if isinstance(m, torch.nn.Conv2d)]
    with circular(vae), circular(vae), circular(vae, on=False), circular(None):
        assert {m.padding_mode for m in vae.modules() if isinstance(m, torch.nn.Conv2d)} == {"circular"}
    assert [m.padding_mode for m in vae.modules() if isinstance(m, torch.nn.Conv2d)] == modes


def test_the_vae_of_a_call_pads_too(bench: Callable[[str], Bench]):
    """A picture to begin with is read without edges."""
    made = bench("sd1")
    seen: list[str] = []
    handle = made.pipeline.vae.encoder.conv_in.register_forward_hook(lambda module, given, out: seen.append(module.padding_mode))
    made.as_class("StableDiffusionImg2ImgPipeline").steered(tiling=True)
    handle.remove()
    assert seen == ["circular"]
