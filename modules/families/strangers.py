"""Models that look familiar but that this version cannot run, so that a person hears their name and not a list of misses.

Pure data: a key that only such files have, and what they are. Knows no family of ours. Start reading at `name_of`.
"""

from __future__ import annotations

from modules.families.backbones import PREFIXES, find_flux, find_unet
from modules.weights.header import Header
from modules.weights.model_folder import ModelFolder

# Key behind one of PREFIXES -> what has it. Sources: the reference code of each model and diffusers' single-file table.
_KEYS = {
    "distilled_guidance_layer.in_proj.bias": "a Chroma model",
    "distilled_guidance_layer.in_proj.weight": "a Chroma model",
    "single_stream_modulation.lin.weight": "a Flux.2 model",
    "double_stream_modulation_img.lin.weight": "a Flux.2 model",
    "double_stream_modulation_img.linear.weight": "a Flux.2 model",
    "txt_in.individual_token_refiner.blocks.0.adaLN_modulation.1.bias": "a HunyuanVideo model",
    "head.modulation": "a Wan video model",
    "double_layers.0.attn.w1q.weight": "an AuraFlow model",
    "joint_transformer_blocks.0.attn.add_q_proj.weight": "an AuraFlow model",
    "cap_embedder.0.weight": "a Lumina or Z-Image model",
    "double_stream_blocks.0.block.adaLN_modulation.1.bias": "a HiDream model",
    "txt_in.text_norm.weight": "a Qwen-Image model",
    "transformer_blocks.0.img_mod.1.weight": "a Qwen-Image model",
    "patchify_proj.weight": "an LTX-Video model",
    "blocks.0.cross_attn.q_linear.weight": "a PixArt or Sana model",
    "adaln_single.emb.timestep_embedder.linear_1.weight": "a PixArt or Sana model",
    "clip_txt_mapper.weight": "a Stable Cascade model",
    "down_blocks.1.0.channelwise.0.weight": "a Stable Cascade model",
    "blocks.0.attn.qkv_x.weight": "a Mochi video model",
    "edm_vpred.sigma_max": "a CosXL model",
    "down_blocks.0.motion_modules.0.temporal_transformer.norm.weight": "an AnimateDiff motion module",
    "input_blocks.1.1.time_stack.0.norm1.weight": "a Stable Video Diffusion model",
    "input_blocks.1.1.time_mixer.mix_factor": "a Stable Video Diffusion model",
    "edm_mean": "a Playground v2.5 model",
    "encoder_hid_proj.weight": "a Kolors model",
}
_PIPELINES = {
    "PixArt": "a PixArt model", "Sana": "a Sana model", "StableCascade": "a Stable Cascade model", "Kolors": "a Kolors model",
    "Chroma": "a Chroma model", "Flux2": "a Flux.2 model", "AuraFlow": "an AuraFlow model", "Kandinsky": "a Kandinsky model",
    "QwenImage": "a Qwen-Image model", "HiDream": "a HiDream model", "ZImage": "a Z-Image model", "Wan": "a Wan video model",
    "StableVideo": "a Stable Video Diffusion model", "StableDiffusionUpscale": "an upscaling model (x4)",
    "StableDiffusionLatentUpscale": "an upscaling model (latent x2)", "StableUnCLIP": "an unCLIP model",
    "StableDiffusionDepth2Img": "a depth model", "FluxFill": "a Flux.1 Fill model", "FluxControl": "a Flux.1 Depth or Canny model",
    "FluxKontext": "a Flux.1 Kontext model", "FluxPriorRedux": "a Flux.1 Redux model", "IF": "a DeepFloyd IF model",
}  # fmt: skip
_UNET_INPUTS = {5: "a depth model", 7: "an upscaling model (x4)"}
_FLUX_INPUTS = {128: "a Flux.1 Depth or Canny model", 384: "a Flux.1 Fill model"}
_QUANTISED = {
    "quant_state.bitsandbytes": "weights packed with bitsandbytes (nf4, fp4)",
    ".qweight": "weights packed for Nunchaku or GPTQ",
    "smooth_factor": "weights packed for Nunchaku",
}


_NAMES = {prefix + key: what for prefix in PREFIXES for key, what in _KEYS.items()}


def name_of(description: Header | ModelFolder) -> str | None:
    """What a description is when it is a model this version knows of and cannot run, as "a Chroma model"; else None."""
    if isinstance(description, ModelFolder):
        named = next((what for start, what in _PIPELINES.items() if description.pipeline.startswith(start)), None)
        if description.components.get("scheduler", "").startswith("EDM"):
            named = "a Playground v2.5 model"
        return named or _by_inputs(description)
    for name in _NAMES.keys() & description.tensors.keys():
        return _NAMES[name]
    for part, what in _QUANTISED.items():
        if any(part in name for name in description.tensors):
            return f"a file with {what}"
    return _by_inputs(description)


def _by_inputs(description: Header | ModelFolder) -> str | None:
    unet = find_unet(description)
    if unet is not None:
        if unet.labels is not None and unet.context == 1024:
            return "an unCLIP model"
        return _UNET_INPUTS.get(unet.in_channels)
    flux = find_flux(description)
    return _FLUX_INPUTS.get(flux.in_channels) if flux is not None else None
