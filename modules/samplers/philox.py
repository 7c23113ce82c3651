"""Normal numbers on the processor as an NVIDIA card draws them: Philox 4x32 with 10 rounds, then Box-Muller.

`torch.randn(..., device="cuda", generator=seeded)` gives the same numbers, up to the last digits of logarithm and sine, as long
as every number has a thread of its own (some 100,000 numbers, depending on the card). Start reading at `PhiloxNormal`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint32]
_FACTORS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_HALF_WORD = np.uint64(32)


def philox(counter: Words, key: tuple[int, int], rounds: int = 10) -> Words:
    """Random words (4, n), uint32, for counters (4, n) and one key of two words. Source: Salmon et al., SC 2011, Philox 4x32."""
    a, b, c, d = (row.astype(np.uint64) for row in counter)
    first, second = key
    for _ in range(rounds):
        left, right = a * _FACTORS[0], c * _FACTORS[1]
        a, b, c, d = (
            (right >> _HALF_WORD) ^ b ^ np.uint64(first),
            right & _LOW,
            (left >> _HALF_WORD) ^ d ^ np.uint64(second),
            left & _LOW,
        )
        first, second = (first + _KEY_STEPS[0]) & 0xFFFFFFFF, (second + _KEY_STEPS[1]) & 0xFFFFFFFF
    return np.stack([a, b, c, d]).astype(np.uint32)


class PhiloxNormal:
    """A stream of standard normal numbers. seed: 0 to 2^64 - 1. Each draw begins a new offset, whatever its size."""

    def __init__(self, seed: int) -> None:
        self._key = (seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF)
        self._offset = 0

    def draw(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """The next numbers, float32."""
        count = int(np.prod(shape))
        counter = np.zeros((4, count), np.uint32)
        counter[0] = self._offset
        counter[2] = np.arange(count, dtype=np.uint32)
        self._offset += 1
        words = philox(counter, self._key).astype(np.float64)
        radius = np.sqrt(-2.0 * np.log((words[0] + 0.5) * 2.0**-32))
        angle = (words[1] + 0.5) * (2.0**-32 * 2.0 * np.pi)
        return (radius * np.sin(angle)).reshape(shape).astype(np.float32)
