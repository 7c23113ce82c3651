"""`process_images`: from A1111's p to pictures, with its scripts; and the job as a whole while scripts lead it.

Start reading at `Lead`; `request_of` says what of p counts.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import math
import time
from collections.abc import Iterable
from typing import Any

from PIL import Image, ImageChops

from modules.compat.asking import MANY, aside, request_of, tell, templates, with_lists
from modules.compat.callbacks import Callbacks
from modules.compat.cast import Cast
from modules.compat.extra_networks import TagGuest, Tags
from modules.compat.face import overrides
from modules.compat.guest import CallbackGuest, Params, ScriptGuest
from modules.compat.opts import Opts, State
from modules.compat.processed import FIELDS, Processed, StableDiffusionProcessing
from modules.faults import Cancelled
from modules.hooks import Guest, Hooks, Run
from modules.infotext import write
from modules.knobs import coerce, knobs_of
from modules.pixels.names import Scene, fill_pattern
from modules.plugins import FaultLedger
from modules.processing.stage import Made, Stage
from modules.request import GenerationRequest, Picture, ResolvedRequest
from modules.settings import Settings

PICTURES = frozenset({"init_images", "mask"})
AROUND = ("before_process", "process", "postprocess")  # methods of scripts that take part in a run before and after its pictures
# Settings of a run inside the job: its prompts were read already, and it leaves nothing beside its picture.
ASIDE = {"wildcards_enabled": False, "enable_prompt_comments": False, "face_restoration": False, "return_mask": False,
         "return_mask_composite": False, "save_init_img": False}  # fmt: skip


class OncePerJob:
    """Counts one fault of a guest a job, however often it fails there. It is off at once, or from the next job on."""

    def __init__(self, ledger: FaultLedger) -> None:
        self._ledger = ledger
        self.failed: dict[str, bool] = {}

    def fault(self, guest: str, hook: str, text: str) -> bool:
        if guest not in self.failed:
            self.failed[guest] = self._ledger.fault(guest, hook, text)
        return self.failed[guest]

    def settle(self, guests: set[str]) -> None:
        """The job is over; these took part."""
        for guest in guests - set(self.failed):
            self._ledger.well(guest)


@dataclasses.dataclass(kw_only=True)
class _Ready:
    """A run before its first picture: p, its scripts that take part in every run, its tags, all its guests, what is to be made."""

    p: Any
    scripts: list[ScriptGuest]
    tags: TagGuest
    hooks: Hooks
    resolved: ResolvedRequest


@dataclasses.dataclass(kw_only=True)
class Lead:
    """One job that scripts lead. natives: guests of our own kind; kept: pictures that lie on the disk, by the identity of their image."""

    stage: Stage
    state: State
    callbacks: Callbacks
    natives: list[Guest]
    ledger: OncePerJob
    opts: Opts
    tags: Tags
    sd_model: Any
    args: dict[str, tuple[Any, ...]] = dataclasses.field(default_factory=dict[str, tuple[Any, ...]])
    opened: list[Hooks] = dataclasses.field(default_factory=list[Hooks])
    kept: dict[int, tuple[Image.Image, Picture]] = dataclasses.field(default_factory=dict[int, tuple[Image.Image, Picture]])

    @property
    def settings(self) -> Settings:
        """The settings of the job, as they were frozen when it was asked for, and what scripts set in it. Raises RequestFault."""
        frozen, known = self.stage.resolved.settings, knobs_of(Settings)
        changed = {name: coerce(known[name], value) for name, value in self.opts.changed().items() if name in known}
        return Settings(**{name: value for name, value in {**frozen, **changed}.items() if name in known})

    def hooks(self, guests: list[Guest]) -> Hooks:
        run = Run(job=self.stage.job, resolved=self.stage.resolved, warn=self.stage.warn, args=dict(self.args), drawn=self._drawn())
        run.paint = functools.partial(self.paint, run)
        self.opened.append(Hooks(guests, run, self.ledger))
        return self.opened[-1]

    def _drawn(self) -> Image.Image | None:
        begin = self.stage.resolved.image
        if begin is None or begin.mask is None:
            return None
        mask = self.stage.inputs.open(begin.mask, "mask").convert("L")
        return ImageChops.invert(mask) if begin.inpainting_mask_invert else mask

    def paint(self, run: Run, image: Image.Image, mask: Image.Image, **fields: Any) -> Image.Image:
        """See `modules.hooks.Painting`."""
        began = time.perf_counter()
        try:
            return self._painted(image, mask, fields)
        finally:
            run.lent_s += time.perf_counter() - began

    def _painted(self, image: Image.Image, mask: Image.Image, fields: dict[str, Any]) -> Image.Image:
        inputs, visit = self.stage.inputs, self.stage.resolved.visit
        pictures = {"init_images": [inputs.put_picture(image)], "mask": inputs.put_picture(mask)}
        asked = aside(visit.asked if visit is not None else {})
        overrides = {**asked.get("override_settings", {}), **ASIDE, **fields.pop("override_settings", {})}
        request = GenerationRequest.from_data({**asked, **pictures, **fields, "override_settings": overrides})
        found = self.stage.aside(self.stage.resolve(request, self.settings))
        if self.stage.control.interrupted or not found:
            raise Cancelled
        return found[0].convert("RGB")

    def process_images(self, p: Any) -> Processed:
        """A1111's function of that name. May be called again and again, and from inside hooks that see finished pictures."""
        return self._carried_out(self._ready(p))

    def process_many(self, ps: Iterable[Any]) -> list[Processed]:
        """`process_images` of each p, in order; of a job that is stopped those that were begun.

        Other workers may begin with the later ones, so several are asked for before the first is made, where no script takes part in a run
        before and after its pictures. p's prompts and seeds are found when the next one is asked for: a generator may go on from there.
        Raises what `process_images` raises, when those before are made; ValueError for the same p twice.
        """
        found, ahead, known = list[Processed](), list[_Ready](), list[Any]()
        try:
            for p in ps:
                if self.state.interrupted:
                    break
                if any(p is one for one in known):
                    raise ValueError("process_many needs a p of its own for each run: give it copy.copy(p)")
                known.append(p)
                if self._foreseeable(p):
                    ahead.append(self._ready(p))
                else:
                    before, ahead = ahead, []
                    found += self._all(before)
                    found.append(self.process_images(p))
        finally:
            found += self._all(ahead)
        return found

    def _foreseeable(self, p: Any) -> bool:
        """Nobody can tell whether its run was prepared before or after the pictures of the run before it."""
        scripts, natives = ((), ()) if p.scripts is None else (p.scripts.alwayson_scripts, self.natives)
        around = any(overrides(script, hook) for script in scripts for hook in AROUND) or Hooks(natives).wants("resolved")
        return self.stage.lends and not around and not any(key in self.opts.data_labels for key in p.override_settings)

    def _all(self, ahead: list[_Ready]) -> list[Processed]:
        count, state = sum(one.resolved.n_iter for one in ahead), self.state
        if not ahead:
            return []
        state.job_count = count if state.job_count < 0 else state.job_count
        with self.stage.ahead([(one.resolved, one.hooks) for one in ahead], count / max(state.job_count, state.job_no + count, 1)):
            made = [self._carried_out(one) for one in ahead]
        return [one for one in made if one.images or not state.interrupted]

    def _ready(self, p: Any) -> _Ready:
        """What scripts do with p before its pictures."""
        scripts = [ScriptGuest(s, p, self._args_of(p, s)) for s in p.scripts.alwayson_scripts] if p.scripts is not None else []
        others = [CallbackGuest(file, self.callbacks, p, self.loaded) for file in self.callbacks.files()]
        tags = TagGuest(self.tags, p)
        self._wear(p)
        hooks = self.hooks([*(self.natives if p.scripts is not None else ()), *scripts, tags, *others, Params(p)])
        for guest in scripts:
            if overrides(guest.script, "before_process"):
                hooks.guarded(guest, "before_process", lambda g=guest: g.call("before_process"))
        self._wear(p)  # what scripts asked for in before_process
        request = request_of(p, self.stage.inputs)
        resolved = self.stage.resolve(request, self.settings)
        resolved = with_lists(p, resolved)
        tell(p, resolved)
        request = request_of(p, self.stage.inputs)
        editors = [guest for guest in scripts if overrides(guest.script, "process")]
        shown, drawn = templates(resolved) if editors else [], (p.all_prompts, p.all_negative_prompts)
        if shown:
            p.all_prompts, p.all_negative_prompts = ([*texts] for texts in shown)
        for guest in editors:
            hooks.guarded(guest, "process", lambda g=guest: g.call("process"))
        if shown and [p.all_prompts, p.all_negative_prompts] == shown:
            p.all_prompts, p.all_negative_prompts = drawn
        resolved = self._as_left(p, request, resolved)
        if hooks.run is not None:
            hooks.run.resolved = resolved
        return _Ready(p=p, scripts=scripts, tags=tags, hooks=hooks, resolved=resolved)

    def _carried_out(self, ready: _Ready) -> Processed:
        """Its pictures, and what scripts do with p after them."""
        p, hooks = ready.p, ready.hooks
        try:
            made = self._make(p, ready.resolved, hooks)
        finally:
            hooks.guarded(ready.tags, "before_batch", ready.tags.close)
        processed = self._processed(p, made)
        for guest in ready.scripts:
            if overrides(guest.script, "postprocess"):
                hooks.guarded(guest, "postprocess", lambda g=guest: g.call("postprocess", processed))
        return processed

    def _wear(self, p: Any) -> None:
        """Options of extensions among p's settings count from now on; those whose makers gave them a name stand in the pictures' text."""
        own = {key: p.override_settings.pop(key) for key in list(p.override_settings) if key in self.opts.data_labels}
        p.extra_generation_params |= {key: value for key, value in self.opts.wear(own).items() if key not in p.extra_generation_params}

    def loaded(self) -> tuple[int, Any]:
        """(a number that is another one for another loaded model, A1111's view of it)."""
        return id(self.stage.model()), self.sd_model

    def _args_of(self, p: Any, script: Any) -> list[Any]:
        """Its own slice of the values, what is missing at the end as its controls begin."""
        given = list((p.script_args or ())[script.args_from : script.args_to])
        return [*given, *p.scripts.defaults_of(script)[len(given) :]] if len(given) < script.args_to - script.args_from else given

    def _as_left(self, p: Any, request: GenerationRequest, resolved: ResolvedRequest) -> ResolvedRequest:
        """The request once more where scripts changed p after it was resolved."""
        count, lists = resolved.batch_size * resolved.n_iter, [list(getattr(p, name) or []) for name in MANY.values()]
        if lists[0] and len(lists[0]) != int(p.batch_size) * int(p.n_iter):
            p.n_iter = math.ceil(len(lists[0]) / int(p.batch_size))
        if lists[0] != list(resolved.all_prompts) or lists[1] != list(resolved.all_negative_prompts):
            own = {"prompt": lists[0][0], "negative_prompt": (lists[1] or [""])[0], "styles": []}
            overrides = {**p.override_settings, "wildcards_enabled": False, "enable_prompt_comments": False}
            changed = dataclasses.replace(request_of(p, self.stage.inputs, leave=tuple(MANY)), **own, override_settings=overrides)
        else:
            changed = request_of(p, self.stage.inputs)
        if changed != request:
            resolved = self.stage.resolve(changed, self.settings)
            overrides = {k: v for k, v in resolved.overrides.items() if k in p.override_settings}
            resolved = dataclasses.replace(resolved, overrides=overrides)
        if count == 0 or not lists[0]:
            return resolved
        return with_lists(p, resolved, given=dict(zip(MANY.values(), lists, strict=True)))

    def _make(self, p: Any, resolved: ResolvedRequest, hooks: Hooks) -> Made:
        state = self.state
        if state.job_count < 0:
            state.job_count = resolved.n_iter
        total = max(state.job_count, state.job_no + resolved.n_iter, 1)
        self.stage.scale(state.job_no / total, resolved.n_iter / total)
        made = self.stage.make(resolved, hooks, grid=not p.do_not_save_grid)
        state.job_no += resolved.n_iter
        for image, picture in zip(made.images, made.pictures, strict=True):
            self.kept[id(image)] = (image, picture)
        if made.grid is not None:
            self.kept[id(made.grid[0])] = made.grid
        return made

    def _processed(self, p: Any, made: Made) -> Processed:
        resolved = made.resolved
        tell(p, resolved)
        images, texts = list(made.images), [picture.infotext for picture in made.pictures]
        if made.grid is not None:
            images, texts = [made.grid[0], *images], [made.grid[1].infotext, *texts]
        return Processed(
            p, images, seed=resolved.all_seeds[0], info=texts[0] if texts else "", subseed=(resolved.all_subseeds or (-1,))[0],
            index_of_first_image=int(made.grid is not None), infotexts=texts,
        )  # fmt: skip

    def text_of(self, p: Any, index: int) -> str:
        """The parameters text of a picture of p as it is now."""
        many = tuple(MANY)
        resolved = self.stage.resolve(request_of(p, self.stage.inputs, leave=many), self.settings)
        lists = {name: list(getattr(p, name) or []) for name in MANY.values()}
        if lists["all_prompts"] and len(lists["all_prompts"]) == resolved.batch_size * resolved.n_iter:
            resolved = with_lists(p, resolved, given=lists)
        extra = {str(key): value for key, value in p.extra_generation_params.items() if value is not None}
        return write(resolved, min(index, len(resolved.all_prompts) - 1), extra=extra)

    def name_of(self, p: Any, pattern: str, image: Any) -> str:
        """A pattern of file names, filled for the first picture of p."""
        resolved, now = self.stage.resolve(request_of(p, self.stage.inputs, leave=tuple(MANY)), self.settings), datetime.datetime.now()
        blank = image or Image.new("RGB", (resolved.width, resolved.height))
        return fill_pattern(pattern, Scene(resolved=resolved, index=0, image=blank, now=now, began=now))

    def keep(self, image: Image.Image, p: Any, *, text: str | None, grid: bool) -> Picture:
        """Save a picture that a script put together."""
        known = self.kept.get(id(image))
        if known is not None:
            return known[1]
        resolved = self.stage.resolve(request_of(p, self.stage.inputs, leave=tuple(MANY)), self.settings) if p else self.stage.resolved
        picture = self.stage.keep(image, resolved, kind="grid" if grid else "sample", text=text)
        self.kept[id(image)] = (image, picture)
        return picture

    def show(self, p: Any, processed: Processed) -> None:
        """The result shows what a script gave back, in its order."""
        shown: list[Picture] = []
        for n, image in enumerate(processed.images):
            if not isinstance(image, Image.Image):
                continue
            text = processed.infotexts[n] if n < len(processed.infotexts) else processed.info
            shown.append(self.keep(image, p, text=text or None, grid=n < processed.index_of_first_image))
        if shown:
            self.stage.shown[:] = shown


def new_p(lead: Lead, cast: Cast, kinds: tuple[type[Any], type[Any]]) -> StableDiffusionProcessing:
    """p of a job: its request, random seeds already drawn, pictures opened, scripts and their values in place."""
    stage, inputs = lead.stage, lead.stage.inputs
    resolved = stage.resolved
    asked = resolved.visit.asked if resolved.visit is not None else {}
    request = GenerationRequest.from_data(asked)
    data = {name: getattr(request, name) for name in FIELDS if name not in PICTURES}
    data |= {"seed": resolved.all_seeds[0], "subseed": (resolved.all_subseeds or (-1,))[0]}
    data |= {"width": resolved.width, "height": resolved.height, "sampler_name": resolved.sampler_name}
    data |= {
        "save_images": resolved.save_images,
        "do_not_save_samples": not resolved.save_images,
        "do_not_save_grid": not resolved.save_images,
    }
    data["override_settings"] = {**resolved.overrides, **(resolved.visit.options if resolved.visit is not None else {})}
    p = kinds[resolved.task == "img2img"](**data)
    if resolved.task == "img2img":
        p.init_images = [inputs.open(reference) for reference in request.init_images]
        p.image_mask = inputs.open(request.mask, "mask").convert("L") if request.mask else None
    p.scripts, p.asked_seed, p.sd_model = cast, request.seed, lead.sd_model
    p.outpath_samples = resolved.settings[f"outdir_{resolved.task}_samples"]
    p.outpath_grids = resolved.settings[f"outdir_{resolved.task}_grids"]
    return p
