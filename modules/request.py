"""What a generation is: the request as asked, the request with nothing left open, and the records a run sends back.

Frozen data, no torch. Field names are A1111's API names. Start reading at `GenerationRequest`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Annotated, Any, Self

from modules.faults import RequestFault
from modules.knobs import Knob, coerce, knobs_of

PROMPT_LIMIT = 1_000_000
SEED_LIMIT = 2**63 - 1


@dataclass(frozen=True, kw_only=True)
class GenerationRequest:
    """What was asked for. May hold None (take the model's or the settings' value), seed -1 and style names."""

    prompt: Annotated[str, Knob("Prompt", multiline=True, infotext="Prompt", max_chars=PROMPT_LIMIT)] = ""
    negative_prompt: Annotated[
        str, Knob("Negative prompt", multiline=True, infotext="Negative prompt", elem="neg_prompt", max_chars=PROMPT_LIMIT)
    ] = ""
    styles: Annotated[list[str], Knob("Styles", choices="styles", help="Saved pieces of prompt to add.")] = field(default_factory=list[str])
    steps: Annotated[
        int,
        Knob(
            "Sampling steps", 1, 1000, ui=(1, 150), step=1, infotext="Steps", help="More steps take longer; 20 is enough for most samplers."
        ),
    ] = 20
    sampler_name: Annotated[
        str | None, Knob("Sampling method", choices="samplers", infotext="Sampler", elem="sampling", help="How noise becomes a picture.")
    ] = None
    scheduler: Annotated[
        str | None,
        Knob(
            "Schedule type",
            choices="schedulers",
            infotext="Schedule type",
            help="How noise levels are spaced. Automatic takes the sampler's own.",
        ),
    ] = None
    cfg_scale: Annotated[
        float, Knob("CFG Scale", 0, 100, ui=(1, 30), step=0.5, infotext="CFG scale", help="How closely the picture follows the prompt.")
    ] = 7.0
    distilled_cfg_scale: Annotated[
        float | None,
        Knob(
            "Distilled CFG Scale",
            0,
            30,
            ui=(0, 30),
            step=0.1,
            infotext="Distilled CFG Scale",
            help="For models that take guidance as an input (Flux dev); empty takes the model's own.",
        ),
    ] = None
    width: Annotated[int | None, Knob("Width", 8, 16384, ui=(64, 2048), step=8, help="Pixels; empty takes the model's own size.")] = None
    height: Annotated[int | None, Knob("Height", 8, 16384, ui=(64, 2048), step=8, help="Pixels; empty takes the model's own size.")] = None
    n_iter: Annotated[
        int, Knob("Batch count", 1, 1000, ui=(1, 100), step=1, elem="batch_count", help="How many batches to make, one after another.")
    ] = 1
    batch_size: Annotated[
        int, Knob("Batch size", 1, 64, ui=(1, 8), step=1, help="How many pictures to make at once; needs more memory.")
    ] = 1
    seed: Annotated[int, Knob("Seed", -1, SEED_LIMIT, infotext="Seed", help="-1 takes a new random seed each time.")] = -1
    override_settings: Annotated[dict[str, Any], Knob("Override settings", help="Settings for this run only.")] = field(
        default_factory=dict[str, Any]
    )
    save_images: Annotated[bool, Knob("Save pictures", help="Write the pictures under outputs/.")] = True
    send_images: Annotated[bool, Knob("Send pictures", help="API: put the pictures into the answer.")] = True

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Self:
        """From plain data (API body, form, job row). Unknown names are ignored, as A1111 does. Raises RequestFault."""
        knobs = knobs_of(cls)
        return cls(**{name: coerce(knobs[name], value) for name, value in data.items() if name in knobs})

    def to_data(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A model that can be loaded. title: A1111's list entry, "name [hash10]"; model_name: stem; native_px: its own side.

    format: "folder", "safetensors" or "gguf"; variant, prediction: as the family's `Match` says (prediction None: not known).
    """

    title: str
    model_name: str
    path: str
    family: str
    sha256: str | None = None
    native_px: int = 512
    format: str = "folder"
    variant: str = ""
    prediction: str | None = None

    @property
    def short_hash(self) -> str | None:
        return self.sha256[:10] if self.sha256 else None


@dataclass(frozen=True, kw_only=True)
class SideFile:
    """A file that is used beside the checkpoint. name: as A1111 writes it; sha256: of the file."""

    name: str
    path: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Network:
    """A LoRA that this run applies. te, unet: its weights on text encoders and network; rank: use only so many ranks (None: all).

    sha256: of its tensors, as A1111 writes it into "Lora hashes".
    """

    name: str
    path: str
    sha256: str
    te: float
    unet: float
    rank: int | None = None


@dataclass(frozen=True, kw_only=True)
class ResolvedRequest:
    """Nothing left open: what is needed to make these very pictures, now, after a crash, or on another machine.

    all_seeds, all_prompts, all_negative_prompts: one entry a picture, batch_size * n_iter of them, batch by batch.
    width, height: pixels, multiples of 8. settings: the frozen settings of this run, overrides included.
    vae: used instead of the checkpoint's own; tiny: decodes instead of the VAE; parts: component -> file for what the checkpoint lacks.
    networks: the LoRAs of the first prompt's tags, in order; the prompts still hold the tags.
    distilled_cfg_scale: the scale that a guidance-distilled network (Flux dev) takes itself; None for others.
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
    warnings: tuple[str, ...] = ()

    def to_data(self) -> dict[str, Any]:
        """JSON-ready. A prompt that all pictures share is kept once, however many pictures there are."""
        data = dataclasses.asdict(self)
        for name in ("all_prompts", "all_negative_prompts"):
            if len(set(data[name])) == 1:
                data[name] = data[name][:1]
        return data

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Self:
        """From a job row. Raises RequestFault when the row was written by a version with other fields."""
        names = {f.name for f in dataclasses.fields(cls)}
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items() if k in names}
        try:
            values["checkpoint"] = Checkpoint(**data["checkpoint"])
            for name in ("vae", "tiny"):
                values[name] = SideFile(**data[name]) if data.get(name) else None
            values["parts"] = {part: SideFile(**row) for part, row in data.get("parts", {}).items()}
            values["networks"] = tuple(Network(**row) for row in data.get("networks", ()))
            for name in ("all_prompts", "all_negative_prompts"):
                if len(values[name]) == 1:
                    values[name] *= len(values["all_seeds"])
            return cls(**values)
        except (KeyError, TypeError) as error:
            raise RequestFault("request", f"was written by another version of the program: {error}") from error


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One finished picture. index: its place in the job, 0 .. n-1 (-1 for a grid). path: the file, absolute.

    kind: "sample", "grid" or "partial" (interrupted before its last step). saved: it lies under outputs/, else in the cache.
    """

    index: int
    path: str
    seed: int
    width: int
    height: int
    infotext: str
    kind: str = "sample"
    saved: bool = True

    def to_data(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a generation job leaves: pictures in order (the grid first when there is one), warnings, seconds spent.

    notes: what was found on the way and is in order, such as how much of a LoRA was used.
    """

    pictures: tuple[Picture, ...]
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict[str, float])
    interrupted: bool = False

    def to_data(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Self:
        return cls(
            pictures=tuple(Picture(**p) for p in data["pictures"]),
            warnings=tuple(data["warnings"]),
            notes=tuple(data.get("notes", ())),
            seconds=data["seconds"],
            interrupted=data["interrupted"],
        )
