"""What the worker knows of one generation job while it runs. Start reading at `Job`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from modules.hooks import NOBODY, Hooks
from modules.request import Picture, ResolvedRequest


@dataclass(kw_only=True)
class Job:
    """One run. made: pictures that an earlier attempt finished, by index; learnt: embeddings that took part, with their sha256.

    infotext: keys that only the runs know. maps: control maps of the first batch. guests: who takes part. first: place of its first
    picture in the job, when scripts make more than one run of it; span: where its progress lies in the job's, as (begin, share).
    """

    id: str
    resolved: ResolvedRequest
    control: Any
    made: dict[int, Picture]
    pictures: list[Picture] = field(default_factory=list[Picture])
    images: list[Image.Image] = field(default_factory=list[Image.Image])
    warnings: list[str] = field(default_factory=list[str])
    learnt: dict[str, str] = field(default_factory=dict[str, str])
    infotext: dict[str, object] = field(default_factory=dict[str, object])
    notes: dict[str, str] = field(default_factory=dict[str, str])
    seconds: dict[str, float] = field(default_factory=dict[str, float])
    last_preview: float = 0.0
    restored: set[str] = field(default_factory=set[str])
    init_hash: str = ""
    maps: list[Image.Image] = field(default_factory=list[Image.Image])
    guests: Hooks = NOBODY
    first: int = 0
    span: tuple[float, float] = (0.0, 1.0)

    def warn(self, text: str) -> None:
        """Say it now, and beside the result."""
        self.warnings.append(text)
        self.control.event("warning", {"text": text})
