"""Small networks of peft on a component: put on, listed, kept, taken off. torch lives here.

Knows one module and which of its layers learn; knows no file and no loss. Start reading at `Attached`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from peft import LoHaConfig, LoKrConfig, LoraConfig, inject_adapter_in_model
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from modules.faults import RequestFault
from modules.train.networks.targets import Chosen

NAME = "default"  # peft's name for a network
KERNELS = (nn.Linear, nn.Conv2d)


@dataclass(frozen=True, kw_only=True)
class Size:
    """rank and alpha for matrices; kernel_rank, kernel_alpha for convolutions larger than 1 x 1; dropout 0 to 0.9."""

    rank: int
    alpha: float
    kernel_rank: int
    kernel_alpha: float
    dropout: float = 0.0


def layers_of(module: nn.Module) -> dict[str, tuple[int, ...]]:
    """Path -> shape of the weight, of all matrices and convolutions."""
    return {path: tuple(layer.weight.shape) for path, layer in module.named_modules() if isinstance(layer, KERNELS)}


class Attached:
    """A network of peft on one component. Its own weights are float32 and all that learns; the component's stay as they are."""

    def __init__(self, module: nn.Module, chosen: Chosen, algo: str, size: Size, seed: int) -> None:
        """algo: a key of ALGOS. seed: of the first weights. Raises RequestFault for an algo that is not known."""
        if algo not in ALGOS:
            raise RequestFault("network_algo", f"must be one of {', '.join(ALGOS)}", got=algo, allowed=list(ALGOS))
        self.module = module
        self.size = size
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            inject_adapter_in_model(ALGOS[algo](chosen, size), module, NAME)
        for parameter in self.parameters():
            parameter.data = parameter.data.float()

    def parameters(self) -> list[nn.Parameter]:
        """What learns, in the order of the layers."""
        return [parameter for _, parameter in self.named()]

    def named(self) -> Iterator[tuple[str, nn.Parameter]]:
        """(name, weight) of what learns."""
        for name, parameter in self.module.named_parameters():
            if f".{NAME}" in name and parameter.requires_grad:
                yield name, parameter

    def layers(self) -> Iterator[tuple[str, Any]]:
        """(path, peft's layer) of every layer that learns."""
        for path, layer in self.module.named_modules():
            if isinstance(layer, BaseTunerLayer):
                yield path, layer

    def load(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Weights under the names that `named` gives. Raises ValueError when they are not those of this network."""
        own = dict(self.named())
        if {name: own[name].shape for name in own} != {name: tensors[name].shape for name in tensors}:
            raise ValueError(f"the state holds {len(tensors)} tensors of another network than this one of {len(own)}")
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(tensors[name])

    @torch.no_grad()
    def limit_norms(self, most: float) -> None:
        """Scale down every change whose Frobenius norm is above `most`. Source: kohya's scripts, scale_weight_norms."""
        for _, layer in self.layers():
            norm = float(torch.linalg.vector_norm(layer.get_delta_weight(NAME).float()))
            if norm > most:
                parts = [getattr(layer, part)[NAME] for part in _PRODUCTS if NAME in getattr(layer, part, {})]
                for part in parts:
                    weight: Any = part.weight if isinstance(part, nn.Module) else part
                    weight.mul_((most / norm) ** (1 / len(parts)))

    def detach(self) -> None:
        """Take the network off. The component is what it was before, layer by layer and bit for bit."""
        for path, layer in list(self.layers()):
            above, _, name = path.rpartition(".")
            setattr(self.module.get_submodule(above), name, layer.get_base_layer())
        if hasattr(self.module, "peft_config"):
            del self.module.peft_config


# Parts of which a change is the product, in every algo.
_PRODUCTS = (
    "lora_A", "lora_B", "hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2",
    "lokr_w2_a", "lokr_w2_b",
)  # fmt: skip


def _exactly(paths: tuple[str, ...]) -> str:
    return "|".join(map(re.escape, paths))


def _patterns(chosen: Chosen, size: Size) -> dict[str, Any]:
    if not chosen.kernels:
        return {}
    which = f"(?:{_exactly(chosen.kernels)})"
    return {"rank_pattern": {which: size.kernel_rank}, "alpha_pattern": {which: size.kernel_alpha}}


def _lora(chosen: Chosen, size: Size, dora: bool = False) -> LoraConfig:
    return LoraConfig(
        r=size.rank,
        lora_alpha=size.alpha,  # pyright: ignore[reportArgumentType]  # any number serves
        lora_dropout=size.dropout,
        use_dora=dora,
        target_modules=_exactly(chosen.paths),
        **_patterns(chosen, size),
    )


def _lycoris(kind: type[Any]) -> Callable[[Chosen, Size], Any]:
    def config(chosen: Chosen, size: Size) -> Any:
        return kind(
            r=size.rank,
            alpha=size.alpha,
            rank_dropout=size.dropout,
            target_modules=_exactly(chosen.paths),
            **_patterns(chosen, size),
        )

    return config


ALGOS: Mapping[str, Callable[[Chosen, Size], Any]] = {
    "lora": _lora,
    "dora": lambda chosen, size: _lora(chosen, size, dora=True),
    "loha": _lycoris(LoHaConfig),
    "lokr": _lycoris(LoKrConfig),
}
