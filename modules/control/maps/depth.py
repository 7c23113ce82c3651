"""How far things are and which way surfaces look. White is near; normals are RGB. Makers as `making` describes.

Depth models are those of transformers, each in a folder; LeReS and BAE are networks of controlnet-aux. Start reading at `depth`.
"""

from __future__ import annotations

import contextlib
import io
import types
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image

from modules.control.maps.files import found
from modules.control.maps.making import Ask, Pixels
from modules.control.maps.weights import aux, filled, model_in, processor_in
from modules.faults import BlankPicture

NORMAL_Z = 2 * np.pi  # how flat surfaces look beside the differences of depth
FULL_16 = 65535


def depth(pixels: Pixels, ask: Ask) -> Pixels:
    """From near (white) to far (black). option cut: percentiles of what becomes white and black, for distances in metres."""
    values, far_is_large = _estimated(pixels, ask)
    low, high = np.percentile(values, ask.row.options["cut"]) if "cut" in ask.row.options else (values.min(), values.max())
    even = (values - low) / (high - low) if high > low else np.zeros_like(values)
    near = 1 - even if far_is_large else even
    return (near * 255).clip(0, 255).astype(np.uint8)


def normal_midas(pixels: Pixels, ask: Ask) -> Pixels:
    """Surfaces from the slopes of the depth; a: what is farther than this share of it counts as background."""
    values, _ = _estimated(pixels, ask)
    near = values - values.min()
    near /= max(float(near.max()), 1e-6)
    across = cv2.Sobel(values, cv2.CV_32F, 1, 0, ksize=3)
    down = cv2.Sobel(values, cv2.CV_32F, 0, 1, ksize=3)
    across[near < ask.a] = 0
    down[near < ask.a] = 0
    normal = np.stack([across, down, np.full_like(across, NORMAL_Z)], axis=2)
    normal /= np.linalg.norm(normal, axis=2, keepdims=True)
    return np.ascontiguousarray((normal * 127.5 + 127.5).clip(0, 255).astype(np.uint8)[:, :, ::-1])


def leres(pixels: Pixels, ask: Ask) -> Pixels:
    """From near to far by LeReS; a: percent of the nearest that becomes black, b: percent of the farthest."""
    path = found(ask.row.needs[0], ask.row, ask.ground.folders)

    def load() -> Any:
        network = aux("leres.leres.multi_depth_model_woauxi", "RelDepthModel")(backbone="resnext101")
        return filled(network, path, ask.ground.device, prefix="depth_model.")

    network = ask.ground.take("leres", (path,), load)
    height, width = pixels.shape[:2]
    with torch.inference_mode():
        values = np.asarray(aux("leres.leres.depthmap", "estimateleres")(pixels, network, width, height), np.float32)
    values = _finite(values, ask)
    low, high = float(values.min()), float(values.max())
    far = (255 * (values - low) / (high - low) if high > low else np.zeros_like(values)).astype(np.uint8)
    far = np.where(far > ask.a / 100 * 255, far, 0) if ask.a else far
    near = 255 - far
    return (np.where(near > ask.b / 100 * 255, near, 0) if ask.b else near).astype(np.uint8)


def normal_bae(pixels: Pixels, ask: Ask) -> Pixels:
    """Which way surfaces look, by BAE."""
    path = found(ask.row.needs[0], ask.row, ask.ground.folders)

    def load() -> Any:
        about = types.SimpleNamespace(mode="client", architecture="BN", pretrained="scannet", sampling_ratio=0.4, importance_ratio=0.7)
        network = aux("normalbae.nets.NNET", "NNET")
        with contextlib.redirect_stdout(io.StringIO()):
            return aux("normalbae", "NormalBaeDetector")(filled(network(about), path, ask.ground.device))

    detector = ask.ground.take("normal_bae", (path,), load)
    side = min(pixels.shape[:2])
    with torch.inference_mode():
        return detector(pixels, detect_resolution=side, image_resolution=side, output_type="np")


def _estimated(pixels: Pixels, ask: Ask) -> tuple[np.ndarray[Any, Any], bool]:
    """(float32 (H, W) as the model gives it, larger means farther). Raises ModelFault, BlankPicture."""
    folder = found(ask.row.needs[0], ask.row, ask.ground.folders)

    def load() -> tuple[Any, Any]:
        return model_in(folder, "AutoModelForDepthEstimation", ask.ground.device), processor_in(folder)

    model, processor = ask.ground.take("depth", (folder,), load)
    size = pixels.shape[:2]
    given = processor(images=Image.fromarray(pixels), return_tensors="pt").to(ask.ground.device)
    with torch.inference_mode():
        predicted = model(**given).predicted_depth.float()
    rows = torch.nn.functional.interpolate(predicted.reshape(1, 1, *predicted.shape[-2:]), size, mode="bicubic", align_corners=False)
    far_is_large = model.config.model_type == "zoedepth" or getattr(model.config, "depth_estimation_type", "") == "metric"
    return _finite(rows[0, 0].cpu().numpy(), ask), far_is_large


def _finite(values: np.ndarray[Any, Any], ask: Ask) -> np.ndarray[Any, Any]:
    if not np.isfinite(values).all():
        raise BlankPicture(f"The preprocessor {ask.row.name} gives no numbers for this picture. Its files may be damaged: get them again.")
    return values
