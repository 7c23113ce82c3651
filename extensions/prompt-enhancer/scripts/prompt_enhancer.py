"""Prompt enhancer: words of chosen lists behind every prompt, or what a local language model goes on to write.

A native guest at `before_resolve` (lists, as choices that the prompt's own language draws for each picture), `before_batch` (the model,
in the worker) and `job_done`. What was added stands in the parameters text as part of the prompt.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from enhancing.lists import PLACE, choice, drawn, entries, names

from modules import paths
from modules.faults import ModelFault, RequestFault
from modules.hooks import Guest, Run, Texts
from modules.knobs import Knob, KnobField, knobs_of
from modules.plugins.values import lower_titles, values_of
from modules.request import GenerationRequest, Result
from modules.shared import opts

OFF, LISTS, MODEL = "off", "lists", "language model"
OWN = Path(__file__).parents[1] / "lists"


@dataclass(frozen=True, kw_only=True)
class Knobs:
    """how: by which of the two."""

    how: Annotated[str, Knob("Add", choices=(OFF, LISTS, MODEL), help="Words of lists, or of a model in models/prompt-enhancer.")] = OFF
    lists: Annotated[list[str], Knob("Lists", choices=(), help="Text files of models/prompt-enhancer, and the shipped ones.")] = field(
        default_factory=list[str]
    )
    count: Annotated[int, Knob("Words of each list", 1, 10, step=1)] = 1
    model: Annotated[str, Knob("Language model", max_chars=500, help="A folder in models/prompt-enhancer; empty: the first.")] = ""
    most: Annotated[int, Knob("Length", 5, 300, ui=(5, 150), step=5, help="Of what the model writes, in tokens.")] = 50
    temperature: Annotated[float, Knob("Temperature", 0.1, 2, step=0.05, help="How daring it writes.")] = 0.9


class PromptEnhancer(Guest):
    """Off by default."""

    name = "prompt enhancer"
    title = "Prompt enhancer"
    knobs = Knobs

    def __init__(self) -> None:
        self._writer: tuple[Path, Any] | None = None

    def controls(self) -> dict[str, KnobField]:
        found = dict(knobs_of(Knobs))
        known = {"lists": names(list_folders())}
        if folders := tuple(path.name for path in model_folders()):
            known["model"] = ("", *folders)
        for name, choices in known.items():
            found[name] = dataclasses.replace(found[name], knob=dataclasses.replace(found[name].knob, choices=choices))
        return found

    def takes_part(self, args: tuple[Any, ...]) -> bool:
        return args[0] == MODEL  # lists did their work before the job is queued

    def before_resolve(self, request: GenerationRequest) -> GenerationRequest | None:
        how, chosen, count, *_ = values_of(self, lower_titles(request.alwayson_scripts))
        if how != LISTS:
            return None
        draws = request.override_settings.get("wildcards_enabled", opts.wildcards_enabled)
        added: list[str] = []
        for name in chosen:
            words = entries(str(name), list_folders())
            if not words:
                known = names(list_folders())
                raise RequestFault("alwayson_scripts", f"there is no list {name!r} for the prompt enhancer", got=name, allowed=list(known))
            added.append((choice if draws else drawn)(words, count))
        return dataclasses.replace(request, prompt=", ".join([part for part in (request.prompt.rstrip(" ,"), *added) if part]))

    def before_batch(self, run: Run, texts: Texts) -> Texts | None:
        how, _, _, model, most, temperature = run.args[self.name]
        if how != MODEL:
            return None
        writer = self._opened(model)
        for n, prompt in enumerate(texts.prompts):
            if more := writer.more(prompt, seed=texts.seeds[n], most=most, temperature=temperature):
                texts.prompts[n] = f"{prompt.rstrip(' ,')}, {more}" if prompt.strip() else more
        return texts

    def _opened(self, name: str) -> Any:
        from enhancing.writer import Writer

        found = [path for path in model_folders() if name in ("", path.name)]
        if not found:
            raise ModelFault(f"There is no language model {name or '(any)'} in models/{PLACE}. Put a folder of transformers' layout there.")
        if self._writer is None or self._writer[0] != found[0]:
            self._writer = (found[0], Writer(found[0]))
        return self._writer[1]

    def job_done(self, run: Run, result: Result) -> None:
        self._writer = None


def list_folders() -> list[Path]:
    """Where lists lie: the person's own go first."""
    return [Path(paths.models_path) / PLACE, OWN]


def model_folders() -> list[Path]:
    """The folders of language models, by name."""
    place = Path(paths.models_path) / PLACE
    return sorted(path for path in place.iterdir() if (path / "config.json").is_file()) if place.is_dir() else []
