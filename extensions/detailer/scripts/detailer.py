"""Detailer: finds a face, a hand or any described thing in a finished picture and paints it anew at full size.

A native guest at `before_save`; each part is an img2img run of its own, "Only masked". Also known by the API's name of ADetailer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from detailing.finding import Finder, chosen, shelf, titles
from detailing.units import EVERYWHERE, INSIDE, More, Unit, read_units

from modules import paths
from modules.faults import Cancelled, Fault, RequestFault
from modules.hooks import Finished, Guest, Run
from modules.knobs import Knob, KnobField, knobs_of

PROMPT, SEP, SKIP = "[PROMPT]", "[SEP]", "[SKIP]"


@dataclass(frozen=True, kw_only=True)
class Switch:
    """Before the fields of one unit."""

    enabled: Annotated[bool, Knob("Enable")] = False


@dataclass(frozen=True, kw_only=True)
class Several:
    """Behind the fields of one unit: in place of it."""

    units: Annotated[list[Any], Knob("Units", help="Over the API: objects with these fields, or with ADetailer's.")] = field(
        default_factory=list[Any]
    )


@dataclass(frozen=True, kw_only=True)
class Knobs(Several, Unit, Switch):
    """All of them, in the order of the arguments."""


class Detailer(Guest):
    """Off unless enabled."""

    name = "detailer"
    title = "Detailer"
    knobs = Knobs
    known_as = ("adetailer",)

    def __init__(self) -> None:
        self._finder: Finder | None = None

    def controls(self) -> dict[str, KnobField]:
        found = dict(knobs_of(Knobs))
        known = found["detector"]
        knob = Knob(known.knob.label, choices=titles(model_folders()), help=known.knob.help)
        return found | {"detector": KnobField(known.name, known.kind, known.optional, known.default, knob)}

    def takes_part(self, args: tuple[Any, ...]) -> bool:
        return bool(args[0])

    def translated(self, title: str, args: Any) -> Any:
        """[enable, skip_img2img, unit, unit, ...]; the two switches may be missing."""
        if isinstance(args, dict):
            args = [args]
        switches = [one for one in args if isinstance(one, bool)]
        units = [one for one in args if isinstance(one, dict)]
        if len(switches) + len(units) < len([one for one in args if one is not None]) or len(switches) > 2:
            raise RequestFault("alwayson_scripts", "args of ADetailer are [enable, skip_img2img, {unit}, ...]", got=args)
        read_units(units)  # wrong values are said before the job is queued
        units = units or [{"ad_model": "face"}]
        if switches[1:] == [True]:
            units[0] = {**units[0], "skip_img2img": True}
        return {"enabled": switches[0] if switches else True, "units": units}

    def before_save(self, run: Run, finished: Finished) -> Finished | None:
        if run.paint is None:
            return None
        units, said = self._units(run)
        for text in said:
            run.warn(text)
        image, found = finished.image.convert("RGB"), list[str]()
        for unit, more in units:
            try:
                image, count = self._painted(run, unit, more, image, finished.index)
            except Cancelled:
                break
            except Fault as fault:
                run.warn(f"The detailer left {unit.find} as it was: {fault}")
                continue
            found.append(f"{unit.find} {count}")
        finished.image = image
        if found:
            finished.infotext |= {"Detailer": "; ".join(found), "Detailer denoising strength": units[0][0].denoising}
        return finished

    def _units(self, run: Run) -> tuple[list[tuple[Unit, More]], list[str]]:
        values = dict(zip(knobs_of(Knobs), run.args[self.name], strict=True))
        if values["units"]:
            return read_units(values["units"])
        return [(Unit(**{name: values[name] for name in knobs_of(Unit)}), More())], []

    def _painted(self, run: Run, unit: Unit, more: More, image: Any, index: int) -> tuple[Any, int]:
        """(the picture with what was found painted anew, how many parts). Raises Fault, Cancelled."""
        from detailing.places import masks_of, picked

        masks = masks_of(picked(self._lying(run, unit, image), unit.which), unit, image.size)
        prompts = _each(unit.prompt, run.resolved.all_prompts[index], len(masks))
        negatives = _each(unit.negative_prompt, run.resolved.all_negative_prompts[index], len(masks))
        count = 0
        for n, (mask, prompt, negative) in enumerate(zip(masks, prompts, negatives, strict=True)):
            if prompt.strip() == SKIP:
                continue
            fields = _fields(run, unit, more)
            image = run.paint(  # pyright: ignore[reportOptionalCall]
                image, mask, prompt=prompt, negative_prompt=negative, seed=run.resolved.all_seeds[index] + n, **fields
            )
            count += 1
        return image, count

    def _lying(self, run: Run, unit: Unit, image: Any) -> list[Any]:
        """What was found where the unit looks."""
        from detailing.places import lying

        from modules.pixels.resizing import resize, resize_mode

        found, begin = self._found(run, unit, image), run.resolved.image
        if unit.where == EVERYWHERE:
            return found
        if run.drawn is None or begin is None:
            run.warn(f"No mask was drawn in img2img, so the detailer looked for {unit.find} everywhere.")
            return found
        drawn = resize(run.drawn, image.size, resize_mode(begin.resize_mode))
        return lying(found, drawn, inside=unit.where == INSIDE)

    def _found(self, run: Run, unit: Unit, image: Any) -> list[Any]:
        from detailing.places import counting, written

        if unit.places.strip():
            return written(unit.places, image.size)
        detectors = shelf(model_folders())
        found: list[Any] = []
        for word in filter(None, (part.strip() for part in unit.find.split(","))):
            detector = chosen(unit.detector, word, detectors)
            if detector is None:
                which = "detector" if unit.detector not in [one.title for one in detectors] else f"use of {unit.detector}"
                run.warn(f"There is no {which} that finds {word!r}. Put one into models/detection (docs/plugins.md), or name its place.")
                continue
            self._finder = self._finder or Finder()
            found += counting(self._finder.find(detector, image, word, unit.confidence), unit, image.size)
        return found

    def job_done(self, run: Run, result: Any) -> None:
        if self._finder is not None:
            self._finder.forget()


def _each(text: str, own: str, count: int) -> list[str]:
    """One prompt for each part: those between [SEP], the last of them for all that follow; an empty one is the picture's own."""
    parts = [(part.strip() or own).replace(PROMPT, own) for part in text.split(SEP)]
    return [parts[min(n, len(parts) - 1)] for n in range(count)]


def _fields(run: Run, unit: Unit, more: More) -> dict[str, Any]:
    """The fields of the img2img run of a part."""
    resolved, side = run.resolved, run.resolved.checkpoint.native_px
    whole = {"width": resolved.width, "height": resolved.height} if unit.whole else {"width": side, "height": side}
    overrides = {"sd_model_checkpoint": more.checkpoint, "sd_vae": more.vae, "CLIP_stop_at_last_layers": more.clip_skip}
    kept = {name: value for name, value in overrides.items() if value is not None}
    return {
        "inpaint_full_res": not unit.whole,
        "inpaint_full_res_padding": unit.padding,
        "inpainting_fill": 1,
        "mask_blur_x": unit.blur,
        "mask_blur_y": unit.blur,
        "denoising_strength": unit.denoising,
        "width": unit.width or whole["width"],
        "height": unit.height or whole["height"],
        "steps": unit.steps or resolved.steps,
        "cfg_scale": unit.cfg_scale or resolved.cfg_scale,
        "sampler_name": more.sampler_name if more.sampler_name not in (None, "Use same sampler") else resolved.sampler_name,
        "scheduler": more.scheduler if more.scheduler not in (None, "Use same scheduler") else resolved.scheduler,
        "initial_noise_multiplier": more.noise_multiplier,
        "override_settings": {**kept, **({"face_restoration": True} if more.restore_face else {})},
    }


def model_folders() -> list[Path]:
    """Where models lie: the data folder's, then those that came with the program."""
    return list(dict.fromkeys([Path(paths.models_path), Path(paths.script_path) / "models"]))
