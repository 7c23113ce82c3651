"""The published sizes: from the header of a full-size file alone come the published configs, and the class fits it to the last tensor."""

from __future__ import annotations

import pytest

from modules.families import shipped
from modules.weights.layouts.carried import plain
from modules.weights.layouts.component import component_of, guessed
from modules.weights.layouts.kinds import KINDS
from modules.weights.layouts.module import empty
from modules.weights.layouts.table import LAYOUTS
from tests.families import stripped

FULL = {"sd15": "sd1", "sd2-768": "sd2", "sdxl": "sdxl", "sdxl-refiner": "sdxl-refiner", "sd3.5-medium": "sd3", "flux-dev": "flux"}
# Of no effect: not used by the class, or the same thing said otherwise.
UNUSED = {
    "bos_token_id", "eos_token_id", "pad_token_id", "projection_dim", "mid_block_type", "use_quant_conv", "use_post_quant_conv",
    "mid_block_add_attention", "dual_attention_layers", "qk_norm", "out_channels", "reverse_transformer_layers_per_block",
}  # fmt: skip


@pytest.mark.parametrize("name", FULL)
def test_configs_of_the_published_models_come_from_their_headers(name: str) -> None:
    header = stripped.header(name)
    for component in LAYOUTS[FULL[name]].parts:
        found = component_of(header, FULL[name], component)
        assert found is not None, component
        assert not [key for key in found.unknown if "position_ids" not in key and "logit_scale" not in key], component
        published = shipped.config(name, component)
        for key, value in guessed(found).items():
            if key in published and key not in UNUSED:
                assert plain(value) == plain(published[key]), f"{component}.{key}"


@pytest.mark.parametrize("name", FULL)
def test_the_classes_fit_the_headers_to_the_last_tensor(name: str) -> None:
    header = stripped.header(name)
    for component in LAYOUTS[FULL[name]].parts:
        found = component_of(header, FULL[name], component, shipped.config(name, component))
        assert found is not None, component
        canonical = KINDS[found.part.kind].canonical
        shapes = {canonical(key): tuple(value.shape) for key, value in empty(found).state_dict().items()}
        shapes.pop(None, None)
        if name.startswith("sd3"):
            shapes.pop("text_projection.weight", None)
            assert found.shapes.keys() - {"text_projection.weight"} == shapes.keys(), component
        else:
            assert found.shapes == shapes, component
