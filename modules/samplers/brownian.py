"""`BrownianPath`: a picture's own random path over noise levels, for the SDE samplers.

The value at a level depends on the seed alone, not on the steps taken, so more steps follow the same path more closely, and a
picture of a batch gets what it gets alone. Found by halving: between two known values the middle one is drawn with numbers that
belong to that place. Start reading at `BrownianPath.at`. Source: arXiv:2001.01328, section 4 (virtual Brownian tree).
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Callable

import torch

# Levels that the tree spans, halved in log sigma DEPTH times: leaves are 0.2 % wide, less than a step of a thousand.
LOWEST, HIGHEST, DEPTH = 1e-4, 1e4, 13


class BrownianPath:
    """W(sigma) with W(0) = 0 and independent normal increments of variance sigma_2 - sigma_1, shaped like one picture's latent.

    draw(seed) -> standard normal numbers of that shape, the same for the same seed.
    """

    def __init__(self, seed: int, draw: Callable[[int], torch.Tensor]) -> None:
        self._seed = seed
        self._draw = draw
        # the way down to the last leaf: (node, low, W(low), high, W(high)); levels fall slowly, so most of it serves again
        low = self._numbers(b"low") * math.sqrt(LOWEST)
        high = low + self._numbers(b"high") * math.sqrt(HIGHEST - LOWEST)
        self._trail = [(1, LOWEST, low, HIGHEST, high)]

    def gain(self, start: float, end: float) -> torch.Tensor:
        """W(end) - W(start), scaled to variance 1. start, end: different levels >= 0."""
        return (self.at(end) - self.at(start)) / math.sqrt(abs(end - start))

    def at(self, sigma: float) -> torch.Tensor:
        """W(sigma). Levels beyond 10,000 are taken as 10,000."""
        if sigma < LOWEST:
            return self._trail[0][2] * (sigma / LOWEST)
        sigma = min(sigma, HIGHEST)
        while len(self._trail) > 1 and not self._trail[-1][1] <= sigma <= self._trail[-1][3]:
            self._trail.pop()
        while len(self._trail) <= DEPTH:
            node, low, at_low, high, at_high = self._trail[-1]
            middle = math.sqrt(low * high)
            value = _bridge(low, at_low, high, at_high, middle, self._numbers(struct.pack("<Q", node)))
            below = sigma < middle
            self._trail.append((2 * node, low, at_low, middle, value) if below else (2 * node + 1, middle, value, high, at_high))
        _, low, at_low, high, at_high = self._trail[-1]
        return _bridge(low, at_low, high, at_high, sigma, self._numbers(struct.pack("<d", sigma)))

    def _numbers(self, place: bytes) -> torch.Tensor:
        digest = hashlib.blake2b(place, digest_size=8, key=str(self._seed).encode()[:64]).digest()
        return self._draw(int.from_bytes(digest, "little") >> 1)


def _bridge(low: float, at_low: torch.Tensor, high: float, at_high: torch.Tensor, middle: float, numbers: torch.Tensor) -> torch.Tensor:
    """A value of the path between two known ones."""
    share = (middle - low) / (high - low)
    spread = math.sqrt(max((middle - low) * (high - middle) / (high - low), 0.0))
    return at_low + (at_high - at_low) * share + numbers * spread
