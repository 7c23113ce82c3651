"""Texts as a network reads them, kept by content. torch lives here.

A kept text counts as long as text encoders, their LoRAs and the learnt words stay the same; who changes those begins a new cache.
Start reading at `Cache`.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import torch

from modules.prompts.reading import Reading
from modules.weights.embeddings import Embedding

CACHE_BYTES = 192 * 1024**2  # a text of one chunk is 0.2 to 1.3 MB, with T5 up to 9 MB


@dataclass(frozen=True)
class Encoded:
    """A text as the network reads it: words (1, tokens, width), pooled (1, width) or None. learnt, note: as in `Conditions`."""

    words: torch.Tensor
    pooled: torch.Tensor | None
    learnt: tuple[Embedding, ...] = ()
    note: str = ""

    @property
    def bytes(self) -> int:
        """Memory that the tensors take."""
        return self.words.nbytes + (0 if self.pooled is None else self.pooled.nbytes)


@dataclass(frozen=True, kw_only=True)
class How:
    """Everything beside the text that decides how it is encoded, as long as encoders and learnt words stay the same."""

    chunks: int
    skip: int
    reading: Reading
    device: str


class Cache:
    """Encoded texts by content. Those that were not used for longest go first; at most CACHE_BYTES, but always the latest."""

    def __init__(self) -> None:
        self._held: OrderedDict[tuple[str, How], Encoded] = OrderedDict()
        self._bytes = 0

    def get(self, text: str, how: How) -> Encoded | None:
        if (text, how) not in self._held:
            return None
        self._held.move_to_end((text, how))
        return self._held[text, how]

    def put(self, text: str, how: How, encoded: Encoded) -> None:
        self._held[text, how] = encoded
        self._bytes += encoded.bytes
        while self._bytes > CACHE_BYTES and len(self._held) > 1:
            self._bytes -= self._held.popitem(last=False)[1].bytes
