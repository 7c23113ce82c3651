"""Pictures of a folder for a text: every picture's vector, kept on disk, against the text's; the nearest once more with both in view.

Start reading at `search`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from modules.caption.loading import Captioner
from modules.caption.matching import image_features, match, text_features
from modules.caption.seeing import fitted
from modules.faults import OutOfMemory, RequestFault
from modules.folders import write_atomic
from modules.processing.caption_run import Run
from modules.request.caption import ResolvedCaption
from modules.weights.hashes import folder_sha256

MOST_TOLD = 60  # pictures for a text; so many are looked at twice by models that give a chance
KEEP_EVERY = 500  # new vectors
_VECTORS, _FILES = "vectors", "files"


def search(run: Run, captioner: Captioner) -> list[dict[str, Any]]:
    """[{"text", "pictures": [{"index", "name", "cosine", "chance"}, ...]}], best first. Pictures that cannot be read are given up.

    Raises OutOfMemory. A stop ends it with the pictures that were looked at until then.
    """
    try:
        vectors = _vectors(run, captioner)
        return [_found(run, captioner, vectors, text) for text in run.resolved.texts]
    except torch.OutOfMemoryError as error:
        count = run.resolved.batch_size
        raise OutOfMemory(f"There is not enough memory to look at {count} pictures at once. Take fewer at once.") from error


def _vectors(run: Run, captioner: Captioner) -> dict[int, torch.Tensor]:
    """Index of a picture -> its vector (d,), float32, of length 1; those that were kept need not be opened."""
    sources, file = run.resolved.sources, _file(run, captioner)
    stamps = [_stamp(Path(source.path)) for source in sources]
    kept = _read(file)
    known = {index: kept[stamp] for index, stamp in enumerate(stamps) if stamp in kept}
    todo = [index for index in range(len(sources)) if index not in known]
    fresh = 0
    for first in range(0, len(todo), run.resolved.batch_size):
        if run.control.interrupted:
            break
        some = todo[first : first + run.resolved.batch_size]
        run.before, run.first, run.count = len(known) - fresh, fresh, len(some)
        run.token(0)
        for index, vector in _looked_at(run, captioner, some):
            known[index] = kept[stamps[index]] = vector
            fresh += 1
        if fresh % KEEP_EVERY < len(some):
            _write(file, kept)
    if fresh:
        _write(file, {stamps[index]: vector for index, vector in known.items()})  # what is gone is forgotten
    return known


def _looked_at(run: Run, captioner: Captioner, indices: Sequence[int]) -> list[tuple[int, torch.Tensor]]:
    opened = [(index, run.open(index)) for index in indices]
    images = []
    for index, found in opened:
        if isinstance(found, RequestFault):
            run.give_up(index, found)
        else:
            images.append((index, fitted(captioner, found, run.resolved.fit, run.resolved.background).image))
    if not images:
        return []
    return list(zip((index for index, _ in images), image_features(captioner, [image for _, image in images]).cpu(), strict=True))


def _found(run: Run, captioner: Captioner, vectors: dict[int, torch.Tensor], text: str) -> dict[str, Any]:
    if not vectors:
        return {"text": text, "pictures": []}
    indices = list(vectors)
    near = torch.stack([vectors[index] for index in indices]) @ text_features(captioner, [text]).cpu()[0]
    best = near.topk(min(MOST_TOLD, len(indices)))
    rows: list[dict[str, Any]] = [
        {"index": indices[place], "name": run.name(indices[place]), "cosine": cosine, "chance": None}
        for cosine, place in zip(best.values.tolist(), best.indices.tolist(), strict=True)
    ]
    if captioner.kind.fits is not None:
        for row in rows:
            if run.control.interrupted:
                break
            image = run.open(row["index"])
            if not isinstance(image, RequestFault):
                shown = fitted(captioner, image, run.resolved.fit, run.resolved.background).image
                row["chance"] = match(captioner, [shown], [text])[0][0].chance
        rows.sort(key=lambda row: -(row["chance"] or 0))
    return {"text": text, "pictures": rows}


def _file(run: Run, captioner: Captioner) -> Path:
    """Where vectors made by this model of pictures brought to its size in this way are kept, by the folder that is searched."""
    resolved: ResolvedCaption = run.resolved
    told = (folder_sha256(captioner.installed.path), captioner.dtype, resolved.fit, resolved.background, resolved.search)
    digest = hashlib.sha256("\n".join(told).encode()).hexdigest()
    return run.desk.folders.cache / "picture-vectors" / f"{digest}.safetensors"


def _stamp(path: Path) -> str:
    """A picture as it is now; another once it is changed."""
    try:
        facts = path.stat()
    except OSError:
        return str(path)
    return f"{path} {facts.st_mtime_ns} {facts.st_size}"


def _read(file: Path) -> dict[str, torch.Tensor]:
    try:
        with safe_open(file, "pt") as opened:
            names: list[str] = json.loads(opened.metadata()[_FILES])
            vectors = opened.get_tensor(_VECTORS)
    except (OSError, SafetensorError, KeyError, ValueError, TypeError):
        return {}
    return dict(zip(names, vectors, strict=True)) if len(names) == len(vectors) else {}


def _write(file: Path, kept: dict[str, torch.Tensor]) -> None:
    write_atomic(file, save({_VECTORS: torch.stack([*kept.values()])}, {_FILES: json.dumps([*kept])}))
