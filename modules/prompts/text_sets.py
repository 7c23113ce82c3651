"""Which text encoders a network listens to, and how: the facts, without torch.

A component is called as in a diffusers pipeline: "text_encoder", "text_encoder_2", "text_encoder_3".
Start reading at `TextSet`; `modules.prompts.encode` follows it.
"""

from __future__ import annotations

from dataclasses import dataclass

COMPONENTS: tuple[str, ...] = ("text_encoder", "text_encoder_2", "text_encoder_3")


@dataclass(frozen=True, kw_only=True)
class TextSet:
    """words: CLIP encoders whose vectors the network reads token by token, side by side.

    penultimate: it reads the layer before the last, without the final norm; else the last one, with it. skips: that layer can
    be chosen (CLIP skip). pooled: CLIP encoders whose one vector a text is joined and given as well, from the first chunk.
    long: the T5 encoder, whose vectors stand behind those of `words`; long_tokens: how many, filled up or cut.
    """

    words: tuple[str, ...] = ("text_encoder",)
    penultimate: bool = False
    skips: bool = False
    pooled: tuple[str, ...] = ()
    long: str = ""
    long_tokens: int = 0


ONE_CLIP = TextSet(skips=True)
TWO_CLIPS = TextSet(words=("text_encoder", "text_encoder_2"), penultimate=True, pooled=("text_encoder_2",))
TWO_CLIPS_AND_T5 = TextSet(
    words=("text_encoder", "text_encoder_2"),
    penultimate=True,
    pooled=("text_encoder", "text_encoder_2"),
    long="text_encoder_3",
    long_tokens=256,
)
POOLED_CLIP_AND_T5 = TextSet(words=(), pooled=("text_encoder",), long="text_encoder_2", long_tokens=512)
