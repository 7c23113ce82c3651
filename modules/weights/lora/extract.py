"""A LoRA from two models: what one has learnt over the other, as far as so many ranks can hold it. torch lives here.

Start reading at `extract`. Source: singular values of the difference, Eckart-Young; large values are clamped as kohya's script does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch

from modules.weights.lora.maths import Factors

_TABLES = ("shared", "embed_tokens", "relative_attention_bias")  # T5's tables: looked up, never multiplied
SPARE = 16  # columns more than asked for in a random projection
ROUNDS = 4
CLAMP = 0.99
QUANTILE_LIMIT = 10_000_000  # torch takes 16 million values at most


@dataclass(frozen=True)
class Extracted:
    """layers: (component, path) -> factors; kept: the share of each layer's change that they hold, 0 to 1, by squared size."""

    layers: dict[tuple[str, str], Factors] = field(default_factory=dict[tuple[str, str], Factors])
    kept: dict[tuple[str, str], float] = field(default_factory=dict[tuple[str, str], float])

    @property
    def share(self) -> float:
        """The smallest share; 1 when there is nothing."""
        return min(self.kept.values(), default=1.0)


Pair = tuple[str, str, torch.Tensor, torch.Tensor]  # component, path of the layer, its weight before and after


def pairs(component: str, base: Mapping[str, torch.Tensor], tuned: Mapping[str, torch.Tensor]) -> Iterable[Pair]:
    """The matrices and kernels that both state dicts (diffusers' names) have in the same shape. Embeddings and norms are left out."""
    for name, before in base.items():
        after = tuned.get(name)
        path = name.removesuffix(".weight")
        last = path.rpartition(".")[2]
        if (
            after is None
            or path == name
            or before.ndim not in (2, 4)
            or before.shape != after.shape
            or "embedding" in last
            or last in _TABLES
        ):
            continue
        yield component, path, before, after


def extract(
    layers: Iterable[Pair], rank: int, *, conv_rank: int | None = None, clamp: float = CLAMP, smallest: float = 0.0, device: str = "cpu"
) -> Extracted:
    """The best factors of each layer's difference. rank: at most, for matrices; conv_rank: for kernels larger than 1 x 1 (None: as rank).

    clamp: the share of the factors' values that keep their size, the largest beyond it are cut (1: none); smallest: a layer
    whose largest change is not above it is left out. A text encoder that was not trained costs nothing that way.
    """
    found = Extracted()
    for component, path, before, after in layers:
        delta = after.to(device, torch.float32) - before.to(device, torch.float32)
        if float(delta.abs().max()) <= smallest:
            continue
        kernel = delta.ndim == 4 and delta.shape[2:] != (1, 1)
        factors, kept = _factors(delta, conv_rank or rank if kernel else rank, clamp)
        found.layers[component, path] = factors
        found.kept[component, path] = kept
    return found


def _factors(delta: torch.Tensor, rank: int, clamp: float) -> tuple[Factors, float]:
    """(factors on the CPU, the share of the squared change they hold)."""
    flat = delta.flatten(1)
    rank = min(rank, *flat.shape)
    left, sizes, right = _svd(flat, rank)
    up, down = left * sizes, right
    if clamp < 1:
        values = torch.cat([up.flatten(), down.flatten()]).abs()
        limit = float(torch.quantile(values[:: 1 + len(values) // QUANTILE_LIMIT], clamp))
        up, down = up.clamp(-limit, limit), down.clamp(-limit, limit)
    kept = 1 - float(torch.linalg.vector_norm(flat - up @ down) ** 2 / torch.linalg.vector_norm(flat) ** 2)
    ones = [1] * (delta.ndim - 2)
    return Factors(down=down.reshape(rank, *delta.shape[1:]).cpu(), up=up.reshape(-1, rank, *ones).cpu()), max(0.0, kept)


def _svd(flat: torch.Tensor, rank: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(left (out, r), singular values (r,), right (r, in)), exact for small matrices and many ranks, else by random projection."""
    if 3 * (rank + SPARE) >= min(flat.shape):
        left, sizes, right = torch.linalg.svd(flat, full_matrices=False)
        return left[:, :rank], sizes[:rank], right[:rank]
    with torch.random.fork_rng(devices=[flat.device] if flat.is_cuda else []):
        torch.manual_seed(0)  # the same two models give the same file
        left, sizes, columns = torch.svd_lowrank(flat, q=rank + SPARE, niter=ROUNDS)
    return left[:, :rank], sizes[:rank], columns[:, :rank].T
