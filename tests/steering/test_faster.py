"""Token merging and caches: the published algorithms, written out plainly, against ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers import FasterCacheConfig, FirstBlockCacheConfig, PyramidAttentionBroadcastConfig

from modules.steering.merging import Grid, largest, matched
from tests.steering.conftest import STEPS, Bench

RATIO = {"token_merging_ratio": 0.5}


def slowly_merged(
    x: torch.Tensor, others: list[int], chosen: list[int], count: int
) -> tuple[list[tuple[int, int]], dict[int, torch.Tensor]]:
    """(pairs of who joins whom, mean of each chosen place), one picture, by loops."""
    unit = x / x.norm(dim=-1, keepdim=True)
    best = {o: max(chosen, key=lambda c: float(unit[o] @ unit[c])) for o in others}
    alike = sorted(others, key=lambda o: -float(unit[o] @ unit[best[o]]))[:count]
    pairs = [(o, best[o]) for o in alike]
    means = {c: torch.stack([x[c], *(x[o] for o, into in pairs if into == c)]).mean(0) for c in chosen}
    return pairs, means


def test_merging_is_the_published_algorithm():
    torch.manual_seed(0)
    grid = Grid(0, (5, 6))
    grid.begin(torch.zeros(2, 4, 6, 7))
    x = torch.randn(2, 42, 8)
    others, chosen = grid.drawn(2, x.device)
    merging = matched(x, others, chosen, 20)
    merged = merging.merged(x)
    assert merged.shape == (2, 22, 8)
    for row in range(2):
        pairs, means = slowly_merged(x[row], others[row].tolist(), chosen[row].tolist(), 20)
        joined = {int(merging.joined[row, n]): int(chosen[row][merging.into[row, n]]) for n in range(20)}
        assert joined == dict(pairs)
        for n, place in enumerate(chosen[row].tolist()):
            assert torch.allclose(merged[row, -len(chosen[row]) + n], means[place], atol=1e-6)
        back = merging.parted(merged, 42)
        for place in range(42):
            source = means[joined[place]] if place in joined else means.get(place, x[row, place])
            assert torch.allclose(back[row, place], source, atol=1e-6)


def test_one_place_of_every_cell_is_chosen():
    grid = Grid(1, (1, 2, 3))
    grid.begin(torch.zeros(3, 4, 11, 16))  # 6 x 8 places at the second level
    others, chosen = grid.drawn(6, torch.device("cpu"))
    assert others.shape == (6, 36)
    assert chosen.shape == (6, 12)
    for row in range(6):
        cells = sorted((p // 8 // 2, p % 8 // 2) for p in chosen[row].tolist())
        assert cells == [(y, x) for y in range(3) for x in range(4)]
        assert sorted(others[row].tolist() + chosen[row].tolist()) == list(range(48))
    assert torch.equal(chosen[:3], chosen[3:])  # rows of the same picture
    assert not torch.equal(chosen[0], chosen[1])
    assert not torch.equal(chosen, grid.drawn(6, torch.device("cpu"))[1])  # drawn anew each time


@pytest.mark.parametrize(("kind", "level", "count"), [("sd1", 0, 5), ("sdxl", 1, 5)])
def test_the_largest_attention_is_found(bench: Callable[[str], Bench], kind: str, level: int, count: int):
    found, layers = largest(bench(kind).network)
    assert (found, len(layers)) == (level, count)


@pytest.mark.parametrize("kind", ["sd1", "sdxl"])
def test_merging_shortens_only_the_largest_attention(bench: Callable[[str], Bench], kind: str):
    made = bench(kind)
    lengths: dict[str, int] = {}
    handles = [
        m.to_q.register_forward_hook(lambda module, given, out, name=name: lengths.__setitem__(name, out.shape[1]))
        for name, m in made.network.named_modules()
        if name.endswith("attn1")
    ]
    made.plain()
    before = dict(lengths)
    made.steered(settings=RATIO)
    for handle in handles:
        handle.remove()
    most = max(before.values())
    assert any(n < most for n in before.values())
    for name, n in before.items():
        assert lengths[name] == (n // 2 if n == most else n), name


def test_merging_is_made_of_the_seed(bench: Callable[[str], Bench]):
    made = bench("sd1")
    once = made.steered(settings=RATIO)
    assert torch.equal(once, made.steered(settings=RATIO))
    other = {k: v for k, v in made.arguments((1,)).items() if k == "latents"}
    assert not torch.allclose(once, made.steered((2,), settings=RATIO, call=other), atol=1e-4)


@pytest.mark.parametrize("side", [72, 88])
def test_merging_of_odd_sizes(bench: Callable[[str], Bench], side: int):
    found = bench("sd1").steered(side=side, settings={"token_merging_ratio": 0.9})
    assert bool(torch.isfinite(found).all())


def test_what_was_merged_is_known(bench: Callable[[str], Bench]):
    ratios = {"token_merging_ratio": 0.3, "token_merging_ratio_hr": 0.5, "token_merging_ratio_img2img": 0.7}
    made = bench("sd1")
    assert made.made(settings=ratios)[1].infotext == {"Token merging ratio": 0.3}
    assert made.made(settings=ratios, stage="img2img")[1].infotext == {"Token merging ratio": 0.7}
    assert made.made(settings=ratios, stage="hires")[1].infotext == {"Token merging ratio hr": 0.5}


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


@pytest.mark.parametrize("scale", [5.0, 1.0])
def test_first_block_cache_is_that_of_diffusers(bench: Callable[[str], Bench], scale: float):
    made = bench("flux")
    plain = made.plain(scale=scale, num_inference_steps=12)
    made.network.enable_cache(FirstBlockCacheConfig(threshold=0.6))
    wanted = made.plain(scale=scale, num_inference_steps=12)
    made.network.disable_cache()
    asked = {"cache": "First block", "cache_threshold": 0.6, "call": {"num_inference_steps": 12}}
    assert torch.equal(wanted, made.steered(scale=scale, **asked))
    assert not torch.equal(wanted, plain)
    assert not made.network.is_cache_enabled


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
    made.network.enable_cache(config)
    wanted = made.plain(scale=1.0)
    made.network.disable_cache()
    assert torch.equal(wanted, made.steered(scale=1.0, cache=name))
    assert not torch.equal(wanted, made.plain(scale=1.0))


@pytest.mark.parametrize("cache", ["First block", "Pyramid attention", "FasterCache"])
def test_caches_in_pipelines_that_do_not_name_their_calls(bench: Callable[[str], Bench], cache: str):
    made = bench("flux").as_class("FluxImg2ImgPipeline")
    layers = [made.network.proj_out, made.network.single_transformer_blocks[0].proj_out]
    whole, late = counted(made, layers, scale=1.0, cache=cache, cache_threshold=1.0)
    assert whole == STEPS
    assert late == (1 if cache == "First block" else STEPS)
    assert not torch.allclose(made.plain(scale=1.0), made.steered(scale=1.0, cache=cache, cache_threshold=1.0), atol=1e-6)
