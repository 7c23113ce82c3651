"""The page, previews, parameters texts, and what programs may ask for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from modules.knobs import Knob


@dataclass(frozen=True, kw_only=True)
class Showing:
    """Settings of these pages, A1111's keys."""

    quicksettings_list: Annotated[
        list[str],
        Knob(
            "Quicksettings list",
            choices="settings",
            section="User interface",
            help="Settings that stand above the tabs, in this order.",
        ),
    ] = field(default_factory=lambda: ["sd_model_checkpoint", "sd_vae", "CLIP_stop_at_last_layers"])
    disable_token_counters: Annotated[bool, Knob("Disable prompt token counters", section="User interface")] = False
    include_styles_into_token_counters: Annotated[
        bool, Knob("Count tokens of enabled styles", section="User interface", help="The counters beside the prompts include them.")
    ] = True
    add_model_hash_to_info: Annotated[bool, Knob("Add the model's hash to infotext", section="Infotext")] = True
    add_model_name_to_info: Annotated[bool, Knob("Add the model's name to infotext", section="Infotext")] = True
    add_vae_name_to_info: Annotated[bool, Knob("Add VAE name to infotext", section="Infotext")] = True
    add_vae_hash_to_info: Annotated[bool, Knob("Add VAE hash to infotext", section="Infotext")] = True
    lora_add_hashes_to_infotext: Annotated[bool, Knob("Add Lora hashes to infotext", section="Infotext")] = True
    textual_inversion_add_hashes_to_infotext: Annotated[bool, Knob("Add Textual Inversion hashes to infotext", section="Infotext")] = True
    extra_networks_default_multiplier: Annotated[
        float, Knob("Default multiplier for extra networks", 0, 2, step=0.01, section="Extra networks", help="Put in by the cards.")
    ] = 1.0
    api_enable_requests: Annotated[
        bool,
        Knob(
            "Allow http:// and https:// URLs for input images in API",
            section="API",
            help="This machine then asks other machines for pictures that a request names.",
        ),
    ] = False
    api_forbid_local_requests: Annotated[
        bool,
        Knob(
            "Forbid URLs to local resources",
            section="API",
            help="Otherwise such a URL may lead to any machine of your own network, and to any port.",
        ),
    ] = True
    api_useragent: Annotated[
        str, Knob("User agent for requests", max_chars=200, section="API", help="How this machine names itself to others. Empty: Darkroom.")
    ] = ""
    live_previews_enable: Annotated[bool, Knob("Show live previews of the created image", section="Live previews")] = True
    show_progress_every_n_steps: Annotated[
        int, Knob("Live preview every N steps; -1 for none while sampling", -1, 100, step=1, section="Live previews")
    ] = 1
    show_progress_type: Annotated[
        str,
        Knob(
            "Live preview method",
            choices=("Full", "Approx cheap"),
            section="Live previews",
            help="Full decodes each preview; Approx cheap mixes latent channels.",
        ),
    ] = "Approx cheap"
    live_preview_refresh_period: Annotated[
        int, Knob("Progress and preview update period, in milliseconds", 100, 10000, section="Live previews")
    ] = 400
