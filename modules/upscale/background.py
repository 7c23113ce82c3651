"""Removing what is behind the subject, with a network from an ONNX file: it says for every pixel how much of it is the subject.

ONNX files are data: a graph of known operations and their weights. OpenCV runs them, on the CPU. Start reading at `cut_out`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageChops

from modules.faults import BlankPicture, ModelFault
from modules.pixels.resizing import LANCZOS
from modules.upscale.finishing import FinishingTool


def opened(path: Path) -> Any:
    """The network of an ONNX file. It must hold all of its weights: no other file is read for it. Raises ModelFault."""
    import cv2

    try:
        net = cv2.dnn.readNetFromONNX(np.frombuffer(path.read_bytes(), np.uint8))
    except (cv2.error, OSError) as error:
        raise ModelFault(f"{path.name} cannot be opened as an ONNX network ({_line(error)}). Download it again.") from error
    if net.empty():
        raise ModelFault(f"{path.name} holds no network. Download it again.")
    return net


def subject(image: Image.Image, tool: FinishingTool, net: Any, name: str) -> Image.Image:
    """How much of each pixel is the subject, as an "L" picture of the same size. image: RGB; name: of the file, for messages.

    Raises ModelFault when the network does not take such pictures, BlankPicture when it gives no numbers.
    """
    import cv2

    small = np.asarray(image.resize((tool.size_px, tool.size_px), LANCZOS), np.float32) / 255
    small /= max(float(small.max()), 1e-6)
    values = ((small - np.array(tool.mean, np.float32)) / np.array(tool.spread, np.float32)).transpose(2, 0, 1)[None]
    try:
        net.setInput(np.ascontiguousarray(values, np.float32))
        answer = np.asarray(net.forward(net.getUnconnectedOutLayersNames()[0]), np.float64)
    except (cv2.error, IndexError) as error:
        raise ModelFault(f"{name} does not work as a network for background removal ({_line(error)}).") from error
    if answer.size < 4 or answer.shape[-1] != answer.shape[-2]:
        raise ModelFault(f"{name} is not a network for background removal: it answers with numbers in the shape {answer.shape}.")
    answer = answer.reshape(-1, *answer.shape[-2:])[0]
    if not np.isfinite(answer).all():
        raise BlankPicture(f"{name} gives no numbers for this picture. Its file may be damaged: download it again.")
    answer = 1 / (1 + np.exp(-answer)) if tool.sigmoid else answer
    low, high = float(answer.min()), float(answer.max())
    even = (answer - low) / (high - low) if high > low else np.ones_like(answer)  # nothing stands out: all of it is the subject
    return Image.fromarray((even * 255 + 0.5).astype(np.uint8)).resize(image.size, LANCZOS)


def cut_out(image: Image.Image, tool: FinishingTool, net: Any, name: str) -> Image.Image:
    """RGBA of the same size; what was transparent stays so. The colours of the pixels do not change."""
    mask = subject(image.convert("RGB"), tool, net, name)
    result = image.convert("RGBA")
    result.putalpha(ImageChops.multiply(result.getchannel("A"), mask))
    return result


def _line(error: BaseException) -> str:
    return next((line.strip()[:200] for line in str(error).splitlines() if line.strip()), type(error).__name__)
