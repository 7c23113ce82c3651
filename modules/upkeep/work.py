"""The kinds of work on model files, each a record whose Knobs give the page's form, the API's fields and the command's flags.

Start reading at `KINDS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Annotated, Any

from modules.faults import RequestFault, UnknownName
from modules.knobs import Knob, coerce, knobs_of

DTYPES = ("keep", "float32", "float16", "bfloat16")
FORMS = ("safetensors", "folder")
METHODS = ("Weighted sum", "Add difference", "No interpolation")
EXPORTS = ("both", "float32", "int8")
NAME_CHARS = 200
SOURCE_CHARS = 4000

_DTYPE = Knob("Precision", choices=DTYPES, help="Number type of the result; keep: as the model has it.")
_NAME = Knob("Name", max_chars=NAME_CHARS, help="Name of the result without ending. Empty: made from the model's name.")
_VAE = Knob("VAE to bake in", choices="vaes", max_chars=SOURCE_CHARS, help="A VAE file to take the place of the model's own. Empty: none.")
_CHECK = Knob("Compare pictures", help="Make a tiny picture with the model and with the result before the result is called done.")


@dataclass(frozen=True, kw_only=True)
class Convert:
    """A checkpoint in another form or precision."""

    source: Annotated[str, Knob("Model", choices="checkpoints", max_chars=SOURCE_CHARS)]
    form: Annotated[str, Knob("Form", choices=FORMS, help="safetensors: one file, for most programs; folder: for diffusers.")] = (
        "safetensors"
    )
    dtype: Annotated[str, _DTYPE] = "keep"
    ema: Annotated[bool, Knob("Use averaged weights", help="Take the averaged (EMA) copy as the model, where the file has one.")] = False
    vae: Annotated[str, _VAE] = ""
    name: Annotated[str, _NAME] = ""
    check: Annotated[bool, _CHECK] = True


@dataclass(frozen=True, kw_only=True)
class Quantise:
    """A checkpoint as a folder for diffusers whose network and text encoders are kept in few bits. The VAE stays whole."""

    source: Annotated[str, Knob("Model", choices="checkpoints", max_chars=SOURCE_CHARS)]
    unet: Annotated[str, Knob("UNet or transformer", choices="quantisers", max_chars=100, help="How its weights are kept.")] = "nf4"
    text_encoder: Annotated[str, Knob("Text encoders", choices="quantisers", max_chars=100, help="How theirs are kept.")] = "None"
    dtype: Annotated[
        str,
        Knob("Precision", choices=DTYPES[1:], help="Number type of everything else, and what is computed in. float16 suits most cards."),
    ] = "float16"
    name: Annotated[str, _NAME] = ""
    check: Annotated[bool, Knob("Try it", help="Make a tiny picture with the result before it is called done.")] = True


@dataclass(frozen=True, kw_only=True)
class Merge:
    """Two or three checkpoints of one family become one. The first one gives everything that is not mixed."""

    model_a: Annotated[str, Knob("Model A", choices="checkpoints", max_chars=SOURCE_CHARS)]
    model_b: Annotated[str, Knob("Model B", choices="checkpoints", max_chars=SOURCE_CHARS)] = ""
    model_c: Annotated[str, Knob("Model C", choices="checkpoints", max_chars=SOURCE_CHARS)] = ""
    method: Annotated[
        str,
        Knob("Method", choices=METHODS, help="Weighted sum: A·(1−M) + B·M. Add difference: A + (B−C)·M. No interpolation: A as it is."),
    ] = "Weighted sum"
    multiplier: Annotated[float, Knob("Multiplier (M)", -2.0, 2.0, ui=(0.0, 1.0), step=0.05)] = 0.3
    multiplier_c: Annotated[
        float, Knob("Share of C", -2.0, 2.0, ui=(0.0, 1.0), step=0.05, help="Weighted sum of three: A·(1−M−N) + B·M + C·N.")
    ] = 0.0
    dtype: Annotated[str, _DTYPE] = "float16"
    vae: Annotated[str, _VAE] = ""
    discard: Annotated[str, Knob("Leave out", max_chars=500, help="Regular expression; weights whose names match are left out.")] = ""
    name: Annotated[str, _NAME] = ""
    check: Annotated[bool, Knob("Try it", help="Make a tiny picture with the result before it is called done.")] = True


@dataclass(frozen=True, kw_only=True)
class Unpickle:
    """A .ckpt, .pt, .pth or .bin file becomes .safetensors, read in a locked-up process that cannot run what is in it."""

    source: Annotated[str, Knob("File", choices="pickles", max_chars=SOURCE_CHARS, help="Its name or its path inside the model folders.")]
    name: Annotated[str, _NAME] = ""


@dataclass(frozen=True, kw_only=True)
class Download:
    """A file from an https address, or a file or model of the hub, into a model folder."""

    source: Annotated[
        str, Knob("Address", max_chars=SOURCE_CHARS, help="https://…, org/name, org/name:file of the hub, or the id of a known model.")
    ]
    kind: Annotated[str, Knob("Kind", choices="model_kinds", help="Folder it goes to. Empty: that of the known model, or checkpoints.")] = (
        ""
    )
    name: Annotated[str, Knob("Name", max_chars=NAME_CHARS, help="Name to save it under. Empty: the name it has there.")] = ""
    sha256: Annotated[str, Knob("SHA-256", max_chars=64, help="What the file's digest must be. Empty: as its source says.")] = ""
    variant: Annotated[str, Knob("Variant", choices=("", "fp16"), help="Of a model folder: fp16 takes the half-size weights.")] = ""


@dataclass(frozen=True, kw_only=True)
class ExtractLora:
    """The difference between two checkpoints as a LoRA."""

    tuned: Annotated[str, Knob("Tuned model", choices="checkpoints", max_chars=SOURCE_CHARS)]
    base: Annotated[str, Knob("Base model", choices="checkpoints", max_chars=SOURCE_CHARS)]
    rank: Annotated[int, Knob("Rank", 1, 1024, ui=(1, 256), help="Larger ranks are nearer to the tuned model and make larger files.")] = 64
    clamp: Annotated[
        float, Knob("Clamp", 0.5, 1.0, help="Share of the values kept as they are; the rest is cut to the largest of them.")
    ] = 0.99
    dtype: Annotated[str, _DTYPE] = "float16"
    name: Annotated[str, _NAME] = ""


@dataclass(frozen=True, kw_only=True)
class MergeLora:
    """LoRAs become part of a checkpoint."""

    model: Annotated[str, Knob("Model", choices="checkpoints", max_chars=SOURCE_CHARS)]
    loras: Annotated[list[str], Knob("LoRAs", help="Each as name:weight or name:text weight:network weight.")] = field(
        default_factory=list[str]
    )
    dtype: Annotated[str, _DTYPE] = "keep"
    name: Annotated[str, _NAME] = ""
    check: Annotated[bool, Knob("Try it", help="Make a tiny picture with the result before it is called done.")] = True


@dataclass(frozen=True, kw_only=True)
class ExportCaptioner:
    """A captioner as ONNX graphs in its own folder, compared with torch before they count."""

    model: Annotated[str, Knob("Captioner", max_chars=SOURCE_CHARS, help="Its folder's name.")]
    precision: Annotated[
        str, Knob("Precision", choices=EXPORTS, help="int8 is about a quarter of the size; both: so that either can be chosen.")
    ] = "both"
    overwrite: Annotated[bool, Knob("Write over", help="Take the place of what was exported before.")] = False


Work = Convert | Quantise | Merge | Unpickle | Download | ExtractLora | MergeLora | ExportCaptioner
KINDS: Mapping[str, type[Work]] = {
    "convert": Convert,
    "quantise": Quantise,
    "merge": Merge,
    "unpickle": Unpickle,
    "download": Download,
    "extract_lora": ExtractLora,
    "merge_lora": MergeLora,
    "export_captioner": ExportCaptioner,
}


def read(kind: str, data: Mapping[str, Any]) -> Work:
    """The record of a kind from plain data, every value checked. Raises UnknownName for kind and fields, RequestFault for values."""
    if kind not in KINDS:
        raise UnknownName("kind", kind, KINDS)
    cls = KINDS[kind]
    known = knobs_of(cls)
    values: dict[str, Any] = {}
    for name, value in data.items():
        if name not in known:
            raise UnknownName("field", name, known)
        values[name] = coerce(known[name], value)
    needed = [f.name for f in fields(cls) if f.name not in values and _has_no_default(f)]
    if needed:
        raise RequestFault(needed[0], f"is needed to {kind.replace('_', ' ')}")
    empty = [f.name for f in fields(cls) if _has_no_default(f) and not str(values[f.name]).strip()]
    if empty:
        raise RequestFault(empty[0], "must not be empty")
    return cls(**values)


def _has_no_default(declared: Field[Any]) -> bool:
    return declared.default is MISSING and declared.default_factory is MISSING
