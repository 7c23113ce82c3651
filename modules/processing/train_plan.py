"""From a session's `TrainConfig` to a `ResolvedTrain`: which model, from where it goes on, and everything that can be wrong beforehand.

What is wrong is told before anything is queued, with the line of config.toml it stands in. Looks at headers of files and at the session's
pictures; imports no torch. Start reading at `resolve_train`.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from modules.caption.installed import captioners
from modules.caption.installed import find as find_captioner
from modules.families import FAMILIES
from modules.faults import Fault, ModelFault, RequestFault, UnknownName
from modules.folders import Folders
from modules.library import Library
from modules.request import Checkpoint
from modules.request.caption import CaptionModel
from modules.request.train import TrainConfig
from modules.request.train_learning import CAPTIONER_LORA, DREAMBOOTH, LORA, TEXTUAL_INVERSION
from modules.settings import Settings
from modules.train.data.buckets import NO_MODEL_PX
from modules.train.data.examine import Report, examine
from modules.train.data.problems import Problem
from modules.train.sessions import Session
from modules.weights import model_folder
from modules.weights.quantisers.saved import claimed

MOST_TOLD = 8
FIELDS = {"step": "bucket_reso_steps", "resolution": "resolution"}  # kinds of problems that are about a value: its name
PACKAGES = {"AdamW8bit": "bitsandbytes", "Prodigy": "prodigyopt", "AdamWScheduleFree": "schedulefree"}
_METHODS = {LORA: "LoRA", DREAMBOOTH: "DreamBooth", TEXTUAL_INVERSION: "a new word", CAPTIONER_LORA: "a captioner's LoRA"}


@dataclass(frozen=True, kw_only=True)
class ResolvedTrain:
    """Nothing left open. config: `TrainConfig.to_data()`; checkpoint or captioner: what is trained from, the other is None.

    again: what was trained before is forgotten; n_iter: steps of all stages, for lists. title: for people.
    """

    title: str
    session: str
    config: dict[str, Any]
    checkpoint: Checkpoint | None = None
    captioner: CaptionModel | None = None
    again: bool = False
    n_iter: int = 1
    warnings: tuple[str, ...] = ()

    def to_data(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Self:
        """From a job row. Raises RequestFault when the row was written by a version with other fields."""
        try:
            values = dict(data)
            values["checkpoint"] = Checkpoint(**data["checkpoint"]) if data.get("checkpoint") else None
            values["captioner"] = CaptionModel(**data["captioner"]) if data.get("captioner") else None
            values["warnings"] = tuple(data["warnings"])
            return cls(**values)
        except (KeyError, TypeError) as error:
            raise RequestFault("request", f"was written by another version of the program: {error}") from error


def resolve_train(session: Session, settings: Settings, folders: Folders, library: Library, *, again: bool = False) -> ResolvedTrain:
    """What a session's configuration means. again: what was trained before is forgotten.

    Raises RequestFault, UnknownName, ModelFault, DiskFault; those about a value name it and its line in config.toml.
    """
    if session.running:
        raise RequestFault("session", "is being trained; stop the training first", got=session.name)
    try:
        config = session.config()
        resolved = _resolved(session, config, settings, folders, library, again=again)
    except RequestFault as fault:
        raise placed(fault, session) from fault
    return resolved


def _resolved(
    session: Session, config: TrainConfig, settings: Settings, folders: Folders, library: Library, *, again: bool
) -> ResolvedTrain:
    checkpoint, captioner = model_of(config, settings, folders, library)
    asked, config = config, closed(config, checkpoint)
    model = checkpoint.model_name if checkpoint else captioner.name if captioner else ""
    check_packages(config)
    report = examine(session, config, checkpoint)
    check_report(report)
    return ResolvedTrain(
        title=f"Train {session.name}: {_METHODS[config.method]} on {model}, {config.total_steps} steps",
        session=session.name,
        config=config.to_data(),
        checkpoint=checkpoint,
        captioner=captioner,
        again=again,
        n_iter=config.total_steps,
        warnings=(*left_out(asked, config), *(told(problem) for problem in report.problems if not problem.fatal))[:MOST_TOLD],
    )


def closed(config: TrainConfig, checkpoint: Checkpoint | None) -> TrainConfig:
    """The configuration with nothing left open, as it is trained. checkpoint: the model it is for; None for a captioner."""
    return config.closed(checkpoint.native_px if checkpoint is not None else NO_MODEL_PX)


def left_out(asked: TrainConfig, config: TrainConfig) -> tuple[str, ...]:
    """Sentences about what was asked for and is not done."""
    if asked.prior_preservation == config.prior_preservation:
        return ()
    return (f"Prior preservation is left out: {_METHODS[config.method]} has no use for pictures of the class.",)


def side_of(config: TrainConfig, settings: Settings, library: Library) -> int:
    """The resolution in pixels, without a look at any weights; 0 while it follows from a model that is not there."""
    if config.resolution or config.method == CAPTIONER_LORA:
        return config.resolution or NO_MODEL_PX
    try:
        return _found(config, settings, library).native_px
    except (UnknownName, ModelFault):
        return 0


def model_of(config: TrainConfig, settings: Settings, folders: Folders, library: Library) -> tuple[Checkpoint | None, CaptionModel | None]:
    """(the model, the captioner) that is trained from; one of them is None. Raises RequestFault, UnknownName, ModelFault."""
    if config.method == CAPTIONER_LORA:
        return None, _captioner(config, folders)
    checkpoint = _checkpoint(config, settings, library)
    check_model(checkpoint)
    return checkpoint, None


def check_model(checkpoint: Checkpoint) -> None:
    """Whether this model can be trained. Raises ModelFault."""
    family = FAMILIES.get(checkpoint.family)
    variant = family.variant(checkpoint.variant)
    if variant.tasks["txt2img"] != next(iter(family.variants.values())).tasks["txt2img"]:
        raise ModelFault(
            f"{checkpoint.model_name} ({family.title} {variant.title}) also reads a picture or a mask and cannot be trained here. "
            "Train on a text-to-image model of its family; what comes out works with both."
        )
    if checkpoint.format == "gguf":
        raise ModelFault(f"{checkpoint.model_name} has quantized weights, which cannot be trained. Take its safetensors file.")
    folder = checkpoint.format == "folder" and Path(checkpoint.path).is_dir()
    configs = model_folder.read(Path(checkpoint.path)).configs if folder else {}
    if small := [part for part, config in configs.items() if claimed(config)]:
        raise ModelFault(f"{checkpoint.model_name} has its {small[0]} in few bits, which cannot be trained. Take the model it was made of.")


def _checkpoint(config: TrainConfig, settings: Settings, library: Library) -> Checkpoint:
    """Raises UnknownName, ModelFault."""
    return library.with_hash(_found(config, settings, library))


def _found(config: TrainConfig, settings: Settings, library: Library) -> Checkpoint:
    """Raises UnknownName, ModelFault."""
    chosen = config.checkpoint.strip()
    try:
        return library.find_checkpoint(chosen) if chosen else library.default_checkpoint(settings.sd_model_checkpoint)
    except UnknownName as fault:
        raise UnknownName("checkpoint" if chosen else fault.field, chosen, [row.title for row in library.checkpoints()]) from fault


def _captioner(config: TrainConfig, folders: Folders) -> CaptionModel:
    """Raises RequestFault, UnknownName, ModelFault."""
    if not config.captioner.strip():
        raise RequestFault("captioner", "name the captioner to start from")
    row = find_captioner(*captioners(folders), config.captioner, "captioner")
    return CaptionModel(name=row.name, path=str(row.path), kind=row.kind)


def check_packages(config: TrainConfig) -> None:
    """What the training needs and is not installed. Raises RequestFault."""
    package = PACKAGES.get(config.optimizer, "")
    if package and importlib.util.find_spec(package) is None:
        raise RequestFault("optimizer", f"needs the package {package}: pip install {package}, or take AdamW", got=config.optimizer)
    if (config.num_processes > 1 or config.on_cluster) and importlib.util.find_spec("accelerate") is None:
        raise RequestFault("num_processes", "several devices need the package accelerate: pip install accelerate", got=config.num_processes)


def check_report(report: Report) -> None:
    """Raises RequestFault with all that keeps a training from starting, files by name; of the value that the first one is about."""
    fatal = report.fatal
    if fatal:
        more = f" And {len(fatal) - MOST_TOLD} more." if len(fatal) > MOST_TOLD else ""
        raise RequestFault(field_of(fatal[0]), " ".join(map(told, fatal[:MOST_TOLD])) + more)


def field_of(problem: Problem) -> str:
    """The value that a problem is about; "pictures" for those of files."""
    return FIELDS.get(problem.kind, "pictures")


def told(problem: Problem) -> str:
    """A problem as a sentence that names the file."""
    text = f"{problem.name} {problem.text}" if problem.name else problem.text
    return text if text.endswith(".") else f"{text}."


def line_of(session: Session, field: str) -> int | None:
    """The line of config.toml in which a value stands, counted from 1; None when it does not stand there."""
    try:
        lines = session.paths.config.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    wanted = re.compile(rf"\s*{re.escape(field)}\s*=")
    return next((number for number, line in enumerate(lines, 1) if wanted.match(line)), None)


def placed(fault: RequestFault, session: Session) -> Fault:
    """The fault with the line of config.toml that it is about, where it is about one."""
    line = line_of(session, fault.field)
    if line is None:
        return fault
    told = RequestFault(fault.field, f"{fault.why} (line {line} of {session.name}/config.toml)", allowed=fault.extra.get("allowed"))
    told.extra["line"] = line
    return told
