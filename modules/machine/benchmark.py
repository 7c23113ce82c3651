"""A benchmark: the same few pictures each time, by the model that is loaded, and the list of what earlier ones gave.

Knows what is asked for and how it is counted; making pictures is the queue's work. Start reading at `asked`.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modules.folders import write_atomic

PREFIX = "benchmark-"  # of the keys of its jobs; the one that warms up has WARM behind it
WARM = "-warm"
PROMPT = "a lighthouse on a rock at dusk"
STEPS, PICTURES, SAMPLER = 20, 3, "Euler"
KEPT = 200


def asked(checkpoint: str, side_px: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """(a short run that warms up, the run that is measured) as a `GenerationRequest` takes them. side_px: the model's own size."""
    measured = {
        "prompt": PROMPT, "negative_prompt": "", "seed": 1, "steps": STEPS, "sampler_name": SAMPLER, "cfg_scale": 7.0, "width": side_px,
        "height": side_px, "batch_size": 1, "n_iter": PICTURES, "save_images": False,
        "override_settings": {"sd_model_checkpoint": checkpoint, "show_progress_every_n_steps": 0, "return_grid": False},
    }  # fmt: skip
    return {**measured, "steps": 4, "n_iter": 1}, measured


def measured(result: Mapping[str, Any], resolved: Mapping[str, Any]) -> dict[str, Any]:
    """What a finished job of the benchmark gave. it_per_s: steps of the sampler in a second; pictures_per_s: everything counted in.

    Raises ValueError when it made none of its pictures.
    """
    seconds: dict[str, float] = result.get("seconds") or {}
    made = sum(1 for picture in result.get("pictures") or () if picture.get("kind") == "sample")
    if not made or not seconds.get("total"):
        raise ValueError("the benchmark made no picture")
    checkpoint: dict[str, Any] = resolved.get("checkpoint") or {}
    return {
        "pictures": made,
        "seconds": round(seconds["total"], 3),
        "pictures_per_s": round(made / seconds["total"], 4),
        "it_per_s": round(made * int(resolved["steps"]) / seconds["sample"], 3) if seconds.get("sample") else None,
        "size": f"{resolved['width']}x{resolved['height']}",
        "model": checkpoint.get("model_name", ""),
        "family": checkpoint.get("family", ""),
        "hash": (checkpoint.get("sha256") or "")[:10],
    }


class Results:
    """The list of results in a file of the data folder, the newest last. Safe with several threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def all(self) -> list[dict[str, Any]]:
        """What was measured, the newest first; a file that cannot be read counts as empty."""
        return [row for row in self._read()[::-1] if not row.get("gone")]

    def jobs(self) -> set[str]:
        """Keys of the jobs whose results are known, forgotten ones too."""
        return {str(row.get("job")) for row in self._read()}

    def add(self, row: Mapping[str, Any]) -> None:
        """One more. Raises DiskFault."""
        with self._lock:
            rows = [*self._read(), {"when_s": time.time(), **row}][-KEPT:]
            write_atomic(self._path, json.dumps(rows, indent=1).encode())

    def remove(self, job: str) -> bool:
        """Forget one; False when it is not there. Its key stays, as the queue still has the job. Raises DiskFault."""
        with self._lock:
            rows = self._read()
            left = [{"job": job, "gone": True} if row.get("job") == job else row for row in rows]
            if found := left != rows:
                write_atomic(self._path, json.dumps(left, indent=1).encode())
            return found

    def _read(self) -> list[dict[str, Any]]:
        try:
            rows = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return []
        return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
