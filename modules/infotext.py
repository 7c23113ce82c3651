"""A1111's parameters text: written from a resolved request, read back into a request.

Knows the grammar and the keys (those of the fields stand in their Knobs). Knows nothing about picture files, samplers or
models. Start reading at `write`, then `parse` and `to_request`. Source: the behaviour of A1111 1.10.

The grammar has no escapes for prompts, so these come back changed, here as in A1111: white space at either end of a line,
blank lines before the first word of the whole text, and a line that begins with "Negative prompt:" (it starts, or goes on
with, the negative prompt). A model whose name is quoted from end to end loses its quotes.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from modules import __version__
from modules.faults import RequestFault
from modules.knobs import coerce, knobs_of
from modules.request import GenerationRequest, ResolvedRequest

# A1111 turns on old behaviour for version texts it can parse as below 1.8; this one it cannot parse.
VERSION = f"Darkroom-{__version__}"
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
_HASH = re.compile(r"[0-9a-fA-F]{8,64}")
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
# Schedules that stood behind the sampler's name before there was a "Schedule type" (A1111 up to 1.8).
_SUFFIXES = {" Karras": "Karras", " Exponential": "Exponential", " SGMUniform": "SGM Uniform"}


def write(resolved: ResolvedRequest, index: int, *, extra: Mapping[str, object] | None = None) -> str:
    """The parameters text of picture `index` (0 .. n-1; -1, a grid, speaks for the first).

    extra: more keys, put in before Version; a value of None drops its key.
    """
    at = max(index, 0)
    settings, checkpoint = resolved.settings, resolved.checkpoint
    values: dict[str, object] = {
        _key("steps"): resolved.steps,
        _key("sampler_name"): resolved.sampler_name,
        _key("scheduler"): resolved.scheduler,
        _key("cfg_scale"): resolved.cfg_scale,
        _key("seed"): resolved.all_seeds[at],
        "Size": f"{resolved.width}x{resolved.height}",
        "Model hash": checkpoint.short_hash if settings.get("add_model_hash_to_info", True) else None,
        "Model": checkpoint.model_name if settings.get("add_model_name_to_info", True) else None,
        "VAE hash": resolved.vae.sha256[:10] if resolved.vae and settings.get("add_vae_hash_to_info", True) else None,
        "VAE": resolved.vae.name if resolved.vae and settings.get("add_vae_name_to_info", True) else None,
        "VAE Decoder": "TAESD" if resolved.tiny else None,
        **{f"Module {n}": part.name for n, (_, part) in enumerate(sorted(resolved.parts.items()), 1)},
        "Clip skip": skip if (skip := settings.get("CLIP_stop_at_last_layers", 1)) > 1 else None,
        "Lora hashes": _hashes(resolved) if settings.get("lora_add_hashes_to_infotext", True) else None,
        _key("distilled_cfg_scale"): resolved.distilled_cfg_scale,
        **(extra or {}),
        "Version": VERSION,
    }
    pairs = ", ".join(key if key == str(value) else f"{key}: {quote(value)}" for key, value in values.items() if value is not None)
    negative = resolved.all_negative_prompts[at]
    lines = [resolved.all_prompts[at], *([f"{_NEGATIVE} {negative}"] if negative else []), pairs]
    return "\n".join(lines).strip()


def _hashes(resolved: ResolvedRequest) -> str | None:
    """ "name: 12 digits, name2: 12 digits" of the LoRAs, each once."""
    rows = {network.name: network.sha256[:12] for network in resolved.networks if network.sha256}
    return ", ".join(f"{name}: {digest}" for name, digest in rows.items()) or None


def quote(value: object) -> str:
    """A value as it stands in the text: as a JSON string when it holds a comma, a colon or a newline, else bare."""
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if any(c in text for c in ",:\n") else text


def unquote(text: str) -> str:
    """The opposite of `quote`. Text that only looks quoted is given back as it is."""
    if len(text) >= 2 and text[0] == text[-1] == '"':
        try:
            return _whole(str(json.loads(text)))
        except ValueError:
            return text
    return text


def parse(text: str) -> dict[str, str]:
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
    return {**defaults, **found, "Prompt": prompt, "Negative prompt": negative}


def to_request(parsed: Mapping[str, str]) -> dict[str, Any]:
    """Field values for `GenerationRequest.from_data`. What is missing or makes no sense is left out, never raised.

    The model goes into override_settings: by its hash when there is one, else by its name.
    """
    values: dict[str, Any] = {}
    for name, field in knobs_of(GenerationRequest).items():
        if field.knob.infotext is not None:
            _put(values, name, parsed.get(field.knob.infotext))
    _put(values, "width", parsed.get("Size-1"))
    _put(values, "height", parsed.get("Size-2"))
    for suffix, label in _SUFFIXES.items():
        sampler = str(values.get("sampler_name", ""))
        if sampler.endswith(suffix) and sampler != suffix:
            values["sampler_name"], values["scheduler"] = sampler.removesuffix(suffix), label
    settings = _settings(parsed)
    if settings:
        values["override_settings"] = settings
    return values


def _settings(parsed: Mapping[str, str]) -> dict[str, Any]:
    """The settings that were in force, as far as the text says: model, VAE, clip skip."""
    found: dict[str, Any] = {"sd_model_checkpoint": _model(parsed)}
    found["sd_vae"] = parsed.get("VAE", "")
    found["sd_vae_decode_method"] = parsed.get("VAE Decoder", "") if parsed.get("VAE Decoder") == "TAESD" else ""
    skip = parsed.get("Clip skip", "")
    if skip.isdecimal() and 1 < int(skip) <= 12:
        found["CLIP_stop_at_last_layers"] = int(skip)
    return {name: value for name, value in found.items() if value}


def _whole(text: str) -> str:
    """Without halves of surrogate pairs, which no file and no answer could hold."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _key(field: str) -> str:
    """The infotext key that the field's Knob declares."""
    key = knobs_of(GenerationRequest)[field].knob.infotext
    if key is None:
        raise ValueError(f"the field {field} has no infotext key")
    return key


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


def _put(values: dict[str, Any], name: str, text: str | None) -> None:
    field = knobs_of(GenerationRequest)[name]
    value: str | int | None = text
    if text is not None and field.kind is int and text.strip().isdecimal() and len(text) < 20:
        value = int(text)  # a seed of 64 bits would lose digits on the way through a float
    if value is None:
        return
    try:
        values[name] = coerce(field, value)
    except RequestFault:
        return


def _model(parsed: Mapping[str, str]) -> str:
    """The hash, else the name. A model called "512x768" was split like a size."""
    digest = parsed.get("Model hash", "")
    if _HASH.fullmatch(digest):
        return digest
    halves = (parsed.get("Model-1"), parsed.get("Model-2"))
    return parsed.get("Model") or ("x".join(h for h in halves if h) if all(halves) else "")
