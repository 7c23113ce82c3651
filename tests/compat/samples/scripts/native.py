"""A guest of the program's own kind that uses every hook."""

from dataclasses import dataclass, replace
from typing import Annotated

from modules.hooks import Guest
from modules.knobs import Knob

seen = []


@dataclass(frozen=True)
class Values:
    where: Annotated[str, Knob("Raise in", max_chars=40, help="Name of a hook.")] = ""
    watch: Annotated[bool, Knob("Watch")] = False


class Native(Guest):
    name = "native sample"
    title = "Native sample"
    knobs = Values

    def _at(self, run, hook):
        where, watch = run.args.get(self.name, ("", False))
        if where == hook:
            raise ZeroDivisionError(f"on purpose in {hook}")
        if watch:
            seen.append(hook)
        return watch

    def before_resolve(self, request):
        if "raise early" in request.prompt:
            raise ZeroDivisionError("on purpose in before_resolve")
        return replace(request, prompt=request.prompt.replace("teh ", "the ")) if "teh " in request.prompt else None

    def resolved(self, run, resolved):
        return replace(resolved, steps=3) if self._at(run, "resolved") else None

    def before_batch(self, run, texts):
        if self._at(run, "before_batch"):
            texts.prompts[0] += ", native"

    def before_call(self, run, call):
        if self._at(run, "before_call"):
            call.arguments["latents"] = call.arguments["latents"] * 0.5

    def ask(self, run, ask):
        if self._at(run, "ask"):
            ask.sample = ask.sample + 0.01

    def answered(self, run, ask):
        if self._at(run, "answered"):
            ask.answer = ask.answer * 0.99

    def step(self, run, step):
        if self._at(run, "step"):
            step.latents = step.latents * 0.99

    def before_decode(self, run, latents):
        return latents * 0.9 if self._at(run, "before_decode") else None

    def decoded(self, run, images):
        return [image.transpose(0) for image in images] if self._at(run, "decoded") else None

    def before_save(self, run, finished):
        if self._at(run, "before_save"):
            finished.infotext["Native"] = "yes"

    def picture_saved(self, run, picture):
        self._at(run, "picture_saved")

    def job_done(self, run, result):
        self._at(run, "job_done")
