"""`ResolvedRequest`: nothing left open. Plain data in the job row; the second passes are records of their own."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Self

from modules.faults import RequestFault
from modules.request.control import ResolvedUnit
from modules.request.files import Checkpoint, Network, SideFile
from modules.request.guests import Visit
from modules.request.inversion import Inversion
from modules.request.outpaint import Outpaint
from modules.request.repaint import Repaint
from modules.request.sampling import Sampling
from modules.request.steering import Steering
from modules.request.styling import Styling

SHARED = ("all_prompts", "all_negative_prompts")


@dataclass(frozen=True, kw_only=True)
class HiresPass:
    """The second pass. to_px: the size (width, height) that the first picture is enlarged to; width, height: what is left after cutting
    around the middle, multiples of the family's step. upscaler: a latent mode or an image upscaler.

    asked: the fields of `Hires` that differ from the first pass, for the parameters text. checkpoint: None for the same. vae, parts,
    distilled_cfg_scale: of the checkpoint that runs it. networks: of its own prompts. first_picture: an input picture that takes the
    first pass's place.
    """

    width: int
    height: int
    to_px: tuple[int, int]
    upscaler: str
    steps: int
    denoising_strength: float
    sampler_name: str
    scheduler: str
    cfg_scale: float
    all_prompts: tuple[str, ...]
    all_negative_prompts: tuple[str, ...]
    asked: dict[str, Any] = field(default_factory=dict[str, Any])
    checkpoint: Checkpoint | None = None
    vae: SideFile | None = None
    parts: dict[str, SideFile] = field(default_factory=dict[str, SideFile])
    distilled_cfg_scale: float | None = None
    networks: tuple[Network, ...] = ()
    sampling: Sampling = field(default_factory=Sampling)
    first_picture: str | None = None


@dataclass(frozen=True, kw_only=True)
class RefinerPass:
    """The checkpoint that takes over, and after which share of the way (0 to 1)."""

    checkpoint: Checkpoint
    switch_at: float
    vae: SideFile | None = None
    parts: dict[str, SideFile] = field(default_factory=dict[str, SideFile])


@dataclass(frozen=True, kw_only=True)
class ResolvedRequest:
    """Nothing left open: what is needed to make these very pictures, now, after a crash, or on another machine.

    all_seeds, all_prompts, all_negative_prompts: one entry a picture, batch_size * n_iter of them, batch by batch.
    width, height: pixels, multiples of 8. settings: the frozen settings of this run, overrides included.
    vae: used instead of the checkpoint's own; tiny: decodes instead of the VAE; parts: component -> file for what the checkpoint lacks.
    networks: the LoRAs of the first prompt's tags, in order; the prompts still hold the tags.
    distilled_cfg_scale: the scale that a guidance-distilled network (Flux dev) takes itself; None for others.
    all_subseeds, subseed_strength, seed_resize_from: variation of the seeds; seed_resize_from is (width, height) in pixels.
    sampling: only what changes something for this sampler; eta_key: the name of eta in the parameters text.
    image: what an img2img run begins with, width and height being the size that is painted; denoising_strength: of img2img and hires.
    outpaint: how its picture grows, None when it does not; what comes out is the picture and what was added.
    inversion: how the picture's own noise is found, None for the seed's.
    styling: the picture whose look is taken over, None without one; style_files: "adapter" and "encoder" of an IP-Adapter.
    control: the ControlNet units that count, in order.
    templates: prompt and negative prompt before wildcards were drawn, "" where there were none.
    visit: the scripts that take part, None for none.
    warnings: what was changed or looks wrong; shown beside the result.
    """

    prompt: str
    negative_prompt: str
    all_prompts: tuple[str, ...]
    all_negative_prompts: tuple[str, ...]
    all_seeds: tuple[int, ...]
    styles: tuple[str, ...]
    steps: int
    sampler_name: str
    scheduler: str
    cfg_scale: float
    width: int
    height: int
    batch_size: int
    n_iter: int
    checkpoint: Checkpoint
    save_images: bool
    settings: dict[str, Any]
    overrides: dict[str, Any]
    vae: SideFile | None = None
    tiny: SideFile | None = None
    parts: dict[str, SideFile] = field(default_factory=dict[str, SideFile])
    networks: tuple[Network, ...] = ()
    distilled_cfg_scale: float | None = None
    all_subseeds: tuple[int, ...] = ()
    subseed_strength: float = 0.0
    seed_resize_from: tuple[int, int] | None = None
    sampling: Sampling = field(default_factory=Sampling)
    eta_key: str = "Eta"
    steering: Steering = field(default_factory=Steering)
    image: Repaint | None = None
    outpaint: Outpaint | None = None
    inversion: Inversion | None = None
    styling: Styling | None = None
    style_files: dict[str, SideFile] = field(default_factory=dict[str, SideFile])
    control: tuple[ResolvedUnit, ...] = ()
    denoising_strength: float | None = None
    hires: HiresPass | None = None
    refiner: RefinerPass | None = None
    templates: tuple[str, str] = ("", "")
    visit: Visit | None = None
    warnings: tuple[str, ...] = ()

    @property
    def task(self) -> str:
        """ "txt2img" or "img2img"."""
        return "txt2img" if self.image is None else "img2img"

    def to_data(self) -> dict[str, Any]:
        """JSON-ready. A prompt that all pictures share is kept once, however many pictures there are."""
        data = dataclasses.asdict(self)
        for holder in (data, data["hires"] or {}):
            for name in SHARED:
                if len(set(holder.get(name, ()))) == 1:
                    holder[name] = holder[name][:1]
        return data

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Self:
        """From a job row. Raises RequestFault when the row was written by a version with other fields."""
        try:
            count = len(data["all_seeds"])
            values = _values(cls, data)
            hires = values.get("hires")
            if hires is not None:
                values["hires"] = dataclasses.replace(hires, **_spread(dataclasses.asdict(hires), count))
            values |= _spread(values, count)
            return cls(**values)
        except (KeyError, TypeError) as error:
            raise RequestFault("request", f"was written by another version of the program: {error}") from error


def _spread(values: dict[str, Any], count: int) -> dict[str, Any]:
    """The prompts that were kept once, as many times as there are pictures."""
    return {name: values[name] * count for name in SHARED if len(values.get(name, ())) == 1}


def _values(kind: type[Any], data: dict[str, Any]) -> dict[str, Any]:
    """Arguments for a record from its plain data: inner records built, lists made tuples. Unknown names are passed over."""
    names = {f.name for f in dataclasses.fields(kind)}
    return {name: _value(name, value) for name, value in data.items() if name in names}


def _value(name: str, value: Any) -> Any:
    if name == "networks":
        return tuple(Network(**row) for row in value)
    if name == "control":
        return tuple(ResolvedUnit.from_data(row) for row in value)
    if name == "visit":
        return None if value is None else Visit.from_data(value)
    if name in ("parts", "style_files"):
        return {part: SideFile(**row) for part, row in value.items()}
    if name in RECORDS and value is not None:
        record = RECORDS[name]
        return record(**{k: v if record is Repaint else _value(k, v) for k, v in value.items()})
    return tuple(value) if isinstance(value, list) else value


RECORDS: dict[str, type[Any]] = {
    "checkpoint": Checkpoint,
    "vae": SideFile,
    "tiny": SideFile,
    "sampling": Sampling,
    "steering": Steering,
    "image": Repaint,
    "outpaint": Outpaint,
    "inversion": Inversion,
    "styling": Styling,
    "hires": HiresPass,
    "refiner": RefinerPass,
}
