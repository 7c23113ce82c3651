"""A1111's scripts as guests of our hooks: each hook calls the methods of the script that stand at that place in A1111's order.

Start reading at `ScriptGuest`; `CallbackGuest` does the same for `script_callbacks`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image

from modules.compat.callbacks import Callbacks, CFGDenoisedParams, CFGDenoiserParams, ImageSaveParams
from modules.compat.face import PostprocessBatchListArgs, PostprocessImageArgs, PostSampleArgs, Script, overrides
from modules.hooks import Ask, Call, Finished, Guest, Run, Texts
from modules.infotext import parse, write
from modules.request import Picture

PROMPTS = ("Prompt", "Negative prompt")  # of a parameters text; a picture's own cannot be changed once it is made
# Our hook -> A1111's methods that it calls.
METHODS = {
    "before_batch": ("before_process_batch", "after_extra_networks_activate", "process_batch"),
    "before_call": ("process_before_every_sampling", "before_hr"),
    "before_decode": ("post_sample",),
    "decoded": ("postprocess_batch", "postprocess_batch_list"),
    "before_save": ("postprocess_image", "postprocess_image_after_composite"),
}


class ScriptGuest(Guest):
    """One script in one run of `process_images(p)`. args: its own slice of the values."""

    def __init__(self, script: Script, p: Any, args: list[Any]) -> None:
        self.script = script
        self.name = str(script.name)
        self._p = p
        self._args = args
        self._batch_no = 0

    def listens(self, hook: str) -> bool:
        return any(overrides(self.script, method) for method in METHODS.get(hook, ()))

    def call(self, method: str, *given: Any, **named: Any) -> Any:
        """A method of the script, if it has one of its own: first p, then what is given, then its own values."""
        if not overrides(self.script, method):
            return None
        return getattr(self.script, method)(self._p, *given, *self._args, **named)

    def before_batch(self, run: Run, texts: Texts) -> Texts:
        p = self._p
        self._batch_no = p.iteration = texts.batch_no
        p.prompts, p.negative_prompts, p.seeds, p.subseeds = texts.prompts, texts.negative_prompts, texts.seeds, texts.subseeds
        about = {"batch_number": texts.batch_no, "prompts": texts.prompts, "seeds": texts.seeds, "subseeds": texts.subseeds}
        self.call("before_process_batch", **about)
        self.call("after_extra_networks_activate", **about, extra_network_data=p.extra_network_data or {})
        self.call("process_batch", **about)
        texts.prompts, texts.negative_prompts, texts.seeds, texts.subseeds = p.prompts, p.negative_prompts, p.seeds, p.subseeds
        return texts

    def before_call(self, run: Run, call: Call) -> Call:
        self._p.is_hr_pass = call.stage == "hires"
        if call.stage == "hires":
            self.call("before_hr")
        begins = "latents" if call.arguments.get("latents") is not None else "image"  # of a run from a picture: its latents, without noise
        names = {"x": begins, "c": "prompt_embeds", "uc": "negative_prompt_embeds"}
        own = {short: value.clone() for short, name in names.items() if isinstance(value := call.arguments.get(name), torch.Tensor)}
        self.call("process_before_every_sampling", x=own.get("x"), noise=own.get("x"), c=own.get("c"), uc=own.get("uc"))
        for short, value in own.items():
            if not torch.equal(value, call.arguments[names[short]]):
                call.arguments[names[short]] = value
        return call

    def before_decode(self, run: Run, latents: torch.Tensor) -> torch.Tensor:
        ps = PostSampleArgs(latents)
        self.call("post_sample", ps)
        return ps.samples

    def decoded(self, run: Run, images: list[Image.Image]) -> list[Image.Image]:
        tensors = torch.stack([_tensor(image) for image in images])
        before = tensors.clone()
        self.call("postprocess_batch", images=tensors, batch_number=self._batch_no)
        pp = PostprocessBatchListArgs(list(tensors))
        self.call("postprocess_batch_list", pp, batch_number=self._batch_no)
        if len(pp.images) != len(images):
            raise ValueError(f"gave back {len(pp.images)} pictures for {len(images)}")
        same = [new.shape == old.shape and torch.equal(new, old) for new, old in zip(pp.images, before, strict=True)]
        return [image if kept else _image(new) for image, new, kept in zip(images, pp.images, same, strict=True)]

    def before_save(self, run: Run, finished: Finished) -> Finished:
        pp = PostprocessImageArgs(finished.image, finished.index % max(1, int(self._p.batch_size or 1)))
        self.call("postprocess_image", pp)
        self.call("postprocess_image_after_composite", pp)
        finished.image = pp.image.convert("RGB") if pp.image.mode not in ("RGB", "RGBA") else pp.image
        return finished


class Params(Guest):
    """What scripts wrote into `p.extra_generation_params` stands in every picture's text. The last guest of a run."""

    name = "parameters of scripts"

    def __init__(self, p: Any) -> None:
        self._p = p

    def before_save(self, run: Run, finished: Finished) -> Finished:
        finished.infotext |= {str(key): value for key, value in self._p.extra_generation_params.items() if value is not None}
        return finished


class CallbackGuest(Guest):
    """The functions that one file registered with `script_callbacks`."""

    kinds: ClassVar = {
        "before_call": "model_loaded",
        "ask": "cfg_denoiser",
        "answered": "cfg_denoised",
        "before_save": "before_image_saved",
        "picture_saved": "image_saved",
    }

    def __init__(self, file: str, callbacks: Callbacks, p: Any, loaded: Callable[[], tuple[int, Any]]) -> None:
        self.name = file
        self._callbacks = callbacks
        self._p = p
        self._loaded = loaded
        self._last: Image.Image | None = None

    def listens(self, hook: str) -> bool:
        return bool(hook in self.kinds and self._callbacks.of(self.kinds[hook], self.name))

    def before_call(self, run: Run, call: Call) -> None:
        """The first call of a model tells that it was loaded."""
        number, sd_model = self._loaded()
        if self._callbacks.models.get(self.name) != number:
            self._callbacks.models[self.name] = number
            for row in self._callbacks.of("model_loaded", self.name):
                row.call(sd_model)

    def ask(self, run: Run, ask: Ask) -> Ask:
        rows = ask.text.chunk(2) if ask.text is not None and len(ask.text) % 2 == 0 and len(ask.text) > 1 else (ask.text, ask.text)
        uncond, cond = rows
        params = CFGDenoiserParams(ask.sample, None, ask.timestep, ask.number - 1, ask.total, cond, uncond)
        for row in self._callbacks.of("cfg_denoiser", self.name):
            row.call(params)
        ask.sample = params.x
        if ask.text is not None and (params.text_cond is not cond or params.text_uncond is not uncond):
            ask.text = torch.cat([params.text_uncond, params.text_cond]) if rows[0] is not rows[1] else params.text_cond
        return ask

    def answered(self, run: Run, ask: Ask) -> Ask:
        params = CFGDenoisedParams(ask.answer, ask.number - 1, ask.total)
        for row in self._callbacks.of("cfg_denoised", self.name):
            row.call(params)
        ask.answer = params.x
        return ask

    def before_save(self, run: Run, finished: Finished) -> Finished:
        at = min(finished.index, len(run.resolved.all_seeds) - 1)
        text = write(run.resolved, at, extra=finished.infotext)
        name = f"{finished.index:05}-{run.resolved.all_seeds[at]}.{run.resolved.settings.get('samples_format', 'png')}"
        params = ImageSaveParams(finished.image, self._p, str(Path(self._p.outpath_samples or "") / name), {"parameters": text})
        for row in self._callbacks.of("before_image_saved", self.name):
            row.call(params)
        finished.image = params.image
        finished.infotext |= {key: value for key, value in params.pnginfo.items() if key != "parameters"}
        told = str(params.pnginfo.get("parameters", text))
        if told != text:
            before = parse(text)
            finished.infotext |= {key: value for key, value in parse(told).items() if before.get(key) != value and key not in PROMPTS}
        self._last = finished.image
        return finished

    def picture_saved(self, run: Run, picture: Picture) -> None:
        rows = self._callbacks.of("image_saved", self.name)
        with Image.open(picture.path) as image:
            params = ImageSaveParams(image, self._p, picture.path, {"parameters": picture.infotext})
            for row in rows:
                row.call(params)


def _tensor(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(image.convert("RGB"), np.float32) / 255).permute(2, 0, 1)


def _image(pixels: torch.Tensor) -> Image.Image:
    values = (pixels.detach().float().cpu().clamp(0, 1) * 255).round().to(torch.uint8)
    return Image.fromarray(values.permute(1, 2, 0).numpy())
