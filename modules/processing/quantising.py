"""Stage 1c: which components of a model are kept in fewer bits, from the settings. No torch.

Start reading at `quantisers_of`; `chosen_quantisers` also says what is wrong, before anything is queued.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modules.families import FAMILIES
from modules.faults import RequestFault
from modules.request import Checkpoint
from modules.settings import Settings
from modules.weights import model_folder
from modules.weights.quantisers import NONE, QUANTISERS
from modules.weights.quantisers.saved import claimed

SETTINGS = ("quantise_unet", "quantise_text_encoder")


def quantisers_of(checkpoint: Checkpoint, settings: Mapping[str, Any]) -> dict[str, str]:
    """Component ("unet", "text_encoder_2", ...) -> name of the quantiser it is to be loaded with. The VAE is never among them."""
    family = FAMILIES.get(checkpoint.family)
    network, text = (str(settings.get(name) or NONE) for name in SETTINGS)
    if _in_fp8(family.architecture, settings):
        network, text = ("fp8" if name == NONE else name for name in (network, text))
    wanted = {family.denoiser: network} | dict.fromkeys(family.encoders_of(checkpoint.variant), text)
    return {part: QUANTISERS.name_of(name) or name for part, name in wanted.items() if name != NONE}


def _in_fp8(architecture: str, settings: Mapping[str, Any]) -> bool:
    """A1111's setting asks for weights in float8. Source: A1111 1.10, which keeps UNet and text encoders so."""
    asked = settings.get("fp8_storage", "Disable")
    return asked == "Enable" or (asked == "Enable for SDXL" and architecture == "sdxl")


def chosen_quantisers(checkpoint: Checkpoint, settings: Settings) -> list[str]:
    """Warnings about what is on the disk in few bits already, where the settings ask for others.

    Raises UnknownName for a quantiser that there is not, RequestFault for one whose package is missing; both name the setting.
    """
    for field in SETTINGS:
        name = getattr(settings, field)
        if name not in ("", NONE) and (lack := QUANTISERS.get(name).missing):
            raise RequestFault(field, f"{name} cannot be used: {lack}", got=name)
    wanted = quantisers_of(checkpoint, settings.to_data())
    if not wanted or checkpoint.format != "folder":
        return []
    configs = model_folder.read(Path(checkpoint.path)).configs
    there = {part: claimed(configs.get(part, {})) for part in wanted}
    return [
        f"{checkpoint.model_name} has its {part.replace('_', ' ')} as {there[part]} on the disk; the setting {name} has no effect on it."
        for part, name in wanted.items()
        if there[part] not in (None, name)
    ]
