"""Which stages of a run the CPU may work on while the device is busy with another: reading prompts, decoding pictures.

Only parts of the model that work on the CPU anyway gain for sure. On the device itself two stages would share what one keeps busy, and on
a machine whose device is the CPU they would take each other's cores. No torch. Start reading at `overlap_of`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from modules.backends.attention import AUTOMATIC as ANY_ATTENTION
from modules.backends.table import EAGER
from modules.hardware.policies import is_on_cpu
from modules.hardware.policies.row import OFFLOADS, TEXT, VAE
from modules.processing.joining import WITHOUT
from modules.request import ResolvedRequest
from modules.steering.table import OPTIONS

AUTOMATIC = "Automatic"
SPARE_BYTES = 1 << 30  # main memory that stays free
WHOLE = ("medvram", "lowvram")  # diffusers takes all components in hand for these when a call ends, also those that work on the CPU


@dataclass(frozen=True)
class Overlap:
    """While pictures are drawn: texts: prompts of what comes next are read; decode: pictures of the batch before are decoded."""

    texts: bool = False
    decode: bool = False


def overlap_of(
    asked: str, kind: str, policy: str, on_cpu: Collection[str], work_bytes: Mapping[str, int] | None, free_bytes: int
) -> Overlap:  # fmt: skip
    """asked: the setting `overlap_stages`; kind: of device; policy: of memory; on_cpu: what works on the CPU besides, as in `is_on_cpu`.

    work_bytes: of main memory that "text" and "decode" need beside the weights, None: not known; free_bytes: of main memory.
    """
    if asked != AUTOMATIC or kind not in OFFLOADS or policy in WHOLE or work_bytes is None:
        return Overlap()
    left = free_bytes - SPARE_BYTES
    decode = is_on_cpu(VAE, policy, on_cpu) and work_bytes["decode"] <= left
    left -= work_bytes["decode"] if decode else 0
    return Overlap(texts=is_on_cpu(TEXT, policy, on_cpu) and work_bytes["text"] <= left, decode=decode)


def is_plain(resolved: ResolvedRequest) -> bool:
    """One model draws its pictures from noise, and nothing but their decoder asks the VAE or changes what the VAE shares with the rest.

    What is left out: previews by the whole VAE, a tiny autoencoder (it works on the device), steering (tiling changes the VAE), another
    order of the weights in memory, kinds of attention that torch has for all threads at once, faces that are restored on the device.
    """
    settings = resolved.settings
    full_previews = settings["live_previews_enable"] and settings["show_progress_type"] == "Full"
    return not (
        any(getattr(resolved, name) for name in WITHOUT)
        or resolved.tiny is not None
        or any(option.is_on(resolved.steering, settings) for option in OPTIONS)
        or settings.get("backend", EAGER) != EAGER
        or settings.get("cross_attention_optimization", ANY_ATTENTION) != ANY_ATTENTION
        or settings.get("opt_channelslast")
        or settings.get("face_restoration")
        or full_previews
    )


def reads_alike(one: ResolvedRequest, other: ResolvedRequest) -> bool:
    """Prompts of both are read by the same text encoders, under the same LoRAs."""

    def model(resolved: ResolvedRequest) -> tuple[object, ...]:
        kept = [resolved.settings.get(name) for name in ("quantise_unet", "quantise_text_encoder", "fp8_storage")]
        return resolved.checkpoint, resolved.vae, resolved.parts, resolved.networks, kept

    return model(one) == model(other)
