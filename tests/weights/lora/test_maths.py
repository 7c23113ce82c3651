"""The change each kind of entry means, against the formula written out."""

from __future__ import annotations

import pytest
import torch

from modules.weights.lora import maths


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def no_base() -> torch.Tensor:
    raise AssertionError("this kind needs no weight")


def test_lora_is_up_times_down_times_scale():
    parts = {"down": noise(3, 5), "up": noise(7, 3)}
    found = maths.change("lora", parts, (7, 5), 0.5, no_base)
    assert torch.allclose(found, parts["up"] @ parts["down"] / 2)


@pytest.mark.parametrize("middle", [False, True])
def test_factors_of_a_convolution_do_what_their_change_does(middle: bool):
    if middle:
        parts = {"down": noise(3, 5, 1, 1), "mid": noise(3, 3, 3, 3), "up": noise(7, 3, 1, 1)}
    else:
        parts = {"down": noise(3, 5, 3, 3), "up": noise(7, 3, 1, 1)}
    x = noise(1, 5, 8, 8)
    found = maths.factors(parts, 0.25)
    conv = torch.nn.functional.conv2d
    y = conv(x, found.down, padding=0 if middle else 1)
    y = conv(y, found.mid, padding=1) if found.mid is not None else y
    assert torch.allclose(conv(y, found.up), conv(x, found.change(), padding=1), atol=1e-4)
    assert torch.allclose(found.change(), maths.change("lora", parts, (7, 5, 3, 3), 0.25, no_base), atol=1e-5)


def test_fewer_ranks_are_the_first_ones():
    parts = {"down": noise(4, 5), "up": noise(7, 4)}
    assert torch.allclose(maths.factors(parts, 1.0, rank=2).change(), parts["up"][:, :2] @ parts["down"][:2])


def test_loha_multiplies_two_products():
    parts = {f"hada_w{n}_{side}": noise(7 if side == "a" else 2, 2 if side == "a" else 5) + n for n in (1, 2) for side in "ab"}
    expected = (parts["hada_w1_a"] @ parts["hada_w1_b"]) * (parts["hada_w2_a"] @ parts["hada_w2_b"])
    assert torch.allclose(maths.change("loha", parts, (7, 5), 2.0, no_base), expected * 2)


def test_loha_with_cores():
    parts = {f"hada_t{n}": noise(2, 2, 3, 3) * n for n in (1, 2)} | {
        f"hada_w{n}_{s}": noise(2, 7 if s == "a" else 5) for n in (1, 2) for s in "ab"
    }
    found = maths.change("loha", parts, (7, 5, 3, 3), 1.0, no_base)
    halves = [0.0, 0.0]
    for n in (1, 2):
        for i in range(2):
            for j in range(2):
                halves[n - 1] = halves[n - 1] + parts[f"hada_t{n}"][i, j, 1, 2] * parts[f"hada_w{n}_a"][i, 4] * parts[f"hada_w{n}_b"][j, 3]
    assert float(found[4, 3, 1, 2]) == pytest.approx(float(halves[0] * halves[1]), rel=1e-4)


def test_lokr_puts_the_second_factor_into_each_place_of_the_first():
    parts = {"lokr_w1": noise(2, 3), "lokr_w2_a": noise(4, 2), "lokr_w2_b": noise(2, 5)}
    found = maths.change("lokr", parts, (8, 15), 1.0, no_base)
    block = parts["lokr_w2_a"] @ parts["lokr_w2_b"]
    assert torch.allclose(found[4:, 10:], parts["lokr_w1"][1, 2] * block)


def test_lokr_of_a_convolution():
    parts = {"lokr_w1": noise(2, 3), "lokr_w2_a": noise(4, 2), "lokr_w2_b": noise(2, 5, 3, 3)}
    found = maths.change("lokr", parts, (8, 15, 3, 3), 1.0, no_base)
    block = (parts["lokr_w2_a"] @ parts["lokr_w2_b"].flatten(1)).reshape(4, 5, 3, 3)
    assert torch.allclose(found[4:, 5:10], parts["lokr_w1"][1, 1] * block)


def test_glora_and_ia3_move_with_the_weight():
    weight = noise(7, 5)
    parts = {"a1": noise(5, 2), "a2": noise(2, 5), "b1": noise(7, 2), "b2": noise(2, 5)}
    assert torch.allclose(
        maths.change("glora", parts, (7, 5), 1.0, lambda: weight), weight @ parts["a1"] @ parts["a2"] + parts["b1"] @ parts["b2"], atol=1e-5
    )
    by_input = {"weight": noise(5), "on_input": torch.tensor(True)}
    assert torch.allclose(maths.change("ia3", by_input, (7, 5), 1.0, lambda: weight), weight * by_input["weight"])
    by_output = {"weight": noise(7), "on_input": torch.tensor(False)}
    assert torch.allclose(maths.change("ia3", by_output, (7, 5), 1.0, lambda: weight), weight * by_output["weight"][:, None])


@pytest.mark.parametrize(("part", "shape", "axis"), [("dora", (1, 5), 1), ("dora", (7, 1), 0), ("magnitude", (7,), 0)])
def test_dora_sets_the_length_of_each_direction(part: str, shape: tuple[int, ...], axis: int):
    weight, parts = noise(7, 5), {"down": noise(3, 5), "up": noise(7, 3), part: noise(*shape).abs() + 0.5}
    moved = weight + maths.change("lora", parts, (7, 5), 0.5, lambda: weight)
    assert torch.allclose(moved.norm(dim=1 - axis), parts[part].flatten(), atol=1e-5)
    direction = weight + 0.5 * parts["up"] @ parts["down"]
    cosine = torch.nn.functional.cosine_similarity(moved, direction, dim=1 - axis)
    assert torch.allclose(cosine, torch.ones_like(cosine), atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "shapes", "rank"),
    [
        ("lora", {"down": (4, 5)}, 4),
        ("loha", {"hada_w1_b": (2, 5)}, 2),
        ("lokr", {"lokr_w1": (2, 3), "lokr_w2_b": (3, 5)}, 3),
        ("lokr", {"lokr_w1": (2, 3), "lokr_w2": (4, 5)}, None),
        ("full", {"diff": (7, 5)}, None),
    ],
)
def test_what_alpha_is_divided_by(kind: str, shapes: dict[str, tuple[int, ...]], rank: int | None):
    assert maths.rank(kind, shapes) == rank
