"""What parts of a model that work on the CPU beside a device take of main memory: their weights, and their work in the CPU's numbers.

Counted from the same headers and footprints as the device's forecast. No torch. Start reading at `main_need`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from modules.families import FAMILIES
from modules.hardware.footprint import bytes_at
from modules.hardware.policies import POLICIES, is_on_cpu
from modules.hardware.policies.row import VAE
from modules.processing.calls import call_named
from modules.processing.memory_known import NUMBER_BYTES, Known
from modules.processing.memory_need import CLIP_TOKENS, Counting
from modules.processing.quantising import quantisers_of
from modules.request import ResolvedRequest

TEXT_STAGE, DECODE_STAGE = "text", "decode"


@dataclass(frozen=True, kw_only=True)
class MainNeed:
    """weights_bytes: of the components that work on the CPU. work_bytes: "text" and "decode" -> what that needs beside all weights."""

    weights_bytes: int
    work_bytes: Mapping[str, int]

    @property
    def peak_bytes(self) -> int:
        """The most at once, one stage after another."""
        return self.weights_bytes + max(self.work_bytes.values())


def main_need(
    counting: Counting, resolved: ResolvedRequest, policy: str, on_cpu: Collection[str], dtype: str, vae_dtype: str,
    numbers: str = "float32",
) -> MainNeed | None:  # fmt: skip
    """Of the model of the first pass, at the largest size of the run; None where something is not known. All 0 where nothing works there.

    on_cpu: as in `is_on_cpu`; dtype: "float16"; numbers: what the CPU calculates in instead of half precision.
    """
    family, variant = FAMILIES.get(resolved.checkpoint.family), resolved.checkpoint.variant
    files = {name: file.path for name, file in resolved.parts.items()} | ({VAE: resolved.vae.path} if resolved.vae else {})
    components = counting.components(resolved.checkpoint, files)
    if components is None:
        return None
    small = quantisers_of(resolved.checkpoint, resolved.settings)
    text = call_named(family.variant(variant).tasks["txt2img"]).text
    long_tokens = family.variant(variant).prompt_tokens or text.long_tokens
    weights, work = 0, {TEXT_STAGE: 0, DECODE_STAGE: 0}
    for name, known in components.items():
        if not is_on_cpu(name, policy, on_cpu):
            continue
        kept = NUMBER_BYTES[vae_dtype if name == VAE else dtype]
        computed = max(kept, NUMBER_BYTES[numbers])
        footprint = counting.footprint(known, computed)
        if footprint is None:
            return None
        weights += known.part(kept, small.get(name, "")).whole_bytes
        upcast = name == VAE and vae_dtype == "float16" and bool(known.component.config.get("force_upcast"))
        copied = _copied(known, kept, computed, upcast=upcast)
        if name == VAE:
            points = footprint["decode spared" if POLICIES.get(policy).spares_vae else "decode"]
            work[DECODE_STAGE] = copied + bytes_at(points, _area(resolved), resolved.batch_size)
        else:
            tokens = long_tokens if known.component.part.kind == "t5" else CLIP_TOKENS
            work[TEXT_STAGE] = max(work[TEXT_STAGE], copied + bytes_at(footprint["read"], tokens, 1))
    return MainNeed(weights_bytes=weights, work_bytes=work)


def _copied(known: Known, kept: int, computed: int, *, upcast: bool) -> int:
    """Bytes of weights that are there twice: those of the layer at work, in the CPU's numbers. upcast: of all, for a VAE in float32."""
    if upcast:
        return known.numbers * NUMBER_BYTES["float32"]
    return 0 if kept == computed else known.layer_numbers * computed


def _area(resolved: ResolvedRequest) -> int:
    """Pixels of the largest picture."""
    hires = resolved.hires
    return max(resolved.width * resolved.height, hires.width * hires.height if hires else 0)
