"""The picture coder: AutoencoderKL, 8-fold, 4 channels; then its decoder alone once more, on slightly noisy latents."""

from __future__ import annotations

import random
from pathlib import Path

import torch
from diffusers import AutoencoderKL

from starter.scenes import Painter
from starter.sizes import PIXEL_SHARES, Size
from starter.training import device, train

LATENT_NOISE = 0.05


def build(size: Size) -> AutoencoderKL:
    """Random weights."""
    groups = 8 if size.vae_channels[0] % 8 == 0 else 4
    return AutoencoderKL(
        block_out_channels=size.vae_channels,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=groups,
        sample_size=size.side_px,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
    )


def picture_loss(made: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """L1 + L2 + half the L1 of edges and of the picture at a quarter of its size; (B, 3, H, W) in [-1, 1]."""
    made = made.float()
    across = ((made[..., 1:] - made[..., :-1]) - (wanted[..., 1:] - wanted[..., :-1])).abs().mean()
    down = ((made[..., 1:, :] - made[..., :-1, :]) - (wanted[..., 1:, :] - wanted[..., :-1, :])).abs().mean()
    small = (torch.nn.functional.avg_pool2d(made, 4) - torch.nn.functional.avg_pool2d(wanted, 4)).abs().mean()
    return (made - wanted).abs().mean() + ((made - wanted) ** 2).mean() + 0.5 * (across + down) + 0.5 * small


def make(work: Path, size: Size, painter: Painter) -> Path:
    """Train, set the scaling factor, save. Returns the folder. The encoder of weights in work/begin stays as it is, since a UNet has
    learnt its latents; its decoder learns on.
    """
    torch.manual_seed(0)
    begin = work / "begin" / "vae"
    known = begin.exists()
    vae = AutoencoderKL.from_pretrained(begin, dtype=torch.float32, local_files_only=True) if known else build(size)
    vae.to(device())
    crop = size.side_px // 2

    def whole(rng: random.Random, batch: int) -> torch.Tensor:
        return painter.render([painter.draw_scene(rng, PIXEL_SHARES) for _ in range(batch)], rng) * 2 - 1

    def both(rng: random.Random, step: int) -> dict[str, torch.Tensor]:
        pixels = whole(rng, size.vae.batch)
        if step < size.vae.steps * 0.8:  # most of the time on quarters: four times as many pictures a second
            top, left = rng.randrange(crop + 1), rng.randrange(crop + 1)
            pixels = pixels[..., top : top + crop, left : left + crop].contiguous()
        spread = vae.encode(pixels).latent_dist
        fit = picture_loss(vae.decode(spread.sample()).sample, pixels)
        kl = 0.5 * (spread.mean.float() ** 2 + spread.logvar.float().exp() - 1 - spread.logvar.float()).mean()
        return {"loss": fit + 4e-4 * kl, "kl": kl}

    if not known:
        train({"vae": vae}, both, size.vae, work / "state" / "vae.safetensors")
        with torch.no_grad():
            latents = vae.encode(whole(random.Random(1), 64)).latent_dist.mode()
        vae.register_to_config(scaling_factor=float(1 / latents.std()))

    def decoder_only(rng: random.Random, step: int) -> dict[str, torch.Tensor]:
        pixels = whole(rng, size.decoder.batch)
        with torch.no_grad():
            latent = vae.encode(pixels).latent_dist.mode()
        noisy = latent + torch.randn_like(latent) * LATENT_NOISE / vae.config.scaling_factor
        return {"loss": picture_loss(vae.decode(noisy).sample, pixels)}

    vae.encoder.requires_grad_(False)
    vae.quant_conv.requires_grad_(False)
    train({"vae": vae}, decoder_only, size.decoder, work / "state" / "decoder.safetensors")
    vae.requires_grad_(True).eval().save_pretrained(work / "vae")
    return work / "vae"


@torch.no_grad()
def psnr(vae: AutoencoderKL, pixels: torch.Tensor) -> float:
    """Mean peak signal-to-noise ratio in dB of pictures (B, 3, H, W) in [0, 1] coded and decoded."""
    wanted = pixels * 2 - 1
    made = torch.cat([vae.decode(vae.encode(part).latent_dist.mode()).sample.clamp(-1, 1) for part in wanted.split(8)])
    error = (((made - wanted) / 2) ** 2).mean((1, 2, 3))
    return float((-10 * error.log10()).mean())
