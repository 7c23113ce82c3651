"""From a model folder or weight files to a diffusers pipeline: offline, without pickle, without code from the model.

Start reading at `load_folder` and `load_single`. How a component gets its weights is `layouts.module`'s business, which class and
configs a family takes is the family's.
"""

from __future__ import annotations

import inspect
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modules.families import shipped
from modules.families.family import LoadPlan
from modules.faults import ModelFault
from modules.weights import model_folder
from modules.weights.header import Header
from modules.weights.layouts import LAYOUTS, carried
from modules.weights.layouts.component import find
from modules.weights.layouts.files import header_of, torch_dtype
from modules.weights.layouts.module import load_component
from modules.weights.model_folder import ModelFolder
from modules.weights.quantisers import saved

OPTIONAL: Mapping[str, tuple[str, ...]] = {"sd3": ("text_encoder_3",)}
_FOLDERS = {"vae": "models/VAE", "unet": "models/Stable-diffusion", "transformer": "models/Stable-diffusion"}
_TEXT_FOLDER = "models/text_encoder"
_TOKENIZERS = {"clip": "CLIPTokenizer", "t5": "T5TokenizerFast"}
# layout -> (value of the core's config, the configs it is the sum of, a factor)
_WIDTHS: Mapping[str, tuple[tuple[str, tuple[tuple[str, str], ...], int], ...]] = {
    "sd1": (("cross_attention_dim", (("text_encoder", "hidden_size"),), 1), ("out_channels", (("vae", "latent_channels"),), 1)),
    "sd2": (("cross_attention_dim", (("text_encoder", "hidden_size"),), 1), ("out_channels", (("vae", "latent_channels"),), 1)),
    "sdxl": (
        ("cross_attention_dim", (("text_encoder", "hidden_size"), ("text_encoder_2", "hidden_size")), 1),
        ("out_channels", (("vae", "latent_channels"),), 1),
    ),
    "sdxl-refiner": (("cross_attention_dim", (("text_encoder_2", "hidden_size"),), 1), ("out_channels", (("vae", "latent_channels"),), 1)),
    "sd3": (
        ("joint_attention_dim", (("text_encoder_3", "d_model"),), 1),
        ("pooled_projection_dim", (("text_encoder", "projection_dim"), ("text_encoder_2", "projection_dim")), 1),
        ("out_channels", (("vae", "latent_channels"),), 1),
    ),
    "flux": (
        ("joint_attention_dim", (("text_encoder_2", "d_model"),), 1),
        ("pooled_projection_dim", (("text_encoder", "hidden_size"),), 1),
        ("out_channels", (("vae", "latent_channels"),), 4),
    ),
}


def load_folder(plan: LoadPlan, pipeline_class: str, *, layout: str = "") -> Any:
    """The pipeline of a diffusers folder, weights in plan.dtype, eval mode, on the CPU.

    Components in plan.parts come from those files instead. An optional part the folder leaves out stays None; quantised ones stay so.
    layout: worked out from the folder's classes when not given. Raises ModelFault, OSError.
    """
    folder = model_folder.read(plan.path)
    layout = layout or layout_of(folder)
    kind, wanted = _pipeline(pipeline_class)
    parts = LAYOUTS[layout].parts
    missing = [name for name in parts if name not in {*folder.components, *plan.parts, *OPTIONAL.get(layout, ())}]
    if missing:
        raise ModelFault(missing_words(plan.path.name, missing))
    given: dict[str, Any] = {name: None for name in wanted if name not in folder.components}
    given |= {
        name: load_component(path, layout, name, plan.dtype, published=plan.path) for name, path in plan.parts.items() if name in parts
    }
    small = [name for name in parts if name not in given and saved.claimed(folder.configs.get(name, {}))]
    given |= {name: saved.load(plan.path / name, layout, name, plan.dtype, plan.device) for name in small}
    pipeline = kind.from_pretrained(
        plan.path,
        dtype=torch_dtype(plan.dtype),
        variant=_variant(folder),
        use_safetensors=True,
        local_files_only=True,
        **_plain_arguments(kind, {"requires_safety_checker": False}),
        **given,
    )
    return _predicting(pipeline, plan.prediction)


def load_single(plan: LoadPlan, layout: str, pipeline_class: str, config_folder: Path) -> Any:
    """The pipeline of a single file, with plan.parts for what comes from other files; eval mode, on the CPU.

    config_folder: the family's configs (one of `shipped`). Raises ModelFault naming what is missing and where to put it; an optional
    text encoder that is nowhere stays None.
    """
    kind, wanted = _pipeline(pipeline_class)
    source = header_of(plan.path)
    given: dict[str, Any] = dict.fromkeys(wanted)
    missing: list[str] = []
    for name, part in LAYOUTS[layout].parts.items():
        path = plan.parts.get(name) or (plan.path if find(source, part) else None)
        if path is not None:
            given[name] = load_component(path, layout, name, plan.dtype, published=config_folder)
        elif name not in OPTIONAL.get(layout, ()):
            missing.append(name)
    if missing:
        raise ModelFault(missing_words(plan.path.name, missing))
    _check_widths(plan.path.name, layout, given)
    for name, part in LAYOUTS[layout].parts.items():
        if part.tokenizer and given[name] is not None:
            path = plan.parts.get(name) or plan.path
            given[part.tokenizer] = _tokenizer(path, part.kind, part.tokenizer, given[name].config.vocab_size, config_folder)
    given["scheduler"] = _scheduler(source, config_folder)
    index = json.loads((config_folder / model_folder.INDEX).read_text(encoding="utf-8"))
    plain = {name: value for name, value in index.items() if not name.startswith("_") and not isinstance(value, list)}
    pipeline = kind(**given, **_plain_arguments(kind, {**plain, "requires_safety_checker": False}))
    return _predicting(pipeline, plan.prediction)


def layout_of(folder: ModelFolder) -> str:
    """The layout whose components a folder has, by their classes; the one with most of them. Raises ModelFault."""
    fitting = [
        layout
        for layout in LAYOUTS.values()
        if all(folder.components.get(name, part.model) == part.model for name, part in layout.parts.items())
        and layout.core in folder.components
        and set(layout.parts) - set(OPTIONAL.get(layout.id, ())) <= folder.components.keys()
    ]
    if not fitting:
        raise ModelFault(f"{folder.path.name} holds components that this version cannot put together ({', '.join(folder.components)}).")
    return max(fitting, key=lambda layout: len(layout.parts)).id


def missing_words(file: str, names: list[str]) -> str:
    """The sentence for a model that is not whole: which components, and where files with them are looked for."""
    words = ", ".join(name.replace("_", " ") for name in names)
    places = sorted({_FOLDERS.get(name, _TEXT_FOLDER) for name in names})
    return f"{file} holds no {words}. Put a file with it into {' or '.join(places)} and choose it beside the model."


def _pipeline(name: str) -> tuple[Any, list[str]]:
    """A pipeline class of diffusers, and the components its constructor asks for."""
    import diffusers

    kind: Any = getattr(diffusers, name)
    plain = inspect.Parameter.empty
    names = [key for key, row in inspect.signature(kind.__init__).parameters.items() if key != "self" and row.default is plain]
    return kind, names


def _plain_arguments(kind: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    names = inspect.signature(kind.__init__).parameters
    return {name: value for name, value in settings.items() if name in names}


def _variant(folder: ModelFolder) -> str | None:
    """ "fp16" when that is the only form some component's weights are there in."""
    for part in folder.configs:
        files = [path.name for path in (folder.path / part).glob("*.safetensors")]
        if files and all(".fp16" in name for name in files):
            return "fp16"
    return None


def _tokenizer(path: Path, kind: str, name: str, vocabulary: int, config_folder: Path) -> Any:
    """The tokenizer a file carries, else the one that comes with us, which knows the published vocabulary only."""
    import transformers

    with tempfile.TemporaryDirectory(prefix="tokenizer-") as folder:
        if path.is_file() and carried.unpack_tokenizer(header_of(path), name, Path(folder)):
            return getattr(transformers, _TOKENIZERS[kind]).from_pretrained(folder, local_files_only=True)
    if vocabulary < carried.VOCABULARIES[kind]:
        raise ModelFault(
            f"{path.name} has a text encoder with a vocabulary of its own ({vocabulary} words) and no tokenizer for it. "
            "Use it as a folder in the diffusers layout."
        )
    return shipped.tokenizer(config_folder.name, name)


def _scheduler(source: Header, config_folder: Path) -> Any:
    import diffusers

    config = dict(carried.scheduler(source)) or json.loads((config_folder / "scheduler" / "scheduler_config.json").read_text("utf-8"))
    kind: Any = getattr(diffusers, str(config.get("_class_name")), None)
    if not (isinstance(kind, type) and issubclass(kind, diffusers.SchedulerMixin)):
        raise ModelFault(f"{source.path.name} asks for a scheduler {str(config.get('_class_name'))[:60]!r} that diffusers does not have.")
    found: Any = kind
    return found.from_config(config)


def _check_widths(file: str, layout: str, given: Mapping[str, Any]) -> None:
    """Refuse parts that cannot work together, with both sizes, before anything runs."""
    core = LAYOUTS[layout].core
    for key, summands, factor in _WIDTHS[layout]:
        names = [name for name, _ in summands]
        if any(given.get(name) is None for name in names):
            continue
        want = given[core].config.get(key) or given[core].config.in_channels
        have = factor * sum(int(getattr(given[name].config, value)) for name, value in summands)
        if have != want:
            words = " and ".join(name.replace("_", " ") for name in names)
            raise ModelFault(
                f"{file}: its {core} works with {want} numbers where the {words} chosen for it give {have}; they belong to different kinds "
                "of model. Choose parts made for it."
            )


def _predicting(pipeline: Any, prediction: str | None) -> Any:
    """The pipeline with its scheduler set to what the weights predict."""
    scheduler = pipeline.scheduler
    if prediction in ("epsilon", "v_prediction") and scheduler.config.get("prediction_type", prediction) != prediction:
        pipeline.scheduler = type(scheduler).from_config(scheduler.config, prediction_type=prediction)
    return pipeline
