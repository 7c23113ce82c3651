"""A quantiser put on a component of a loaded model, layer by layer, so that never more than one layer is there twice.

Knows torch modules and rows; knows nothing about files. Imports torch when called. Start reading at `quantise`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from modules.weights.quantisers.row import Quantiser

# Layers that stay as they are, by their names within a component: few numbers, and pictures suffer most from their loss.
LEFT_OUT = (
    r"^conv_in$", r"^conv_out$", r"^proj_out$", r"^x_embedder$", r"^context_embedder$", r"^text_projection$",
    r"pos_embed", r"patch_embed", r"(^|\.)time_embedding\.", r"(^|\.)time_text_embed\.", r"(^|\.)add_embedding\.",
)  # fmt: skip
MARK = "quantiser"  # attribute of a layer: the row that made it


def quantise(component: Any, row: Quantiser, torch_name: str = "cpu", each: Callable[[int, int], None] | None = None) -> list[str]:
    """Replace the layers a row takes; the paths of these. component: a model of diffusers or transformers, on the CPU.

    torch_name: the device it will work on; each(done, total): after every layer.
    """
    taken = layers_of(component, row)
    component.requires_grad_(False)
    for done, path in enumerate(taken, 1):
        put(component, path, row.make(component.get_submodule(path), torch_name), row)
        if each is not None:
            each(done, len(taken))
    return taken


def layers_of(component: Any, row: Quantiser) -> list[str]:
    """Paths of the layers a row takes. Those that the model's class keeps in full precision stay as they are."""
    from torch import nn

    kinds = tuple(getattr(nn, name) for name in row.layers)
    kept = (rf"(^|\.){re.escape(word)}(\.|$)" for word in getattr(component, "_keep_in_fp32_modules", None) or ())
    no = re.compile("|".join((*LEFT_OUT, *row.keeps, *kept)))
    fitting = [(path, layer) for path, layer in component.named_modules() if type(layer) in kinds and not no.search(path)]
    return [path for path, layer in fitting if layer.weight.shape[1] % row.multiple_of == 0]


def left_out(component: Any) -> list[str]:
    """Paths of the linear layers that were left as they are, for what libraries write into config.json."""
    from torch import nn

    return [path for path, layer in component.named_modules() if type(layer) is nn.Linear and not hasattr(layer, MARK)]


def put(component: Any, path: str, layer: Any, row: Quantiser) -> None:
    """Put a layer that a row has made in its place."""
    above, _, name = path.rpartition(".")
    setattr(layer, MARK, row)
    setattr(component.get_submodule(above), name, layer.eval())  # some of bitsandbytes' compute otherwise while training


def is_quantised(component: Any) -> bool:
    """Has a quantiser made some of its layers?"""
    return any(hasattr(layer, MARK) for layer in component.modules())


def full_weight(layer: Any) -> Any:
    """The weight of a layer that a quantiser has made, float32 on the CPU; None for any other layer."""
    row: Quantiser | None = getattr(layer, MARK, None)
    return None if row is None else row.full(layer)
