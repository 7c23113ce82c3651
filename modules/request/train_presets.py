"""Starting points for a training: which values suit a family, a method and the memory of the device. Data only.

The figures are those that the wide-spread scripts recommend (kohya's and the example scripts of diffusers); "fast-DreamBooth" has the
fields and defaults of the notebook of that name. Start reading at `PRESETS` and `presets_for`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modules.request.train_learning import DREAMBOOTH, LORA, TEXTUAL_INVERSION
from modules.request.train_pictures import OWN


@dataclass(frozen=True, kw_only=True)
class Preset:
    """Values of `TrainConfig` to begin with. families: ids in `modules.families`; memory_gb: least memory of the device, 0 for any.

    native_px: for models of that training size only (SD2: 512 or 768); 0 for all. Sizes follow from the model in every one of them.
    """

    title: str
    method: str
    families: tuple[str, ...]
    values: Mapping[str, Any]
    memory_gb: int = 0
    native_px: int = 0
    note: str = ""


_SMALL = {"train_batch_size": 1, "gradient_checkpointing": True, "mixed_precision": "bf16", "cache_latents": True, "cache_text": True}
_ROOMY = {"mixed_precision": "bf16", "gradient_checkpointing": False, "cache_latents": True, "cache_text": True}
_OWN_SIZE = {"resolution": OWN, "min_bucket_reso": OWN, "max_bucket_reso": OWN, "bucket_reso_steps": OWN}  # as the model was made for
_LORA_SD = {
    **_OWN_SIZE,
    "method": LORA,
    "network_dim": 16,
    "network_alpha": 8.0,
    "learning_rate": 1e-4,
    "max_train_steps": 1500,
    "min_snr_gamma": 5.0,
}
_LORA_V = {**_LORA_SD, "min_snr_gamma": 5.0}
_LORA_XL = {
    **_OWN_SIZE,
    "method": LORA,
    "network_dim": 16,
    "network_alpha": 16.0,
    "learning_rate": 1e-4,
    "max_train_steps": 2000,
    "text_encoder_lr": 0.0,
}
_LORA_FLOW = {**_LORA_XL, "timestep_sampling": "logit_normal", "min_snr_gamma": 0.0, "noise_offset": 0.0}
_LORA_FLUX = {**_LORA_XL, "timestep_sampling": "shift", "min_snr_gamma": 0.0, "noise_offset": 0.0, "guidance_scale": 1.0}
_FULL = {
    **_OWN_SIZE,
    "method": DREAMBOOTH,
    "learning_rate": 2e-6,
    "text_encoder_lr": 1e-6,
    "text_encoder_steps": 350,
    "max_train_steps": 1500,
}
_FULL_FLOW = {**_FULL, "learning_rate": 1e-5, "text_encoder_lr": 0.0, "text_encoder_steps": 0}
_FAST = {
    **_FULL,
    "train_batch_size": 1,
    "gradient_accumulation_steps": 1,
    "mixed_precision": "fp16",
    "optimizer": "AdamW8bit",
    "lr_scheduler": "linear",
    "lr_warmup_steps": 0,
    "noise_offset": 0.0,
    "prior_preservation": False,
    "gradient_checkpointing": True,
    "save_every": 500,
    "save_from": 500,
    "save_precision": "fp16",
}
_FAST_NOTE = "Two stages: the text encoder (4e-7 to 2e-6), then the UNet (2e-6 to 2e-5). Name the pictures after the subject."
_WORD = {
    **_OWN_SIZE,
    "method": TEXTUAL_INVERSION,
    "learning_rate": 5e-3,
    "num_vectors": 4,
    "max_train_steps": 3000,
    "lr_scheduler": "constant",
    "cache_text": False,
}
_8BIT = {"optimizer": "AdamW8bit"}

PRESETS: Mapping[str, Preset] = {
    "lora-cpu": Preset(
        title="LoRA on the processor",
        method=LORA,
        families=("sd15",),
        values={**_LORA_SD, "mixed_precision": "no", "gradient_checkpointing": False, "network_dim": 8, "max_train_steps": 300},
        note="Meant for small models; a full-size one takes minutes for a step.",
    ),
    "lora-sd15-6gb": Preset(title="LoRA, 6 GB", method=LORA, families=("sd15",), memory_gb=6, values={**_LORA_SD, **_SMALL, **_8BIT}),
    "lora-sd15-12gb": Preset(
        title="LoRA with text encoder, 12 GB",
        method=LORA,
        families=("sd15",),
        memory_gb=12,
        values={**_LORA_SD, **_ROOMY, "train_batch_size": 2, "text_encoder_lr": 5e-5, "cache_text": False},
    ),
    "lora-sd15-24gb": Preset(
        title="LoRA with text encoder, 24 GB",
        method=LORA,
        families=("sd15",),
        memory_gb=24,
        values={**_LORA_SD, **_ROOMY, "train_batch_size": 8, "text_encoder_lr": 5e-5, "cache_text": False, "max_train_steps": 800},
    ),
    "lora-sd2-8gb": Preset(
        title="LoRA 512, 8 GB", method=LORA, families=("sd2",), memory_gb=8, native_px=512, values={**_LORA_SD, **_SMALL, **_8BIT}
    ),
    "lora-sd2-768-10gb": Preset(
        title="LoRA 768 (v-prediction), 10 GB",
        method=LORA,
        families=("sd2",),
        memory_gb=10,
        native_px=768,
        values={**_LORA_V, **_SMALL, **_8BIT},
    ),
    "lora-sdxl-10gb": Preset(title="LoRA, 10 GB", method=LORA, families=("sdxl",), memory_gb=10, values={**_LORA_XL, **_SMALL, **_8BIT}),
    "lora-sdxl-24gb": Preset(
        title="LoRA, 24 GB",
        method=LORA,
        families=("sdxl",),
        memory_gb=24,
        values={**_LORA_XL, **_SMALL, "train_batch_size": 4, "network_dim": 32, "network_alpha": 16.0},
    ),
    "lora-sd3-16gb": Preset(
        title="LoRA (Medium), 16 GB", method=LORA, families=("sd3",), memory_gb=16, values={**_LORA_FLOW, **_SMALL, **_8BIT}
    ),
    "lora-sd3-24gb": Preset(
        title="LoRA (Medium, Large), 24 GB",
        method=LORA,
        families=("sd3",),
        memory_gb=24,
        values={**_LORA_FLOW, **_SMALL, "network_dim": 32, "network_alpha": 32.0},
    ),
    "lora-flux-32gb": Preset(
        title="LoRA, 32 GB",
        method=LORA,
        families=("flux",),
        memory_gb=32,
        values={**_LORA_FLUX, **_SMALL, **_8BIT},
        note="The network alone takes 24 GB in bf16.",
    ),
    "lora-flux-80gb": Preset(
        title="LoRA, 80 GB",
        method=LORA,
        families=("flux",),
        memory_gb=80,
        values={**_LORA_FLUX, **_ROOMY, "train_batch_size": 4, "gradient_checkpointing": True, "learning_rate": 4e-4},
    ),
    "fast-DreamBooth": Preset(title="fast-DreamBooth", method=DREAMBOOTH, families=("sd15",), memory_gb=12, values=_FAST, note=_FAST_NOTE),
    "fast-DreamBooth-sd2": Preset(
        title="fast-DreamBooth",
        method=DREAMBOOTH,
        families=("sd2",),
        memory_gb=12,
        values={**_FAST, "text_encoder_resolution": 576},
        note=_FAST_NOTE,
    ),
    "dreambooth-cpu": Preset(
        title="DreamBooth on the processor",
        method=DREAMBOOTH,
        families=("sd15",),
        values={**_FULL, "mixed_precision": "no", "gradient_checkpointing": False, "save_precision": "float32"},
        note="Meant for small models.",
    ),
    "dreambooth-sdxl-24gb": Preset(
        title="DreamBooth, 24 GB",
        method=DREAMBOOTH,
        families=("sdxl",),
        memory_gb=24,
        values={**_FULL, **_SMALL, "optimizer": "Adafactor", "text_encoder_steps": 0, "text_encoder_lr": 0.0},
    ),
    "dreambooth-sd3-48gb": Preset(
        title="DreamBooth, 48 GB",
        method=DREAMBOOTH,
        families=("sd3",),
        memory_gb=48,
        values={**_FULL_FLOW, **_SMALL, **_8BIT, "timestep_sampling": "logit_normal"},
    ),
    "dreambooth-flux-80gb": Preset(
        title="DreamBooth, 80 GB and more",
        method=DREAMBOOTH,
        families=("flux",),
        memory_gb=80,
        values={**_FULL_FLOW, **_SMALL, "optimizer": "Adafactor", "timestep_sampling": "shift", "guidance_scale": 1.0},
    ),
    "word": Preset(title="A new word", method=TEXTUAL_INVERSION, families=("sd15", "sd2"), values=_WORD),
    "word-12gb": Preset(
        title="A new word, 12 GB",
        method=TEXTUAL_INVERSION,
        families=("sdxl", "sd3", "flux"),
        memory_gb=12,
        values={**_WORD, "gradient_checkpointing": True, "mixed_precision": "bf16"},
    ),
}


def presets_for(family: str, method: str, memory_gb: float | None = None, native_px: int = 0) -> dict[str, Preset]:
    """Presets that suit, by name, the most demanding one that still fits first. memory_gb: of the device, None for the processor.

    native_px: the size that the model was made for, 0 when unknown.
    """
    fitting = {
        name: preset
        for name, preset in PRESETS.items()
        if family in preset.families
        and preset.method == method
        and preset.memory_gb <= (memory_gb or 0)
        and (not native_px or not preset.native_px or preset.native_px == native_px)
    }
    return dict(sorted(fitting.items(), key=lambda row: -row[1].memory_gb))
