"""A captioner in two parts that a graph can hold: `Begin` sees the picture once, `Step` writes one token from what was kept.

What is kept are keys and values of attention: `grows` those of the words, one longer with each token; `fixed` those of the picture where
the decoder looks at it by cross-attention. Where words and picture stand in one row, the picture's are the first that grow.
Knows transformers' classes; nothing of ONNX. Start reading at `PARTS` and `split`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import DynamicCache, EncoderDecoderCache

from modules.caption.loading import Captioner
from modules.caption.onnx_files import Export, source_of
from modules.faults import ModelFault

Kept = list[torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class Parts:
    """How a kind is split. begin(model, pixels (B,3,H,W)) -> (what begins to grow, what is fixed); one of them is empty.

    step(model, tokens (B,t), cache) -> likelihoods (B,V) behind the last token. decoder(model): whose configuration tells layers and heads.
    begun(model): (first token, a given text's first is replaced by it, a given text's last is left out, tokens that stand for the picture).
    """

    begin: Callable[[Any, torch.Tensor], tuple[Kept, Kept]]
    step: Callable[[Any, torch.Tensor, Any, Kept], torch.Tensor]
    begun: Callable[[Any], tuple[int, bool, bool, int]]


class Begin(nn.Module):
    """pixel_values (B,3,H,W) -> everything that is kept, as one row of tensors (B, heads, places, length)."""

    def __init__(self, model: Any, parts: Parts) -> None:
        super().__init__()
        self.model, self._parts = model, parts

    def forward(self, pixel_values: torch.Tensor) -> Kept:
        grows, fixed = self._parts.begin(self.model, pixel_values)
        return [*grows, *fixed]


class Step(nn.Module):
    """input_ids (B,t), past, seen -> likelihoods (B,V) of the next token, and the past with the new tokens' keys and values behind."""

    def __init__(self, model: Any, parts: Parts) -> None:
        super().__init__()
        self.model, self._parts = model, parts

    def forward(self, input_ids: torch.Tensor, past: Kept, seen: Kept) -> tuple[torch.Tensor, Kept]:
        words = _cache(past)
        cache = EncoderDecoderCache(words, _cache(seen)) if seen else words
        logits = self._parts.step(self.model, input_ids, cache, seen)
        return logits, _flat(words)


def split(captioner: Captioner) -> tuple[Begin, Step, Export]:
    """The two parts of a captioner on the CPU in float32, and what a runner must know of it. Raises KeyError for kinds not in PARTS,
    ModelFault for one whose words begin in another way.
    """
    parts, model = PARTS[captioner.kind.id], captioner.model
    begin, step = Begin(model, parts).train(False), Step(model, parts).train(False)
    first, replaces, ends_given, unread = parts.begun(model)
    if unread and not captioner.tokenizer("").input_ids:
        raise ModelFault(f"{captioner.installed.name} puts no sign between picture and words, so that its parts cannot be told apart.")
    with torch.inference_mode():
        grows, fixed = parts.begin(model, pixels(captioner, 1))
        empty = [t[:, :, :0] for t in grows or fixed]
        said, _ = step(torch.full((1, 1), first), grows or empty, fixed)
    ends = captioner.kind.ends(model)
    ends = tuple(ends) if isinstance(ends, list | tuple) else (ends,)
    kept = grows or fixed
    pad = model.generation_config.pad_token_id
    export = Export(
        kind=captioner.kind.id, first=int(first), replaces=replaces, ends_given=ends_given, unread=unread,
        pad=int(ends[0] if pad is None else pad), ends=tuple(int(end) for end in ends), vocabulary=said.shape[-1],
        grows=(len(kept), kept[0].shape[1], kept[0].shape[3]), fixed=len(fixed), source=source_of(captioner.installed),
    )  # fmt: skip
    return begin, step, export


def pixels(captioner: Captioner, count: int) -> torch.Tensor:
    """(count,3,H,W) of noise, of the size that the model takes."""
    images = captioner.processor.image_processor
    size = (getattr(images, "do_center_crop", False) and images.crop_size) or images.size
    side = size["height"] if "height" in size else size["shortest_edge"]
    return torch.randn(count, 3, int(side), int(size.get("width", side)), generator=torch.Generator().manual_seed(0))


def _cache(flat: Sequence[torch.Tensor]) -> DynamicCache:
    cache = DynamicCache()
    for n in range(0, len(flat), 2):
        cache.update(flat[n], flat[n + 1], n // 2)
    return cache


def _flat(cache: Any) -> Kept:
    return [tensor for layer in cache.layers for tensor in (layer.keys, layer.values)]


def _ones(pixel_values: torch.Tensor, token: int) -> torch.Tensor:
    """A token for each picture: the decoder is run once, for its cross-attention's keys; the graph leaves the rest of it out."""
    return torch.full((pixel_values.shape[0], 1), token, dtype=torch.long)


def _states(seen: Kept, width: int) -> torch.Tensor:
    """The picture's states as the decoder wants to be given them; it takes the keys that were kept, so these are not read."""
    return seen[0].new_zeros((seen[0].shape[0], seen[0].shape[2], width))


# ---- BLIP -----------------------------------------------------------------------------------------------------------------


def _blip_begin(model: Any, pixel_values: torch.Tensor) -> tuple[Kept, Kept]:
    states = model.vision_model(pixel_values=pixel_values).last_hidden_state
    cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
    model.text_decoder(_ones(pixel_values, 0), encoder_hidden_states=states, past_key_values=cache, use_cache=True)
    return [], _flat(cache.cross_attention_cache)


def _blip_step(model: Any, tokens: torch.Tensor, cache: Any, seen: Kept) -> torch.Tensor:
    states = _states(seen, model.config.text_config.encoder_hidden_size)
    made = model.text_decoder(tokens, encoder_hidden_states=states, past_key_values=cache, use_cache=True, logits_to_keep=1)
    return made.logits[:, -1]


# ---- A vision encoder and a text decoder -------------------------------------------------------------------------------------


def _pair_begin(model: Any, pixel_values: torch.Tensor) -> tuple[Kept, Kept]:
    states = model.encoder(pixel_values=pixel_values).last_hidden_state
    if hasattr(model, "enc_to_dec_proj"):
        states = model.enc_to_dec_proj(states)
    cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
    model.decoder(_ones(pixel_values, 0), encoder_hidden_states=states, past_key_values=cache, use_cache=True)
    return [], _flat(cache.cross_attention_cache)


def _pair_step(model: Any, tokens: torch.Tensor, cache: Any, seen: Kept) -> torch.Tensor:
    states = _states(seen, model.decoder.config.hidden_size)
    return model.decoder(tokens, encoder_hidden_states=states, past_key_values=cache, use_cache=True).logits[:, -1]


def _pair_begun(model: Any) -> tuple[int, bool, bool, int]:
    said = model.generation_config.decoder_start_token_id, model.generation_config.bos_token_id, model.config.decoder_start_token_id
    return next(token for token in said if token is not None), False, False, 0


# ---- GIT: patches and words in one row -----------------------------------------------------------------------------------------


def _git_begin(model: Any, pixel_values: torch.Tensor) -> tuple[Kept, Kept]:
    """Patches look at patches alone, so one word behind them changes nothing of theirs; its own keys are cut off."""
    cache = DynamicCache()
    model.git(_ones(pixel_values, 0), pixel_values=pixel_values, past_key_values=cache, use_cache=True)
    return [tensor[:, :, :-1] for tensor in _flat(cache)], []


def _git_step(model: Any, tokens: torch.Tensor, cache: Any, seen: Kept) -> torch.Tensor:
    patches = model.git.encoder.layer[0].attention.self.image_patch_tokens
    places = torch.arange(tokens.shape[1])[None] + (cache.get_seq_length() - patches)
    made = model.git(tokens, position_ids=places, past_key_values=cache, use_cache=True)
    return model.output(made.last_hidden_state[:, -1:])[:, -1]


# ---- BLIP-2: queries stand before the words of a language model -------------------------------------------------------------------


def _queries_begin(model: Any, pixel_values: torch.Tensor) -> tuple[Kept, Kept]:
    states = model.vision_model(pixel_values=pixel_values).last_hidden_state
    asked = model.query_tokens.expand(states.shape[0], -1, -1)
    found = model.language_projection(model.qformer(query_embeds=asked, encoder_hidden_states=states).last_hidden_state)
    cache = DynamicCache()
    model.language_model(inputs_embeds=found, past_key_values=cache, use_cache=True)
    return _flat(cache), []


def _queries_step(model: Any, tokens: torch.Tensor, cache: Any, seen: Kept) -> torch.Tensor:
    length = cache.get_seq_length()
    mask = tokens.new_ones((tokens.shape[0], length + tokens.shape[1]))
    return model.language_model(tokens, attention_mask=mask, past_key_values=cache, use_cache=True).logits[:, -1]


def _git_begun(model: Any) -> tuple[int, bool, bool, int]:
    return model.generation_config.bos_token_id or model.config.bos_token_id, False, False, 0


def _queries_begun(model: Any) -> tuple[int, bool, bool, int]:
    return model.config.text_config.bos_token_id, False, False, model.config.num_query_tokens


PARTS: dict[str, Parts] = {
    "blip": Parts(begin=_blip_begin, step=_blip_step, begun=lambda model: (model.config.text_config.bos_token_id, True, True, 0)),
    "vit-gpt2": Parts(begin=_pair_begin, step=_pair_step, begun=_pair_begun),
    "git": Parts(begin=_git_begin, step=_git_step, begun=_git_begun),
    "blip-2": Parts(begin=_queries_begin, step=_queries_step, begun=_queries_begun),
}
