"""Words that a captioner's tokenizer does not have: rows beside its embedding and its output layer, and a tokenizer that knows them.

The base's own rows, modules and tokenizer are left as they are, so that everything can be taken off again. Only tokenizers of the
WordPiece kind lack words (BLIP, GIT); those that spell bytes can write anything. Start reading at `wanted_words`, `longer`, `MoreRows`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import nn
from torch.nn import functional
from transformers import PreTrainedTokenizerFast

MOST_WORDS = 8000
MANY_PIECES = 2  # a word that the base spells in more pieces, and that comes more than once, gets a row too
INSIDE = "##"
_WORD = re.compile(r"\w+|[^\w\s]")


def can_lack(tokenizer: Any) -> bool:
    """Are there texts that this tokenizer cannot write? True for WordPiece, False for those that fall back to bytes."""
    return json.loads(tokenizer.backend_tokenizer.to_str())["model"].get("type") == "WordPiece"


def wanted_words(tokenizer: Any, texts: Iterable[str]) -> list[str]:
    """Pieces that a tokenizer has to learn for these texts, the most frequent first; empty when it can write them all.

    A word that it has no way to write gets a row of its own, and so do that word's letters (also inside a word, as "##x"), so that words
    which come later can be spelled. Capital letters are not told apart where the base does not tell them apart; accents are.
    """
    if not can_lack(tokenizer):
        return []
    vocab = tokenizer.get_vocab()
    reading = longer(tokenizer, [], 0)  # splits words as the longer one will
    counts: Counter[str] = Counter()
    for text in texts:
        backend = reading.backend_tokenizer
        plain = backend.normalizer.normalize_str(text) if backend.normalizer is not None else text
        counts.update(_WORD.findall(plain))
    words: list[str] = []
    letters: dict[str, None] = {}
    for word, count in counts.most_common():
        pieces = reading.tokenize(word)
        lacking = tokenizer.unk_token in pieces
        if word not in vocab and (lacking or (len(pieces) > MANY_PIECES and count > 1)):
            words.append(word)
        if lacking:
            letters |= {piece: None for letter in word for piece in (letter, INSIDE + letter) if piece not in vocab}
    alone = [piece for piece in letters if piece not in words]
    return [*words[: max(0, MOST_WORDS - len(alone))], *alone]


def longer(tokenizer: Any, words: Sequence[str], first: int) -> Any:
    """A tokenizer that knows these pieces besides, with the ids from `first` on; the given one is not changed.

    Accents stay on letters, and Chinese and Japanese are not pulled apart by spaces, which the base's way of reading would do.
    """
    said = json.loads(tokenizer.backend_tokenizer.to_str())
    said["model"]["vocab"] |= {word: first + n for n, word in enumerate(words)}
    said["normalizer"] = _keeping_accents(said.get("normalizer"))
    said["truncation"] = said["padding"] = None
    names = ("unk_token", "sep_token", "pad_token", "cls_token", "mask_token", "bos_token", "eos_token")
    special = {name: str(getattr(tokenizer, name)) for name in names if getattr(tokenizer, name, None) is not None}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(said)),
        model_max_length=tokenizer.model_max_length,
        model_input_names=list(tokenizer.model_input_names),
        clean_up_tokenization_spaces=bool(getattr(tokenizer, "clean_up_tokenization_spaces", False)),
        **special,
    )


def _keeping_accents(normalizer: Any) -> Any:
    if isinstance(normalizer, dict) and normalizer.get("type") == "BertNormalizer":
        return {**normalizer, "strip_accents": False, "handle_chinese_chars": False}
    if isinstance(normalizer, dict) and normalizer.get("type") == "Sequence":
        return {**normalizer, "normalizers": [_keeping_accents(part) for part in normalizer["normalizers"]]}
    return normalizer


class MoreRows(nn.Module):
    """An embedding with rows behind its own. base: as it was; rows: (n, width), trained."""

    def __init__(self, base: nn.Embedding, rows: nn.Parameter) -> None:
        super().__init__()
        self.base = base
        self.rows = rows

    @property
    def weight(self) -> torch.Tensor:
        """All rows, (base + n, width)."""
        return torch.cat([self.base.weight, self.rows.to(self.base.weight.dtype)])

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        count = self.base.num_embeddings
        known = self.base(ids.clamp(max=count - 1))
        new = functional.embedding((ids - count).clamp(min=0), self.rows)
        return torch.where((ids >= count)[..., None], new.to(known.dtype), known)


class MoreLogits(nn.Module):
    """An output layer with rows behind its own. base: as it was; rows: (n, width), those of the embedding; bias: (n,)."""

    def __init__(self, base: nn.Linear, rows: nn.Parameter, bias: nn.Parameter) -> None:
        super().__init__()
        self.base = base
        self.rows = rows
        self.bias = bias

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        own = self.base(hidden)
        return torch.cat([own, functional.linear(hidden, self.rows.to(hidden.dtype), self.bias.to(hidden.dtype)).to(own.dtype)], dim=-1)
