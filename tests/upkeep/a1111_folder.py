"""A folder as A1111 leaves it, of any size: config.json, ui-config.json, styles.csv, models of several kinds, outputs by day.

The files are tiny and true: pictures with a parameters text, safetensors with the key names of their kind. Start reading at `build`.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

MODELS = {"Lora": "models/Lora", "VAE": "models/VAE", "embeddings": "embeddings", "ControlNet": "extensions/sd-webui-controlnet/models"}
_LORA = "lora_unet_down_blocks_0_attentions_0_proj_in"
KEYS = {
    "Lora": {f"{_LORA}.lora_down.weight": (4, 8), f"{_LORA}.lora_up.weight": (8, 4)},
    "VAE": {"encoder.conv_in.weight": (8, 3, 3, 3), "decoder.conv_in.weight": (8, 4, 3, 3), "decoder.conv_out.weight": (3, 8, 3, 3)},
    "embeddings": {"emb_params": (1, 768)},
    "ControlNet": {"control_model.input_blocks.0.0.weight": (8, 4, 3, 3), "control_model.zero_convs.0.0.weight": (8, 8, 1, 1)},
}  # fmt: skip
CONFIG: dict[str, Any] = {
    "samples_format": "jpg", "jpeg_quality": 91, "CLIP_stop_at_last_layers": 2, "eta_noise_seed_delta": 31337.0, "save_txt": True,
    "outdir_txt2img_samples": "outputs/txt2img-images", "outdir_samples": "",
    "quicksettings_list": ["sd_model_checkpoint", "sd_hypernetwork"], "show_progress_type": "Approx NN", "api_enable_requests": True,
    "disabled_extensions": ["sd-x"], "sd_model_checkpoint": "mine.safetensors", "sd_vae": "vae-000.safetensors",
    "tac_tagFile": "danbooru.csv", "n_rows": -1.0,
}  # fmt: skip
UI_CONFIG = {
    "txt2img/Sampling steps/value": 28, "txt2img/Sampling steps/minimum": 1, "txt2img/Width/value": 512,
    "txt2img/Width/maximum": 4096, "txt2img/Width/step": 64, "txt2img/Height/maximum": "much", "txt2img/Tiling/visible": False,
    "txt2img/Batch size/visible": True, "txt2img/Batch size/maximum": 8, "txt2img/Batch count/value": 1,
    "customscript/sampler.py/txt2img/Sampling method/value": "DPM++ 2M", "img2img/Denoising strength/value": 0.42,
    "customscript/xyz_grid.py/txt2img/X type/value": "Steps", "txt2img/Batch size/value": 999_999,
}  # fmt: skip
STYLES = 'name,prompt,negative_prompt\r\ninked,"{prompt}, ink, paper",colour\r\nplain,photo,\r\n'


def build(root: Path, *, pictures: int, models: int) -> Path:
    """Make the folder; returns it. models: over all kinds."""
    root.mkdir(parents=True)
    (root / "webui.py").write_text("")
    (root / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    (root / "ui-config.json").write_text(json.dumps(UI_CONFIG), encoding="utf-8")
    (root / "styles.csv").write_bytes(b"\xef\xbb\xbf" + STYLES.encode())
    (root / "models" / "Stable-diffusion").mkdir(parents=True)
    (root / "models" / "Stable-diffusion" / "Put Stable Diffusion checkpoints here.txt").write_text("")
    _pictures(root / "outputs", pictures)
    _models(root, models)
    return root


def _pictures(outputs: Path, count: int) -> None:
    """A few drawn pictures, each with many texts."""
    for n in range(count):
        kind = "img2img-images" if n % 5 == 0 else "txt2img-images"
        folder = outputs / kind / f"2024-01-{n % 28 + 1:02d}"
        folder.mkdir(parents=True, exist_ok=True)
        text = (
            f"a {('red', 'blue', 'green')[n % 3]} apple number{n}, ink\nNegative prompt: blurry\n"
            f"Steps: 20, Sampler: DPM++ 2M Karras, CFG scale: 7, Seed: {n}, Size: 512x512, Model hash: 0a1b2c3d4e, "
            "Model: mine, Version: v1.10.1"
        )
        info = PngImagePlugin.PngInfo()
        info.add_text("parameters", text)
        buffer = io.BytesIO()
        _DRAWN[n % len(_DRAWN)].save(buffer, "PNG", pnginfo=info, compress_level=1)
        (folder / f"{n:05d}-{n}.png").write_bytes(buffer.getvalue())


_DRAWN = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "green")]


def _models(root: Path, count: int) -> None:
    files = {kind: _safetensors(KEYS[kind]) for kind in KEYS}
    for n in range(count):
        kind = list(KEYS)[0 if n % 10 < 7 else n % 10 - 6]
        folder = root / MODELS[kind] / ("sub" if n % 4 == 0 else "")
        folder.mkdir(parents=True, exist_ok=True)
        data = bytearray(files[kind])
        data[-4:] = struct.pack("<I", n)  # every file is another one
        (folder / f"{kind.lower()}-{n // 10 if kind == 'VAE' else n:03d}.safetensors").write_bytes(bytes(data))


def _safetensors(shapes: dict[str, tuple[int, ...]]) -> bytes:
    header: dict[str, Any] = {}
    at = 0
    for name, shape in shapes.items():
        size = int(np.prod(shape)) * 2
        header[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + bytes(at)


def fingerprint(root: Path) -> str:
    """Of every name, size, time and content below a folder; times of reading do not count."""
    digest = hashlib.sha256()
    for folder, names, files in os.walk(root):
        names.sort()
        for name in sorted([*files, *names]):
            path = Path(folder, name)
            stat = path.lstat()
            digest.update(f"{path.relative_to(root)}|{stat.st_mode}|{stat.st_size}|{stat.st_mtime_ns}|".encode())
            if path.is_file():
                digest.update(path.read_bytes())
    return digest.hexdigest()
