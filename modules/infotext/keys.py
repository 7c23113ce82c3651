"""The keys that are not simply a Knob's: words for numbers, and which fields and settings have a key at all.

Knows names only. Start reading at `SETTING_KEYS`.
"""

from __future__ import annotations

from modules.knobs import knobs_of
from modules.request import GenerationRequest
from modules.settings import Settings

# Number in the request <-> word in the text. What is not written means the first in DEFAULTS.
WORDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "inpainting_mask_invert": ("Mask mode", ("Inpaint masked", "Inpaint not masked")),
    "inpainting_fill": ("Masked content", ("fill", "original", "latent noise", "latent nothing")),
    "inpaint_full_res": ("Inpaint area", ("Whole picture", "Only masked")),
    "resize_mode": ("Resize mode", ("Just resize", "Crop and resize", "Resize and fill", "Just resize (latent upscale)")),
}
# References to input pictures, by their sha256. Keys of our own; others pass them over.
PICTURES = {"init_images": "Init image", "mask": "Mask image", "firstpass_image": "First pass image", "style_image": "Style image"}
BLUR, BLUR_Y, PADDING, ROUND = "Mask blur", "Mask blur Y", "Masked area padding", "Mask round"
SEED_FROM, SIZE, HIRES_SIZE = "Seed resize from", "Size", "Hires resize"
ETA, ETA_DDIM = "Eta", "Eta DDIM"
SAME = ("Use same checkpoint", "Use same sampler", "Use same scheduler")

FIELD_KEYS = {name: field.knob.infotext for name, field in knobs_of(GenerationRequest).items() if field.knob.infotext}
# Settings that the text may speak of. Those that a field of the request can set too are written as that field.
SETTING_KEYS = {
    name: field.knob.infotext
    for name, field in knobs_of(Settings).items()
    if field.knob.infotext and field.knob.infotext not in {*FIELD_KEYS.values(), "VAE Decoder"}
}
ALWAYS_TOLD = ("randn_source",)  # A1111's default is another one, so that leaving it out would mean something else
