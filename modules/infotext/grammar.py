"""The grammar of A1111's parameters text: its pairs, its quoting, its two prompts, and what it means to leave a key out.

Knows nothing about requests. Start reading at `parse`. Source: the behaviour of A1111 1.10.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator

MIN_PAIRS = 3
_NEGATIVE = "Negative prompt:"
# What is no pair, then a pair: key, and its value quoted or plain. Always matches and never goes back (the possessive "+"), so
# that reading takes time in proportion to the length; A1111's search from the left does not.
_PAIR = re.compile(
    r"(?:\W++|\w[\w \-/]*+(?!:)|\w:)*+"
    r"(?:(?P<key>\w[\w \-/]++):\s*+(?:(?P<quoted>"
    r'"[^\\"]*+(?:\\.[^\\"]*+)*+"'
    r")(?=,|$)|(?P<plain>[^,]*+)),?+)?"
)
_SIZE = re.compile(r"([0-9]+)x([0-9]+)")
_WEIGHTS = re.compile(r"(?<!\\)[(\[]|\bBREAK\b")
_INJECTED = {
    "Clip skip": "1",
    "Hires resize-1": "0",
    "Hires resize-2": "0",
    "Hires sampler": "Use same sampler",
    "Hires schedule type": "Use same scheduler",
    "Hires checkpoint": "Use same checkpoint",
    "Hires prompt": "",
    "Hires negative prompt": "",
    "Mask mode": "Inpaint masked",
    "Masked content": "original",
    "Inpaint area": "Whole picture",
    "Masked area padding": "32",
    "RNG": "GPU",
    "Schedule type": "Automatic",
    "Schedule max sigma": "0",
    "Schedule min sigma": "0",
    "Schedule rho": "0",
    "VAE Encoder": "Full",
    "VAE Decoder": "Full",
    "FP8 weight": "Disable",
    "Refiner switch by sampling steps": "False",
}
# SD.Next's spellings of keys that A1111 has too.
_SPELLINGS = {"CLiP-skip": "Clip skip", "CLIP skip": "Clip skip", "CFG Scale": "CFG scale"}


class Parsed(dict[str, str]):
    """Keys and values, defaults included. told: the keys that stood in the text, the prompts' aside."""

    def __init__(self, values: dict[str, str], *, told: Iterable[str]) -> None:
        super().__init__(values)
        self.told = frozenset(told)


def quote(value: object) -> str:
    """A value as it stands in the text: as a JSON string when it holds a comma, a colon or a newline or would not come back, else bare."""
    text = str(value)
    bare = text == text.strip() and not text.startswith('"') and not any(c in text for c in ",:\n")
    return text if bare else json.dumps(text, ensure_ascii=False)


def unquote(text: str) -> str:
    """The opposite of `quote`. Text that only looks quoted is given back as it is."""
    if len(text) >= 2 and text[0] == text[-1] == '"':
        try:
            return _whole(str(json.loads(text)))
        except ValueError:
            return text
    return text


def parse(text: str) -> Parsed:
    """Keys and values of a parameters text, all as text: Prompt and Negative prompt always, A1111's defaults where a key is missing.

    The last line holds the parameters if MIN_PAIRS pairs are found in it, else it belongs to the prompt. "512x768" becomes
    two keys, "Size-1" and "Size-2". Never raises; takes time in proportion to the length.
    """
    *lines, last = _whole(text).strip().split("\n")
    pairs = list(_pairs(last))
    if len(pairs) < MIN_PAIRS:
        lines.append(last)
        pairs = []
    prompt, negative = _prompts(lines)
    found: dict[str, str] = {}
    for key, value in pairs:
        name = _SPELLINGS.get(key, key)
        size = _SIZE.fullmatch(value)
        if size:
            found[f"{name}-1"], found[f"{name}-2"] = size.groups()
        else:
            found[name] = value
    if "Hypernet" in found:
        prompt += f"<hypernet:{found['Hypernet']}:{found.get('Hypernet strength', '1.0')}>"
    _restore_first_pass(found)
    defaults = dict(_INJECTED)
    if _uses_weights(prompt) or _uses_weights(negative):
        defaults["Emphasis"] = "Original"
    return Parsed({**defaults, **found, "Prompt": prompt, "Negative prompt": negative}, told=found)


def _whole(text: str) -> str:
    """Without halves of surrogate pairs, which no file and no answer could hold."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _pairs(line: str) -> Iterator[tuple[str, str]]:
    """(key, value) pairs of a parameters line, in order; what is no pair is passed over, empty values are dropped."""
    for found in _PAIR.finditer(line):
        key, quoted, plain = found.group("key", "quoted", "plain")
        if quoted is not None:
            yield key, unquote(quoted)
        elif plain and (value := plain.strip()):
            yield key, value


def _prompts(lines: list[str]) -> tuple[str, str]:
    """(prompt, negative prompt); every line without the white space at its ends."""
    prompt: list[str] = []
    negative: list[str] = []
    current = prompt
    for line in (line.strip() for line in lines):
        if line.startswith(_NEGATIVE):
            current = negative
            line = line.removeprefix(_NEGATIVE).strip()
        current.append(line)
    return "\n".join(prompt), "\n".join(negative)


def _uses_weights(prompt: str) -> bool:
    return any(mark in prompt for mark in ("(", "[", "BREAK")) and _WEIGHTS.search(prompt) is not None


def _restore_first_pass(found: dict[str, str]) -> None:
    """Old files say "First pass size" and mean by Size what came out of the hires pass. 0x0 stood for some 512x512 pixels.

    Source: A1111's rule for files written before its hires pass was renewed.
    """
    try:
        first = int(found["First pass size-1"]), int(found["First pass size-2"])
        target = int(found["Size-1"]), int(found["Size-2"])
        if 0 in first:
            scale = math.sqrt(512 * 512 / (target[0] * target[1]))
            first = math.ceil(scale * target[0] / 64) * 64, math.ceil(scale * target[1] / 64) * 64
    except (KeyError, ValueError, ArithmeticError):
        return
    found["Size-1"], found["Size-2"] = str(first[0]), str(first[1])
    found["Hires resize-1"], found["Hires resize-2"] = str(target[0]), str(target[1])
