"""Words from lists ranked by how near they are to a picture. The vectors of a list are kept on disk by what it and the model hold.

Start reading at `Ranker.rank`.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load, save

from modules.caption.loading import Captioner
from modules.caption.matching import image_features, text_features
from modules.caption.word_lists import WordList
from modules.folders import write_atomic
from modules.weights.hashes import folder_sha256

MOST_KEPT = 64
_NAME = "vectors"


class Ranker:
    """Ranks with one scorer. cache: folder of the kept vectors."""

    def __init__(self, scorer: Captioner, cache: Path) -> None:
        self._scorer = scorer
        self._cache = cache
        self._digest = folder_sha256(scorer.installed.path)
        self._known: dict[tuple[str, ...], torch.Tensor] = {}

    def rank(self, images: Sequence[Image.Image], lists: Sequence[WordList]) -> list[dict[str, list[tuple[str, float]]]]:
        """For each picture (RGB): name of a list -> its nearest entries with their cosines, nearest first."""
        pictures = image_features(self._scorer, images)
        found: list[dict[str, list[tuple[str, float]]]] = [{} for _ in images]
        for words in lists:
            near = pictures @ self._vectors(words.entries).T
            best = near.topk(min(words.top, len(words.entries)), dim=1)
            for row, scores, places in zip(found, best.values.tolist(), best.indices.tolist(), strict=True):
                row[words.name] = [(words.entries[place], round(score, 4)) for place, score in zip(places, scores, strict=True)]
        return found

    def _vectors(self, entries: tuple[str, ...]) -> torch.Tensor:
        """(N,d) on the scorer's device: remembered, else from the file, else made and kept."""
        if entries not in self._known:
            text = "\n".join((self._digest, self._scorer.dtype, *entries))
            path = self._cache / f"{hashlib.sha256(text.encode()).hexdigest()}.safetensors"
            made = _kept(path, len(entries))
            if made is None:
                made = text_features(self._scorer, entries).cpu()
                write_atomic(path, save({_NAME: made.contiguous()}))
                _prune(self._cache)
            self._known[entries] = made.to(self._scorer.device)
        return self._known[entries]


def _kept(path: Path, count: int) -> torch.Tensor | None:
    try:
        vectors = load(path.read_bytes())[_NAME]
    except (OSError, SafetensorError, KeyError, ValueError):
        return None
    return vectors if vectors.ndim == 2 and len(vectors) == count else None


def _prune(folder: Path) -> None:
    """Only the newest files stay."""
    files = sorted(folder.glob("*.safetensors"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for path in files[MOST_KEPT:]:
        with contextlib.suppress(OSError):
            path.unlink()
