"""What a house of guests may ask of the worker while it leads a job: make pictures, resolve a changed request, keep a picture.

Records and protocols only; the runner fills them in. Start reading at `Stage`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

from PIL import Image

from modules.folders import Folders
from modules.hooks import Hooks
from modules.inputs import Inputs
from modules.request import GenerationRequest, Picture, ResolvedRequest, Result
from modules.settings import Settings
from modules.upscale.enlarge import Upscaling


@dataclass(frozen=True, kw_only=True)
class Made:
    """What one making gave. images, pictures: one for each other, in order; grid: the one of them all, with its picture, or None.

    resolved: as guests left it. interrupted: the job was stopped on the way.
    """

    resolved: ResolvedRequest
    images: list[Image.Image]
    pictures: list[Picture]
    grid: tuple[Image.Image, Picture] | None = None
    interrupted: bool = False


class Making(Protocol):
    """Makes every picture of a request within the job; they are saved and told about as they are done.

    grid: also a grid of several, as the settings say. Raises Fault.
    """

    def __call__(self, resolved: ResolvedRequest, hooks: Hooks, *, grid: bool = True) -> Made: ...


class Keeping(Protocol):
    """Saves a picture that no making gave. kind: "grid" or "sample"; text: its parameters text, None for that of the request."""

    def __call__(self, image: Image.Image, resolved: ResolvedRequest, *, kind: str, text: str | None = None) -> Picture: ...


@dataclass(kw_only=True)
class Stage:
    """One job that guests lead. job: its id; resolved: as it came; control: see `modules.jobs.worker.RunControl`.

    resolve(request, settings): as the door did it, with those settings laid under the request's own. model(): the loaded model on the
    device, None while there is none. aside(resolved): the pictures of a run that belongs to no place in the job. scale(begin, share):
    where the progress of the next making lies, 0 to 1. shown: what the job's result shows, in order; filled by `make`, free to
    rearrange. restored(image, name, weight): with its faces restored. lends: other workers may make batches meanwhile; ahead(makings,
    share): inside, these will be made, one after another, each with guests of its own, so they may begin with the later ones already;
    share: how much of the job's progress they are.
    """

    job: str
    resolved: ResolvedRequest
    control: Any
    folders: Folders
    inputs: Inputs
    make: Making
    keep: Keeping
    resolve: Callable[[GenerationRequest, Settings], ResolvedRequest]
    warn: Callable[[str], None]
    model: Callable[[], Any]
    upscaling: Callable[[Mapping[str, Any]], Upscaling]
    restored: Callable[[Image.Image, str, float], Image.Image] = lambda image, name, weight: image
    torch_device: str = "cpu"
    dtype: Any = None
    aside: Callable[[ResolvedRequest], list[Image.Image]] = lambda resolved: []
    scale: Callable[[float, float], None] = lambda begin, share: None
    shown: list[Picture] = field(default_factory=list[Picture])
    ahead: Callable[[Sequence[tuple[ResolvedRequest, Hooks]], float], AbstractContextManager[None]] = lambda makings, share: nullcontext()
    lends: bool = False


class House(Protocol):
    """Where guests live in the worker process. See `modules.compat.house`."""

    def receive(self, stage: Stage) -> Callable[[Result], list[dict[str, Any]]]:
        """Make the job's pictures with its guests. Returns what is to be called with the result; that gives the trace. Raises Fault."""
        ...

    def finish(
        self, device: str, image: Image.Image, asked: dict[str, Any], warn: Callable[[str], None]
    ) -> tuple[Image.Image, dict[str, str], list[Image.Image]]:
        """A picture of Extras through the post-processing scripts that are asked for: (it, pairs for its text, more pictures).

        device: torch's name; asked: name of a script -> its values by name. A script that fails is a warning.
        """
        ...
