"""From the request of a job back to the form that can ask for it again, to be changed. The reverse of `form.data_of`.

What was drawn or chosen when the job was queued (seed, size, model) is filled in as it was then, so that the form gives the same pictures
until something is changed. Knows nothing about Gradio. Start reading at `values_of`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modules.app import App
from modules.faults import RequestFault
from modules.jobs import Job
from modules.knobs import knobs_of
from modules.request import GenerationRequest, Hires, Outpaint, Repaint
from modules.web import control_units
from modules.web.form import PARTS, Filled, find_exact, known, start_of
from modules.web.form_fields import BATCH, CHECKPOINT, IMG2IMG, LABELS, NONE, RESIZE_BY, RESIZE_TO, TXT2IMG, Form
from modules.web.overrides import LABELS as TOLD
from modules.web.overrides import entries_of

GONE = "{} this job began with is not kept here any more; give it again."
DRAWN = "The seed is the one that was drawn then; -1 draws another."
# Filled from other names, by the page's script, or of no meaning on the page.
ELSEWHERE = frozenset({
    "init_images", "mask", "mask_blur_x", "mask_blur_y", "scale_by", "override_settings", "save_images", "send_images",
    "script_name", "script_args", "alwayson_scripts",
})  # fmt: skip
LEFT_ALONE = frozenset({"begin", "mask_alpha", "override_settings", *BATCH})
# Fields of a part that hold something while it is switched off.
SILENT = ("refiner_switch_at", "subseed", "outpaint_begin", "outpaint_overlap", "outpaint_falloff", "outpaint_color_variation")


def form_of(job: Job) -> Form:
    """The form that the job's request belongs into."""
    return IMG2IMG if job.request.get("init_images") else TXT2IMG


def values_of(app: App, job: Job, form: Form) -> Filled:
    """The form's values for a job's request, and in words what the form cannot hold."""
    asked: Mapping[str, Any] = job.request
    then: Mapping[str, Any] = getattr(job, "resolved", None) or {}
    filled = Filled()
    for name in form.fields:
        if name not in LEFT_ALONE:
            filled.values[name] = _value(app, form, name, asked, then, filled)
    _take_styles(app, asked, filled)
    _take_model(app, asked, then, filled)
    _tell_pictures(app, asked, filled)
    _tell_rest(form, asked, filled)
    return filled


def _value(app: App, form: Form, name: str, asked: Mapping[str, Any], then: Mapping[str, Any], filled: Filled) -> Any:
    """One value, as the control holds it."""
    if name in PARTS and name not in asked:
        return any(_counts(asked.get(field)) for field in PARTS[name][0] if field not in SILENT)
    if name in LABELS:
        return LABELS[name][int(asked.get(name) or 0)]
    if name == "size_from":
        return RESIZE_BY if asked.get("scale_by") is not None else RESIZE_TO
    if name == "mask_blur":
        return asked.get("mask_blur_x", start_of(form, name))
    if name in ("seed", "subseed"):
        return _seed(name, asked, then, filled)
    value = asked.get(name)
    if name == control_units.FIELD:
        return control_units.text_of(value or ())
    if value is None and name in ("width", "height", "sampler_name", "scheduler", "denoising_strength"):
        value = then.get(name)
    if value is None:
        return start_of(form, name)
    try:
        return known(app, name, value)
    except RequestFault as fault:
        filled.notices.append(f"{form.fields[name].knob.label} was left as it is: {fault.why}.")
        return start_of(form, name)


def _counts(value: Any) -> bool:
    """A value that turns the part on that it belongs to."""
    return value > 0 if isinstance(value, int | float) else value not in (None, "", NONE)


def _seed(name: str, asked: Mapping[str, Any], then: Mapping[str, Any], filled: Filled) -> str:
    given = int(asked.get(name, -1))
    drawn = then.get("all_seeds" if name == "seed" else "all_subseeds") or ()
    if given >= 0 or not drawn or (name == "subseed" and not asked.get("subseed_strength")):
        return str(given)
    if name == "seed":
        filled.notices.append(DRAWN)
    return str(drawn[0])


def _take_styles(app: App, asked: Mapping[str, Any], filled: Filled) -> None:
    here = {style.name for style in app.styles.list()}
    names = [str(name) for name in asked.get("styles") or ()]
    filled.values["styles"] = [name for name in names if name in here]
    filled.notices += [f"There is no style {name!r} any more; its words are missing." for name in names if name not in here]


def _take_model(app: App, asked: Mapping[str, Any], then: Mapping[str, Any], filled: Filled) -> None:
    """The model the job was queued for, settings of its own, and those that counted for all then and are others now."""
    own = dict(asked.get("override_settings") or {})
    checkpoint = then.get("checkpoint") or {}
    title = str(checkpoint.get("title") or own.pop(CHECKPOINT, "") or "")
    own.pop(CHECKPOINT, None)
    if title:
        names = (str(checkpoint.get("sha256") or ""), title.rpartition(" [")[0], title)
        found = next((c for name in names if name and (c := find_exact(app, name))), None)
        if found is not None:
            filled.values[CHECKPOINT] = found.title
        else:
            filled.notices.append(f"It was made with {title}, a model that is not here; with another one it will look different.")
    before, now = then.get("settings") or {}, app.settings.current.to_data()
    others = {name: before[name] for name in TOLD if name in before and before[name] != now.get(name)}
    filled.values["override_settings"] = entries_of({**others, **own})


def _tell_pictures(app: App, asked: Mapping[str, Any], filled: Filled) -> None:
    """What is missing of the pictures. Those that are there the page's script puts on the canvases; the style picture is a value."""
    images = list(asked.get("init_images") or ())
    style = asked.get("style_image")
    for words, reference in (("The picture", next(iter(images), None)), ("The mask", asked.get("mask")), ("The style picture", style)):
        if reference and not _kept(app, str(reference)):
            filled.notices.append(GONE.format(words))
    filled.notices += control_units.missing_pictures(app, asked.get(control_units.FIELD) or ())
    if style and not _kept(app, str(style)):
        filled.values["style_image"] = ""
    if len(images) > 1:
        filled.notices.append(f"It began with {len(images)} pictures; the form takes the first.")


def _kept(app: App, reference: str) -> bool:
    try:
        app.inputs.path(reference)
    except RequestFault:
        return False
    return True


def _tell_rest(form: Form, asked: Mapping[str, Any], filled: Filled) -> None:
    """Fields that differ from their defaults and that this form does not have."""
    declared = knobs_of(GenerationRequest)
    foreign = {*knobs_of(Repaint), *knobs_of(Outpaint)} if form is TXT2IMG else {*knobs_of(Hires)} - {"denoising_strength"}
    for name in declared:
        if name in form.fields or name in ELSEWHERE or name in foreign:
            continue
        value = asked.get(name)
        if value is not None and value != declared[name].default:
            words = "has no place in the form and is left out" if name != "firstpass_image" else "is left out: the form paints it anew"
            filled.notices.append(f"{declared[name].knob.label} {words}.")
    blurs = (asked.get("mask_blur_x"), asked.get("mask_blur_y"))
    if asked.get("mask") and blurs[0] != blurs[1]:
        filled.notices.append(f"The mask was blurred by {blurs[0]} and {blurs[1]} pixels across and down; the form has one figure.")
