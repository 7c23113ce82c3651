"""Ends a network in the middle of its work: one tile of a large one takes many seconds on a CPU, longer than a person waits for Interrupt.

Knows torch's forward hooks. Start reading at `halting`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from modules.faults import Cancelled


@contextmanager
def halting(module: Any, stopped: Callable[[], bool]) -> Iterator[None]:
    """Inside, every layer of a torch module asks first whether to go on. Raises Cancelled from there. Anything else is left alone."""
    import torch

    def ask(*_: Any) -> None:
        if stopped():
            raise Cancelled

    with ExitStack() as hooks:
        if isinstance(module, torch.nn.Module):
            for layer in (layer for layer in module.modules() if not any(layer.children())):
                hooks.callback(layer.register_forward_pre_hook(ask).remove)
        yield
