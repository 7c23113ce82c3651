"""The detectors: which lie on the disk, and what each finds. Every one is a file or folder that a person put there; none is fetched.

Start reading at `shelf`, then `Finder.find`. Folders are of transformers' layout with safetensors; no code of theirs is run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detailing.units import AUTOMATIC

FACES = ("face", "faces", "head")
YUNET = "face_detection_yunet*.onnx"
FACE_PLACES = ("detection", "GFPGAN", "Codeformer")
FACE_TITLE, CLIP_TITLE = "YuNet", "CLIP: "
# model_type of config.json -> how the folder is asked. Finders of anything go before finders of what they were taught.
OPEN = ("grounding-dino", "mm-grounding-dino", "owlv2", "owlvit", "omdet-turbo")
SEGMENTS = ("clipseg",)
TAUGHT = ("yolos", "detr", "conditional_detr", "deformable_detr", "rt_detr", "rt_detr_v2", "d_fine", "deta", "table-transformer")


@dataclass(frozen=True)
class Detector:
    """title: as chosen; kind: "yunet", "open", "segments", "taught" or "clip"; labels: what a taught one knows, in lower case."""

    title: str
    kind: str
    path: Path
    labels: tuple[str, ...] = ()

    def knows(self, word: str) -> bool:
        """Can it look for this?"""
        if self.kind == "yunet":
            return word.lower() in FACES
        return self.kind != "taught" or any(word.lower() == label or word.lower() in label.split() for label in self.labels)


def shelf(models: Sequence[Path]) -> list[Detector]:
    """The detectors in these model folders, those that know most surely first."""
    found: list[Detector] = []
    for base in models:
        for place in FACE_PLACES:
            found += [Detector(FACE_TITLE, "yunet", path) for path in sorted((base / place).glob(YUNET))]
    for base in models:
        found += [one for path in _folders(base / "detection") if (one := _described(path)) is not None]
    order = ("yunet", "taught", "open", "segments")
    found.sort(key=lambda one: order.index(one.kind))
    for base in models:
        found += [Detector(CLIP_TITLE + p.name, "clip", p) for p in _folders(base / "CLIP") if _config(p).get("model_type") == "clip"]
    return list({one.title: one for one in reversed(found)}.values())[::-1]


def titles(models: Sequence[Path]) -> tuple[str, ...]:
    """What a person can choose."""
    return (AUTOMATIC, *(one.title for one in shelf(models)))


def chosen(title: str, word: str, detectors: Sequence[Detector]) -> Detector | None:
    """The one of that title, or the first that can look for the word; None when there is none."""
    fitting = [one for one in detectors if one.knows(word) and title in (AUTOMATIC, one.title)]
    return fitting[0] if fitting else None


def _folders(place: Path) -> list[Path]:
    return sorted(path for path in place.iterdir() if (path / "config.json").is_file()) if place.is_dir() else []


def _described(path: Path) -> Detector | None:
    config = _config(path)
    kind = str(config.get("model_type", ""))
    if kind in OPEN:
        return Detector(path.name, "open", path)
    if kind in SEGMENTS:
        return Detector(path.name, "segments", path)
    if kind in TAUGHT:
        labels: Mapping[str, Any] = config.get("id2label") or {}
        return Detector(path.name, "taught", path, tuple(str(label).lower() for label in labels.values()))
    return None


def _config(path: Path) -> dict[str, Any]:
    try:
        found = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


class Finder:
    """Looks into pictures; keeps the last opened detector. device: of torch."""

    def __init__(self, device: str = "cpu") -> None:
        self._device = device
        self._open: tuple[Detector, Any] | None = None

    def find(self, detector: Detector, image: Any, word: str, confidence: float) -> list[Any]:
        """Places of a thing in an RGB picture. confidence: below which finds need not be told. Raises ModelFault, OSError, ValueError."""
        from detailing import asking

        if self._open is None or self._open[0] != detector:
            self.forget()
            self._open = (detector, asking.OPENED[detector.kind](detector.path, self._device))
        look: Callable[..., list[Any]] = self._open[1]
        return look(image, word, confidence)

    def forget(self) -> None:
        """Let go of the opened detector."""
        self._open = None
