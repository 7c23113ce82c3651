"""Extra networks in a prompt: `<lora:name:0.8>`, `<lora:name:te=0.5:unet=1>`. Taken out of the text, read into records.

Knows the tags; knows nothing about files or models. No torch. Start reading at `take_networks`.
Source: the behaviour of A1111 1.10.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

# What a tag may begin with -> the kind of network it names.
KINDS = {"lora": "lora", "lyco": "lora"}
WEIGHT_LIMIT = 100.0
NO_SUCH_KIND = "there is no kind of network called"
_TAG = re.compile(r"<(\w++):([^>]++)>")


@dataclass(frozen=True, kw_only=True)
class NetworkUse:
    """One tag. kind: "lora", or the tag's own word when it is none we know; name: as written.

    te, unet: weight on the text encoders and on the UNet or transformer. rank: use only so many ranks (None: all).
    problem: why the tag has no effect, as a sentence; "" when it is in order.
    """

    kind: str
    name: str
    te: float = 1.0
    unet: float = 1.0
    rank: int | None = None
    problem: str = ""


def take_networks(prompt: str) -> tuple[str, list[NetworkUse]]:
    """(the prompt without its tags, what they ask for, in order). The same network named twice is two entries; they add up.

    Tags of an unknown kind and tags with a broken number are taken out too and come with a `problem`.
    """
    found: list[NetworkUse] = []

    def take(match: re.Match[str]) -> str:
        found.append(_use(match.group(1), match.group(2)))
        return ""

    end = prompt.rfind(">") + 1  # behind the last one there is no tag, and looking for one would take long
    return _TAG.sub(take, prompt[:end]) + prompt[end:], found


def _use(word: str, body: str) -> NetworkUse:
    """word: what stands before the first colon; body: the rest. Words with "=" are named, others go by their place."""
    placed: list[str] = []
    named: dict[str, str] = {}
    for part in body.split(":"):
        key, equals, value = part.partition("=")
        if equals:
            named[key] = value
        else:
            placed.append(part)
    name = placed[0] if placed else ""
    kind = KINDS.get(word)
    if kind is None:
        return NetworkUse(kind=word, name=name, problem=f"<{word}:{name}> had no effect: {NO_SUCH_KIND} {word!r}.")
    te = named.get("te", placed[1] if len(placed) > 1 else "1")
    unet = named.get("unet", placed[2] if len(placed) > 2 else te)
    rank = named.get("dyn", placed[3] if len(placed) > 3 else "")
    try:
        return NetworkUse(kind=kind, name=name, te=_weight(te), unet=_weight(unet), rank=_rank(rank))
    except ValueError:
        return NetworkUse(kind=kind, name=name, problem=f"<{word}:{body}> had no effect: its weights are not numbers.")


def _weight(text: str) -> float:
    value = float(text)
    if not math.isfinite(value) or abs(value) > WEIGHT_LIMIT:
        raise ValueError(text)
    return value


def _rank(text: str) -> int | None:
    if not text:
        return None
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value
