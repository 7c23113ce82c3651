"""Which models are used, how they are kept, and how prompts are read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from modules.knobs import Knob


@dataclass(frozen=True, kw_only=True)
class Models:
    """Settings of these pages, A1111's keys."""

    sd_model_checkpoint: Annotated[str, Knob("Stable Diffusion checkpoint", choices="checkpoints", section="Stable Diffusion")] = ""
    sd_vae: Annotated[
        str,
        Knob(
            "SD VAE",
            choices="vaes",
            section="Stable Diffusion",
            max_chars=500,
            help="Automatic takes a VAE file named like the checkpoint, else the checkpoint's own; None always takes its own.",
        ),
    ] = "Automatic"
    sd_vae_decode_method: Annotated[
        str,
        Knob(
            "VAE type for decode",
            choices=("Full", "TAESD"),
            infotext="VAE Decoder",
            section="Stable Diffusion",
            help="TAESD decodes at once and more roughly, with a file from models/VAE-approx.",
        ),
    ] = "Full"
    CLIP_stop_at_last_layers: Annotated[
        int,
        Knob(
            "Clip skip",
            1,
            12,
            step=1,
            infotext="Clip skip",
            section="Stable Diffusion",
            help="Use the text encoder's output so many layers before its end (Stable Diffusion 1 and 2).",
        ),
    ] = 1
    forge_additional_modules: Annotated[
        list[str],
        Knob(
            "VAE / text encoder",
            choices="modules",
            section="Stable Diffusion",
            help="Files for a checkpoint that lacks its VAE or text encoders. Empty: what fits among the models is taken.",
        ),
    ] = field(default_factory=list[str])
    sd3_enable_t5: Annotated[
        bool,
        Knob("Enable T5", section="Stable Diffusion", help="Stable Diffusion 3 files without T5: load it from its own file. Takes 10 GB."),
    ] = False
    memory_policy: Annotated[
        str,
        Knob(
            "Memory policy",
            choices="memory_policies",
            section="Stable Diffusion",
            max_chars=100,
            help="How models are spread over device and main memory. Automatic: the fastest that fits. See docs/memory.md.",
        ),
    ] = "Automatic"
    parts_on_cpu: Annotated[
        str,
        Knob(
            "Work on the CPU",
            choices=("None", "VAE", "Text encoders", "VAE and text encoders"),
            section="Stable Diffusion",
            help="What does not go to the device, whatever the memory policy. Text encoders cost little time there, the VAE much.",
        ),
    ] = "None"
    quantise_unet: Annotated[
        str,
        Knob(
            "Quantise UNet or transformer",
            choices="quantisers",
            infotext="UNet quantisation",
            section="Stable Diffusion",
            max_chars=100,
            help="Keeps its weights in 8 or 4 bits: less memory, and pictures change a little (dB: likeness, higher is closer).",
        ),
    ] = "None"
    quantise_text_encoder: Annotated[
        str,
        Knob(
            "Quantise text encoders",
            choices="quantisers",
            infotext="Text encoder quantisation",
            section="Stable Diffusion",
            max_chars=100,
            help="The same for the text encoders; saves most on Stable Diffusion 3 and Flux, whose T5 is large.",
        ),
    ] = "None"
    fp8_storage: Annotated[
        str,
        Knob(
            "FP8 weight",
            choices=("Disable", "Enable for SDXL", "Enable"),
            infotext="FP8 weight",
            section="Stable Diffusion",
            help="A1111's name for fp8 in both fields above, where they say None.",
        ),
    ] = "Disable"
    cache_fp16_weight: Annotated[
        bool,
        Knob(
            "Cache FP16 weight for LoRA",
            infotext="Cache FP16 weight for LoRA",
            section="Stable Diffusion",
            help="Changes nothing: LoRAs always work beside 8-bit weights in full precision here. Taken as A1111's files have it.",
        ),
    ] = False
    sd_checkpoints_limit: Annotated[
        int,
        Knob(
            "Maximum number of checkpoints loaded at the same time",
            1,
            10,
            step=1,
            section="Stable Diffusion",
            help="One is on the device; the others wait in main memory while there is room, so that changing back takes a moment.",
        ),
    ] = 1
    enable_prompt_comments: Annotated[
        bool, Knob("Enable comments", section="Stable Diffusion", help="Leaves out what stands behind # in a line of the prompt.")
    ] = True
    tiling: Annotated[
        bool, Knob("Tiling", infotext="Tiling", section="Stable Diffusion", help="Produce pictures whose edges fit together.")
    ] = False
    emphasis: Annotated[
        str,
        Knob(
            "Emphasis mode",
            choices=("None", "Ignore", "Original", "No norm"),
            infotext="Emphasis",
            section="Stable Diffusion",
            help="What (more:1.1) and [less] do. None: they are text; Ignore: nothing; No norm suits SDXL better when weights are high.",
        ),
    ] = "Original"
    comma_padding_backtrack: Annotated[
        int,
        Knob(
            "Prompt word wrap length limit",
            0,
            74,
            step=1,
            infotext="Prompt word wrap",
            section="Stable Diffusion",
            help="In tokens: what stands behind a comma this near to the end of 75 tokens moves on to the next 75 as a whole.",
        ),
    ] = 20
    sdxl_clip_l_skip: Annotated[
        bool,
        Knob(
            "Clip skip SDXL",
            infotext="Clip skip SDXL",
            section="Stable Diffusion",
            help="Clip skip counts for the first text encoder of SDXL too. No effect on other models.",
        ),
    ] = False
    wildcards_enabled: Annotated[
        bool,
        Knob(
            "Wildcards and choices in prompts",
            section="Stable Diffusion",
            help="Draws {red|blue} and lines of wildcards/name.txt for __name__, from each picture's seed.",
        ),
    ] = True
    enable_quantization: Annotated[
        bool,
        Knob(
            "Enable quantization in K samplers",
            infotext="Quantized timesteps",
            section="Stable Diffusion",
            help="Noise levels are told to the model as whole timesteps.",
        ),
    ] = False
    randn_source: Annotated[
        str,
        Knob(
            "Random number generator source",
            choices=("CPU", "GPU", "NV"),
            infotext="RNG",
            section="Stable Diffusion",
            help="CPU gives the same pictures on every machine; NV those of an NVIDIA card.",
        ),
    ] = "CPU"
    hires_fix_refiner_pass: Annotated[
        str,
        Knob(
            "Hires fix: which pass to enable refiner for",
            choices=("first pass", "second pass", "both passes"),
            infotext="Hires refiner",
            section="Stable Diffusion",
        ),
    ] = "second pass"
