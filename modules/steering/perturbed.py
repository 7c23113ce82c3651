"""Perturbed-attention guidance: the worse picture that is pulled away from is made with self-attention that sees each place alone.

The further rows are asked for by `modules.steering.blocks`; the hook here makes their attention an identity in chosen layers.
Start reading at `attentions`, then `Perturb`. Source: arXiv:2403.17377, section 4.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from diffusers.hooks import ModelHook
from diffusers.models.attention_processor import Attention

from modules.faults import RequestFault
from modules.steering.blocks import each, inside
from modules.steering.course import Course

Tensor = torch.Tensor


def attentions(network: Any, places: list[str]) -> list[Attention]:
    """The self-attention layers of a UNet or of joint blocks at places such as "mid", "down.1", "13".

    Raises RequestFault when there are none at one of them.
    """
    found: list[Attention] = []
    for place in places:
        layers = [
            layer for part in _parts(network, place) for layer in part.modules() if isinstance(layer, Attention) and not _crosses(layer)
        ]
        if not layers:
            raise RequestFault("pag_layers", "there is no self-attention of that name in this model", got=place)
        found += [layer for layer in layers if layer not in found]
    return found


def _parts(network: Any, place: str) -> list[Any]:
    name, _, number = place.partition(".")
    blocks = getattr(network, "transformer_blocks", None)
    if blocks is not None:
        at = len(blocks) // 2 if place == "mid" else int(place) if place.isdecimal() else -1
        return [blocks[at]] if 0 <= at < len(blocks) else []
    known = {"mid": [network.mid_block], "down": list(network.down_blocks), "up": list(network.up_blocks)}.get(name, [])
    if number:
        return known[int(number) : int(number) + 1]
    return [part for part in known if part is not None]


def _crosses(layer: Attention) -> bool:
    """Attention from picture to text alone. In joint blocks both attend to both."""
    return bool(layer.is_cross_attention) and layer.add_q_proj is None


class Perturb(ModelHook):
    """Set on a self-attention layer: the last `Course.perturbed` rows attend to themselves only."""

    _is_stateful = False

    def __init__(self, course: Course) -> None:
        super().__init__()
        self._course = course

    def new_forward(self, module: Any, *args: Any, **kwargs: Any) -> Any:
        """hidden_states: (rows, tokens, width), the first argument; with encoder_hidden_states in joint blocks."""
        alone = self._course.perturbed
        if not alone:
            return inside(self)(*args, **kwargs)
        hidden = args[0] if args else kwargs["hidden_states"]
        rows = len(hidden)
        given, named = each((args, kwargs), rows, lambda x: x[:-alone])
        usual = inside(self)(*given, **named)
        text = kwargs.get("encoder_hidden_states")
        if text is None or module.add_q_proj is None:
            return torch.cat([usual, _out(module, module.to_v(hidden[-alone:]))])
        image, context = joint_alone(module, hidden[-alone:], text[-alone:])
        return torch.cat([usual[0], image]), torch.cat([usual[1], context])


def _out(module: Any, x: Tensor) -> Tensor:
    return module.to_out[1](module.to_out[0](x))


def joint_alone(attn: Any, image: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
    """Joint attention in which each place of the picture (B, N, width) sees itself and the text (B, M, width); the text sees all."""

    def heads(x: Tensor, norm: Any = None) -> Tensor:
        x = x.unflatten(-1, (attn.heads, -1)).transpose(1, 2)
        return x if norm is None else norm(x)

    q, k, v = heads(attn.to_q(image), attn.norm_q), heads(attn.to_k(image), attn.norm_k), heads(attn.to_v(image))
    tq, tk = heads(attn.add_q_proj(text), attn.norm_added_q), heads(attn.add_k_proj(text), attn.norm_added_k)
    tv = heads(attn.add_v_proj(text))
    own = (q * k).sum(-1, keepdim=True)
    weights = (torch.cat([own, q @ tk.transpose(-1, -2)], dim=-1) * q.shape[-1] ** -0.5).softmax(-1)
    seen = weights[..., :1] * v + weights[..., 1:] @ tv
    told = F.scaled_dot_product_attention(tq, torch.cat([k, tk], dim=2), torch.cat([v, tv], dim=2))
    image_out, text_out = (x.transpose(1, 2).flatten(2) for x in (seen, told))
    return _out(attn, image_out), text_out if attn.context_pre_only else attn.to_add_out(text_out)
