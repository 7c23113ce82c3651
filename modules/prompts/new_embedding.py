"""The vectors that a new textual inversion begins with: those of the words of a text, as a text encoder knows them. torch lives here.

Knows tokenizers and the input end of text encoders; how they are named in a file is `modules.weights.embeddings`.
Start reading at `new_vectors`. Source: the behaviour of A1111 1.10 (the words spread evenly over the vectors; without a text zeros).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from modules.faults import ModelFault


def new_vectors(parts: Mapping[str, tuple[Any, Any]], text: str, count: int) -> dict[str, torch.Tensor]:
    """Slot of the file ("emb_params", or "clip_l" and "clip_g") -> (count, width), float32 in main memory.

    parts: component -> (tokenizer, text encoder) of a loaded model. Raises ModelFault when none of them is a CLIP.
    """
    clips = [pair for pair in parts.values() if pair[1].config.model_type.startswith("clip")]
    if not clips:
        raise ModelFault("This model has no CLIP text encoder, so it cannot learn words this way. Choose another checkpoint.")
    slots = ("emb_params",) if len(clips) == 1 else ("clip_l", "clip_g")
    return {slot: _vectors(tokenizer, encoder, text, count) for slot, (tokenizer, encoder) in zip(slots, clips, strict=True)}


@torch.no_grad()
def _vectors(tokenizer: Any, encoder: Any, text: str, count: int) -> torch.Tensor:
    table = encoder.get_input_embeddings()
    place = table.weight.device
    made = torch.zeros(count, int(table.weight.shape[-1]))
    ids = tokenizer(text, add_special_tokens=False).input_ids if text.strip() else []
    if ids:
        spread = [ids[i * len(ids) // count] for i in range(count)]
        asked = torch.tensor(spread, device="cpu" if place.type == "meta" else place)
        made[:] = table(asked).float().cpu()  # a call, as the weights of a careful memory policy are only there during one
    return made
