"""Stage 3 to 4: the runs that make a batch of pictures, one after another, and from latents to pictures.

Knows the order of the runs; each lies in a file of its own. Start reading at `make_batch`.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from PIL import Image

from modules.families import FAMILIES
from modules.faults import BlankPicture, Cancelled
from modules.hooks import NOBODY, Hooks
from modules.processing import control, hires, repaint
from modules.processing.backed import untold
from modules.processing.inversion import with_found_noise
from modules.processing.kept import Found, Kept
from modules.processing.latent import tiny_pixels, to_pixels
from modules.processing.passes import Sampled, StepHooks, first_pass
from modules.processing.refiner import refiner_of
from modules.processing.sampling import sample
from modules.processing.slot import LoadedModel
from modules.processing.style import prepared
from modules.processing.tools import Tools, Wanted
from modules.processing.turns import turns_of
from modules.request import ResolvedRequest
from modules.steering.seamless import circular
from modules.steering.table import UNETS, is_tiling
from modules.upscale.network import Watch
from modules.upscale.table import LATENT_MODES

FIRST = "first"  # the first pass, among what is kept of a batch
DECODED_AGAIN = "The VAE produced values that are not numbers; the picture was decoded again in float32."


@dataclass(kw_only=True)
class Batch:
    """The pictures of a batch. partial: stopped before its last step. seconds: time in the sampler and in the decoder.

    warnings: what did not go as asked; learnt: name -> sha256 of the embeddings that took part. infotext: keys that only the runs know.

    beside: for each picture what is shown after it, with its kind; empty for nothing. maps: control maps, to be shown after all of them.
    """

    images: list[Image.Image]
    maps: list[Image.Image] = field(default_factory=list[Image.Image])
    beside: list[list[tuple[str, Image.Image]]] = field(default_factory=list[list[tuple[str, Image.Image]]])
    partial: bool = False
    seconds: dict[str, float] = field(default_factory=dict[str, float])
    warnings: list[str] = field(default_factory=list[str])
    learnt: dict[str, str] = field(default_factory=dict[str, str])
    infotext: dict[str, object] = field(default_factory=dict[str, object])


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A batch whose pictures are latents still. model(): that drew it, None when it is gone. kept: what was made of it."""

    model: Callable[[], LoadedModel | None]
    kept: Kept
    _work: _Work

    def pictures(self, model: LoadedModel | None = None) -> Batch:
        """Decode them. model: that drew it, None: had again. Raises BlankPicture."""
        return self._work.finished(self.kept.latents(FIRST, model))


def draw_batch(model: LoadedModel, resolved: ResolvedRequest, batch_no: int, hooks: StepHooks, kept: Kept) -> Drawn:
    """As `make_batch`, back before the pictures are decoded. resolved: of `modules.processing.overlap.is_plain`'s kind. Raises as that."""
    work = _Work(resolved, kept, hooks.guests)
    drawn = work.sampled(FIRST, lambda: sample(model, resolved, first_pass(resolved, batch_no), hooks))
    return Drawn(model=weakref.ref(drawn.model), kept=kept, _work=work)


def make_batch(
    model: LoadedModel, resolved: ResolvedRequest, batch_no: int, hooks: StepHooks, tools: Tools | None = None, kept: Kept | None = None
) -> Batch:
    """Pictures batch_no * batch_size ... of the request. tools: for what may follow the first pass. kept: what was made of this batch
    before memory ran out.

    Raises RequestFault when the size is beyond the model, BlankPicture when it gave NaN or infinity.
    """
    run = first_pass(resolved, batch_no)
    kept = kept or Kept(again=lambda checkpoint, plan: model)
    work = _Work(resolved, kept, hooks.guests)
    if tools is None:
        return work.finished(work.sampled(FIRST, lambda: sample(model, resolved, run, hooks)))
    if resolved.image is not None:
        return _painted(model, resolved, batch_no, hooks, tools, work)
    own = control.prepared(resolved, model, (run.width, run.height), tools)
    run = replace(run, style=prepared(resolved, tools.open, model.family.architecture), control=own)
    later = resolved.hires
    hooks, second_hooks = hires.in_two(hooks, resolved)
    first = hires.First()
    if later is None or later.first_picture is None:
        run = replace(run, refiner=refiner_of(resolved, "first pass", tools))
        first = hires.First(sampled=work.sampled(FIRST, lambda: sample(model, resolved, run, hooks)))
    if first.sampled is not None and (later is None or first.sampled.partial):
        return _with_control(work.finished(first.sampled), own)
    first = _shown(first, resolved, batch_no, work, tools)
    found = hires.Found()
    second = work.sampled("second", lambda: hires.second(resolved, batch_no, first, second_hooks, tools, found), "the hires pass was made")
    if second is None:
        return Batch(images=list(first.images), partial=True, **work.told)
    return _with_control(work.finished(second), found.control, own)


def _with_control(batch: Batch, last: control.Controls | None, *before: control.Controls | None) -> Batch:
    """The batch after what preprocessors do at the end. Its control maps are those of the first pass that a unit counted in."""
    if last is not None:
        batch.images = last.finished(batch.images)
    known: dict[int, Image.Image] = {}
    for controls in (*before, last):
        known = {**(controls.maps if controls is not None else {}), **known}
    batch.maps = [known[place] for place in sorted(known)]
    return batch


def _painted(model: LoadedModel, resolved: ResolvedRequest, batch_no: int, hooks: StepHooks, tools: Tools, work: _Work) -> Batch:
    """A batch that begins with pictures; a picture that grows on one side after another goes through a run for each."""
    units: control.Controls | None = None
    notes, style = list[str](), prepared(resolved, tools.open, model.family.architecture)
    results, partial = repaint.Results(images=[], beside=[]), False
    for number, (turn, its_hooks) in enumerate(turns_of(resolved, hooks)):
        if results.images:
            model = tools.take(Wanted.first(turn))  # a refiner may have taken its place
        try:
            painting = work.kept.once(
                f"painting {number}", lambda m=model, t=turn, made=results.images: repaint.prepared(
                    m, t, first_pass(t, batch_no), tools, made, Watch(stopped=hooks.stop)
                ), "the picture to begin with was read",
            )  # fmt: skip
        except Cancelled:
            return Batch(images=results.images or repaint.begun(resolved, tools), partial=True, **work.told)
        try:
            run, its_hooks, said = work.kept.once(
                f"noise {number}", lambda m=model, t=turn, p=painting, h=its_hooks: with_found_noise(m, t, p.run, h, sample),
                "the picture's own noise was sought",
            )  # fmt: skip
        except Cancelled:
            return Batch(images=results.images or repaint.begun(resolved, tools), partial=True, **work.told)
        units = control.prepared(turn, model, (run.width, run.height), tools, begun=painting.rows)
        run = replace(run, refiner=refiner_of(turn, "first pass", tools), style=style, control=units)
        sampled = work.sampled(f"turn {number}", lambda m=model, t=turn, r=run, h=its_hooks: sample(m, t, r, h))
        plain = work.decoded(sampled, f"turn {number} pictures")
        drawn = plain if units is None else units.finished(plain)
        results = repaint.finished(painting, drawn, sampled, turn, tools, first=batch_no * turn.batch_size)
        notes += [*said, *painting.notes]
        if partial := sampled.partial:
            break
    told = work.told
    told["warnings"] = list(dict.fromkeys([*notes, *told["warnings"]]))
    maps = [] if units is None else [*units.maps.values()]
    return Batch(images=results.images, beside=results.beside, maps=maps, partial=partial, **told)


def _shown(first: hires.First, resolved: ResolvedRequest, batch_no: int, work: _Work, tools: Tools) -> hires.First:
    """The first pass's pictures too, where they are wanted: for an upscaler, or to be kept."""
    later, settings = resolved.hires, resolved.settings
    if later is not None and first.sampled is None:
        return hires.First(images=hires.given(resolved, later, tools))
    kept = resolved.save_images and settings.get("samples_save", True) and settings.get("save_images_before_highres_fix", False)
    if first.sampled is None or not (kept or (later is not None and later.upscaler not in LATENT_MODES)):
        return first
    images = work.decoded(first.sampled, "first pictures")

    def keep() -> None:
        for i, image in enumerate(images):
            tools.keep(image, batch_no * resolved.batch_size + i, hires.SUFFIX)

    if kept:
        work.kept.once("first pictures saved", keep, "the first pictures were saved")
    return replace(first, images=images)


class _Work:
    """What the runs of a batch leave on the way: seconds, warnings, embeddings. kept: what was made before memory ran out."""

    def __init__(self, resolved: ResolvedRequest, kept: Kept, guests: Hooks = NOBODY) -> None:
        self.kept = kept
        self._resolved = resolved
        self._guests = guests
        self._seconds = {"sample": 0.0, "decode": 0.0}
        self._warnings: dict[str, None] = {}
        self._learnt: dict[str, str] = {}
        self._infotext: dict[str, object] = untold(resolved)

    @property
    def told(self) -> dict[str, Any]:
        """The fields of `Batch` beside the pictures."""
        return {"seconds": self._seconds, "warnings": list(self._warnings), "learnt": self._learnt, "infotext": self._infotext}

    def sampled(self, name: str, run: Callable[[], Found], stage: str = "the picture was drawn") -> Found:
        """name: of the run within the batch; stage: what it is, for a sentence."""
        began = time.perf_counter()
        found = self.kept.sampled(name, run, stage)
        self._seconds["sample"] += time.perf_counter() - began
        if found is not None:
            self._warnings |= dict.fromkeys(found.warnings)
            self._learnt |= found.learnt
            self._infotext |= found.infotext
        return found

    def decoded(self, sampled: Sampled, name: str = "pictures") -> list[Image.Image]:
        """The pictures of a run, by the model that made them. A tiny autoencoder serves the models for which it was chosen."""
        return self.kept.once(name, lambda: self._decoded(sampled), "the picture was decoded")

    def _decoded(self, sampled: Sampled) -> list[Image.Image]:
        began = time.perf_counter()
        model, own = sampled.model, FAMILIES.get(self._resolved.checkpoint.family)
        tiny = self._resolved.tiny if model.family.latent_space == own.latent_space else None
        tiny_vae = model.tiny(tiny)
        tiled = is_tiling(self._resolved.steering, self._resolved.settings) and model.family.architecture in UNETS
        with circular(model.pipeline.vae, tiny_vae, on=tiled):
            images, retried = decode(model, self._guests.pass_on("before_decode", sampled.latents), tiny_vae)
        self._seconds["decode"] += time.perf_counter() - began
        if retried:
            self._warnings[DECODED_AGAIN] = None
        return images

    def finished(self, sampled: Sampled) -> Batch:
        images = self.decoded(sampled)
        return Batch(images=images, partial=sampled.partial, **self.told)


def decode(model: LoadedModel, latents: torch.Tensor, tiny: Any = None) -> tuple[list[Image.Image], bool]:
    """(RGB pictures from latents (B, C, h, w), they took a second try in float32). tiny: decodes instead of the VAE.

    Raises BlankPicture on NaN or infinity.
    """
    pixels, retried = to_pixels(model.pipeline.vae, latents) if tiny is None else (tiny_pixels(tiny, latents), False)
    if not bool(torch.isfinite(pixels).all()):
        raise BlankPicture(f"The VAE of {model.checkpoint.model_name} produced values that are not numbers. Start with --no-half-vae.")
    return model.pipeline.image_processor.postprocess(pixels, output_type="pil"), retried
