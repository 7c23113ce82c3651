"""The refiner: in the middle of a run another checkpoint's network takes over, with its own reading of the prompts.

The pipeline, its scheduler and what the sampler remembers stay; only the answers come from elsewhere, through diffusers' module hooks.
Knows nothing about requests. Start reading at `refined`. Source: A1111's refiner; arXiv:2307.01952, section 2.5 (aesthetic scores).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from diffusers.hooks import HookRegistry, ModelHook

from modules.faults import ModelFault
from modules.processing.calls import call_of
from modules.processing.slot import LoadedModel
from modules.processing.tools import Tools, Wanted
from modules.prompts.encode import Conditions, at_step
from modules.request import Network, RefinerPass, ResolvedRequest, Steering
from modules.samplers.build import is_flow
from modules.samplers.levels import NoiseLevels
from modules.samplers.predictions import ANSWER, CLEAN
from modules.steering import OPTIONS
from modules.steering.course import Context
from modules.steering.steer import steered

NAME = "darkroom_refiner"
SCORES = {"prompt": 6.0, "negative": 2.5}  # how good a picture the SDXL refiner is told to make, and to keep away from
TRAINED = 1000  # timesteps
KEPT = ("FreeU", "Tiling", "Token merging")


@dataclass(frozen=True, kw_only=True)
class Refiner:
    """take(): the refiner's model on the device, asked for when its turn comes; home(): the first model there again.

    switch_at: share of the way, 0 to 1; by_steps: of the steps, else of the model's timesteps. guidance: for a network that takes the
    scale itself. notes: sentences for the result, complete once it was taken.
    """

    take: Callable[[], LoadedModel]
    home: Callable[[], LoadedModel]
    switch_at: float
    by_steps: bool = False
    guidance: float | None = None
    notes: list[str] = field(default_factory=list[str])


def refiner_of(resolved: ResolvedRequest, stage: str, tools: Tools) -> Refiner | None:
    """The refiner of a pass of that request; None where nobody takes over. stage: "first pass" or "second pass"."""
    asked, settings = resolved.refiner, resolved.settings
    if asked is None or asked.checkpoint.path == resolved.checkpoint.path:
        return None
    if resolved.hires is not None and settings.get("hires_fix_refiner_pass", "second pass") not in (stage, "both passes"):
        return None
    notes: list[str] = []
    return Refiner(
        take=lambda: _fitted(asked, resolved, tools, notes),
        home=lambda: tools.take(Wanted.first(resolved)),
        switch_at=asked.switch_at,
        by_steps=bool(settings.get("refiner_switch_by_sample_steps")),
        guidance=resolved.distilled_cfg_scale,
        notes=notes,
    )


def _fitted(asked: RefinerPass, resolved: ResolvedRequest, tools: Tools, notes: list[str]) -> LoadedModel:
    """The refiner with those LoRAs of the run that were made for it too."""
    wanted = Wanted(checkpoint=asked.checkpoint, vae=asked.vae, parts=asked.parts, meanwhile=True)
    try:
        return tools.take(replace(wanted, networks=resolved.networks))
    except ModelFault:
        if not resolved.networks:
            raise
    model, fitting = tools.take(wanted), list[Network]()
    for network in resolved.networks:
        try:
            model.networks.set([network])
            fitting.append(network)
        except ModelFault:
            notes.append(f"The LoRA {network.name} was not made for {asked.checkpoint.model_name}; it counted until that took over.")
    return tools.take(replace(wanted, networks=tuple(fitting)))


@dataclass(frozen=True, kw_only=True)
class Host:
    """The run that is taken over. read(model): the run's prompts as that model reads them; own: as the first model does.

    call_no(): number of the step's network call, from 1. rows: what the pipeline asks about in one call, in its order.
    tokens: of a transformer, 2x2 cells each. around(model): entered when that model takes over, left at the end of the run.
    """

    pipeline: Any
    scheduler_config: Mapping[str, Any]
    own: Conditions
    read: Callable[[LoadedModel], Conditions]
    call_no: Callable[[], int]
    rows: tuple[str, ...]
    tokens: int
    around: Callable[[LoadedModel], AbstractContextManager[Any]] = lambda model: nullcontext()


class Handover:
    """The refiner's part of one run. model, conditions: its own, None until it took over."""

    def __init__(self, refiner: Refiner, host: Host, stack: ExitStack) -> None:
        self._refiner = refiner
        self._host = host
        self._stack = stack
        self.model: LoadedModel | None = None
        self.conditions: Conditions | None = None

    def answer(self, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Of the network whose turn it is. forward: of the first model's."""
        if self.model is None and is_due(self._refiner, self._host, self._host.call_no() - 1):
            self.model = self._refiner.take()
            self.conditions = self._host.read(self.model)
            self._stack.enter_context(self._host.around(self.model))
        if self.model is None or self.conditions is None:
            return forward(*args, **kwargs)
        return self._refined(self.model, self.conditions, args, kwargs)

    def _refined(self, model: LoadedModel, conditions: Conditions, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        network = getattr(model.pipeline, call_of(model.pipeline).network)
        kind = getattr(torch, model.plan.dtype)
        places, words, pooled = self._read(conditions, kwargs["encoder_hidden_states"], kind)
        told = {**kwargs, "encoder_hidden_states": words}
        if "hidden_states" in kwargs:
            told["hidden_states"] = kwargs["hidden_states"].to(kind)
        if "added_cond_kwargs" in kwargs and network.config.get("addition_embed_type") == "text_time":
            negative = len(self._host.own.negative[0][1]) * len(self._host.own.parts)
            scores = [SCORES["negative" if place >= negative else "prompt"] for place in places]
            ids = _time_ids(network, kwargs["added_cond_kwargs"]["time_ids"], words, pooled, scores)
            told["added_cond_kwargs"] = {"text_embeds": pooled, "time_ids": ids}
        if "pooled_projections" in kwargs:
            told["pooled_projections"] = pooled
        if "txt_ids" in kwargs:
            told["txt_ids"] = kwargs["txt_ids"].new_zeros(words.shape[1], kwargs["txt_ids"].shape[-1])
        if "guidance" in kwargs:
            told["guidance"] = self._guidance(network, words) if network.config.get("guidance_embeds") else None
        if "timestep_cond" in kwargs:
            told["timestep_cond"] = None
        given = args[0] if args else kwargs["hidden_states"]
        output, *rest = self._asked(model, network, (given.to(kind), *args[1:]) if args else (), told)
        return (output.to(given.dtype), *rest)

    def _guidance(self, network: Any, words: torch.Tensor) -> torch.Tensor:
        """Rows of the scale that a distilled network is told."""
        return torch.full((len(words),), self._refiner.guidance or 1.0, device=words.device, dtype=torch.float32)

    def _read(self, conditions: Conditions, given: torch.Tensor, kind: torch.dtype) -> tuple[list[int], torch.Tensor, torch.Tensor | None]:
        """(which text each row is, the refiner's words (rows, tokens, width), its pooled texts (rows, width)) for the rows of a call.

        Rows are known by what the first model reads there, so that whoever else changes their number or order does not matter.
        """
        at = self._host.call_no()
        known = _texts(self._host.own, at).to(given)
        places = _places(known, given, self._expected(len(given)))
        words = _texts(conditions, at).to(given.device, kind)[places]
        pooled = None if conditions.pooled is None else _texts(conditions.pooled, at).to(given.device, kind)[places]
        return places, words, pooled

    def _expected(self, count: int) -> list[int] | None:
        """Which text each row should be by the pipeline's own order; None when the number of rows is another."""
        pictures = len(self._host.own.negative[0][1])
        parts = len(self._host.own.parts)
        blocks: list[int] = []
        for row in self._host.rows:
            blocks.append(parts if row == "negative" else sum(block < parts for block in blocks))
        found = [block * pictures + picture for block in blocks for picture in range(pictures)]
        return found if len(found) == count else None

    def _asked(self, model: LoadedModel, network: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The refiner's answer, as one of the first model: levels and prediction may differ between them."""
        before, after = self._host.scheduler_config, model.scheduler_config
        if is_flow(before) or not args:
            return network(*args, **kwargs)
        sample, time = args[0][:, : network.config.in_channels], args[1]
        kinds = (str(before.get("prediction_type", "epsilon")), str(after.get("prediction_type", "epsilon")))
        levels, own = NoiseLevels.of_model(before), NoiseLevels.of_model(after)
        same_levels = levels.sigmas.shape == own.sigmas.shape and bool((levels.sigmas == own.sigmas).all())
        if same_levels and kinds[0] == kinds[1]:
            return network(sample, time, *args[2:], **kwargs)
        sigma = levels.sigma(float(time))
        output, *rest = network(sample, torch.as_tensor(own.time(sigma), device=sample.device), *args[2:], **kwargs)
        noisy = sample.float() * math.sqrt(1 + sigma**2)
        clean = CLEAN[kinds[1]](output.float(), noisy, sigma)
        return (ANSWER[kinds[0]](clean, noisy, sigma).to(output.dtype), *rest)


class _TakeOver(ModelHook):
    _is_stateful = False

    def __init__(self, handover: Handover) -> None:
        super().__init__()
        self._handover = handover

    def new_forward(self, module: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
        """Instead of the network's own."""
        forward: Any = self.fn_ref.original_forward
        return self._handover.answer(forward, args, kwargs)


@contextmanager
def refined(network: torch.nn.Module, refiner: Refiner | None, host: Host) -> Iterator[Handover | None]:
    """Inside, a run of the network is gone on with by the refiner from its switch on. None leaves everything as it is.

    To be entered before all other hooks on the network, so that they see the refiner's answers like the network's own.
    """
    if refiner is None:
        yield None
        return
    registry = HookRegistry.check_if_exists_or_initialize(network)
    with ExitStack() as stack:
        handover = Handover(refiner, host, stack)
        registry.register_hook(_TakeOver(handover), NAME)
        stack.callback(registry.remove_hook, NAME, recurse=False)
        yield handover


@contextmanager
def kept_on(model: LoadedModel, steering: Steering, context: Context, notes: list[str]) -> Iterator[None]:
    """Inside, the refiner has what of a run's steering lies in the network itself: FreeU, tiling, merged tokens, the look at each answer.

    context: of the first model. notes: takes sentences for the result.
    """
    kept = [option for option in OPTIONS if option.label in KEPT]
    steering = Steering(**{name: getattr(steering, name) for option in kept for name in option.fields})
    settings = {name: context.settings[name] for option in kept for name in option.settings if name in context.settings}
    network, family = call_of(model.pipeline).network, model.family
    own = replace(context, name=model.checkpoint.model_name, architecture=family.architecture, network=network, guided=False)
    with steered(model.pipeline, steering, replace(own, settings=settings, weights=(1.0,), s_min_uncond=None)) as steer:
        yield
    notes += steer.notes


def is_due(refiner: Refiner, host: Host, call: int) -> bool:
    """Has the refiner's share of the way begun at a network call (from 0)? Source: A1111 1.10: (999 - timestep) / 1000 >= switch_at."""
    scheduler = host.pipeline.scheduler
    planned = scheduler.timesteps
    calls = max(int(getattr(host.pipeline, "_num_timesteps", 0) or len(planned)), 1)
    if refiner.by_steps:
        open_end = getattr(scheduler, "open_end", False)
        return (scheduler.fraction_done if open_end else call / calls) >= refiner.switch_at
    time = float(planned[min(len(planned) - calls + call, len(planned) - 1)])
    if is_flow(scheduler.config):
        time = TRAINED * unshifted(time / TRAINED, _shift(host)) - 1
    return (TRAINED - 1 - round(time)) / TRAINED >= refiner.switch_at


def unshifted(share: float, shift: float) -> float:
    """A flow's share of noise (0 to 1) before its schedule was shifted towards noise. Source: arXiv:2403.03206, eq. 23, solved for t_n."""
    return share / (shift - (shift - 1) * share)


def _shift(host: Host) -> float:
    """The shift of a flow's schedule. One that depends on the size is worked out as the pipelines do: its logarithm grows evenly."""
    config = host.pipeline.scheduler.config
    if not config.get("use_dynamic_shifting"):
        return float(config.get("flow_shift") or config.get("shift") or 1.0)
    few, many = config.get("base_image_seq_len", 256), config.get("max_image_seq_len", 4096)
    low, high = config.get("base_shift", 0.5), config.get("max_shift", 1.15)
    return math.exp(low + (high - low) * (host.tokens - few) / (many - few))


def _texts(conditions: Conditions, at: int) -> torch.Tensor:
    """All texts at a step, ((parts + 1) * B, ...): first the parts of the prompt, then the negative prompt."""
    return torch.cat([*(at_step(stretches, at) for _, stretches in conditions.parts), at_step(conditions.negative, at)])


def _places(known: torch.Tensor, given: torch.Tensor, expected: Sequence[int] | None) -> list[int]:
    """Which of the known texts each given row is; of several alike the expected one."""
    found: list[int] = []
    for row, text in enumerate(given):
        apart = (known - text).abs().flatten(1).amax(dim=1)
        nearest = int(apart.argmin())
        usual = expected[row] if expected is not None else nearest
        found.append(usual if bool(apart[usual] <= apart[nearest]) else nearest)
    return found


def _time_ids(network: Any, given: torch.Tensor, words: torch.Tensor, pooled: torch.Tensor | None, scores: Sequence[float]) -> torch.Tensor:
    """The numbers that an SDXL network reads beside the text: those of the run, or their beginning and the aesthetic scores."""
    width = 0 if pooled is None else pooled.shape[-1]
    count = (network.config.projection_class_embeddings_input_dim - width) // network.config.addition_time_embed_dim
    if count == given.shape[-1]:
        return given
    if count > given.shape[-1]:
        return torch.cat([given[:, :4], given[:, :2]], dim=-1)
    return torch.cat([given[:, :4], torch.tensor(scores, device=given.device, dtype=given.dtype).view(-1, 1)], dim=-1)
