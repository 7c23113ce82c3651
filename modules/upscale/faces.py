"""Restoring faces: each is found, turned upright into a square of 512 pixels, painted anew by a network, and put back softly.

Knows geometry and the networks' ways of being called; knows nothing about requests. Start reading at `restore`.
Source: the alignment of the FFHQ data set, for which GFPGAN, RestoreFormer and CodeFormer were trained.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from modules.faults import BlankPicture, ModelFault
from modules.upscale.network import opened

if TYPE_CHECKING:
    import torch

SIDE_PX = 512
# Eyes, tip of the nose, corners of the mouth, as they lie in the square; left and right as seen.
TEMPLATE = np.array(
    [[192.98138, 239.94708], [318.90277, 240.1936], [256.63416, 314.01935], [201.26117, 371.41043], [313.08905, 371.15118]], np.float64
)
LOOKS_PX = (1024, 320)  # longer sides at which faces are looked for: small ones in the first, large ones in the second
SCORE = 0.6
EDGE_PX = 48  # of the square, over which the new face fades into the picture
Points = np.ndarray  # (5, 2) float64, x and y in pixels

# Architecture, as spandrel names it -> how its network is called: (network, (1, 3, 512, 512) of -1 to 1, weight) -> the same.
CALLS: Mapping[str, Callable[[Any, Any, float], Any]] = {
    "GFPGAN": lambda network, face, _weight: network(face, return_rgb=False, randomize_noise=False)[0],
    "RestoreFormer": lambda network, face, _weight: network(face)[0],
    "CodeFormer": lambda network, face, weight: network(face, weight=weight)[0],
}


@dataclass(kw_only=True)
class FaceNetwork:
    """A loaded network that paints faces anew. name: of its file."""

    name: str
    architecture: str
    descriptor: Any

    def paint(self, face: np.ndarray, weight: float) -> np.ndarray:
        """uint8 (512, 512, 3) RGB -> float32 of the same shape, 0 to 255. weight: CodeFormer's. Raises BlankPicture."""
        import torch

        values = torch.from_numpy(face.astype(np.float32)).permute(2, 0, 1)[None] / 127.5 - 1
        with torch.inference_mode():
            given = values.to(self.descriptor.device, self.descriptor.dtype)
            answer: torch.Tensor = CALLS[self.architecture](self.descriptor.model, given, weight)
        if not bool(torch.isfinite(answer).all()):
            raise BlankPicture(f"{self.name} gives no numbers for this face. Its file may be damaged: download it again.")
        return ((answer.float().cpu()[0].clamp(-1, 1) + 1) * 127.5).permute(1, 2, 0).numpy()


def load(path: Path, *, device: str = "cpu") -> FaceNetwork:
    """The network of a safetensors file, in float32. Raises ModelFault: damaged, or no network for faces that is known here."""
    import torch

    descriptor = opened(path, extra=True)
    architecture = str(descriptor.architecture.id)
    if architecture not in CALLS:
        raise ModelFault(f"{path.name} is no network for faces ({architecture}). GFPGAN, RestoreFormer and CodeFormer are known.")
    descriptor.to(device=torch.device(device), dtype=torch.float32).train(False)
    return FaceNetwork(name=path.stem, architecture=architecture, descriptor=descriptor)


class Detector:
    """Finds faces with YuNet, an ONNX file that OpenCV runs."""

    def __init__(self, path: Path) -> None:
        """Raises ModelFault when the file is no such network."""
        import cv2

        try:
            data = np.frombuffer(path.read_bytes(), np.uint8)
            self._detector = cv2.FaceDetectorYN.create("onnx", data, np.empty(0, np.uint8), (320, 320), SCORE)
        except (cv2.error, OSError) as error:
            raise ModelFault(f"{path.name} cannot be opened as YuNet ({str(error)[:200].strip()}). Download it again.") from error
        self._name = path.name

    def __call__(self, image: Image.Image) -> list[Points]:
        """Five points of every face, the surest first."""
        import cv2

        rows: list[np.ndarray] = []
        for look in LOOKS_PX:
            scale = min(1.0, look / max(image.size))
            small = image if scale == 1 else image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))
            pixels = np.ascontiguousarray(np.asarray(small.convert("RGB"))[:, :, ::-1])
            try:
                self._detector.setInputSize(small.size)
                found = self._detector.detect(pixels)[1]
            except cv2.error as error:
                raise ModelFault(f"{self._name} does not work as a face detector ({str(error)[:200].strip()}).") from error
            if found is not None:
                found = found.astype(np.float64)
                found[:, :14] /= (np.array(small.size) / image.size).tolist() * 7
                rows += list(found)
        rows.sort(key=lambda row: -row[14])
        kept: list[np.ndarray] = []
        for row in rows:
            if all(_overlap(row[:4], other[:4]) < 0.3 for other in kept):
                kept.append(row)
        return [row[4:14].reshape(5, 2) for row in kept]


def restore(
    image: Image.Image, network: FaceNetwork, faces: list[Points], *, weight: float = 0.5, stopped: Callable[[], bool] = lambda: False
) -> Image.Image:
    """The RGB picture with these faces painted anew; the rest of it is untouched. Asks stopped() before each face."""
    result = image.copy()
    for points in faces:
        if stopped():
            return result
        _put_back(result, network, points, weight)
    return result


def _put_back(image: Image.Image, network: FaceNetwork, points: Points, weight: float) -> None:
    """One face, in place."""
    import cv2

    there = similarity(points, TEMPLATE)
    back = cv2.invertAffineTransform(there)
    corners = np.array([[0, 0], [SIDE_PX, 0], [SIDE_PX, SIDE_PX], [0, SIDE_PX]], np.float64) @ back[:, :2].T + back[:, 2]
    left, top = np.maximum(np.floor(corners.min(0)), 0).astype(int)
    right, bottom = np.minimum(np.ceil(corners.max(0)), image.size).astype(int)
    if right <= left or bottom <= top:
        return
    region = image.crop((left, top, right, bottom))
    pixels = np.asarray(region)
    offset = np.array([left, top], np.float64)
    local = there.copy()
    local[:, 2] += there[:, :2] @ offset
    face = cv2.warpAffine(pixels, local, (SIDE_PX, SIDE_PX), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    painted = network.paint(np.asarray(face), weight)
    inverse = cv2.invertAffineTransform(local)
    size = (region.width, region.height)
    new = cv2.warpAffine(painted, inverse, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    mask = np.asarray(cv2.warpAffine(soft_square(), inverse, size, flags=cv2.INTER_LINEAR))[..., None]
    mixed = pixels * (1 - mask) + np.clip(new, 0, 255) * mask
    image.paste(Image.fromarray((mixed + 0.5).astype(np.uint8)), (int(left), int(top)))


def similarity(points: Points, target: Points) -> np.ndarray:
    """(2, 3) matrix of turning, scaling evenly and moving that brings points closest to target (least squares)."""
    rows = np.zeros((10, 4))
    rows[0::2] = np.stack([points[:, 0], -points[:, 1], np.ones(5), np.zeros(5)], 1)
    rows[1::2] = np.stack([points[:, 1], points[:, 0], np.zeros(5), np.ones(5)], 1)
    a, b, x, y = np.linalg.lstsq(rows, target.reshape(-1), rcond=None)[0]
    return np.array([[a, -b, x], [b, a, y]])


def soft_square() -> np.ndarray:
    """float32 (512, 512): 0 at the edge, rising to 1 over EDGE_PX."""
    ramp = np.clip(np.minimum(np.arange(SIDE_PX), np.arange(SIDE_PX)[::-1]) / EDGE_PX, 0, 1)
    smooth = (ramp * ramp * (3 - 2 * ramp)).astype(np.float32)
    return smooth[:, None] * smooth[None]


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Shared part of two boxes (x, y, width, height), 0 to 1."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    shared = max(0.0, width) * max(0.0, height)
    return shared / max(a[2] * a[3] + b[2] * b[3] - shared, 1e-9)
