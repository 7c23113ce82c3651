"""Bytes that a model really holds. Counting numbers times their size would not do: quantised weights say that they are as large as before.

Start reading at `held_bytes`.
"""

from __future__ import annotations

from typing import Any

import torch

_DEPTH = 4


def held_bytes(model: torch.nn.Module) -> int:
    """Bytes of memory behind the weights of a model: each piece once, with the scales and tables that quantised weights bring along."""
    pieces: dict[int, int] = {}
    for module in model.modules():
        own = vars(module)
        for held in (*module.parameters(recurse=False), *module.buffers(recurse=False), own.get("state"), own.get("quant_state")):
            _count(held, pieces, _DEPTH)
    return sum(pieces.values())


def _count(held: Any, pieces: dict[int, int], depth: int) -> None:
    if isinstance(held, torch.Tensor):
        if held.device.type != "meta" and not hasattr(held, "__tensor_flatten__"):  # such a tensor is made of others
            storage = held.untyped_storage()
            pieces[storage.data_ptr()] = storage.nbytes()
        inner = list(vars(held).values()) if hasattr(held, "__dict__") else []
    elif isinstance(held, list | tuple):
        inner = list(held)
    else:
        inner = list(vars(held).values()) if hasattr(held, "__dict__") and not isinstance(held, type | torch.nn.Module) else []
    if depth:
        for part in inner:
            _count(part, pieces, depth - 1)
