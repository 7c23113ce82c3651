"""LoRA files on a small model: places, alpha, writing, merging, extracting."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from modules.faults import ModelFault
from modules.weights import header
from modules.weights.lora import write as writing
from modules.weights.lora.changes import load
from modules.weights.lora.extract import extract, pairs
from modules.weights.lora.file import open_file, place
from modules.weights.lora.maths import Factors
from modules.weights.lora.merge import Merge, names_of
from modules.weights.lora.names import Names

UNET = {
    "down_blocks.0.attentions.0.proj_in.weight": (8, 8, 1, 1),
    "down_blocks.0.attentions.0.proj_in.bias": (8,),
    "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.weight": (8, 8),
    "down_blocks.0.resnets.0.conv1.weight": (8, 8, 3, 3),
    "down_blocks.0.resnets.0.norm1.weight": (8,),
    "down_blocks.0.resnets.0.norm1.bias": (8,),
}
TEXT = {"encoder.layers.0.self_attn.q_proj.weight": (6, 6), "embeddings.token_embedding.weight": (9, 6)}
PROJ, _, QUERY, CONV, *_ = (path.removesuffix(".weight") for path in UNET)
TE = "encoder.layers.0.self_attn.q_proj"


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed + sum(shape)))


@pytest.fixture
def names() -> Names:
    return names_of("sd1", {"unet": UNET, "text_encoder": TEXT})


@pytest.fixture
def model() -> dict[str, dict[str, torch.Tensor]]:
    return {c: {n: noise(*s, seed=n.count("_")) for n, s in own.items()} for c, own in (("unet", UNET), ("text_encoder", TEXT))}


def saved(path: Path, tensors: dict[str, torch.Tensor], **metadata: str) -> Path:
    save_file(tensors, path, metadata or None)
    return path


def lora(name: str, rank: int = 2, width: int = 8, **more: Any) -> dict[str, torch.Tensor]:
    found = {f"{name}.lora_down.weight": noise(rank, width), f"{name}.lora_up.weight": noise(width, rank)}
    return found | {f"{name}.{part}": torch.as_tensor(value) for part, value in more.items()}


def changed(path: Path, names: Names) -> dict[str, torch.Tensor]:
    """Path -> change, of all low-rank entries."""
    file = open_file(path)
    return {t.path: c.factors(t).change() for c in load(file, place(file, names)) for t in c.targets}


@pytest.mark.parametrize(("alpha", "scale"), [(None, 1.0), (2.0, 1.0), (1.0, 0.5), (8.0, 4.0)])
def test_alpha_over_rank_scales_a_change(tmp_path: Path, names: Names, alpha: float | None, scale: float):
    more = {} if alpha is None else {"alpha": alpha}
    tensors = lora("lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q", **more)
    found = changed(saved(tmp_path / "a.safetensors", tensors), names)[QUERY]
    down, up = (tensors[f"lora_unet_{QUERY.replace('.', '_')}.{x}.weight"] for x in ("lora_down", "lora_up"))
    assert torch.allclose(found, up @ down * scale, atol=1e-5)


@pytest.mark.parametrize(
    ("said", "scale"),
    [
        ({"unet.lora_alpha": 1}, 0.5),
        ({"unet.lora_alpha": 1, "unet.use_rslora": True}, 2**-0.5),
        ({"unet.lora_alpha": 1, "unet.alpha_pattern": {"attn1.to_q": 6}}, 3.0),
        ({"text_encoder.lora_alpha": 1}, 1.0),
        ({"unet.lora_alpha": "many"}, 1.0),
        ([1, 2], 1.0),
    ],
)
def test_alpha_from_the_metadata_of_diffusers(tmp_path: Path, names: Names, said: Any, scale: float):
    tensors = {f"unet.{QUERY}.lora_A.weight": noise(2, 8), f"unet.{QUERY}.lora_B.weight": noise(8, 2)}
    path = saved(tmp_path / "a.safetensors", tensors, lora_adapter_metadata=json.dumps(said))
    plain = noise(8, 2) @ noise(2, 8)
    assert torch.allclose(changed(path, names)[QUERY], plain * scale, atol=1e-5)


def test_a_matrix_serves_a_1x1_convolution_and_the_other_way_round(tmp_path: Path, names: Names):
    tensors = lora(f"lora_unet_{PROJ.replace('.', '_')}") | {
        f"lora_unet_{QUERY.replace('.', '_')}.{part}.weight": noise(*shape)
        for part, shape in (("lora_down", (2, 8, 1, 1)), ("lora_up", (8, 2, 1, 1)))
    }
    found = changed(saved(tmp_path / "a.safetensors", tensors), names)
    assert (found[PROJ].shape, found[QUERY].shape) == ((8, 8, 1, 1), (8, 8))


def test_what_has_no_place_is_counted_and_named(tmp_path: Path, names: Names):
    q = f"lora_unet_{QUERY.replace('.', '_')}"
    tensors = (
        lora(q, alpha=1.0) | lora("lora_unet_elsewhere") | lora("lora_te_text_model_" + TE.replace(".", "_"), width=5) | {"odd": noise(1)}
    )
    placement = place(open_file(saved(tmp_path / "part.safetensors", tensors)), names)
    assert placement.coverage == "3/8 keys"
    assert "part was used in part: 3/8 keys" in placement.warning
    assert "no such layer" in placement.missed["lora_unet_elsewhere"]
    assert "25 values, the model's layer 6x6" in placement.missed["lora_te_text_model_" + TE.replace(".", "_")]
    assert "no kind" in placement.missed["odd"]


def test_a_file_that_fits_nowhere_is_refused(tmp_path: Path, names: Names):
    file = open_file(saved(tmp_path / "alien.safetensors", lora("lora_unet_elsewhere")))
    with pytest.raises(ModelFault, match=r"alien fits nowhere into this model \(0/2 keys; .*another kind of model"):
        place(file, names)


@pytest.mark.parametrize(
    ("name", "tensors", "words"),
    [
        ("a.safetensors", {"model.weight": noise(2, 2)}, "holds no LoRA of a kind"),
        ("a.pt", {"model.weight": noise(2, 2)}, "Convert it on the Models tab"),
    ],
)
def test_what_is_no_lora_is_refused(tmp_path: Path, name: str, tensors: dict[str, torch.Tensor], words: str):
    with pytest.raises(ModelFault, match=words):
        open_file(saved(tmp_path / name, tensors))


def test_tensors_that_do_not_belong_together_are_no_entry_of_the_model(tmp_path: Path, names: Names):
    q = f"lora_unet_{QUERY.replace('.', '_')}"
    good = lora(f"lora_unet_{PROJ.replace('.', '_')}")
    bad = {f"{q}.lora_down.weight": noise(2, 8), f"{q}.lora_up.weight": noise(8, 3)}
    placement = place(open_file(saved(tmp_path / "a.safetensors", good | bad)), names)
    assert "do not belong together" in placement.missed[q]


@pytest.mark.parametrize("dialect", ["kohya", "diffusers"])
def test_what_is_written_is_read_back(tmp_path: Path, names: Names, dialect: str):
    layers = {
        ("unet", QUERY): Factors(down=noise(2, 8), up=noise(8, 2)),
        ("unet", CONV): Factors(down=noise(2, 8, 3, 3), up=noise(8, 2, 1, 1)),
        ("text_encoder", TE): Factors(down=noise(2, 6), up=noise(6, 2)),
    }
    path = tmp_path / "made.safetensors"
    writing.write(path, layers, names, dialect=dialect, dtype=torch.float32)
    found = changed(path, names)
    assert found.keys() == {p for _, p in layers}
    assert all(torch.equal(found[p], factors.change()) for (_, p), factors in layers.items())


def test_a_written_file_says_what_programs_look_for(tmp_path: Path, names: Names):
    path = tmp_path / "made.safetensors"
    writing.write(path, {("text_encoder", TE): Factors(down=noise(2, 6), up=noise(6, 2))}, names, metadata={"ss_training_comment": "x"})
    said = header.read(path).metadata
    body = path.read_bytes()
    body = body[8 + int.from_bytes(body[:8], "little") :]
    assert said["sshs_model_hash"] == hashlib.sha256(body).hexdigest()
    assert (said["ss_network_dim"], said["ss_output_name"], said["ss_base_model_version"]) == ("2", "made", "sd_v1")
    assert said["ss_training_comment"] == "x"
    assert load_file(path)["lora_te_text_model_encoder_layers_0_self_attn_q_proj.alpha"] == 2
    assert load_file(path)["lora_te_text_model_encoder_layers_0_self_attn_q_proj.lora_up.weight"].dtype == torch.float16


def flux_names() -> Names:
    paths = {f"transformer_blocks.0.attn.to_{x}.weight": (4, 4) for x in "qkv"}
    return names_of("flux", {"transformer": paths})


@pytest.mark.parametrize("kept", ["qkv", "qv"])
def test_layers_trained_apart_are_joined_exactly(tmp_path: Path, kept: str):
    names = flux_names()
    layers = {
        ("transformer", f"transformer_blocks.0.attn.to_{x}"): Factors(down=noise(2, 4, seed=ord(x)), up=noise(4, 2, seed=ord(x)))
        for x in kept
    }
    writing.write(tmp_path / "a.safetensors", layers, names, dtype=torch.float32)
    assert {n.split(".")[0] for n in load_file(tmp_path / "a.safetensors")} == {"lora_unet_double_blocks_0_img_attn_qkv"}
    found = changed(tmp_path / "a.safetensors", names)
    for (_, path), factors in layers.items():
        assert torch.allclose(found[path], factors.change(), atol=1e-6)
    if kept == "qv":
        assert not found["transformer_blocks.0.attn.to_k"].any()


def test_layers_that_share_their_down_keep_it_once(tmp_path: Path):
    names, down = flux_names(), noise(2, 4)
    layers = {("transformer", f"transformer_blocks.0.attn.to_{x}"): Factors(down=down, up=noise(4, 2, seed=ord(x))) for x in "qkv"}
    writing.write(tmp_path / "a.safetensors", layers, names, dtype=torch.float32)
    tensors = load_file(tmp_path / "a.safetensors")
    assert torch.equal(tensors["lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight"], down)


def test_a_merged_model_is_the_model_plus_the_change_in_its_own_type(tmp_path: Path, names: Names, model: dict[str, Any]):
    q = "lora_unet_" + QUERY.replace(".", "_")
    norm = "lora_unet_down_blocks_0_resnets_0_norm1"
    tensors = lora(q, alpha=1.0) | {f"{norm}.w_norm": noise(8), f"{norm}.b_norm": noise(8, seed=1)}
    merge = Merge(names, [(saved(tmp_path / "a.safetensors", tensors), 1.0, 0.5)])
    assert merge.touches("unet")
    assert not merge.touches("text_encoder")
    half = {n: t.to(torch.bfloat16) for n, t in model["unet"].items()}
    made = {n: merge.tensor("unet", n, t, lambda c, n: half[n]) for n, t in half.items()}
    expected = half[f"{QUERY}.weight"].float() + 0.25 * tensors[f"{q}.lora_up.weight"] @ tensors[f"{q}.lora_down.weight"]
    assert torch.equal(made[f"{QUERY}.weight"], expected.to(torch.bfloat16))
    bias = "down_blocks.0.resnets.0.norm1.bias"
    assert torch.equal(made[bias], (half[bias].float() + 0.5 * noise(8, seed=1)).to(torch.bfloat16))
    assert made[f"{CONV}.weight"] is half[f"{CONV}.weight"]
    assert merge.missing_biases({"unet": list(UNET)}) == []


def test_a_merge_asks_for_the_unchanged_weight_where_it_needs_it(tmp_path: Path, names: Names, model: dict[str, Any]):
    q = "lora_unet_" + QUERY.replace(".", "_")
    path = saved(tmp_path / "dora.safetensors", lora(q, dora_scale=torch.full((1, 8), 2.0)))
    merge = Merge(names, [(path, 1.0, 1.0)])
    made = merge.tensor("unet", f"{QUERY}.weight", model["unet"][f"{QUERY}.weight"], lambda c, n: model[c][n])
    assert torch.allclose(made.norm(dim=0), torch.full((8,), 2.0), atol=1e-5)


def tuned(model: dict[str, dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    after = {n: t.clone() for n, t in model["unet"].items()}
    after[f"{QUERY}.weight"] += noise(8, 8, seed=5) * 0.1
    after[f"{CONV}.weight"] += noise(8, 8, 3, 3, seed=6) * 0.1
    after["down_blocks.0.resnets.0.norm1.weight"] += 1
    return after


def test_extracting_all_ranks_gives_the_tuned_model_back(model: dict[str, dict[str, torch.Tensor]]):
    after = tuned(model)
    found = extract(pairs("unet", model["unet"], after), 100, clamp=1.0)
    assert found.layers.keys() == {("unet", QUERY), ("unet", CONV)}
    assert found.share > 0.9999
    for (_, path), factors in found.layers.items():
        assert torch.allclose(model["unet"][f"{path}.weight"] + factors.change(), after[f"{path}.weight"], atol=1e-5)


def test_extracting_a_lora_finds_it_again_through_random_projection():
    base, change = noise(300, 200), noise(300, 4) @ noise(4, 200)
    found = extract([("unet", "a", base, base + change)], 4, clamp=1.0)
    assert found.layers["unet", "a"].down.shape == (4, 200)
    assert found.share > 0.99999
    again = extract([("unet", "a", base, base + change)], 4, clamp=1.0)
    assert torch.equal(found.layers["unet", "a"].up, again.layers["unet", "a"].up)


def test_fewer_ranks_keep_less_and_say_how_much(model: dict[str, dict[str, torch.Tensor]]):
    shares = [extract(pairs("unet", model["unet"], tuned(model)), rank, conv_rank=8, clamp=1.0).kept["unet", QUERY] for rank in (1, 4, 8)]
    assert shares == sorted(shares)
    assert 0.1 < shares[0] < 0.9 < shares[2]


def test_tables_and_norms_are_no_layers_of_a_lora():
    base = {f"{name}.weight": torch.zeros(4, 4) for name in ("shared", "a.token_embedding", "a.q", "b.relative_attention_bias")}
    base |= {"norm.weight": torch.zeros(4), "a.q.bias": torch.zeros(4), "c.other.weight": torch.zeros(3, 3)}
    tuned_ = {name: tensor + 1 for name, tensor in base.items()} | {"c.other.weight": torch.zeros(4, 4)}
    assert [path for _, path, _, _ in pairs("text_encoder", base, tuned_)] == ["a.q"]


def test_layers_that_hardly_changed_are_left_out(model: dict[str, dict[str, torch.Tensor]]):
    assert extract(pairs("unet", model["unet"], tuned(model)), 4, smallest=10.0).layers == {}
    assert extract(pairs("unet", model["unet"], model["unet"]), 4).share == 1.0
