"""Guests at the network: each of its calls is shown to them before and after, through diffusers' module hooks.

And the texts of a batch as guests leave them, put back into the request. Start reading at `heard` and `with_texts`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from diffusers.hooks import HookRegistry, ModelHook

from modules.folders import Folders
from modules.hooks import NOBODY, Ask, Hooks, Texts
from modules.library import Library
from modules.processing.side_files import chosen_networks
from modules.prompts.networks import take_networks
from modules.request import HiresPass, ResolvedRequest

NAME = "darkroom_guests"
TEXT = "encoder_hidden_states"


class _Show(ModelHook):
    """Set on the network."""

    _is_stateful = False

    def __init__(self, hooks: Hooks, total: int) -> None:
        super().__init__()
        self._hooks = hooks
        self._total = total
        self._ask: Ask | None = None
        self._number = 0

    def pre_forward(self, module: torch.nn.Module, *args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        self._number += 1
        rest, named = list(args), dict(kwargs)
        sample = rest.pop(0) if rest else named.pop("hidden_states", named.pop("sample", None))
        timestep = rest.pop(0) if rest else named.get("timestep")
        ask = Ask(number=self._number, total=self._total, timestep=timestep, sample=sample, text=kwargs.get(TEXT))
        self._ask = ask = self._hooks.pass_on("ask", ask)
        if ask.text is not None:
            kwargs = {**kwargs, TEXT: ask.text}
        if args:
            return (ask.sample, *args[1:]), kwargs
        return args, {**kwargs, ("hidden_states" if "hidden_states" in kwargs else "sample"): ask.sample}

    def post_forward(self, module: torch.nn.Module, output: Any) -> Any:
        ask, self._ask = self._ask, None
        if ask is None or not self._hooks.wants("answered"):
            return output
        ask = self._hooks.pass_on("answered", replace(ask, answer=output[0]))
        return (ask.answer, *output[1:]) if ask.answer is not output[0] else output


@contextmanager
def heard(network: torch.nn.Module, hooks: Hooks, total: int) -> Iterator[None]:
    """Inside, guests see each call of the network. total: how many there will be. Without such guests nothing is set."""
    if not (hooks.wants("ask") or hooks.wants("answered")):
        yield
        return
    registry = HookRegistry.check_if_exists_or_initialize(network)
    registry.register_hook(_Show(hooks, total), NAME)
    try:
        yield
    finally:
        registry.remove_hook(NAME)


def texts_of(resolved: ResolvedRequest, batch_no: int) -> Texts:
    """The texts and seeds of one batch, for guests."""
    rows = slice(batch_no * resolved.batch_size, (batch_no + 1) * resolved.batch_size)
    return Texts(
        batch_no=batch_no,
        prompts=list(resolved.all_prompts[rows]),
        negative_prompts=list(resolved.all_negative_prompts[rows]),
        seeds=list(resolved.all_seeds[rows]),
        subseeds=list(resolved.all_subseeds[rows]),
    )


def with_texts(resolved: ResolvedRequest, texts: Texts) -> ResolvedRequest:
    """The request with one batch as guests left it. The hires pass follows where it had the same prompt.

    Raises ValueError when the lists are no longer one entry a picture.
    """
    begin = texts.batch_no * resolved.batch_size
    changed = {
        "all_prompts": _spliced(resolved.all_prompts, begin, texts.prompts),
        "all_negative_prompts": _spliced(resolved.all_negative_prompts, begin, texts.negative_prompts),
        "all_seeds": _spliced(resolved.all_seeds, begin, [int(seed) for seed in texts.seeds]),
        "all_subseeds": _spliced(resolved.all_subseeds, begin, [int(seed) for seed in texts.subseeds]),
    }
    hires = resolved.hires and _followed(resolved.hires, resolved, changed)
    return replace(resolved, **changed, hires=hires)


def _spliced(all_of: Sequence[Any], begin: int, own: Sequence[Any]) -> tuple[Any, ...]:
    if not all_of:
        return ()
    found = (*all_of[:begin], *own, *all_of[begin + len(own) :])
    if len(found) != len(all_of):
        raise ValueError("prompts and seeds must stay one for each picture")
    return found


def _followed(hires: HiresPass, resolved: ResolvedRequest, changed: dict[str, tuple[Any, ...]]) -> HiresPass:
    def rows(name: str) -> tuple[str, ...]:
        both = zip(getattr(hires, name), getattr(resolved, name), changed[name], strict=True)
        return tuple(new if own == old else own for own, old, new in both)

    return replace(hires, all_prompts=rows("all_prompts"), all_negative_prompts=rows("all_negative_prompts"))


def was_made(run: Any, index: int) -> bool:
    """An earlier attempt of the job finished this picture. Under a script its seed and prompt must be the same. run: the worker's."""
    known = run.made.get(run.first + index)
    if known is None or run.guests is NOBODY:
        return known is not None
    resolved = run.resolved
    same = known.seed == resolved.all_seeds[index] and known.infotext.startswith(resolved.all_prompts[index])
    return same and known.path.endswith(".png")


def hear_texts(run: Any, batch_no: int, folders: Folders, warn: Callable[[Any, str], None]) -> None:
    """Prompts and seeds of a batch as guests want them; LoRA tags that change are looked for. run: the worker's, which is changed."""
    if not run.guests.wants("before_batch"):
        return
    before: ResolvedRequest = run.resolved
    try:
        after = with_texts(before, run.guests.pass_on("before_batch", texts_of(before, batch_no)))
    except (ValueError, TypeError) as error:
        warn(run, f"What a script made of the prompts was left out: {error}.")
        return
    at = batch_no * before.batch_size
    tags, had = (take_networks(one.all_prompts[at])[1] for one in (after, before))
    if tags != had:
        library = Library(folders)
        try:
            networks, said = chosen_networks(tags, after.checkpoint, library)
        finally:
            library.close()
        for text in said:
            warn(run, text)
        after = replace(after, networks=networks)
    run.resolved = after
