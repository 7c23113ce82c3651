"""A1111's parameters text: written from a resolved request, read back into a request.

Knows the grammar and the keys (those of the fields stand in their Knobs). Knows nothing about picture files.
Start reading at `write`, then `parse` and `to_request`. Source: A1111 1.10's grammar and key order.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from modules import __version__
from modules.faults import RequestFault
from modules.knobs import coerce, knobs_of
from modules.request import GenerationRequest, ResolvedRequest

# A1111 turns on old behaviour for version texts it can parse as below 1.8; this one it cannot parse.
VERSION = f"Darkroom-{__version__}"
_NEGATIVE = "Negative prompt:"
_KEY = re.compile(r"\w[\w \-/]+$")
_KEY_LIMIT = 100
_QUOTED = re.compile(r'"(?:\\.|[^\\"])*"')
_SIZE = re.compile(r"(\d+)x(\d+)")
_MIN_PAIRS = 3
_INJECTED = {
    "Clip skip": "1", "Hires resize-1": "0", "Hires resize-2": "0", "Hires sampler": "Use same sampler",
    "Hires schedule type": "Use same scheduler", "Hires checkpoint": "Use same checkpoint", "Hires prompt": "", "Hires negative prompt": "",
    "Mask mode": "Inpaint masked", "Masked content": "original", "Inpaint area": "Whole picture", "Masked area padding": "32", "RNG": "GPU",
    "Schedule type": "Automatic", "Schedule max sigma": "0", "Schedule min sigma": "0", "Schedule rho": "0", "VAE Encoder": "Full",
    "VAE Decoder": "Full", "FP8 weight": "Disable", "Refiner switch by sampling steps": "False",
}
# SD.Next's spellings of keys that A1111 has too.
_SPELLINGS = {"CLiP-skip": "Clip skip", "CLIP skip": "Clip skip", "CFG Scale": "CFG scale"}


def write(resolved: ResolvedRequest, index: int, *, extra: Mapping[str, object] | None = None) -> str:
    """The parameters text of picture `index` (0 .. n-1; -1, a grid, speaks for the first). extra: more keys; None drops one."""
    at = max(index, 0)
    settings, checkpoint = resolved.settings, resolved.checkpoint
    values: dict[str, object] = {
        "Steps": resolved.steps,
        "Sampler": resolved.sampler_name,
        "Schedule type": resolved.scheduler,
        "CFG scale": resolved.cfg_scale,
        "Seed": resolved.all_seeds[at],
        "Size": f"{resolved.width}x{resolved.height}",
        "Model hash": checkpoint.short_hash if settings.get("add_model_hash_to_info", True) else None,
        "Model": checkpoint.model_name if settings.get("add_model_name_to_info", True) else None,
        **(extra or {}),
        "Version": VERSION,
    }
    pairs = ", ".join(key if key == str(v) else f"{key}: {quote(v)}" for key, v in values.items() if v is not None)
    negative = resolved.all_negative_prompts[at]
    lines = [resolved.all_prompts[at], f"{_NEGATIVE} {negative}" if negative else "", pairs]
    return "\n".join([lines[0], *(line for line in lines[1:] if line)]).strip()


def quote(value: object) -> str:
    """A value as it stands in the text: as JSON when it holds a comma, a colon or a newline."""
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if any(c in text for c in ",:\n") else text


def _unquote(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] == '"':
        try:
            return str(json.loads(text))
        except ValueError:
            return text
    return text


def parse(text: str) -> dict[str, str]:
    """Keys and values of a parameters text, all as text; Prompt and Negative prompt always, A1111's defaults where missing.

    Never raises; takes time in proportion to the length.
    """
    *lines, last = text.strip().split("\n")
    pairs = list(_pairs(last))
    if len(pairs) < _MIN_PAIRS:
        lines.append(last)
        pairs = []
    prompt, negative = _prompts(lines)
    found: dict[str, str] = {"Prompt": prompt, "Negative prompt": negative}
    for key, value in pairs:
        name = _SPELLINGS.get(key, key)
        size = _SIZE.fullmatch(value)
        if size:
            found[f"{name}-1"], found[f"{name}-2"] = size.groups()
        elif value:
            found[name] = value
    return {**{k: v for k, v in _INJECTED.items() if pairs}, **found}


def _pairs(line: str) -> Iterator[tuple[str, str]]:
    """(key, value) pairs of a parameters line, in order; what is no pair is passed over."""
    at = 0
    while at < len(line):
        colon = line.find(":", at)
        if colon < 0:
            return
        comma = line.rfind(",", at, colon)
        key = _KEY.search(line, max(at, comma + 1, colon - _KEY_LIMIT), colon)
        start = colon + 1
        while start < len(line) and line[start] == " ":
            start += 1
        quoted = _QUOTED.match(line, start) if line.startswith('"', start) else None
        if quoted and line[quoted.end() : quoted.end() + 1] in ("", ","):
            value, end = _unquote(quoted.group()), quoted.end()
        else:
            end = line.find(",", start)
            end = len(line) if end < 0 else end
            value = line[start:end].strip()
        if key is None:  # not a key before this colon: look on right behind it
            at = colon + 1
            continue
        yield key.group().strip(), value
        at = end + 1


def _prompts(lines: list[str]) -> tuple[str, str]:
    prompt: list[str] = []
    negative: list[str] = []
    current = prompt
    for line in (line.strip() for line in lines):
        text = line
        if line.startswith(_NEGATIVE):
            current = negative
            text = line[len(_NEGATIVE) :].strip()
        current.append(text)
    return "\n".join(prompt), "\n".join(negative)


def to_request(parsed: Mapping[str, str]) -> dict[str, Any]:
    """Field values for `GenerationRequest.from_data`. What is missing or makes no sense is left out, never raised.

    The model goes into override_settings: its hash when the text has one, else its name.
    """
    values: dict[str, Any] = {}
    for name, field in knobs_of(GenerationRequest).items():
        key = field.knob.infotext
        if key is None or key not in parsed:
            continue
        _put(values, name, parsed[key])
    for name, key in (("width", "Size-1"), ("height", "Size-2")):
        if key in parsed:
            _put(values, name, parsed[key])
    model = parsed.get("Model hash") or parsed.get("Model")
    if model:
        name = parsed.get("Model", "")
        text = f"{name} [{parsed['Model hash']}]" if "Model hash" in parsed else name
        values["override_settings"] = {"sd_model_checkpoint": text.strip()}
    return values


def _put(values: dict[str, Any], name: str, text: str) -> None:
    try:
        values[name] = coerce(knobs_of(GenerationRequest)[name], text)
    except RequestFault:
        values.pop(name, None)
