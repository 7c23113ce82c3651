"""LoRAs on small models of the true classes: against diffusers and PEFT alone, together, and taken off without a trace."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DiffusionPipeline
from safetensors.torch import load_file, save_file

from modules.faults import ModelFault
from modules.processing.adapters import Adapter, layers
from modules.processing.networks import Networks
from modules.request import Network
from modules.weights.lora import write as writing
from modules.weights.lora.maths import Factors
from modules.weights.lora.merge import Merge
from modules.weights.lora.names import Names
from tests.model.tiny import BUILDERS

ARCHITECTURES = {"sd15": "sd1", "sdxl": "sdxl", "sd3": "sd3", "flux": "flux"}
CLIPS = {
    "sd15": ["text_encoder"],
    "sdxl": ["text_encoder", "text_encoder_2"],
    "sd3": ["text_encoder", "text_encoder_2"],
    "flux": ["text_encoder"],
}
SOME = (
    "down_blocks.1.",
    "mid_block.",
    "up_blocks.1.",
    "transformer_blocks.",
    "encoder.layers.",
)  # all of them would take diffusers' reader long
CHANGED = (".to_q", ".to_k", ".to_v", "to_out.0", "q_proj", "k_proj", "v_proj", "out_proj", "fc1", "ff.net.2", "conv1", "proj_in")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    made: dict[str, Path] = {}

    def folder(family: str) -> Path:
        if family not in made:
            made[family] = BUILDERS[family](tmp_path_factory.mktemp(family))
        return made[family]

    return folder


@pytest.fixture(scope="module")
def sd15(folders: Callable[[str], Path]) -> Any:
    return pipeline_at(folders("sd15"))


def pipeline_at(folder: Path) -> Any:
    return DiffusionPipeline.from_pretrained(folder, dtype=torch.float32, local_files_only=True)


def names_for(pipeline: Any, family: str) -> Names:
    parts = [*CLIPS[family], "unet" if hasattr(pipeline, "unet") else "transformer"]
    return Names(ARCHITECTURES[family], {name: layers(getattr(pipeline, name)) for name in parts})


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 0.2


def a_lora(names: Names, *, seed: int = 0, only: tuple[str, ...] = CHANGED) -> dict[tuple[str, str], Factors]:
    """Three ranks on some layers; single blocks of Flux are not among them: diffusers' reader of kohya files knows one width only."""
    found: dict[tuple[str, str], Factors] = {}
    for component, own in names.layers.items():
        for path, shape in own.items():
            wanted = any(part in path for part in only) and any(path.removeprefix("text_model.").startswith(part) for part in SOME)
            if wanted and len(shape) > 1:
                ones = [1] * (len(shape) - 2)
                found[component, path] = Factors(down=noise(3, *shape[1:], seed=seed), up=noise(shape[0], 3, *ones, seed=seed + 1))
    return found


def answers(pipeline: Any) -> list[torch.Tensor]:
    """What the network and the CLIP encoders of a pipeline answer to something fixed."""
    network = getattr(pipeline, "unet", None) or pipeline.transformer
    c, g = network.config, torch.Generator().manual_seed(7)
    dtype = next(network.parameters()).dtype

    def put(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=g).to(dtype)

    with torch.inference_mode():
        if "addition_embed_type" in c:
            more = {}
            if c.addition_embed_type:
                pooled = put(1, pipeline.text_encoder_2.config.projection_dim)
                more = {"added_cond_kwargs": {"text_embeds": pooled, "time_ids": put(1, 6)}}
            found = network(put(1, c.in_channels, 8, 8), torch.tensor(5), put(1, 7, c.cross_attention_dim), **more)[0]
        elif "guidance_embeds" in c:
            ids = {"img_ids": torch.zeros(16, 3), "txt_ids": torch.zeros(7, 3), "guidance": torch.ones(1), "timestep": torch.tensor([0.5])}
            found = network(put(1, 16, c.in_channels), put(1, 7, c.joint_attention_dim), put(1, c.pooled_projection_dim), **ids)[0]
        else:
            found = network(put(1, c.in_channels, 8, 8), put(1, 7, c.joint_attention_dim), put(1, c.pooled_projection_dim), torch.ones(1))[
                0
            ]
        clips = [getattr(pipeline, name, None) for name in ("text_encoder", "text_encoder_2")]
        texts = [e(torch.tensor([[1, 2, 3, 4215]]))[0] for e in clips if e is not None and e.config.model_type.startswith("clip")]
    return [found, *texts]


def on(path: Path, te: float = 1.0, unet: float = 1.0, rank: int | None = None) -> Network:
    return Network(name=path.stem, path=str(path), sha256="", te=te, unet=unet, rank=rank)


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def near(a: list[torch.Tensor], b: list[torch.Tensor], within: float = 3e-5) -> bool:
    return all(float((x - y).abs().max()) < within for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize(
    ("family", "dialect"),
    [
        ("sd15", "kohya"),
        ("sd15", "diffusers"),
        ("sdxl", "kohya"),
        ("sdxl", "diffusers"),
        ("sd3", "diffusers"),
        ("flux", "kohya"),
        ("flux", "diffusers"),
    ],
)
def test_a_file_written_here_does_in_diffusers_alone_what_it_does_here(
    folders: Callable[[str], Path], tmp_path: Path, family: str, dialect: str
):
    ours, theirs = pipeline_at(folders(family)), pipeline_at(folders(family))
    plain, names = answers(ours), names_for(ours, family)
    path = tmp_path / "made.safetensors"
    writing.write(path, a_lora(names), names, dialect=dialect, dtype=torch.float32)
    [report] = Networks(ours, ARCHITECTURES[family]).set([on(path)]).reports
    assert (report.matched, report.warning) == (report.total, "")
    theirs.load_lora_weights(str(tmp_path), weight_name=path.name)
    assert near(answers(ours), answers(theirs), 2e-6)
    assert not any(near([a], [b], 1e-2) for a, b in zip(answers(ours), plain, strict=True))


def test_kohyas_sd3_names_which_diffusers_passes_over_mean_the_same_here(folders: Callable[[str], Path], tmp_path: Path):
    pipeline = pipeline_at(folders("sd3"))
    names = names_for(pipeline, "sd3")
    networks, found = Networks(pipeline, "sd3"), []
    wanted = a_lora(names, only=(*CHANGED, "norm1_context.linear", "add_k_proj"))
    for dialect in writing.DIALECTS:
        path = tmp_path / f"{dialect}.safetensors"
        writing.write(path, wanted, names, dialect=dialect, dtype=torch.float32)
        networks.set([on(path)])
        found.append(answers(pipeline))
    assert near(*found)
    assert any("joint_blocks_0_x_block_attn_qkv" in name for name in load_file(tmp_path / "kohya.safetensors"))


@pytest.mark.parametrize("dora", [False, True])
def test_what_diffusers_saves_does_here_what_it_does_there(folders: Callable[[str], Path], sd15: Any, tmp_path: Path, dora: bool):
    from diffusers.utils import convert_state_dict_to_diffusers
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    theirs = pipeline_at(folders("sd15"))
    config = LoraConfig(
        r=4, lora_alpha=2, target_modules=r"down_blocks\.1.*(to_q|to_out\.0|conv1|proj_in)", init_lora_weights=False, use_dora=dora
    )
    torch.manual_seed(0)
    theirs.unet.add_adapter(config)
    tensors = convert_state_dict_to_diffusers(get_peft_model_state_dict(theirs.unet))
    theirs.save_lora_weights(tmp_path, unet_lora_layers=tensors, unet_lora_adapter_metadata=config.to_dict())
    networks = Networks(sd15, "sd1")
    [report] = networks.set([on(tmp_path / "pytorch_lora_weights.safetensors")]).reports
    assert report.matched == report.total
    assert near(answers(sd15), answers(theirs))
    networks.clear()


@pytest.fixture
def zoo(sd15: Any, tmp_path: Path) -> Path:
    """One file with an entry of every kind, on layers of the UNet and the text encoder."""
    shapes = layers(sd15.unet)
    conv, norm = "down_blocks.0.resnets.0.conv1", "down_blocks.0.resnets.0.norm1"
    query = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
    key, value, out, proj = (query.replace("to_q", x) for x in ("to_k", "to_v", "to_out.0", "to_x"))
    proj = "down_blocks.0.attentions.0.proj_in"
    width = shapes[query][0]
    made: dict[str, torch.Tensor] = {}

    def put(path: str, prefix: str = "lora_unet_", **parts: torch.Tensor) -> None:
        made.update({f"{prefix}{path.replace('.', '_')}.{part.replace('__', '.')}": tensor for part, tensor in parts.items()})

    put(conv, lora_down__weight=noise(3, 32, 1, 1), lora_mid__weight=noise(3, 3, 3, 3), lora_up__weight=noise(32, 3, 1, 1))
    put(norm, w_norm=noise(32), b_norm=noise(32))
    put(query, **{f"hada_{x}": noise(*((width, 2) if x.endswith("a") else (2, width))) for x in ("w1_a", "w1_b", "w2_a", "w2_b")})
    put(key, lokr_w1=noise(2, 4), lokr_w2=noise(width // 2, width // 4))
    put(value, diff=noise(width, width), diff_b=noise(width))
    put(out, lora_down__weight=noise(3, width), lora_up__weight=noise(width, 3), dora_scale=noise(1, width).abs() + 1)
    put(proj, lora_down__weight=noise(3, width), lora_up__weight=noise(width, 3), alpha=torch.tensor(1.0))
    text = "text_model_encoder_layers_0_mlp_fc1"
    put(
        text, "lora_te_", lora_down__weight=noise(2, 64), lora_up__weight=noise(layers(sd15.text_encoder)["encoder.layers.0.mlp.fc1"][0], 2)
    )
    save_file(made, tmp_path / "zoo.safetensors")
    return tmp_path / "zoo.safetensors"


def state(pipeline: Any) -> dict[str, torch.Tensor]:
    return {f"{c}.{n}": t.clone() for c in ("unet", "text_encoder") for n, t in getattr(pipeline, c).state_dict().items()}


def test_every_kind_does_beside_the_model_what_a_merge_does_to_it(sd15: Any, zoo: Path):
    networks = Networks(sd15, "sd1")
    [report] = networks.set([on(zoo, te=0.5, unet=0.8)]).reports
    assert (report.coverage, report.warning) == ("21/21 keys", "")
    found = answers(sd15)
    networks.clear()
    merged = copy.deepcopy({c: getattr(sd15, c) for c in ("unet", "text_encoder")})
    merge = Merge(names_for(sd15, "sd15"), [(zoo, 0.5, 0.8)])
    value = merged["unet"].down_blocks[0].attentions[0].transformer_blocks[0].attn1.to_v
    value.bias = torch.nn.Parameter(torch.zeros(len(value.weight)))  # the model has none; the file wants one
    tensors = {c: part.state_dict() for c, part in merged.items()}
    for component, part in merged.items():
        part.load_state_dict({n: merge.tensor(component, n, t, lambda c, n: tensors[c][n]) for n, t in tensors[component].items()})
    assert merge.missing_biases({"unet": list(sd15.unet.state_dict())}) == [
        "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_v"
    ]
    other = copy.copy(sd15)
    other.unet, other.text_encoder = merged["unet"], merged["text_encoder"]
    assert near(found, answers(other))
    assert not near(found, answers(sd15), 1e-2)


def test_taking_off_leaves_every_weight_and_every_answer_bit_for_bit(sd15: Any, zoo: Path, tmp_path: Path):
    names = names_for(sd15, "sd15")
    writing.write(tmp_path / "b.safetensors", a_lora(names, seed=5), names)
    before, weights, networks = answers(sd15), state(sd15), Networks(sd15, "sd1")
    networks.set([on(zoo), on(tmp_path / "b.safetensors", unet=0.3)])
    assert not near(answers(sd15), before, 1e-2)
    networks.set([on(zoo, unet=-2.0)])
    networks.set([])
    assert same(answers(sd15), before)
    assert all(torch.equal(t, weights[n]) for n, t in state(sd15).items())
    assert not any(m._forward_hooks for c in ("unet", "text_encoder") for m in getattr(sd15, c).modules())


def test_weight_zero_is_the_plain_model_bit_for_bit(sd15: Any, zoo: Path):
    plain, networks = answers(sd15), Networks(sd15, "sd1")
    applied = networks.set([on(zoo, te=0, unet=0)])
    assert applied.reports[0].matched == applied.reports[0].total
    assert not applied.text_changed
    assert same(answers(sd15), plain)
    networks.clear()


def test_text_encoders_and_network_have_weights_of_their_own(sd15: Any, zoo: Path):
    plain, networks = answers(sd15), Networks(sd15, "sd1")
    assert networks.set([on(zoo, te=0)]).text_changed is False
    assert torch.equal(answers(sd15)[1], plain[1])
    assert not torch.equal(answers(sd15)[0], plain[0])
    assert networks.set([on(zoo, unet=0)]).text_changed is True
    assert torch.equal(answers(sd15)[0], plain[0])
    assert not torch.equal(answers(sd15)[1], plain[1])
    assert networks.set([on(zoo, unet=0.5)]).text_changed is False
    assert networks.set([]).text_changed is True


def test_several_add_up_whatever_was_on_before(sd15: Any, zoo: Path, tmp_path: Path):
    names = names_for(sd15, "sd15")
    writing.write(tmp_path / "b.safetensors", a_lora(names, seed=5), names, dtype=torch.float32)
    fresh, used = Networks(sd15, "sd1"), Networks(sd15, "sd1")
    wanted = [on(zoo, unet=0.5), on(tmp_path / "b.safetensors", te=0.2, unet=0.7)]
    fresh.set(wanted)
    found = answers(sd15)
    fresh.clear()
    used.set([on(zoo)])
    used.set([on(tmp_path / "b.safetensors"), on(zoo)])
    used.set(wanted)
    assert same(answers(sd15), found)
    used.set(wanted)
    assert same(answers(sd15), found)
    used.clear()


def test_the_same_file_twice_counts_twice(sd15: Any, zoo: Path):
    networks = Networks(sd15, "sd1")
    networks.set([on(zoo, unet=0.25, te=0.25), on(zoo, unet=0.5, te=0.5)])
    twice = answers(sd15)
    networks.set([on(zoo, unet=0.75, te=0.75)])
    assert near(twice, answers(sd15))
    networks.clear()


def test_half_precision_stays_what_it_is(folders: Callable[[str], Path], zoo: Path):
    pipeline = pipeline_at(folders("sd15")).to(torch.bfloat16)
    weights, plain, networks = state(pipeline), answers(pipeline), Networks(pipeline, "sd1")
    networks.set([on(zoo)])
    assert all(t.dtype == torch.bfloat16 for t in answers(pipeline))
    assert not same(answers(pipeline), plain)
    networks.clear()
    assert same(answers(pipeline), plain)
    assert all(torch.equal(t, weights[n]) for n, t in state(pipeline).items())


def test_weights_that_wait_in_main_memory_are_changed_there(folders: Callable[[str], Path], sd15: Any, zoo: Path):
    from accelerate import cpu_offload

    away = pipeline_at(folders("sd15"))
    for component in ("unet", "text_encoder"):
        cpu_offload(getattr(away, component), "cpu")
    plain, here, there = answers(away), Networks(sd15, "sd1"), Networks(away, "sd1")
    here.set([on(zoo)])
    there.set([on(zoo)])
    assert near(answers(sd15), answers(away))
    here.clear()
    there.clear()
    assert same(answers(away), plain)


def test_a_file_that_was_replaced_is_read_again(sd15: Any, tmp_path: Path):
    path, names, networks = tmp_path / "a.safetensors", names_for(sd15, "sd15"), Networks(sd15, "sd1")
    writing.write(path, a_lora(names), names)
    networks.set([on(path)])
    first = answers(sd15)
    writing.write(path, a_lora(names, seed=9), names)
    os.utime(path, ns=(1, 1))
    assert networks.set([on(path)]).text_changed
    assert not near(answers(sd15), first, 1e-2)
    networks.clear()


def test_a_lora_of_another_family_is_refused_with_both_names_and_nothing_changes(sd15: Any, zoo: Path, tmp_path: Path):
    alien = tmp_path / "alien.safetensors"
    layer = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k"
    text = "lora_te1_text_model_encoder_layers_0_mlp_fc1"
    save_file({f"{layer}.lora_down.weight": noise(4, 2048), f"{layer}.lora_up.weight": noise(640, 4), f"{text}.diff": noise(64, 64)}, alien)
    networks = Networks(sd15, "sd1", "photo-v1")
    networks.set([on(zoo)])
    before = answers(sd15)
    with pytest.raises(ModelFault, match=r"alien was made for SDXL .*2048.*; photo-v1 is Stable Diffusion 1\.x"):
        networks.set([on(alien)])
    assert same(answers(sd15), before)
    networks.clear()


@pytest.mark.parametrize("name", ["absent", "nowhere"])
def test_what_cannot_be_used_is_a_fault_before_anything_changes(sd15: Any, tmp_path: Path, name: str):
    save_file({"lora_unet_x.lora_down.weight": noise(2, 4), "lora_unet_x.lora_up.weight": noise(4, 2)}, tmp_path / "nowhere.safetensors")
    plain, networks = answers(sd15), Networks(sd15, "sd1")
    with pytest.raises(ModelFault, match=name):
        networks.set([on(tmp_path / f"{name}.safetensors")])
    assert same(answers(sd15), plain)


def test_a_partial_match_says_what_was_left_out(sd15: Any, zoo: Path):
    tensors = load_file(zoo) | {"lora_unet_x.lora_down.weight": noise(2, 4), "lora_unet_x.lora_up.weight": noise(4, 2)}
    save_file(tensors, zoo.with_name("part.safetensors"))
    networks = Networks(sd15, "sd1")
    [report] = networks.set([on(zoo.with_name("part.safetensors"))]).reports
    assert report.coverage == "21/23 keys"
    assert "part was used in part: 21/23 keys. Left out: lora_unet_x" in report.warning
    networks.clear()


@pytest.mark.parametrize("layer", [torch.nn.Linear(4, 6), torch.nn.Conv2d(4, 6, 3, stride=2, padding=1, padding_mode="circular")])
def test_a_change_beside_a_layer_is_the_change_of_its_weight(layer: Any):
    delta, bias = noise(*layer.weight.shape), noise(6)
    x = noise(2, 4) if isinstance(layer, torch.nn.Linear) else noise(2, 4, 8, 8)
    changed = copy.deepcopy(layer)
    with torch.no_grad():
        changed.weight += delta
        changed.bias += bias * 0.5
    adapter, plain = Adapter(layer), layer(x)
    adapter.add_dense(delta)
    adapter.add_bias(bias, 0.5)
    adapter.install()
    assert torch.allclose(layer(x), changed(x), atol=1e-6)
    adapter.remove()
    assert torch.equal(layer(x), plain)
