"""Where a model looks for each word: its cross-attention over the picture, from a second pass in which the words are given.

`generate` gives no cross-attention of BLIP's away, and none of anybody's that fits beams; with the words known, one pass gives it for
all of them. Each kind's `looks` knows its model; here the rows become maps of words. Start reading at `attend`.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image

from modules.caption.loading import Captioner
from modules.faults import ModelFault, RequestFault

EAGER = "eager"  # other ways of computing attention do not keep it
JOINS, BEGINS = "##", ("Ġ", "▁")


@dataclass(frozen=True)
class Heat:
    """words: the W words; maps: (layers, heads, W, rows, columns) float32, each map sums to 1 over its grid, which covers what the model
    sees of the picture; share: (layers, heads, W), how much of the attention fell on the grid at all and not on the sign before it.
    """

    words: tuple[str, ...]
    maps: torch.Tensor
    share: torch.Tensor


def reason_against(captioner: Captioner) -> str:
    """Why this captioner has no heat maps, in words; "" when it has."""
    return captioner.kind.blind if captioner.kind.looks is None else ""


@torch.inference_mode()
def attend(captioner: Captioner, image: Image.Image, text: str, *, before: str = "", tokens: Sequence[int] = ()) -> Heat:
    """Where the model looks at for the words of a text. image: RGB.

    before: what was asked, for answers; tokens: the text's own, where they are known, else the text is cut into them again.
    Raises RequestFault("model") for a kind without such attention, RequestFault("caption") without words or with too many.
    """
    looks = captioner.kind.looks
    if looks is None:
        raise RequestFault("model", f"has no heat maps: {captioner.kind.blind}", got=captioner.installed.name)
    ids = [*tokens] or captioner.tokenizer(text, add_special_tokens=False).input_ids
    groups = words_of(captioner.tokenizer, ids)
    if not groups:
        raise RequestFault("caption", "has no words to follow")
    inputs = captioner.placed(captioner.kind.inputs(captioner.processor, [image], before))
    _check_room(captioner, inputs, len(ids))
    words = torch.tensor([ids], device=captioner.device)
    with _kept_attention(captioner.model):
        rows = looks(captioner.model, captioner.tokenizer, inputs, words)
    if not rows:
        raise ModelFault(f"{captioner.installed.name} gave no attention away. Take another captioner for heat maps.")
    maps, share = _on_grid(torch.stack([layer.float().cpu() for layer in rows]), _grid(captioner, inputs))
    named = [captioner.tokenizer.decode([ids[n] for n in group]).strip() for group in groups]
    joined = torch.stack([maps[:, :, group].mean(2) for group in groups], dim=2)
    return Heat(tuple(named), joined, torch.stack([share[:, :, group].mean(2) for group in groups], dim=2))


def words_of(tokenizer: Any, ids: Sequence[int]) -> list[list[int]]:
    """Places of the tokens that make up each word. Signs that are no text are left out."""
    signs = set(tokenizer.all_special_ids)
    pieces = tokenizer.convert_ids_to_tokens([*ids])
    spaced = any(piece.startswith(BEGINS) for piece in pieces) or not hasattr(tokenizer, "vocab") or _has_spaces(tokenizer)
    groups: list[list[int]] = []
    for place, (token, piece) in enumerate(zip(ids, pieces, strict=True)):
        if token in signs:
            continue
        begins = piece.startswith(BEGINS) if spaced else not piece.startswith(JOINS)
        if begins or not groups:
            groups.append([])
        groups[-1].append(place)
    return groups


def _has_spaces(tokenizer: Any) -> bool:
    """Its pieces begin with a sign for a space, as those of GPT-2 and OPT."""
    return any(f"{sign}a" in tokenizer.vocab or sign in tokenizer.vocab for sign in BEGINS)


def _check_room(captioner: Captioner, inputs: Any, count: int) -> None:
    read = inputs["input_ids"].shape[1] if "input_ids" in inputs else 1
    if captioner.positions is not None and read + count > captioner.positions:
        raise RequestFault(
            "caption", f"is {count} tokens long; {captioner.installed.name} has room for {captioner.positions - read}. Shorten it"
        )


@contextlib.contextmanager
def _kept_attention(model: Any) -> Iterator[None]:
    """Attention is computed so that it can be read, inside."""
    before = getattr(model.config, "_attn_implementation", EAGER) or EAGER
    if before == EAGER:
        yield
        return
    model.set_attn_implementation(EAGER)
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def _grid(captioner: Captioner, inputs: Any) -> tuple[int, int] | None:
    """(rows, columns) of patches, as the kind or the configuration of the vision tower says."""
    if captioner.kind.grid is not None:
        return captioner.kind.grid(captioner.model, captioner.tokenizer, inputs)
    config = captioner.model.config
    vision = getattr(config, "vision_config", None) or getattr(config, "encoder", None)
    size, patch = (getattr(vision, name, None) for name in ("image_size", "patch_size"))
    return (size // patch, size // patch) if isinstance(size, int) and isinstance(patch, int) and patch else None


def _on_grid(rows: torch.Tensor, grid: tuple[int, int] | None) -> tuple[torch.Tensor, torch.Tensor]:
    """(L,H,T,N) -> maps (L,H,T,r,c) that sum to 1 each, and the share (L,H,T) that was on them. Signs before the patches are dropped."""
    count = rows.shape[-1]
    if grid is None or math.prod(grid) > count:
        grid = (math.isqrt(count), math.isqrt(count))  # towers that bring the grid down on the way
    patches = rows[..., count - math.prod(grid) :]
    share = patches.sum(-1)
    maps = patches / share.clamp(min=torch.finfo(torch.float32).tiny)[..., None]
    return maps.reshape(*rows.shape[:-1], *grid), share
