"""A training in the worker: takes the model, gets the pictures ready, runs the loop, and puts what came out among the models.

Stopped, it keeps its state and can be gone on with. With several devices the same happens in a process for each
(`modules.processing.train_processes`). Start reading at `run_train`.
"""

from __future__ import annotations

import gc
import importlib.util
import io
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from modules.caption.installed import describe
from modules.caption.loading import load as load_captioner
from modules.families import FAMILIES, LoadPlan
from modules.faults import Cancelled, ModelFault, OutOfMemory, RequestFault
from modules.folders import Folders, write_atomic
from modules.hardware.bench import Bench
from modules.processing.slot import free_unused
from modules.processing.train_plan import ResolvedTrain, placed
from modules.processing.train_processes import run_several
from modules.request.train import TrainConfig
from modules.request.train_learning import DREAMBOOTH
from modules.train.company import Company
from modules.train.data.cache import DiskCache
from modules.train.data.class_pictures import wanted
from modules.train.data.dataset import Dataset
from modules.train.loop import DONE, Outcome, train
from modules.train.methods import make_captioner_trainee, make_trainee
from modules.train.results import MADE, install, made_of
from modules.train.sessions import Session
from modules.train.trainee import SampleAsked, Trainee

DTYPES = {"no": "float32", "fp16": "float16", "bf16": "bfloat16"}
NEED = {DREAMBOOTH: 8.0}  # times its files that a training takes
USUAL_NEED = 2.0
CLUSTER_PACKAGES = ("ray", "pyarrow")  # the second is what Ray Train loads
RESERVE_BYTES = 1_000_000_000
BEGUN = "begun.txt"  # in the state's folder: the job that last began anew


@dataclass(frozen=True)
class TrainDesk:
    """What a training needs of its worker."""

    folders: Folders
    bench: Bench
    flags: dict[str, Any]


def run_train(job: dict[str, Any], control: Any, desk: TrainDesk) -> tuple[str, dict[str, Any]]:
    """Train a session; ("done", "canceled" or "paused", what came of it). Goes on from the session's state.

    The result has "files" (among the models), "step", "steps", "warnings", "notes", "seconds". Raises RequestFault with the line of
    config.toml where it is about a value, ModelFault, DiskFault, OutOfMemory.
    """
    resolved = ResolvedTrain.from_data(job["resolved"])
    session = Session.open(desk.folders, resolved.session)
    config = TrainConfig.from_data(resolved.config)
    for text in resolved.warnings:
        control.event("warning", {"text": text})
    began = time.perf_counter()
    if resolved.again:
        _forget_once(session, str(job["id"]))
    try:
        if config.on_cluster:
            _check_cluster(desk.flags)
            control.make_room()
        else:
            _check_device(config, desk.bench)
            _make_room(resolved, config, control, desk.bench)
        if config.num_processes > 1 or config.on_cluster:
            outcome = run_several(str(job["id"]), resolved, control, desk.folders, desk.flags, on_cpu=desk.bench.device.kind == "cpu")
        else:
            outcome = _with_room(resolved, session, config, control, desk)
    except RequestFault as fault:
        raise placed(fault, session) from fault
    files = _installed(desk.folders, config, outcome)
    state = "done" if outcome.state == DONE else "paused" if getattr(control, "paused", False) else "canceled"
    return state, _told(resolved, outcome, files, time.perf_counter() - began)


def run_here(resolved: ResolvedTrain, session: Session, config: TrainConfig, control: Any, bench: Bench, *, led: bool = False) -> Outcome:
    """The training in this process, alone or as one of several. led: see `Company`.

    Raises as `run_train` does, Cancelled before the first step.
    """
    _check_type(config, bench)
    control.status("Looking at the pictures")
    company = Company.here(led=led)
    trainee = _trainee(resolved, session, config, control, bench)
    _class_pictures(session, config, trainee, control, company)
    dataset = Dataset.of(session, config, control.status)
    cache = DiskCache(session.paths.cache)
    return train(session, config, trainee, dataset, control, cache=cache, company=company)


def _trainee(resolved: ResolvedTrain, session: Session, config: TrainConfig, control: Any, bench: Bench) -> Trainee:
    """What is trained, on the device. Raises ModelFault, RequestFault."""
    device = bench.device.torch_name
    if resolved.captioner is not None:
        control.status(f"Loading the captioner {resolved.captioner.name}…")
        found = describe(Path(resolved.captioner.path), resolved.captioner.name)
        captioner = load_captioner(found, device=device, dtype=DTYPES[config.mixed_precision])
        return make_captioner_trainee(config, captioner, captions=_captions(session, config), pictures=session.paths.pictures)
    checkpoint = resolved.checkpoint
    if checkpoint is None:
        raise RequestFault("checkpoint", "no model was named")
    control.status(f"Loading the model {checkpoint.model_name}…")
    family = FAMILIES.get(checkpoint.family)
    dtype = "float32" if config.method == DREAMBOOTH else DTYPES[config.mixed_precision]  # weights that learn are kept whole
    plan = LoadPlan(path=Path(checkpoint.path), dtype=dtype, variant=checkpoint.variant, prediction=checkpoint.prediction)
    try:
        pipeline = family.load(plan)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelFault(f"{checkpoint.model_name} could not be loaded: {error}. Its files may be damaged; copy it again.") from error
    pipeline.set_progress_bar_config(disable=True)
    pipeline.vae.to(dtype=torch.float32)  # encodes each picture once; half precision would show in every step
    pipeline.to(device)
    return make_trainee(config, pipeline, family, checkpoint.variant)


def _captions(session: Session, config: TrainConfig) -> list[str]:
    """Every caption that will be trained, each once."""
    return Dataset.of(session, config.changed(smart_crop=False, caption_dropout=0.0)).captions()


def _class_pictures(session: Session, config: TrainConfig, trainee: Trainee, control: Any, company: Company) -> None:
    """Pictures of the class that are missing, made by the model as it is before the training. Raises Cancelled when stopped."""
    missing = wanted(session, config).missing
    mine = missing[company.rank :: company.size]
    if mine:
        mine[0].path.parent.mkdir(parents=True, exist_ok=True)
        trainee.begin(trainee.stages()[0])
    for number, one in enumerate(mine):
        if control.interrupted and company.size == 1:
            raise Cancelled
        control.status(f"Making pictures of the class, {number + 1} of {len(mine)}")
        asked = SampleAsked(prompt=one.prompt, width=one.side, height=one.side, steps=config.sample_steps, seed=one.seed)
        data = io.BytesIO()
        trainee.sample(asked).save(data, "PNG")
        write_atomic(one.path, data.getvalue())
    company.wait()


def _with_room(resolved: ResolvedTrain, session: Session, config: TrainConfig, control: Any, desk: TrainDesk) -> Outcome:
    """The training; when memory runs out, once more after the other workers have put their models away."""
    reason = ""
    for again in (True, False):
        try:
            return run_here(resolved, session, config, control, desk.bench)
        except Cancelled:
            return Outcome("canceled", 0, config.total_steps)
        except (torch.OutOfMemoryError, MemoryError) as error:
            reason = (str(error) or "out of memory").splitlines()[0]
        except RuntimeError as error:
            if "DefaultCPUAllocator" not in str(error) and "can't allocate memory" not in str(error):
                raise
            reason = "not enough main memory"
        gc.collect()
        free_unused()
        if not again or not control.make_room():
            break
    raise OutOfMemory(
        f"There is not enough memory for this training ({reason}). Take a preset for less memory: a smaller batch or resolution, "
        "gradient checkpointing, cached pictures and captions, AdamW8bit. It goes on from its last state."
    )


def _make_room(resolved: ResolvedTrain, config: TrainConfig, control: Any, bench: Bench) -> None:
    """The workers of the devices give their models away when what is free will hardly do."""
    figures = bench.memory()
    there = figures["cuda"].get("system") or figures["ram"]
    source = resolved.captioner or resolved.checkpoint
    need = RESERVE_BYTES + NEED.get(config.method, USUAL_NEED) * _size(Path(source.path)) if source is not None else 0
    if there["free"] < need:
        control.status("Waiting for memory: models that were loaded for pictures go")
        control.make_room()


def _size(path: Path) -> int:
    files: Iterable[Path] = [path] if path.is_file() else path.rglob("*.safetensors")
    return sum(file.stat().st_size for file in files)


def _check_device(config: TrainConfig, bench: Bench) -> None:
    """Raises RequestFault for what the devices here cannot do."""
    _check_type(config, bench)
    if bench.device.kind != "cpu" and config.num_processes > bench.count:
        raise RequestFault("num_processes", f"there are {bench.count} devices", got=config.num_processes, allowed=[1, bench.count])


def _check_cluster(flags: Mapping[str, Any]) -> None:
    """Raises RequestFault where there is no cluster that can be trained on."""
    address = str(flags.get("cluster") or "")
    if not address:
        raise RequestFault("on_cluster", "there is no cluster; start the program with --cluster ADDRESS, see docs/cluster.md", got=True)
    if address.startswith("ray://"):
        raise RequestFault("on_cluster", "needs the page on a machine of the cluster itself, with --cluster HOST:PORT", got=address)
    if missing := [name for name in CLUSTER_PACKAGES if importlib.util.find_spec(name) is None]:
        raise RequestFault("on_cluster", f"needs {' and '.join(missing)}: pip install -r requirements-cluster.txt", got=True)


def _check_type(config: TrainConfig, bench: Bench) -> None:
    """Raises RequestFault for a number type that the device cannot compute with."""
    dtype = DTYPES[config.mixed_precision]
    if dtype not in bench.device.dtypes:
        able = [name for name, value in DTYPES.items() if value in bench.device.dtypes]
        raise RequestFault("mixed_precision", f"{dtype} does not work on {bench.device.name}", got=config.mixed_precision, allowed=able)


def _forget_once(session: Session, job: str) -> None:
    """Forget what was trained before, when this job begins and not when it goes on after a crash or a pause."""
    mark = session.paths.state / BEGUN
    if mark.is_file() and mark.read_text(encoding="utf-8") == job:
        return
    session.forget_training()
    write_atomic(mark, job.encode())


def _installed(folders: Folders, config: TrainConfig, outcome: Outcome) -> list[Path]:
    """Where the last result lies among the models; nothing while the training is not done."""
    if outcome.state != DONE or config.method not in MADE:
        return []
    last = [one for one in made_of(outcome.files, config.method) if one.step is None]
    return [one.path for one in install(folders, last[:1], config.method)]  # of two forms the one that every program reads


def _told(resolved: ResolvedTrain, outcome: Outcome, files: list[Path], seconds: float) -> dict[str, Any]:
    loss = f", loss {outcome.loss:.4f}" if outcome.loss is not None else ""
    return {
        "pictures": [],
        "files": [str(path) for path in files],
        "step": outcome.step,
        "steps": outcome.steps,
        "session": resolved.session,
        "warnings": [*resolved.warnings, *outcome.warnings],
        "notes": [f"{outcome.step} of {outcome.steps} steps{loss}"],
        "seconds": {"total": seconds},
        "interrupted": outcome.state != DONE,
    }
