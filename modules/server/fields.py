"""A1111's fields of txt2img and img2img: the API's own defaults, its names for old things, and what it takes more kindly than others.

Knows the body of a request; knows nothing about jobs or answers. Start reading at `read`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from modules.faults import RequestFault
from modules.knobs import KnobField, coerce, knobs_of
from modules.prompts.networks import take_networks
from modules.request import GenerationRequest, Hires, Inversion, Outpaint, Repaint
from modules.server import from_text
from modules.server.accepted import ACCEPTED, IMG2IMG, TXT2IMG, Accepted, AcceptedImg2img, AcceptedTxt2img
from modules.server.control_units import FILMS, FILMS_REFUSED, taken
from modules.server.dormant import refuse_active_overrides
from modules.server.errors import Refused
from modules.server.from_text import Keep, Speaking
from modules.settings import Settings

DEFAULTS: dict[str, Any] = {"steps": 50, "cfg_scale": 7.0, "width": 512, "height": 512, "save_images": False}
"""Where the API's default is not the page's. Source: A1111 1.10, the fields of /sdapi/v1/txt2img."""
IMG2IMG_DEFAULTS: dict[str, Any] = {
    **DEFAULTS, "denoising_strength": 0.75, "inpainting_fill": 0, "inpaint_full_res": True, "inpaint_full_res_padding": 0,
}  # fmt: skip
"""The same for /sdapi/v1/img2img."""
SHOWN_AS = {"styles": None, "override_settings": None, "init_images": None, "seed_resize_from_h": -1, "seed_resize_from_w": -1}
"""What A1111 calls the default where the program's own value for "nothing" is another one."""
PICTURES = ("mask", "firstpass_image", "style_image")
KEY_LIMIT_CHARS = 200
NAME_LIMIT_CHARS = 500
NAMES = (
    "sampler_name", "sampler_index", "scheduler", "script_name", "hr_sampler_name", "hr_scheduler", "hr_upscaler", "hr_checkpoint_name",
    "refiner_checkpoint",
)  # fmt: skip
# A1111's script for it, with its arguments in order.
SOFT = "soft inpainting"
SOFT_ARGS = (
    "soft_inpainting", "soft_schedule_bias", "soft_preservation_strength", "soft_transition_contrast_boost", "soft_mask_influence",
    "soft_difference_threshold", "soft_difference_contrast",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A body, read. key: idempotency key; parameters: every field with its value, as A1111 echoes; keep: settings to store.

    sized: it says how large the picture shall be, in whatever way. notes: sentences for the answer's warnings.
    """

    request: GenerationRequest
    key: str | None
    parameters: dict[str, Any]
    keep: dict[str, Any]
    sized: bool = True
    notes: tuple[str, ...] = ()


def fields_of(task: str) -> dict[str, KnobField]:
    """The fields of a request that a task's body may hold."""
    pictures = {**knobs_of(Repaint), **knobs_of(Outpaint), **knobs_of(Inversion)}
    others = pictures if task == TXT2IMG else {name: f for name, f in knobs_of(Hires).items() if name != "denoising_strength"}
    return {name: f for name, f in knobs_of(GenerationRequest).items() if name not in others}


def defaults_of(task: str) -> dict[str, Any]:
    """Where the API's default is not the request's own."""
    return DEFAULTS if task == TXT2IMG else IMG2IMG_DEFAULTS


def read(body: dict[str, Any], task: str, keep: Keep, current: Settings, scripts: Speaking | None = None) -> Asked:
    """The request of a body. null means the default, unknown fields are ignored. current: settings, for what a parameters text changes.

    scripts: what such a text says about those that are here, see `modules.server.from_text`.

    Raises RequestFault naming the field, and Refused with A1111's words: 404 without a picture, 422 for a script that is not there.
    """
    given = {name: value for name, value in body.items() if value is not None}
    _refuse_long_names(given)
    if task == IMG2IMG and not given.get("init_images"):
        raise Refused(404, "Init image not found", errors="init_images: send at least one picture")
    known, other_knobs = fields_of(task), knobs_of(ACCEPTED[task])
    accepted = ACCEPTED[task](**{name: coerce(other_knobs[name], value) for name, value in given.items() if name in other_knobs})
    own = {name: value for name, value in given.items() if name in known}
    soft = _scripts(own, task)
    units, notes = taken({**own, **soft}, keep)
    own |= {**soft, **units, **_repaired(own), **_pictures(own, accepted, keep), **_old_names(accepted)}
    overrides = refuse_active_overrides(own.get("override_settings", {}))
    text = from_text.read(accepted.infotext, task, keep, current, scripts, own.get("script_name"))
    told = {name: value for name, value in text.values.items() if name in known}
    named = coerce(known["sampler_name"], own.get("sampler_name"))
    last = {
        "override_settings": {**told.pop("override_settings", {}), **overrides, **_switches(accepted, current)},
        "sampler_name": named or told.get("sampler_name") or accepted.sampler_index,
    }
    request = GenerationRequest.from_data(_by_first_pass({**defaults_of(task), **told, **text.completed(own), **last}, accepted))
    return Asked(
        request=_without_networks(request) if accepted.disable_extra_networks else request,
        key=_key(accepted.force_task_id),
        parameters=_echo(given, task, request, accepted) | {"sampler_name": named, "override_settings": own.get("override_settings")},
        keep={} if accepted.override_settings_restore_afterwards in (True, None) else overrides,
        sized=_sized(request, {*told, *own}, accepted),
        notes=(*notes, *text.notes(own)),
    )


def _sized(request: GenerationRequest, named: set[str], accepted: Accepted) -> bool:
    """By width or height, by the picture it begins with, or, in A1111's old way, by the first pass."""
    grows = any(request.group(Outpaint).sides)
    old_way = isinstance(accepted, AcceptedTxt2img) and bool(accepted.firstphase_width or accepted.firstphase_height)
    return bool({"width", "height"} & named) or request.scale_by is not None or grows or old_way


def _repaired(own: dict[str, Any]) -> dict[str, Any]:
    """What A1111 takes more kindly than the knobs do: a seed that is no number is a random one; style names are text."""
    repaired: dict[str, Any] = {name: _seed(own[name]) for name in ("seed", "subseed") if isinstance(own.get(name), str)}
    if "styles" in own:
        styles = own["styles"]
        if not isinstance(styles, list) or not all(isinstance(s, str | int | float) and not isinstance(s, bool) for s in styles):
            raise RequestFault("styles", "must be a list of names", got=styles)
        repaired["styles"] = [str(s) for s in styles]
    if not isinstance(own.get("override_settings", {}), dict):
        raise RequestFault("override_settings", "must be an object", got=own["override_settings"])
    return repaired


def _pictures(own: dict[str, Any], accepted: Accepted, keep: Keep) -> dict[str, Any]:
    """Every picture of the body as a reference; an empty text is none."""
    found: dict[str, Any] = {name: keep(own[name], name) if own[name] else None for name in PICTURES if name in own}
    if isinstance(accepted, AcceptedImg2img):
        pictures = own["init_images"]
        if not isinstance(pictures, list):
            raise RequestFault("init_images", "must be a list of pictures", got=type(pictures).__name__)
        found["init_images"] = [keep(picture, "init_images") for picture in pictures]
        if accepted.latent_mask and not found.get("mask"):
            found["mask"] = keep(accepted.latent_mask, "latent_mask")
    return found


def _old_names(accepted: Accepted) -> dict[str, Any]:
    """Fields by the names they had before."""
    blur = accepted.mask_blur if isinstance(accepted, AcceptedImg2img) else None
    return {} if blur is None else {"mask_blur_x": blur, "mask_blur_y": blur}


def _by_first_pass(values: dict[str, Any], accepted: Accepted) -> dict[str, Any]:
    """With a size of the first pass, width and height are the second one's. A side of 0 follows from the other one's."""
    if not isinstance(accepted, AcceptedTxt2img):
        return values
    width, height = accepted.firstphase_width or 0, accepted.firstphase_height or 0
    to_width, to_height = (coerce(fields_of(TXT2IMG)[name], values[name]) for name in ("width", "height"))
    if not (width or height) or not values.get("enable_hr") or not (to_width and to_height):
        return values
    first = {"width": width or height * to_width // to_height, "height": height or width * to_height // to_width}
    return {**values, **first, "hr_resize_x": to_width, "hr_resize_y": to_height}


def _switches(accepted: Accepted, current: Settings) -> dict[str, Any]:
    """Fields that are settings here, where they differ from those."""
    asked = {"face_restoration": accepted.restore_faces, "tiling": accepted.tiling}
    return {name: value for name, value in asked.items() if value is not None and value != getattr(current, name)}


def _without_networks(request: GenerationRequest) -> GenerationRequest:
    names = ("prompt", "hr_prompt")
    return dataclasses.replace(request, **{name: take_networks(getattr(request, name))[0] for name in names})


def _echo(given: dict[str, Any], task: str, request: GenerationRequest, accepted: Accepted) -> dict[str, Any]:
    """Every field with its value or its default, pictures as they were sent."""
    starts = {**{name: f.default for name, f in fields_of(task).items()}, **SHOWN_AS, **defaults_of(task)}
    echo = {name: getattr(request, name) if name in given else starts[name] for name in fields_of(task)}
    echo |= {name: given.get(name) for name in PICTURES if name in echo}
    echo |= {f.name: getattr(accepted, f.name) for f in dataclasses.fields(accepted)}
    if isinstance(accepted, AcceptedImg2img):
        shown = {name: given.get(name) for name in ("init_images", "mask")}
        echo |= shown if accepted.include_init_images else dict.fromkeys(shown)
    return echo


def _refuse_long_names(given: dict[str, Any]) -> None:
    """Names are compared with known ones to propose the nearest, which takes long for a long text."""
    if str(given.get("script_name")).casefold() == FILMS:
        raise RequestFault("script_name", FILMS_REFUSED)
    overrides = given.get("override_settings")
    model = overrides.get("sd_model_checkpoint") if isinstance(overrides, dict) else None
    for field, value in (*((field, given.get(field)) for field in NAMES), ("override_settings", model)):
        if isinstance(value, str) and len(value) > NAME_LIMIT_CHARS:
            raise RequestFault(field, f"holds a name of {len(value)} characters; the longest accepted is {NAME_LIMIT_CHARS}")


def _seed(text: str) -> int | str:
    try:
        return int(text)
    except ValueError:
        return -1


def _scripts(own: dict[str, Any], task: str) -> dict[str, Any]:
    """Fields that A1111 has as a script of its own, taken out of the scripts of a body. Raises RequestFault."""
    known = fields_of(task)
    for name in ("script_args", "alwayson_scripts"):
        coerce(known[name], own.get(name, known[name].default))
    found: dict[str, Any] = {}
    others: dict[str, Any] = {}
    for title, about in own.get("alwayson_scripts", {}).items():
        if len(title) > NAME_LIMIT_CHARS:
            raise RequestFault("alwayson_scripts", f"holds a name of {len(title)} characters; the longest accepted is {NAME_LIMIT_CHARS}")
        if title.casefold() != SOFT or task != IMG2IMG:
            others[title] = about
            continue
        args = about.get("args", []) if isinstance(about, dict) else None
        if not isinstance(args, list) or len(args) > len(SOFT_ARGS):
            raise RequestFault("alwayson_scripts", f"args of {title} must be a list of at most {len(SOFT_ARGS)} values", got=args)
        found |= {name: value for name, value in zip(SOFT_ARGS, args, strict=False) if value is not None}
    return {**found, **({"alwayson_scripts": others} if own.get("alwayson_scripts") else {})}


def _key(task_id: str | None) -> str | None:
    if task_id is not None and len(task_id) > KEY_LIMIT_CHARS:
        raise RequestFault("force_task_id", f"is {len(task_id)} characters long; the longest accepted is {KEY_LIMIT_CHARS}")
    return task_id or None


def schema(task: str) -> dict[str, Any]:
    """The body as JSON schema, for the OpenAPI description."""
    kinds = {int: "integer", float: "number", str: "string", bool: "boolean", list: "array", tuple: "array", dict: "object"}
    starts, properties = {**SHOWN_AS, **defaults_of(task)}, dict[str, Any]()
    for name, field in {**fields_of(task), **knobs_of(ACCEPTED[task])}.items():
        knob = field.knob
        limits = {"minimum": knob.low, "maximum": knob.high, "maxLength": None if name in PICTURES else knob.max_chars}
        properties[name] = {
            "title": knob.label,
            "type": [kinds[field.kind], "null"],
            "default": starts.get(name, field.default),
            **({"description": knob.help} if knob.help else {}),
            **{key: limit for key, limit in limits.items() if limit is not None},
            **({"items": {"type": "string"}} if name in ("styles", "init_images") else {}),
        }
    title = "StableDiffusionTxt2Img" if task == TXT2IMG else "StableDiffusionImg2Img"
    return {"title": title, "type": "object", "properties": properties}
