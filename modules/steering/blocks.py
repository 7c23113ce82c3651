"""Which rows of a network call are computed, and which further ones: rows that guidance needs, and rows that it can do without.

The inner half of guidance; `modules.steering.guiding` is the outer one. Between them other hooks may join AND parts.
Start reading at `Rows.new_forward`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from diffusers.hooks import ModelHook

from modules.steering.course import PAIR, Context, Course

Tensor = torch.Tensor


def inside(hook: Any) -> Callable[..., Any]:
    """What a hook with a `new_forward` stands around: the module's own forward, and the hooks set before it."""
    return hook.fn_ref.original_forward


def row_count(args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
    """Rows of a network call: of the first tensor that has some."""
    first = next(v for v in (*args, *kwargs.values()) if isinstance(v, Tensor) and v.ndim)
    return len(first)


def each(value: Any, rows: int, change: Callable[[Tensor], Tensor]) -> Any:
    """The value with `change` made to every tensor of so many rows in it; inside dicts, lists and tuples too."""
    if isinstance(value, dict):
        return {key: each(inner, rows, change) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(each(inner, rows, change) for inner in value)
    return change(value) if isinstance(value, Tensor) and value.ndim and len(value) == rows else value


class Rows(ModelHook):
    """Set on the network. pag_scale: 0 for none; slg: (scale, layers) or None.

    Leaves out the negative rows where the prompt alone decides, and gives the prompt's answer in their place. Asks about the prompt
    once more without self-attention or without some layers, and puts (scale, difference) into `Course.pulls`.
    """

    _is_stateful = False

    def __init__(self, course: Course, context: Context, *, pag_scale: float, slg: tuple[float, list[int]] | None) -> None:
        super().__init__()
        self._course = course
        self._context = context
        self._pag_scale = pag_scale
        self._slg = slg
        self._kept: Any = None

    def new_forward(self, module: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
        """output[0] has the rows that were asked about, whichever were computed."""
        ask = inside(self)
        if self._context.separate:
            return self._separate(ask, args, kwargs)
        names = self._context.inner_blocks
        rows = row_count(args, kwargs)
        size = rows // len(names)
        prompts = [n for n, name in enumerate(names) if name == "prompt"]
        plain = prompts if self._course.unguided else list(range(len(names)))
        more = prompts if self._pag_scale else []
        self._course.perturbed = len(more) * size

        def taken(blocks: list[int]) -> tuple[Any, Any]:
            if blocks == list(range(len(names))):
                return args, kwargs
            return each((args, kwargs), rows, lambda x: torch.cat([x[n * size : (n + 1) * size] for n in blocks]))

        given, named = taken(plain + more)
        output = ask(*given, **named)
        self._course.perturbed = 0
        found = list(output[0].split(size))
        answers = dict(zip(plain, found[: len(plain)], strict=True))
        if more:
            self._pull(self._pag_scale, [answers[n] for n in prompts], found[len(plain) :])
        if self._slg is not None and self._context.guided and self._course.skips_layers:
            scale, layers = self._slg
            given, named = taken(prompts)
            skipped = ask(*given, **named, skip_layers=layers)[0].split(size)
            self._pull(scale, [answers[n] for n in prompts], list(skipped))
        everything = [answers.get(n, answers[prompts[0]]) for n in range(len(names))]
        return (torch.cat(everything) if more or len(plain) < len(names) else output[0], *output[1:])

    def _pull(self, scale: float, answers: list[Tensor], worse: list[Tensor]) -> None:
        """Away from the worse answers. AND parts pull by their weights, as they do towards the prompt."""
        weights = self._context.weights if self._context.blocks == PAIR else (1.0,) * len(answers)
        parts = [answer - other for answer, other in zip(answers, worse, strict=True)]
        together = parts[0] if weights == (1.0,) else sum(w * part for w, part in zip(weights, parts, strict=True))
        self._course.pulls.append((scale, together))

    def _separate(self, ask: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Prompt, then negative prompt; where the prompt alone decides its answer serves for both."""
        if self._course.negative and self._course.unguided:
            return self._kept
        self._kept = ask(*args, **kwargs)
        return self._kept
