"""From peft's layers to a LoRA file: kohya's names for every program, diffusers' on request, and what stands in its metadata.

Start reading at `changes`, then `metadata_of`. Source of the metadata: kohya's scripts (ss_*), Stability AI's ModelSpec 1.0.0.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import torch

from modules.request.train import TrainConfig
from modules.train.networks.adapters import NAME, Attached
from modules.train.networks.recipes import Recipe
from modules.weights.lora.maths import Factors
from modules.weights.lora.write import Products, Sized

DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "float32": torch.float32}
_LYCORIS = ("loha", "lokr")
_FIRST = ("hada_w1_a", "lokr_w1", "lokr_w1_a")  # the tensor that takes a product's scale
# ss_ key -> field of the config whose value it has
_SAID = {
    "ss_learning_rate": "learning_rate", "ss_unet_lr": "learning_rate", "ss_text_encoder_lr": "text_encoder_lr",
    "ss_optimizer": "optimizer", "ss_lr_scheduler": "lr_scheduler", "ss_lr_warmup_steps": "lr_warmup_steps",
    "ss_max_train_steps": "max_train_steps", "ss_seed": "seed", "ss_noise_offset": "noise_offset", "ss_min_snr_gamma": "min_snr_gamma",
    "ss_mixed_precision": "mixed_precision", "ss_gradient_checkpointing": "gradient_checkpointing",
    "ss_gradient_accumulation_steps": "gradient_accumulation_steps", "ss_max_grad_norm": "max_grad_norm",
    "ss_network_dropout": "network_dropout", "ss_scale_weight_norms": "scale_weight_norms", "ss_ip_noise_gamma": "ip_noise_gamma",
    "ss_multires_noise_iterations": "multires_noise_iterations", "ss_multires_noise_discount": "multires_noise_discount",
    "ss_caption_dropout_rate": "caption_dropout", "ss_caption_tag_dropout_rate": "caption_tag_dropout",
    "ss_shuffle_caption": "shuffle_caption", "ss_keep_tokens": "keep_tokens", "ss_flip_aug": "flip_aug",
    "ss_enable_bucket": "enable_bucket", "ss_min_bucket_reso": "min_bucket_reso", "ss_max_bucket_reso": "max_bucket_reso",
    "ss_bucket_no_upscale": "bucket_no_upscale", "ss_cache_latents": "cache_latents", "ss_prior_loss_weight": "prior_loss_weight",
    "ss_batch_size_per_device": "train_batch_size", "ss_total_batch_size": "global_batch", "ss_loss_type": "loss_type",
}  # fmt: skip


@torch.no_grad()
def changes(attached: Mapping[str, Attached]) -> dict[tuple[str, str], Factors | Products]:
    """(component, path) -> what was learnt for the layer, float32, on the CPU, scale included."""
    return {(component, path): _change(layer) for component, network in attached.items() for path, layer in network.layers()}


def _change(layer: Any) -> Factors | Products:
    scale = float(layer.scaling[NAME])
    if not hasattr(layer, "lora_A"):
        found = {part: getattr(layer, part)[NAME] for part in layer.adapter_layer_names if NAME in getattr(layer, part)}
        parts = {part: _plain(tensor) * (scale if part in _FIRST else 1.0) for part, tensor in found.items()}
        return Products(parts=parts, rank=int(layer.r[NAME]))
    down, up = _plain(layer.lora_A[NAME].weight), _plain(layer.lora_B[NAME].weight) * scale
    if NAME in layer.lora_magnitude_vector:
        return Sized(down=down, up=up, magnitude=_plain(layer.lora_magnitude_vector[NAME].weight).flatten())
    return Factors(down=down, up=up)


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().to("cpu", torch.float32)


def metadata_of(
    config: TrainConfig, recipe: Recipe, *, prediction: str, trained: Iterable[str], given: Mapping[str, str]
) -> dict[str, str]:
    """What a file says about itself. prediction: "epsilon", "v_prediction", "flow"; trained: components; given: goes over all of it.

    The numbers of a file hold the scale, so its alpha is its rank; the alpha that was trained with stands in ss_network_args.
    """
    base, spec = recipe.velocity if prediction == "v_prediction" and recipe.velocity else (recipe.base, recipe.spec)
    now = datetime.now(UTC)
    said = {key: str(getattr(config, field)) for key, field in _SAID.items()}
    said |= {
        "ss_base_model_version": base,
        "ss_v2": str(base.startswith("sd_v2")),
        "ss_resolution": f"({config.resolution}, {config.resolution})",
        "ss_network_module": "lycoris.kohya" if config.network_algo in _LYCORIS else "networks.lora",
        "ss_network_args": json.dumps(_arguments(config, trained)),
        "ss_training_finished_at": str(now.timestamp()),
        "modelspec.architecture": f"{spec}/lora",
        "modelspec.resolution": f"{config.resolution}x{config.resolution}",
        "modelspec.date": now.isoformat(timespec="seconds"),
        **({"modelspec.prediction_type": prediction} if prediction != "flow" else {}),
        **({"modelspec.trigger_phrase": config.trigger_word} if config.trigger_word else {}),
    }
    return {**said, **given}


def _arguments(config: TrainConfig, trained: Iterable[str]) -> dict[str, Any]:
    found: dict[str, Any] = {"algo": config.network_algo, "trained_alpha": config.network_alpha, "components": sorted(trained)}
    if config.conv_dim:
        found |= {"conv_dim": config.conv_dim, "trained_conv_alpha": config.conv_alpha}
    if config.target_blocks:
        found["target_blocks"] = list(config.target_blocks)
    if config.network_algo == "dora":
        found |= {"dora_wd": True, "wd_on_out": True}
    return found


def tag_frequency(captions: Mapping[str, Iterable[str]], separator: str = ",") -> dict[str, str]:
    """ "ss_tag_frequency" of captions by folder, as kohya counts: folder -> tag -> how often. Prompt suggestions read it."""
    counted: dict[str, dict[str, int]] = {}
    for folder, texts in captions.items():
        own = counted.setdefault(folder, {})
        for text in texts:
            for tag in (part.strip() for part in text.split(separator)):
                if tag:
                    own[tag] = own.get(tag, 0) + 1
    return {"ss_tag_frequency": json.dumps(counted, ensure_ascii=False)}
