"""What A1111's p asks for, as a request of this program, and what p is told of it. Start reading at `request_of`."""

from __future__ import annotations

import dataclasses
from typing import Any

from PIL import Image

from modules.compat.processed import FIELDS, flat
from modules.faults import RequestFault
from modules.hooks import Texts
from modules.inputs import Inputs
from modules.knobs import knobs_of
from modules.processing.listening import with_texts
from modules.request import Control, GenerationRequest, Guests, Hires, Inversion, Outpaint, Refiner, Repaint, ResolvedRequest

MANY = {"prompt": "all_prompts", "negative_prompt": "all_negative_prompts", "seed": "all_seeds", "subseed": "all_subseeds"}


def aside(asked: dict[str, Any]) -> dict[str, Any]:
    """A request's data for one img2img run inside its job: without what belongs to the picture as a whole, one picture, not saved."""
    own = {name for group in (Hires, Refiner, Outpaint, Inversion, Repaint, Control, Guests) for name in knobs_of(group)}
    kept = {name: value for name, value in asked.items() if name not in own}
    return kept | {"batch_size": 1, "n_iter": 1, "styles": [], "save_images": False, "subseed_strength": 0.0}


def request_of(p: Any, inputs: Inputs, leave: tuple[str, ...] = ()) -> GenerationRequest:
    """What p asks for. Lists of prompts and seeds count by their first entry here. leave: fields whose lists do not matter.

    Raises RequestFault naming the field.
    """
    data: dict[str, Any] = {}
    for name in FIELDS:
        value = getattr(p, name, None)
        if name in MANY and isinstance(value, list):
            value = value[0] if value else ("" if "prompt" in name else -1)
        data[name] = value
    data |= {name: [] for name in ("init_images",)} | {"mask": None}
    if p._is_img2img:
        data["init_images"] = [_reference(image, inputs) for image in p.init_images]
        data["mask"] = _reference(p.image_mask, inputs) if p.image_mask is not None else None
    else:
        data = {name: value for name, value in data.items() if name not in knobs_of(Repaint)}
    data["save_images"] = bool(p.save_images) and not p.do_not_save_samples
    overrides = dict(p.override_settings)
    if p.restore_faces is not None:
        overrides["face_restoration"] = bool(p.restore_faces)
    data["override_settings"] = overrides
    fields = knobs_of(GenerationRequest)
    return GenerationRequest.from_data({n: v for n, v in data.items() if v is not None or fields[n].optional})


def _reference(image: Any, inputs: Inputs) -> str:
    if isinstance(image, str):
        return image
    if not isinstance(image, Image.Image):
        raise RequestFault("init_images", "a script gave something else than a picture", got=type(image).__name__)
    return inputs.put_picture(image)


def with_lists(p: Any, resolved: ResolvedRequest, given: dict[str, list[Any]] | None = None) -> ResolvedRequest:
    """The request with one prompt and seed a picture, where p has lists of them."""
    count = resolved.batch_size * resolved.n_iter
    rows: dict[str, list[Any]] = {}
    for name, many in MANY.items():
        value = given.get(many) if given is not None else getattr(p, name)
        if isinstance(value, list) and value:
            rows[many] = flat(value, count, many)
        else:
            rows[many] = list(getattr(resolved, many)) or [-1] * count
    own = Texts(batch_no=0, prompts=rows["all_prompts"], negative_prompts=rows["all_negative_prompts"], seeds=rows["all_seeds"],
                subseeds=rows["all_subseeds"])  # fmt: skip
    found = with_texts(dataclasses.replace(resolved, batch_size=count, n_iter=1), own)
    return dataclasses.replace(found, batch_size=resolved.batch_size, n_iter=resolved.n_iter)


def templates(resolved: ResolvedRequest) -> list[list[str]]:
    """[prompts, negative prompts] as `process` is to see them where the program has drawn from {a|b} and __word__ itself: with these still
    in them, since scripts may read them in a way of their own. [] where nothing was drawn.
    """
    if not any(resolved.templates):
        return []
    lists = (resolved.all_prompts, resolved.all_negative_prompts)
    return [[template] * len(drawn) if template else list(drawn) for template, drawn in zip(resolved.templates, lists, strict=True)]


def tell(p: Any, resolved: ResolvedRequest) -> None:
    """p learns what was found."""
    for many in MANY.values():
        setattr(p, many, list(getattr(resolved, many)))
    p.main_prompt, p.main_negative_prompt = resolved.all_prompts[0], resolved.all_negative_prompts[0]
    p.sampler_name, p.scheduler = resolved.sampler_name, resolved.scheduler
    p.width, p.height = resolved.width, resolved.height
    p.sd_model_name, p.sd_model_hash = resolved.checkpoint.model_name, resolved.checkpoint.short_hash or ""
    p.clip_skip = resolved.settings.get("CLIP_stop_at_last_layers", 1)
