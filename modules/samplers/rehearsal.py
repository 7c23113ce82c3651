"""Which noise levels a solver will ask about: `rehearsed`, by running it on nothing; and `Growing`, for one that cannot tell."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import torch

from modules.samplers.solvers.course import Course, Solver, Tensor


def rehearsed(solve: Callable[[Course, Tensor], Solver], course: Course) -> list[tuple[float, int]]:
    """(noise level, index of its step) of each model call. The course is not changed."""
    trial, nothing = dataclasses.replace(course, noise=_Silence()), torch.zeros(1)
    solver, calls = solve(trial, nothing), list[tuple[float, int]]()
    try:
        _, sigma = next(solver)
        while True:
            calls.append((sigma, trial.at))
            _, sigma = solver.send((nothing, nothing))
    except StopIteration:
        return calls


class _Silence:
    """Noise for a rehearsal."""

    def normal(self, x: torch.Tensor) -> torch.Tensor:
        return x

    def along(self, x: torch.Tensor, start: float, end: float) -> torch.Tensor:
        return x


class Growing(torch.Tensor):
    """Timesteps that are filled in while they are walked; a negative one is the end."""

    def __iter__(self) -> Iterator[torch.Tensor]:
        for timestep in self.as_subclass(torch.Tensor).unbind(0):
            if timestep < 0:
                return
            yield timestep
