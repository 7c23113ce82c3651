"""A1111's txt2img fields: the API's own defaults, its names for old things, and the fields this version only accepts unused.

Knows the body of a request; knows nothing about jobs or answers. Start reading at `read`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, Any

from modules.faults import RequestFault
from modules.knobs import Knob, coerce, knobs_of
from modules.request import GenerationRequest
from modules.server.dormant import refuse_active_overrides
from modules.server.errors import Refused

DEFAULTS: dict[str, Any] = {"steps": 50, "cfg_scale": 7.0, "width": 512, "height": 512, "save_images": False}
"""Where the API's default is not the page's. Source: A1111 1.10, the fields of /sdapi/v1/txt2img."""
ECHO_DEFAULTS: dict[str, Any] = {**DEFAULTS, "styles": None, "override_settings": None}
KEY_LIMIT_CHARS = 200
NAME_LIMIT_CHARS = 500
NOT_YET = "this version cannot do it yet; leave it out"


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """A1111's other fields with its API defaults. They are checked and echoed; a value that asks for something is refused.

    A field that `GenerationRequest` learns leaves this class.
    """

    subseed: Annotated[int | None, Knob("Variation seed")] = -1
    subseed_strength: Annotated[float | None, Knob("Variation strength")] = 0
    seed_resize_from_h: Annotated[int | None, Knob("Resize seed from height")] = -1
    seed_resize_from_w: Annotated[int | None, Knob("Resize seed from width")] = -1
    restore_faces: Annotated[bool | None, Knob("Restore faces")] = None
    tiling: Annotated[bool | None, Knob("Tiling")] = None
    do_not_save_samples: Annotated[bool | None, Knob("Do not save pictures", help="Follows save_images.")] = False
    do_not_save_grid: Annotated[bool | None, Knob("Do not save the grid", help="Follows save_images.")] = False
    eta: Annotated[float | None, Knob("Eta")] = None
    denoising_strength: Annotated[float | None, Knob("Denoising strength", help="Used by the hires pass only.")] = None
    s_min_uncond: Annotated[float | None, Knob("Negative guidance minimum sigma")] = None
    s_churn: Annotated[float | None, Knob("Sigma churn")] = None
    s_tmax: Annotated[float | None, Knob("Sigma tmax", help="Used with s_churn only.")] = None
    s_tmin: Annotated[float | None, Knob("Sigma tmin", help="Used with s_churn only.")] = None
    s_noise: Annotated[float | None, Knob("Sigma noise")] = None
    override_settings_restore_afterwards: Annotated[bool | None, Knob("Take override_settings back afterwards")] = True
    refiner_checkpoint: Annotated[str | None, Knob("Refiner")] = None
    refiner_switch_at: Annotated[float | None, Knob("Refiner switch at")] = None
    disable_extra_networks: Annotated[bool | None, Knob("Disable extra networks")] = False
    firstpass_image: Annotated[str | None, Knob("First pass image")] = None
    comments: Annotated[dict[str, Any] | None, Knob("Comments")] = None
    enable_hr: Annotated[bool | None, Knob("Hires. fix")] = False
    firstphase_width: Annotated[int | None, Knob("First pass width", help="Used by the hires pass only.")] = 0
    firstphase_height: Annotated[int | None, Knob("First pass height", help="Used by the hires pass only.")] = 0
    hr_scale: Annotated[float | None, Knob("Upscale by", help="Used by the hires pass only.")] = 2.0
    hr_upscaler: Annotated[str | None, Knob("Upscaler", help="Used by the hires pass only.")] = None
    hr_second_pass_steps: Annotated[int | None, Knob("Hires steps", help="Used by the hires pass only.")] = 0
    hr_resize_x: Annotated[int | None, Knob("Resize width to", help="Used by the hires pass only.")] = 0
    hr_resize_y: Annotated[int | None, Knob("Resize height to", help="Used by the hires pass only.")] = 0
    hr_checkpoint_name: Annotated[str | None, Knob("Hires checkpoint", help="Used by the hires pass only.")] = None
    hr_sampler_name: Annotated[str | None, Knob("Hires sampling method", help="Used by the hires pass only.")] = None
    hr_scheduler: Annotated[str | None, Knob("Hires schedule type", help="Used by the hires pass only.")] = None
    hr_prompt: Annotated[str | None, Knob("Hires prompt", help="Used by the hires pass only.")] = ""
    hr_negative_prompt: Annotated[str | None, Knob("Hires negative prompt", help="Used by the hires pass only.")] = ""
    force_task_id: Annotated[str | None, Knob("Task id", help="Names the job; the same id and request give the same job again.")] = None
    sampler_index: Annotated[str | None, Knob("Sampling method (old name)")] = "Euler"
    script_name: Annotated[str | None, Knob("Script")] = None
    script_args: Annotated[list[Any] | None, Knob("Arguments of the script")] = dataclasses.field(default_factory=list[Any])
    alwayson_scripts: Annotated[dict[str, Any] | None, Knob("Always-on scripts")] = dataclasses.field(default_factory=dict[str, Any])
    infotext: Annotated[str | None, Knob("Parameters text")] = None


IDLE: dict[str, tuple[Any, ...]] = {
    "subseed_strength": (0,),
    "restore_faces": (False,),
    "tiling": (False,),
    "eta": (0, 1),
    "s_min_uncond": (0,),
    "s_churn": (0,),
    "s_noise": (0, 1),
    "refiner_checkpoint": ("", "None"),
    "firstpass_image": ("",),
    "comments": ({},),
    "enable_hr": (False,),
    "infotext": ("",),
}
"""The values, beside null, that ask for nothing. A field of `Accepted` that is not here means nothing by itself."""
STEADY_ONLY = {"eta": 0, "s_noise": 0}
"""Values that ask for nothing only of a sampler that adds no noise of its own; clients send them with Euler."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A body, read. key: idempotency key; parameters: every field with its value, as A1111 echoes; keep: settings to store."""

    request: GenerationRequest
    key: str | None
    parameters: dict[str, Any]
    keep: dict[str, Any]


def read(body: dict[str, Any], noisy_samplers: Collection[str] = ()) -> Asked:
    """The request of a txt2img body. null means the default, unknown fields are ignored.

    noisy_samplers: names and aliases, in lower case, of samplers that add noise at each step.
    Raises RequestFault naming the field, and Refused for a script that is not there.
    """
    given = {name: value for name, value in body.items() if value is not None}
    _refuse_long_names(given)
    own_knobs, other_knobs = knobs_of(GenerationRequest), knobs_of(Accepted)
    accepted = Accepted(**{name: coerce(other_knobs[name], value) for name, value in given.items() if name in other_knobs})
    own = {name: value for name, value in given.items() if name in own_knobs}
    own |= _repaired(own)
    overrides = refuse_active_overrides(own.get("override_settings", {}))
    named = coerce(own_knobs["sampler_name"], own.get("sampler_name"))
    last = {"override_settings": overrides, "sampler_name": named or accepted.sampler_index}
    request = GenerationRequest.from_data({**DEFAULTS, **own, **last})
    _refuse_active(accepted, noisy=_is_noisy(request.sampler_name or "", noisy_samplers))
    echo = {name: getattr(request, name) if name in own else ECHO_DEFAULTS.get(name, field.default) for name, field in own_knobs.items()}
    echo |= {"sampler_name": named, "override_settings": own.get("override_settings")}
    return Asked(
        request=request,
        key=_key(accepted.force_task_id),
        parameters={**echo, **{f.name: getattr(accepted, f.name) for f in dataclasses.fields(accepted)}},
        keep={} if accepted.override_settings_restore_afterwards in (True, None) else overrides,
    )


def _repaired(own: dict[str, Any]) -> dict[str, Any]:
    """What A1111 takes more kindly than the knobs do: a seed that is no number is a random one; style names are text."""
    repaired: dict[str, Any] = {}
    if isinstance(seed := own.get("seed"), str):
        repaired["seed"] = _seed(seed)
    if "styles" in own:
        styles = own["styles"]
        if not isinstance(styles, list) or not all(isinstance(s, str | int | float) and not isinstance(s, bool) for s in styles):
            raise RequestFault("styles", "must be a list of names", got=styles)
        repaired["styles"] = [str(s) for s in styles]
    if not isinstance(own.get("override_settings", {}), dict):
        raise RequestFault("override_settings", "must be an object", got=own["override_settings"])
    return repaired


def _refuse_long_names(given: dict[str, Any]) -> None:
    """Names are compared with known ones to propose the nearest, which takes long for a long text."""
    overrides = given.get("override_settings")
    model = overrides.get("sd_model_checkpoint") if isinstance(overrides, dict) else None
    names = [(field, given.get(field)) for field in ("sampler_name", "sampler_index", "scheduler", "script_name")]
    for field, value in (*names, ("override_settings", model)):
        if isinstance(value, str) and len(value) > NAME_LIMIT_CHARS:
            raise RequestFault(field, f"holds a name of {len(value)} characters; the longest accepted is {NAME_LIMIT_CHARS}")


def _seed(text: str) -> int | str:
    try:
        return int(text)
    except ValueError:
        return -1


def _refuse_active(accepted: Accepted, *, noisy: bool) -> None:
    for field, name in (("script_name", accepted.script_name), *(("alwayson_scripts", title) for title in accepted.alwayson_scripts or {})):
        if name not in (None, "", "None"):
            raise Refused(422, f"Script '{name[:80]}' not found", errors=f"{field}: this version has no scripts yet")
    for name, idle in IDLE.items():
        value = getattr(accepted, name)
        if value is not None and (value not in idle or (noisy and STEADY_ONLY.get(name) == value)):
            raise RequestFault(name, NOT_YET, got=value, allowed=[None, *idle])
    if min(accepted.seed_resize_from_h or 0, accepted.seed_resize_from_w or 0) > 0:
        raise RequestFault("seed_resize_from_h", NOT_YET, got=accepted.seed_resize_from_h, allowed=[-1])


def _is_noisy(sampler: str, noisy_samplers: Collection[str]) -> bool:
    """Also with a schedule at the end of the name, "DPM++ 2M SDE Karras"."""
    name = sampler.strip().casefold()
    return any(name == noisy or name.startswith(f"{noisy} ") for noisy in noisy_samplers)


def _key(task_id: str | None) -> str | None:
    if task_id is not None and len(task_id) > KEY_LIMIT_CHARS:
        raise RequestFault("force_task_id", f"is {len(task_id)} characters long; the longest accepted is {KEY_LIMIT_CHARS}")
    return task_id or None


def schema() -> dict[str, Any]:
    """The body as JSON schema, for the OpenAPI description."""
    kinds = {int: "integer", float: "number", str: "string", bool: "boolean", list: "array", tuple: "array", dict: "object"}
    properties: dict[str, Any] = {}
    for name, field in {**knobs_of(GenerationRequest), **knobs_of(Accepted)}.items():
        knob, default = field.knob, ECHO_DEFAULTS.get(name, field.default)
        limits = {"minimum": knob.low, "maximum": knob.high, "maxLength": knob.max_chars}
        properties[name] = {
            "title": knob.label,
            "type": [kinds[field.kind], "null"],
            "default": default,
            **({"description": knob.help} if knob.help else {}),
            **{key: limit for key, limit in limits.items() if limit is not None},
            **({"items": {"type": "string"}} if name == "styles" else {}),
        }
    return {"title": "StableDiffusionTxt2Img", "type": "object", "properties": properties}
