"""Counting tokens without transformers: the same tokens as transformers', and A1111's way of counting them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from modules.families import shipped
from modules.faults import ModelFault
from modules.prompts.counting import Tokens, count, open_tokenizer
from modules.prompts.reading import Reading

TEXTS = (
    "a red apple, 3d", "Ünïcödé  ﬁ 猫 😀 don't 1234 <|endoftext|>  \n x", "A photo (of:1.2), masterpiece!!! 2girls", "", "  ", ",",
    " a ", "it's we'll", "<|startoftext|>ab", "\u00a0\u3000wide", "x" * 300,
)  # fmt: skip


@pytest.fixture(scope="module")
def clip() -> Any:
    return open_tokenizer(shipped.TOKENIZERS / "clip")


@pytest.mark.parametrize("which", ["clip", "t5", "starter"])
def test_the_tokens_are_those_of_transformers(which: str, starter_path: Path) -> None:
    from transformers import CLIPTokenizer, T5Tokenizer

    folder = starter_path / "tokenizer" if which == "starter" else shipped.TOKENIZERS / which
    theirs: Any = (T5Tokenizer if which == "t5" else CLIPTokenizer).from_pretrained(folder, local_files_only=True)
    ours = open_tokenizer(folder)
    for text in TEXTS:
        assert ours(text) == theirs(text, add_special_tokens=False).input_ids, text


@pytest.mark.parametrize(
    ("text", "used", "limit"),
    [
        ("", 0, 75),
        ("a red apple", 3, 75),
        ("a (red:1.3) apple <lora:ink:0.5>", 3, 75),
        ("a BREAK b", 76, 150),
        ("a " * 75, 75, 75),
        ("a " * 76, 76, 150),
        ("[a red apple:b:0.5]", 3, 75),
        ("[a|b c d|e f]", 3, 75),
        ("a b AND a b c d", 4, 75),
        ("a " * 70 + ", b b b b b b b b", 75 + 8, 150),
    ],
)
def test_used_and_limit(clip: Any, text: str, used: int, limit: int) -> None:
    assert count(text, 20, clip, Reading()) == Tokens(used, limit)


def test_how_prompts_are_read_counts(clip: Any) -> None:
    late = "a " * 70 + ", b b b b b b b b"
    assert count(late, 20, clip, Reading(comma_backtrack=0)) == Tokens(79, 150)
    assert count("(a:1.2)", 20, clip, Reading(emphasis="None")).used > 1
    assert count("[a:b c d:0]", 20, clip, Reading()).used == 3


def test_a_text_encoder_without_chunks_has_its_own_length(clip: Any) -> None:
    assert count("a " * 300 + "BREAK b", 20, clip, Reading(), fixed=256) == Tokens(301, 255)


@pytest.mark.parametrize("files", [{}, {"tokenizer.json": "{}"}, {"vocab.json": "[", "merges.txt": ""}])
def test_broken_files_are_said(tmp_path: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(ModelFault, match="cannot be read"):
        open_tokenizer(tmp_path)
