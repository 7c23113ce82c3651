"""What a network is at the moment: what lies in it that no graph of it would have, which numbers it computes with, and a twin of it.

Start reading at `obstacle`, then `fingerprint` and `twin_of`.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import torch

from modules.weights.quantisers.component import is_quantised

SAMPLES = 1024  # numbers of each tensor that go into the digest, spread evenly over it
NAMES = {"merge": "token merging", "reuse": "DeepCache", "perturb": "perturbed-attention guidance", "look": "another picture's look"}


@runtime_checkable
class WeightLike(Protocol):
    """A forward hook of torch's that always adds the same to a layer, as a LoRA does; it may be written into a graph like a weight."""

    def tensors(self) -> list[torch.Tensor]:
        """Everything that it computes with."""
        ...


def obstacle(network: torch.nn.Module) -> str:
    """Why nothing that was built from this network's weights would answer as it does at the moment; "" when nothing is in the way."""
    for module in network.modules():
        if why := _inside(module, module is network):
            return why
    weights = list(network.parameters())
    if is_quantised(network) or any(
        not weight.is_floating_point() or hasattr(weight, "quant_type") or type(weight) not in PLAIN for weight in weights
    ):
        return "the weights are kept quantised."
    return "not all of its weights are in memory." if any(weight.is_meta for weight in weights) else ""


PLAIN = (torch.nn.Parameter, torch.Tensor)


def _inside(module: Any, is_network: bool) -> str:
    """The same for one module."""
    held = vars(module)
    if "_hf_hook" in held:
        return "the memory policy moves its parts while it works; start without --medvram and --lowvram."
    registry = held.get("_diffusers_hook")
    if registry is not None and registry.hooks and not is_network:
        name = str(next(iter(registry.hooks)))
        own = name.removeprefix("darkroom_")
        return f"{NAMES.get(own, own) if own != name else 'a step cache'} works inside the network."
    if held.get("b1") is not None and "s1" in held:
        return "FreeU works inside the network."
    if held.get("padding_mode", "zeros") != "zeros":
        return "Tiling changes the network's layers."
    if vars(held["processor"]) if "processor" in held and hasattr(held["processor"], "__dict__") else ():
        return "its attention has values of its own."
    if getattr(module, "encoder_hid_proj", None) is not None and is_network:
        return "an IP-Adapter works inside the network."
    hooks = [*module._forward_pre_hooks.values(), *module._forward_hooks.values()]
    if any(not isinstance(hook, WeightLike) for hook in hooks):
        return "an extension works inside the network."
    return ""


def fingerprint(network: Any) -> str:
    """A digest of everything that decides what a network without an obstacle answers: its class, configuration and weights, LoRAs too.

    Of each tensor SAMPLES numbers count; whatever changes a weight, changes all of it.
    """
    found = {name: value for name, value in dict(network.config).items() if not name.startswith("_")}
    told = [type(network).__name__, json.dumps(found, sort_keys=True, default=str), torch.__version__]
    samples: list[torch.Tensor] = []
    for name, tensor in _named(network):
        told.append(f"{name} {tuple(tensor.shape)} {tensor.dtype} {tensor.device.type}")
        samples.append(tensor.detach().flatten()[:: max(1, tensor.numel() // SAMPLES)].float())
    digest = hashlib.sha256("\n".join(told).encode())
    digest.update(torch.cat(samples).cpu().numpy().tobytes())
    return digest.hexdigest()[:32]


def _named(network: Any) -> Iterator[tuple[str, torch.Tensor]]:
    yield from network.named_parameters()
    yield from network.named_buffers()
    for path, module in network.named_modules():
        processor = getattr(module, "processor", None)
        if processor is not None:
            yield f"{path} {type(processor).__name__}", torch.zeros(1, device=next(network.parameters()).device)
        for hook in module._forward_hooks.values():
            if isinstance(hook, WeightLike):
                for tensor in hook.tensors():
                    yield f"{path} with", tensor


def twin_of(network: Any) -> Any:
    """Another network of the same class over the same weights, with the LoRAs and without what is set around it for a run."""
    shared: dict[int, Any] = {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())}
    for module in network.modules():
        for name in AROUND:
            if name in vars(module):
                shared[id(vars(module)[name])] = None
        for hook in module._forward_hooks.values():
            shared |= {id(tensor): tensor for tensor in hook.tensors()} if isinstance(hook, WeightLike) else {}
    found = copy.deepcopy(network, shared)
    for module in found.modules():
        for name in AROUND:
            vars(module).pop(name, None)
    return found


AROUND = ("forward", "_diffusers_hook")  # what diffusers puts into a module that has hooks
