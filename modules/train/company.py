"""The processes that train together, each with a device of its own; alone as a rule.

`accelerate launch` or Ray Train starts them and accelerate carries the sums; this only says what is summed. Gradients are summed before
the step of the optimizer, so that every process takes the same step and nothing else needs to be sent. Start reading at `Company.here`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import torch

CHUNK_VALUES = 16 * 2**20  # gradients are sent in pieces of about this many values


class Company:
    """rank: the number of this process, 0 for the one that writes; size: how many there are.

    led: whoever started the processes holds the session's lock for them, also from one try to the next.
    """

    def __init__(self, rank: int = 0, size: int = 1, state: Any = None, *, led: bool = False) -> None:
        self.rank = rank
        self.size = size
        self.led = led
        self._state = state

    @classmethod
    def here(cls, *, led: bool = False) -> Company:
        """The company that this process was started in, by the variables that `accelerate launch` and Ray Train set."""
        if int(os.environ.get("WORLD_SIZE", "1")) < 2:
            return cls(led=led)
        from accelerate import PartialState  # only here: alone, nothing of it is needed

        state = PartialState()
        return cls(state.process_index, state.num_processes, state, led=led)

    @property
    def main(self) -> bool:
        return self.rank == 0

    def share(self, rows: Sequence[int]) -> range:
        """Which places of a batch are this process's: an equal piece for each, the last ones may be shorter or empty."""
        each = -(-len(rows) // self.size)
        return range(min(self.rank * each, len(rows)), min((self.rank + 1) * each, len(rows)))

    def total(self, tensor: torch.Tensor) -> torch.Tensor:
        """The sum of a tensor over all processes."""
        if self.size == 1:
            return tensor
        from accelerate.utils import reduce

        return reduce(tensor, reduction="sum")  # pyright: ignore[reportReturnType]

    def sum_gradients(self, params: Sequence[torch.nn.Parameter]) -> None:
        """Each gradient becomes its sum over all processes; one that is missing here counts as zeros."""
        if self.size == 1:
            return
        waiting: list[torch.nn.Parameter] = []
        count = 0
        for param in params:
            if param.grad is None:
                param.grad = torch.zeros_like(param)
            waiting.append(param)
            count += param.numel()
            if count >= CHUNK_VALUES:
                self._sum(waiting)
                waiting, count = [], 0
        self._sum(waiting)

    def _sum(self, params: Sequence[torch.nn.Parameter]) -> None:
        grads = [param.grad for param in params if param.grad is not None]
        if not grads:
            return
        whole = self.total(torch.cat([grad.reshape(-1) for grad in grads]))
        for grad, piece in zip(grads, whole.split([grad.numel() for grad in grads]), strict=True):
            grad.copy_(piece.view_as(grad))

    def wait(self) -> None:
        """Until all processes are here."""
        if self._state is not None:
            self._state.wait_for_everyone()
