"""Reads what a picture file says about itself: size, parameters text, and the keys that people search by.

Understands our own text and A1111's through `infotext.parse`. Never raises for a bad file; says so in the facts.
Start reading at `read`.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from modules import infotext
from modules.faults import RequestFault
from modules.library.pictures.rows import Facts
from modules.pixels.metadata import picture_size, read_parameters

INFOTEXT_CHARS = 200_000
LINE_CHARS = 300
_INTEGERS = range(-(2**63), 2**63)  # what SQLite holds


def read(path: Path) -> Facts:
    """The facts of a picture file. Its pixels are decoded only where a PNG has no text before them."""
    try:
        width, height = picture_size(path)
        text = read_parameters(path)[0]
    except RequestFault as fault:
        return Facts(problem=fault.message[:LINE_CHARS])
    except OSError as error:
        return Facts(problem=f"It cannot be read: {error.strerror}"[:LINE_CHARS])
    return of_text(text, width, height)


def of_text(text: str, width: int, height: int) -> Facts:
    """The facts of a picture whose parameters text is known. width, height: pixels."""
    if not text.strip():
        return Facts(width=width, height=height)
    parsed = infotext.parse(text)
    return Facts(
        width=width,
        height=height,
        infotext=text[:INFOTEXT_CHARS],
        prompt=parsed["Prompt"][:INFOTEXT_CHARS],
        negative=parsed["Negative prompt"][:INFOTEXT_CHARS],
        model=_line(parsed, "Model"),
        model_hash=_line(parsed, "Model hash"),
        seed=_whole(parsed, "Seed"),
        sampler=_line(parsed, "Sampler"),
        scheduler=_line(parsed, "Schedule type") if "Sampler" in parsed else "",
        steps=_whole(parsed, "Steps"),
        cfg=_number(parsed, "CFG scale"),
        kind=_kind(parsed),
    )


def _kind(parsed: dict[str, str]) -> str:
    """What made it, as far as its text tells; "" when it says nothing."""
    if any(key.startswith("Postprocess ") for key in parsed):
        return "extras"
    if "Steps" not in parsed:
        return ""
    second_pass = any(key in parsed for key in ("Hires upscale", "Hires upscaler", "Hires steps"))
    return "img2img" if "Denoising strength" in parsed and not second_pass else "txt2img"


def _line(parsed: dict[str, str], key: str) -> str:
    return parsed.get(key, "")[:LINE_CHARS]


def _whole(parsed: dict[str, str], key: str) -> int | None:
    text = parsed.get(key, "").strip()
    with contextlib.suppress(ValueError):
        if len(text) <= 20 and int(text) in _INTEGERS:
            return int(text)
    return None


def _number(parsed: dict[str, str], key: str) -> float | None:
    with contextlib.suppress(ValueError):
        value = float(parsed.get(key, ""))
        return value if abs(value) < 1e9 else None
    return None
