"""Off is off: nothing is set, and pictures are those of a plain call. On leaves nothing behind, whatever happens."""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from modules.faults import BlankPicture
from modules.request import Steering
from modules.settings import Settings
from modules.steering.steer import steered
from tests.steering.conftest import BUILT, Bench

EVERYTHING = {
    "cfg_rescale": 0.7,
    "cfg_schedule": "Linear down",
    "cfg_start": 0.1,
    "cfg_stop": 0.9,
    "freeu": True,
    "pag_scale": 2.0,
    "slg_scale": 2.8,
    "slg_layers": "1",
    "tiling": True,
}
RATIO = {"token_merging_ratio": 0.5, "s_min_uncond": 3.0, "skip_early_cond": 0.2}
OTHERS = [
    ("sd1", "StableDiffusionImg2ImgPipeline"),
    ("sd1", "StableDiffusionInpaintPipeline"),
    ("sdxl", "StableDiffusionXLImg2ImgPipeline"),
    ("sdxl", "StableDiffusionXLInpaintPipeline"),
    ("sd3", "StableDiffusion3Img2ImgPipeline"),
    ("sd3", "StableDiffusion3InpaintPipeline"),
    ("flux", "FluxImg2ImgPipeline"),
]


def cache_of(kind: str) -> str:
    return {"flux": "First block", "sd3": "TaylorSeer", "sd3.5": "Pyramid attention"}.get(kind, "DeepCache")


@pytest.mark.parametrize("kind", BUILT)
def test_off_is_the_plain_call(bench: Callable[[str], Bench], kind: str):
    made = bench(kind)
    assert torch.equal(made.plain(), made.steered(settings=Settings().to_data()))


def test_off_sets_no_hook_but_the_guard(bench: Callable[[str], Bench]):
    made = bench("sd1")
    before = made.state()
    with steered(made.pipeline, Steering(), made.context((1,)), guard=False) as steer, steer.guiding():
        assert made.state() == before
    with steered(made.pipeline, Steering(), made.context((1,))) as steer, steer.guiding():
        hooked = [name for name, value in made.state().items() if value != before[name]]
        assert hooked == ["network."]


@pytest.mark.parametrize(("kind", "name"), OTHERS)
def test_pictures_to_begin_with(bench: Callable[[str], Bench], kind: str, name: str):
    """Off is the plain call in img2img and inpainting too, and on does something."""
    made = bench(kind).as_class(name)
    plain = made.plain()
    assert torch.equal(plain, made.steered())
    assert not torch.allclose(plain, made.steered(cfg_rescale=0.7), atol=1e-3)


@pytest.mark.parametrize("kind", BUILT)
def test_everything_is_taken_back(bench: Callable[[str], Bench], kind: str):
    """After a run, and after a run that failed on the way."""
    made = bench(kind)
    asked = {"settings": RATIO, "cache": cache_of(kind), **EVERYTHING}
    plain = made.plain()
    assert not torch.allclose(plain, made.steered(**asked), atol=1e-3)
    before = made.state()  # diffusers leaves an empty registry behind
    assert not [name for name, value in before.items() if isinstance(value, tuple) and value[0]]

    def fail(pipe: Any, index: int, timestep: Any, tensors: Any) -> dict[str, Any]:
        if index == 1:
            raise BlankPicture("on purpose")
        return {}

    with pytest.raises(BlankPicture):
        made.steered(call={"callback_on_step_end": fail}, **asked)
    made.pipeline.maybe_free_model_hooks()
    assert made.state() == before
    assert torch.equal(plain, made.plain())


@pytest.mark.parametrize(("kind", "cache"), [("sdxl", "DeepCache"), ("sd3.5", "None")])
def test_nothing_is_made_on_another_device(bench: Callable[[str], Bench], kind: str, cache: str):
    """On the meta device a tensor that was left on the CPU is an error."""
    made = bench(kind)
    network = copy.deepcopy(made.network).to("meta")
    pipeline = SimpleNamespace(unet=network, transformer=network, vae=None, scheduler=made.pipeline.scheduler, _num_timesteps=2)
    steering = Steering(**{**EVERYTHING, "cfg_start": 0.0, "cfg_stop": 1.0, "slg_start": 0.0, "cache": cache})
    context = made.context((1, 2), settings={"token_merging_ratio": 0.5})
    config = network.config
    text = torch.empty(4, 7, config.get("cross_attention_dim") or config.joint_attention_dim, device="meta")
    given: dict[str, Any] = {"encoder_hidden_states": text, "return_dict": False, "timestep": torch.ones(4, device="meta")}
    if kind == "sdxl":
        given |= {"sample": torch.empty(4, 4, 16, 16, device="meta")}
        given |= {"added_cond_kwargs": {"text_embeds": torch.empty(4, 128, device="meta"), "time_ids": torch.empty(4, 6, device="meta")}}
    else:
        given |= {"hidden_states": torch.empty(4, 16, 16, 16, device="meta"), "pooled_projections": torch.empty(4, 192, device="meta")}
    with torch.inference_mode(), steered(pipeline, steering, context, guard=False) as steer, steer.guiding():
        for _ in range(2):
            assert network(**given)[0].device.type == "meta"


@pytest.mark.parametrize("kind", ["sd1", "sdxl", "sd3.5", "flux"])
def test_a_batch_equals_its_singles(bench: Callable[[str], Bench], kind: str):
    made = bench(kind)
    asked = {"settings": RATIO, "cache": "None" if kind == "flux" else cache_of(kind), **EVERYTHING}
    together = made.steered((1, 2), **asked)
    alone = torch.cat([made.steered((1,), **asked), made.steered((2,), **asked)])
    assert torch.allclose(together, alone, atol=2e-3)
    assert not torch.allclose(alone[0], alone[1], atol=0.1)
