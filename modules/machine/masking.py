"""What nobody should paste into a bug report: passwords, tokens and the name of the home folder, taken out of lines of text.

Knows what secrets look like; standard library only. Start reading at `mask`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

HIDDEN = "(hidden)"
SHORTEST = 4  # a shorter password would hide parts of ordinary words
_NAMED = r"pass(?:word|wd|phrase)?|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|authorization|cookie|session[_-]?id"
_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?i)(--(?:gradio|api|basic)[-_]auth(?:[-_]\w+)?[= ]+)\S+"), rf"\1{HIDDEN}"),
    (re.compile(r"(?i)\b(basic|bearer)\s+[\w.~+/=-]{8,}"), rf"\1 {HIDDEN}"),
    (re.compile(r"(\w://)[^/\s:@]+:[^/\s@]+@"), rf"\1{HIDDEN}@"),
    (re.compile(rf"(?i)\b({_NAMED})\b([\"']?\s*[=:]\s*[\"']?)(?!\(hidden\)|basic |bearer )[^\s\"'&,;]+"), rf"\1\2{HIDDEN}"),
    (re.compile(r"\b(?:hf|sk|ghp|gho|ghs|dr|drk)[_-][A-Za-z0-9_-]{12,}|\bgithub_pat_\w{12,}"), HIDDEN),
)


def mask(text: str, secrets: Iterable[str] = ()) -> str:
    """The text without what looks like a secret. secrets: some that are known by their words."""
    for secret in secrets:
        if len(secret) >= SHORTEST:
            text = text.replace(secret, HIDDEN)
    for pattern, instead in _RULES:
        text = pattern.sub(instead, text)
    return text


def private(text: str) -> str:
    """The text without the name of the home folder."""
    home = str(Path.home())
    return text.replace(home, "~") if len(home) > 1 else text
