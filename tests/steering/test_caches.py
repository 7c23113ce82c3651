"""Step caches: the published algorithms, written out plainly or as diffusers calls them, against ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers import FasterCacheConfig, FirstBlockCacheConfig, PyramidAttentionBroadcastConfig
from diffusers.hooks import MagCacheConfig, TaylorSeerCacheConfig
from diffusers.hooks.mag_cache import FLUX_MAG_RATIOS

from modules.steering.caches import CACHES
from tests.steering.conftest import STEPS, Bench


def counted(made: Bench, modules: list[Any], **asked: Any) -> list[int]:
    """How often each module computed in a steered run."""
    counts = [0] * len(modules)

    def count(n: int) -> Callable[..., None]:
        def add(module: Any, given: Any, out: Any) -> None:
            counts[n] += 1

        return add

    handles = [m.register_forward_hook(count(n)) for n, m in enumerate(modules)]
    made.steered(**asked)
    for handle in handles:
        handle.remove()
    return counts


@pytest.mark.parametrize(
    ("interval", "depth", "wanted"),
    [(2, 1, [4, 2, 2, 2, 2, 2, 2, 2, 4]), (3, 2, [4, 4, 2, 2, 2, 2, 2, 4, 4]), (9, 3, [4, 4, 4, 1, 1, 1, 4, 4, 4])],
)
def test_deep_blocks_compute_every_so_many_calls(bench: Callable[[str], Bench], interval: int, depth: int, wanted: list[int]):
    made = bench("sd1")
    unet = made.network
    first = [block.resnets[0].conv1 for block in (*unet.down_blocks, unet.mid_block, *unet.up_blocks)]
    assert counted(made, first, cache="DeepCache", cache_interval=interval, cache_depth=depth) == wanted


def test_a_cached_call_is_the_shallow_network_on_the_kept_features(bench: Callable[[str], Bench]):
    """The second call, written out: one level down and up around what the level below gave in the first call."""
    made = bench("sd1")
    unet = made.network
    kept: list[torch.Tensor] = []
    calls: list[dict[str, Any]] = []
    seen = [
        unet.up_blocks[-2].register_forward_hook(lambda module, given, out: kept.append(out)),
        unet.conv_in.register_forward_hook(lambda module, given, out: calls.append({"x": out})),
        unet.time_embedding.register_forward_hook(lambda module, given, out: calls[-1].__setitem__("emb", out) if calls else None),
        unet.conv_out.register_forward_hook(lambda module, given, out: calls[-1].__setitem__("out", out)),
    ]
    embeddings: list[torch.Tensor] = []
    seen.append(unet.time_embedding.register_forward_hook(lambda module, given, out: embeddings.append(out)))
    made.steered(cache="DeepCache", cache_interval=2)
    for handle in seen:
        handle.remove()
    given = made.arguments((1,))
    text = torch.cat([given["negative_prompt_embeds"], given["prompt_embeds"]])
    with torch.inference_mode():
        x, down = calls[1]["x"], unet.down_blocks[0]
        _, skips = down(hidden_states=x, temb=embeddings[1], encoder_hidden_states=text)
        up = unet.up_blocks[-1]
        skips = (x, *skips)[: len(up.resnets)]
        y = up(hidden_states=kept[0], temb=embeddings[1], res_hidden_states_tuple=skips, encoder_hidden_states=text)
        wanted = unet.conv_out(unet.conv_act(unet.conv_norm_out(y)))
    assert torch.allclose(wanted, calls[1]["out"], atol=1e-5)


def test_rows_that_change_are_computed_anew(bench: Callable[[str], Bench]):
    """An unguided call has fewer rows than what was kept."""
    made = bench("sd1")
    mid = [made.network.mid_block.resnets[0].conv1]
    assert counted(made, mid, cache="DeepCache", cache_interval=20) == [1]
    assert counted(made, mid, cache="DeepCache", cache_interval=20, cfg_stop=0.5) == [2]


STEPPED = {"num_inference_steps": 12}
TRANSFORMER_CACHES = [(kind, name) for name, row in CACHES for kind in row.architectures if kind in ("sd3", "flux")]


@pytest.mark.parametrize("scale", [5.0, 1.0])
def test_first_block_cache_is_that_of_diffusers(bench: Callable[[str], Bench], scale: float):
    made = bench("flux")
    plain = made.plain(scale=scale, **STEPPED)
    wanted = as_diffusers(made, FirstBlockCacheConfig(threshold=0.6), scale=scale)
    asked = {"cache": "First block", "cache_threshold": 0.6, "call": STEPPED}
    assert torch.equal(wanted, made.steered(scale=scale, **asked))
    assert not torch.equal(wanted, plain)


@pytest.mark.parametrize("name", ["Pyramid attention", "FasterCache"])
def test_attention_caches_are_those_of_diffusers(bench: Callable[[str], Bench], name: str):
    made = bench("flux")
    time: Any = lambda: made.pipeline._current_timestep  # noqa: E731
    config = (
        PyramidAttentionBroadcastConfig(spatial_attention_block_skip_range=2, current_timestep_callback=time)
        if name == "Pyramid attention"
        else FasterCacheConfig(
            is_guidance_distilled=True, tensor_format="BCHW", attention_weight_callback=lambda _: 0.5, current_timestep_callback=time
        )
    )
    wanted = as_diffusers(made, config, scale=1.0)
    assert torch.equal(wanted, made.steered(scale=1.0, cache=name, call=STEPPED))
    assert not torch.equal(wanted, made.plain(scale=1.0, **STEPPED))


@pytest.mark.parametrize("scale", [5.0, 1.0])
@pytest.mark.parametrize("order", [1, 2])
def test_taylorseer_is_that_of_diffusers(bench: Callable[[str], Bench], scale: float, order: int):
    made = bench("flux")
    wanted = as_diffusers(made, TaylorSeerCacheConfig(cache_interval=4, max_order=order, taylor_factors_dtype=torch.float32), scale=scale)
    assert torch.equal(wanted, made.steered(scale=scale, cache="TaylorSeer", cache_interval=4, cache_order=order, call=STEPPED))
    assert not torch.equal(wanted, made.plain(scale=scale, **STEPPED))


@pytest.mark.parametrize("scale", [5.0, 1.0])
def test_magcache_is_that_of_diffusers_over_the_calls_of_the_run(bench: Callable[[str], Bench], scale: float):
    made = bench("flux")
    config = MagCacheConfig(threshold=0.3, max_skip_steps=2, num_inference_steps=12, mag_ratios=FLUX_MAG_RATIOS)
    wanted = as_diffusers(made, config, scale=scale)
    asked = {"cache": "MagCache", "cache_threshold": 0.3, "cache_interval": 3, "call": STEPPED}
    assert torch.equal(wanted, made.steered(scale=scale, **asked))
    assert not torch.equal(wanted, made.plain(scale=scale, **STEPPED))


def as_diffusers(made: Bench, config: Any, *, scale: float) -> torch.Tensor:
    """The pipeline's call with a cache set as its documentation has it."""
    made.network.enable_cache(config)
    try:
        return made.plain(scale=scale, **STEPPED)
    finally:
        made.network.disable_cache()


def layer_for(made: Bench, name: str) -> Any:
    """A layer that computes less often with a cache."""
    block = made.network.transformer_blocks[1]
    return block.ff.net[0] if CACHES.get(name).whole_blocks else block.attn.to_q


@pytest.mark.parametrize(("kind", "name"), TRANSFORMER_CACHES)
def test_each_cache_computes_less_and_leaves_nothing(bench: Callable[[str], Bench], kind: str, name: str):
    made = bench(kind)
    plain = made.plain(scale=1.0, **STEPPED)
    state = made.state()
    asked = {"cache": name, "cache_threshold": 1.0, "cache_interval": 3, "call": STEPPED}
    [computed] = counted(made, [layer_for(made, name)], scale=1.0, **asked)
    assert 1 <= computed < 12
    found = made.steered(scale=1.0, **asked)
    assert bool(torch.isfinite(found).all())
    assert not torch.allclose(plain, found, atol=1e-6)
    assert made.state().keys() == state.keys()
    assert not [key for key, value in made.state().items() if isinstance(value, tuple) and value[0]]
    assert torch.equal(plain, made.plain(scale=1.0, **STEPPED))


@pytest.mark.parametrize("name", [name for kind, name in TRANSFORMER_CACHES if kind == "sd3"])
def test_rows_that_change_begin_anew_in_a_transformer(bench: Callable[[str], Bench], name: str):
    """Near the end only the prompt is asked about: what was kept for two rows is no answer for one."""
    made = bench("sd3")
    asked = {"cache": name, "cache_threshold": 1.0, "cache_interval": 20, "call": STEPPED}
    [once] = counted(made, [layer_for(made, name)], **asked)
    [twice] = counted(made, [layer_for(made, name)], cfg_stop=0.8, **asked)
    assert twice > once
    assert bool(torch.isfinite(made.steered(cfg_stop=0.8, pag_scale=2.0, **asked)).all())


def test_a_run_that_begins_late_computes_first(bench: Callable[[str], Bench]):
    """FasterCache takes over below timestep 681, and a picture that is changed a little begins there."""
    made = bench("flux").as_class("FluxImg2ImgPipeline")
    found = made.steered(scale=1.0, cache="FasterCache", call={"strength": 0.4, "num_inference_steps": 10})
    assert bool(torch.isfinite(found).all())


def test_blocks_are_not_left_out_in_two_ways(bench: Callable[[str], Bench]):
    made = bench("sd3.5")
    asked = {"slg_scale": 2.8, "slg_layers": "0", "slg_stop": 1.0}
    found, steer = made.made(cache="First block", cache_threshold=1.0, **asked)
    assert steer.notes == ["First block cache had no effect: skip-layer guidance leaves out blocks too."]
    assert torch.equal(found, made.steered(**asked))
    assert not torch.equal(found, made.steered(cache="TaylorSeer", **asked, call=STEPPED))


@pytest.mark.parametrize("cache", ["First block", "Pyramid attention", "FasterCache", "TaylorSeer", "MagCache"])
def test_caches_in_pipelines_that_do_not_name_their_calls(bench: Callable[[str], Bench], cache: str):
    made = bench("flux").as_class("FluxImg2ImgPipeline")
    layers = [made.network.proj_out, layer_for(made, cache)]
    asked = {"cache": cache, "cache_threshold": 1.0, "cache_interval": 9, "call": {"num_inference_steps": 15}}
    whole, inner = counted(made, layers, scale=1.0, **asked)
    assert whole > STEPS
    assert inner < whole
