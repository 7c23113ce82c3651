"""A word that stands for vectors which learn: what they begin as, and a tokenizer that reads the word as their ids.

Start reading at `first_rows` and `ReadingWord`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import BatchEncoding

from modules.faults import RequestFault


def first_rows(text: str, count: int, tokenizer: Any, table: torch.Tensor, seed: int) -> torch.Tensor:
    """(count, width) float32: the rows of the text's tokens, spread over the vectors; without a text, near the mean of all rows.

    table: (vocabulary, width). Source: A1111 1.10, which repeats the tokens' rows in order until there are enough.
    Raises RequestFault when the text holds more tokens than there are vectors.
    """
    rows = table.detach().float()
    ids = tokenizer(text.strip(), add_special_tokens=False).input_ids if text.strip() else []
    if len(ids) > count:
        raise RequestFault("initializer_text", f"is {len(ids)} tokens long and there are {count} vectors; shorten it, or take more")
    if ids:
        return torch.stack([rows[ids[n * len(ids) // count]] for n in range(count)])
    noise = torch.randn(count, rows.shape[1], generator=torch.Generator().manual_seed(seed)).to(rows.device)
    return rows.mean(0) + rows.std(0) * noise


class ReadingWord:
    """A tokenizer that reads one word as `count` ids from `first` on; everything else as the given one does.

    The word is found by its token ids, as when pictures are made. Made for CLIP's tokenizers, in the forms in which training and the
    pipelines ask. Raises RequestFault when the word has no tokens.
    """

    def __init__(self, tokenizer: Any, word: str, first: int, count: int) -> None:
        self._tokenizer = tokenizer
        self._own: list[int] = tokenizer(word, add_special_tokens=False).input_ids
        self._new = list(range(first, first + count))
        if not self._own:
            raise RequestFault("embedding_name", "has no letters that the model knows", got=word)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_tokenizer"], name)

    def __len__(self) -> int:
        return len(self._tokenizer)

    def __call__(
        self,
        text: str | Sequence[str],
        *,
        add_special_tokens: bool = True,
        padding: bool | str = False,
        max_length: int | None = None,
        truncation: bool = False,
        return_tensors: str | None = None,
        **_other: Any,
    ) -> BatchEncoding:
        tokenizer = self._tokenizer
        texts = [text] if isinstance(text, str) else list(text)
        rows = [self._read(tokenizer(one, add_special_tokens=False, verbose=False).input_ids) for one in texts]
        if add_special_tokens:
            most = (max_length or tokenizer.model_max_length) - 2
            rows = [[tokenizer.bos_token_id, *(row[:most] if truncation else row), tokenizer.eos_token_id] for row in rows]
        length = {"max_length": max_length or tokenizer.model_max_length}.get(str(padding), max(map(len, rows)) if padding else 0)
        masks = [[1] * len(row) + [0] * (length - len(row)) for row in rows]
        rows = [row + [tokenizer.pad_token_id] * (length - len(row)) for row in rows]
        if isinstance(text, str) and return_tensors is None:
            return BatchEncoding({"input_ids": rows[0], "attention_mask": masks[0]})
        return BatchEncoding({"input_ids": rows, "attention_mask": masks}, tensor_type=return_tensors)

    def batch_decode(self, rows: Any, **more: Any) -> list[str]:
        """As the tokenizer's own; ids of the word are left out."""
        limit = self._new[0]
        plain = [[int(token) for token in row if int(token) < limit] for row in rows]
        return self._tokenizer.batch_decode(plain, **more)

    def _read(self, ids: Sequence[int]) -> list[int]:
        found: list[int] = []
        at, size = 0, len(self._own)
        while at < len(ids):
            here = list(ids[at : at + size]) == self._own
            found += self._new if here else [ids[at]]
            at += size if here else 1
        return found
