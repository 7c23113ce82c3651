"""Opened detectors: each a function of an RGB picture, a word and a confidence that gives `Place`s. torch lives here.

Start reading at `OPENED`. Sources: the models' own post-processing in transformers; for CLIP, scores of windows (arXiv:2112.01071 has
the idea that CLIP knows where things are).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image
from transformers import (
    AutoImageProcessor,
    AutoModelForObjectDetection,
    AutoModelForZeroShotObjectDetection,
    AutoProcessor,
    CLIPModel,
    CLIPSegForImageSegmentation,
)

from detailing.places import Place
from modules.faults import ModelFault

Look = Callable[[Image.Image, str, float], list[Place]]
LOOKS_PX = (1024, 320)  # longer sides at which faces are looked for
LEAST_PX = 0.0005  # of the picture; smaller spots of a segmented thing are dust
SCALES, STRIDE = (0.35, 0.5, 0.7, 1.0), 0.25  # sides of CLIP's windows as shares of the shorter side, their distance as share of theirs
WINDOWS_AT_ONCE = 32
NOTHING = ("background", "nothing")
ON_ONE_ANOTHER = 0.3  # share of the smaller window
SAFE: dict[str, Any] = {"use_safetensors": True, "dtype": torch.float32}


def _yunet(path: Path, device: str) -> Look:
    data = np.frombuffer(path.read_bytes(), np.uint8)
    try:
        network = cv2.FaceDetectorYN.create("onnx", data, np.empty(0, np.uint8), (320, 320), 0.3)
    except cv2.error as error:
        raise ModelFault(f"{path.name} cannot be opened as YuNet. Download it again.") from error

    def look(image: Image.Image, word: str, confidence: float) -> list[Place]:
        found: list[Place] = []
        for side in LOOKS_PX:
            scale = min(1.0, side / max(image.size))
            small = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))
            network.setInputSize(small.size)
            rows = network.detect(np.ascontiguousarray(np.asarray(small)[:, :, ::-1]))[1]
            for row in rows if rows is not None else ():
                left, top, width, height = (float(value) / scale for value in row[:4])
                found.append(Place(_inside((left, top, left + width, top + height), image.size), float(row[14])))
        return found

    return look


def _open(path: Path, device: str) -> Look:
    processor, model = AutoProcessor.from_pretrained(path, local_files_only=True), _model(AutoModelForZeroShotObjectDetection, path, device)
    dino = "dino" in str(model.config.model_type)

    @torch.inference_mode()
    def look(image: Image.Image, word: str, confidence: float) -> list[Place]:
        text = [f"{word.lower()}."] if dino else [[f"a photo of a {word}"]]
        given = processor(text=text, images=image, return_tensors="pt").to(device)
        answer = model(**given)
        about: dict[str, Any] = {"threshold": max(confidence, 0.01), "target_sizes": [(image.height, image.width)]}
        if dino:
            about |= {"input_ids": given["input_ids"], "text_threshold": max(confidence, 0.01)}
        return _places(processor.post_process_grounded_object_detection(answer, **about)[0], image.size)

    return look


def _taught(path: Path, device: str) -> Look:
    processor, model = AutoImageProcessor.from_pretrained(path, local_files_only=True), _model(AutoModelForObjectDetection, path, device)
    names = {int(number): str(label).lower() for number, label in model.config.id2label.items()}

    @torch.inference_mode()
    def look(image: Image.Image, word: str, confidence: float) -> list[Place]:
        answer = model(**processor(images=image, return_tensors="pt").to(device))
        found = processor.post_process_object_detection(answer, threshold=confidence, target_sizes=[(image.height, image.width)])[0]
        wanted = [n for n, label in enumerate(found["labels"].tolist()) if word.lower() in (names[label], *names[label].split())]
        return _places({name: found[name][wanted] for name in ("boxes", "scores")}, image.size)

    return look


def _segments(path: Path, device: str) -> Look:
    processor, model = AutoProcessor.from_pretrained(path, local_files_only=True), _model(CLIPSegForImageSegmentation, path, device)

    @torch.inference_mode()
    def look(image: Image.Image, word: str, confidence: float) -> list[Place]:
        given = processor(text=[word], images=[image], return_tensors="pt", padding=True, truncation=True).to(device)
        logits = model(**given).logits.float()
        heat = torch.sigmoid(logits).reshape(1, 1, *logits.shape[-2:])
        full = torch.nn.functional.interpolate(heat, (image.height, image.width), mode="bilinear")[0, 0].cpu().numpy()
        return spots(full, max(confidence, 0.01))

    return look


def spots(heat: np.ndarray, level: float) -> list[Place]:
    """The parts of a map (H, W) of 0 to 1 that lie above a level, each as a place with its own mask; its highest value is its score."""
    count, labels, about, _ = cv2.connectedComponentsWithStats((heat >= level).astype(np.uint8))
    found: list[Place] = []
    for number in range(1, count):
        left, top, width, height, area = (int(value) for value in about[number])
        if area >= LEAST_PX * heat.size:
            own = labels == number
            mask = Image.fromarray((own * 255).astype(np.uint8))
            found.append(Place((left, top, left + width, top + height), float(heat[own].max()), mask))
    return found


def _clip(path: Path, device: str) -> Look:
    processor, model = AutoProcessor.from_pretrained(path, local_files_only=True), _model(CLIPModel, path, device)

    @torch.inference_mode()
    def look(image: Image.Image, word: str, confidence: float) -> list[Place]:
        texts = [word, *NOTHING]
        said = _unit(model.get_text_features(**processor(text=texts, return_tensors="pt", padding=True, truncation=True).to(device)))
        boxes = windows(image.size)
        near: list[torch.Tensor] = []
        for at in range(0, len(boxes), WINDOWS_AT_ONCE):
            cuts = [image.crop(tuple(int(side) for side in box)) for box in boxes[at : at + WINDOWS_AT_ONCE]]
            near.append(_unit(model.get_image_features(**processor(images=cuts, return_tensors="pt").to(device))) @ said.T)
        scores = window_scores(torch.cat(near), float(model.logit_scale.exp()))
        return apart([Place(box, score) for box, score in zip(boxes, scores, strict=True) if score >= confidence])

    return look


def window_scores(near: torch.Tensor, scale: float) -> list[float]:
    """0 to 1 for each window. near: (windows, 1 + others) cosines with the word and with words for nothing; scale: CLIP's own.

    How far the word goes before nothing, times how far the window stands out among all of them (squared).
    """
    sure, own = (near * scale).softmax(-1)[:, 0], near[:, 0]
    usual, best = own.median(), own.max()
    stands_out = ((own - usual) / (best - usual)).clamp(0, 1) if best > usual else torch.ones_like(own)
    return (sure * stands_out**2).tolist()


def apart(places: list[Place]) -> list[Place]:
    """The surest of windows that lie on one another, also of one inside another."""
    kept: list[Place] = []
    for place in sorted(places, key=lambda p: -p.score):
        if all(_share(place, other) < ON_ONE_ANOTHER for other in kept):
            kept.append(place)
    return kept


def _share(one: Place, other: Place) -> float:
    width = min(one.box[2], other.box[2]) - max(one.box[0], other.box[0])
    height = min(one.box[3], other.box[3]) - max(one.box[1], other.box[1])
    return max(0.0, width) * max(0.0, height) / max(1.0, min(one.area, other.area))


def windows(size: tuple[int, int]) -> list[tuple[float, float, float, float]]:
    """Squares of several sizes all over a picture (width, height), in pixels."""
    found: list[tuple[float, float, float, float]] = []
    for scale in SCALES:
        side = max(8, round(min(size) * scale))
        lefts, tops = (_begins(length, side) for length in size)
        found += [(left, top, min(left + side, size[0]), min(top + side, size[1])) for top in tops for left in lefts]
    return found


def _begins(length: int, side: int) -> list[int]:
    """Where windows of a side begin along a length, the first at 0, the last at its end."""
    if length <= side:
        return [0]
    count = max(1, round((length - side) / (side * STRIDE)))
    return [round(n * (length - side) / count) for n in range(count + 1)]


def _model(kind: Any, path: Path, device: str) -> Any:
    try:
        return kind.from_pretrained(path, local_files_only=True, **SAFE).to(device).train(False)
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise ModelFault(f"The detector {path.name} cannot be opened: {str(error)[:300]}") from error


def _unit(answer: Any) -> torch.Tensor:
    features = getattr(answer, "pooler_output", answer).float()
    return features / features.norm(dim=-1, keepdim=True)


def _places(found: Mapping[str, Any], size: tuple[int, int]) -> list[Place]:
    rows = zip(found["boxes"].tolist(), found["scores"].tolist(), strict=True)
    return [Place(_inside(box, size), float(score)) for box, score in rows]


def _inside(box: Any, size: tuple[int, int]) -> tuple[float, float, float, float]:
    left, top, right, bottom = (float(value) for value in box)
    return max(0.0, left), max(0.0, top), min(float(size[0]), right), min(float(size[1]), bottom)


OPENED: Mapping[str, Callable[[Path, str], Look]] = {
    "yunet": _yunet,
    "open": _open,
    "taught": _taught,
    "segments": _segments,
    "clip": _clip,
}
