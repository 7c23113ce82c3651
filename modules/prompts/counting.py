"""How many tokens a prompt takes, for the counters beside the prompt boxes. Needs the package `tokenizers`, and no torch.

Reads a tokenizer's files itself, as transformers does, since importing transformers takes seconds and much memory.
Start reading at `count`, then `open_tokenizer`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modules.faults import ModelFault
from modules.prompts.attention import parse_attention
from modules.prompts.chunks import CHUNK, chunks_of
from modules.prompts.networks import take_networks
from modules.prompts.reading import Reading
from modules.prompts.schedule import schedule, split_and

IdsOf = Callable[[str], list[int]]


@dataclass(frozen=True)
class Tokens:
    """used: tokens up to the end of the text, with those that a chunk leaves free before the last one; limit: room there is."""

    used: int
    limit: int


def count(text: str, steps: int, ids_of: IdsOf, reading: Reading, *, fixed: int | None = None) -> Tokens:
    """Tokens of a prompt's longest form over `steps` steps: the longest part of an AND, the longest text of an [a|b].

    Tags of networks do not count. fixed: the length of a text encoder without chunks (T5), its end token included; None for CLIP.
    """
    clean, _ = take_networks(text)
    forms = {stretch.text for part, _ in split_and(clean) for stretch in schedule(part, steps, old=reading.old_schedule)}
    if fixed is not None:
        return Tokens(max(_plain(form, ids_of, reading) for form in forms), fixed - 1)
    comma = ids_of(",")
    rows = [chunks_of(form, ids_of, frozenset(comma if len(comma) == 1 else ()), reading) for form in forms]
    used = max((len(chunks) - 1) * CHUNK + len(chunks[-1].ids) for chunks in rows)
    return Tokens(used, max(1, -(-used // CHUNK)) * CHUNK)


def _plain(text: str, ids_of: IdsOf, reading: Reading) -> int:
    pieces = parse_attention(text, reading.emphasis)
    return len(ids_of("".join(" " if piece.is_break else piece.text for piece in pieces)))


def open_tokenizer(folder: Path) -> IdsOf:
    """From a tokenizer's folder: tokenizer.json, or vocab.json with merges.txt (CLIP's). The function gives the tokens of a text
    without begin and end. Raises ModelFault when the files are missing or damaged.
    """
    import tokenizers

    try:
        if (folder / "tokenizer.json").is_file():
            found: Any = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
            found.no_truncation()
            found.no_padding()
        else:
            found = _clip(folder)
    except Exception as error:  # the package raises bare Exceptions
        raise ModelFault(f"The tokenizer in {folder.parent.name} cannot be read: {error}. Copy its files again.") from error
    return lambda text: found.encode(text, add_special_tokens=False).ids


def _clip(folder: Path) -> Any:
    """CLIP's byte-level BPE. Source: openai/CLIP, simple_tokenizer.py; the pattern as transformers has it."""
    from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

    vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    lines = (folder / "merges.txt").read_text(encoding="utf-8").splitlines()
    merges = [(left, right) for left, _, right in (line.partition(" ") for line in lines if not line.startswith("#version")) if right]
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, end_of_word_suffix="</w>", unk_token="<|endoftext|>"))
    spaces = normalizers.Replace(Regex(r"\s+"), " ")
    made.normalizer = normalizers.Sequence([normalizers.NFC(), spaces, normalizers.Lowercase()])  # pyright: ignore[reportAttributeAccessIssue]
    words = Regex(r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+")
    made.pre_tokenizer = pre_tokenizers.Sequence(  # pyright: ignore[reportAttributeAccessIssue]
        [pre_tokenizers.Split(words, behavior="removed", invert=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    made.add_special_tokens([AddedToken(word, special=True) for word in ("<|startoftext|>", "<|endoftext|>") if word in vocabulary])
    return made
