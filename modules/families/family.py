"""`Family`: the record that describes one kind of model. Facts and functions, no state.

A *description* is what is known of a file or folder without loading it: `Header` for a single file, `ModelFolder` for a
folder in the diffusers layout. No torch here; `Family.load` imports what it needs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modules.weights.header import Header
from modules.weights.model_folder import ModelFolder

Description = Header | ModelFolder


@dataclass(frozen=True, kw_only=True)
class Match:
    """Whether a file is of a family, and why or why not.

    native_px: the side of its training pictures. variant: which of the family's kinds ("", "inpainting", "refiner", ...; a key of
    `Family.variants`). prediction: "epsilon", "v_prediction", "flow"; None when the description does not say.
    parts: the diffusers components in it ("unet", "vae", "text_encoder", ...); what is missing must come from other files.
    """

    fits: bool
    why: str
    native_px: int = 512
    variant: str = ""
    prediction: str | None = None
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One kind of model within a family. defaults: request fields that differ from the family's ("steps", "cfg_scale", ...).

    tasks: task -> diffusers pipeline class name; tasks are "txt2img", "img2img", "inpaint". Whatever has the class of "txt2img"
    is what `Family.load` gives. config: name of its folder in modules/families/configs (`modules.families.shipped`).
    native_px: side of its training pictures. min_pixels, max_pixels: instead of the family's.
    guidance: how it is steered: "cfg" (two passes), "distilled" (one pass, the scale is an input of the model), "none" (one pass).
    prompt_tokens: longest prompt for the T5 encoder. text_encoders: instead of the family's. note: a sentence for people who choose it.
    """

    title: str
    tasks: Mapping[str, str]
    config: str = ""
    native_px: int = 512
    defaults: Mapping[str, Any] = field(default_factory=dict[str, Any])
    guidance: str = "cfg"
    min_pixels: int | None = None
    max_pixels: int | None = None
    prompt_tokens: int | None = None
    text_encoders: tuple[str, ...] | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class LoadPlan:
    """What to load. path: folder or file; dtype: "float32", "float16", "bfloat16"; variant, prediction: as `Match` says.

    parts: components that come from other files: name ("vae", "text_encoder", "text_encoder_2", "text_encoder_3") -> path.
    quantise: component -> name in `modules.weights.quantisers.QUANTISERS`; device: (kind, torch's name) of the one it will work on.
    """

    path: Path
    dtype: str
    variant: str = ""
    prediction: str | None = None
    parts: Mapping[str, Path] = field(default_factory=dict[str, Path])
    quantise: Mapping[str, str] = field(default_factory=dict[str, str])
    device: tuple[str, str] = ("cpu", "cpu")


@dataclass(frozen=True, kw_only=True)
class Family:
    """id: "sd15"; title: for people; architecture: what LoRA, embeddings and ControlNets must match ("sd1", "sd2", "sdxl", "sd3", "flux").

    cell_px: pixels a latent cell covers; multiple_of_px: sizes are rounded down to it; min_pixels, max_pixels: area beyond which
    pictures fall apart, None when unknown. layout: name in `modules.weights.layouts`. text_encoders: components in order, with
    their kind in encoder_kinds: "clip_l", "clip_h", "clip_g", "t5" ("clip_*": chunks of 77 with weights; "t5": one long text).
    optional: those it can do without, with optional_note as the quality note. denoiser: "unet" or "transformer".
    latents: a word that families share whose latents mean the same; "" for latents of its own architecture.
    prediction: what it predicts unless a description says otherwise. lora_dialects: names in use for it, for people.
    defaults: request fields, as A1111 names them ("steps", "cfg_scale", "sampler_name", "scheduler"); variants: by `Match.variant`.

    detect(description) -> Match reads descriptions only. load(plan) -> a diffusers pipeline of the class `Variant.tasks["txt2img"]`
    names, eval mode, on the CPU.
    """

    id: str
    title: str
    architecture: str
    cell_px: int
    multiple_of_px: int
    latent_channels: int
    layout: str
    detect: Callable[[Description], Match]
    load: Callable[[LoadPlan], Any]
    variants: Mapping[str, Variant]
    text_encoders: tuple[str, ...]
    encoder_kinds: tuple[str, ...] = ()
    denoiser: str = "unet"
    prediction: str = "epsilon"
    optional: tuple[str, ...] = ()
    optional_note: str = ""
    lora_dialects: tuple[str, ...] = ()
    min_pixels: int | None = None
    max_pixels: int | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict[str, Any])
    latents: str = ""

    @property
    def latent_space(self) -> str:
        """Models with the same word here understand each other's latents."""
        return self.latents or self.architecture

    def variant(self, name: str) -> Variant:
        """The variant of that name; the first one when the name is of another version of this program."""
        return self.variants.get(name) or next(iter(self.variants.values()))

    def defaults_of(self, name: str) -> dict[str, Any]:
        """Request fields this variant likes best, the family's where it has none of its own."""
        return {**self.defaults, **self.variant(name).defaults}

    def encoders_of(self, name: str) -> dict[str, str]:
        """Text encoders of this variant: component -> kind ("clip_l", ...), in order."""
        own = self.variant(name).text_encoders
        kinds = dict(zip(self.text_encoders, self.encoder_kinds, strict=True))
        return kinds if own is None else {part: kinds[part] for part in own}

    def pixels_of(self, name: str) -> tuple[int | None, int | None]:
        """(fewest, most) pixels of a picture of this variant; None where no limit is known."""
        variant = self.variant(name)
        return variant.min_pixels or self.min_pixels, variant.max_pixels or self.max_pixels
