"""Control-LoRAs and differences: the same pictures as the ControlNet that they become when their changes are added by hand."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from safetensors.torch import save_file

from modules.control.loading import Host, Nets
from modules.faults import ModelFault
from modules.request import ControlUnit, ResolvedUnit, SideFile
from modules.weights.header import read
from modules.weights.layouts import controlnet
from modules.weights.layouts.component import open_component
from modules.weights.layouts.control_lora import Over
from modules.weights.layouts.controls import open_control
from modules.weights.layouts.module import build
from tests.model import tiny
from tests.model.control_nets import MAP, Steered, shaken
from tests.model.painting import difference, gradient, opened

RANK = 4
Tensors = dict[str, torch.Tensor]
# As the published files name the factors of these layers.
PUBLISHED = (
    "input_blocks.0.0.up", "time_embed.0.down", "input_blocks.1.0.in_layers.2.up", "input_blocks.1.1.transformer_blocks.0.attn2.to_k.down",
    "input_blocks.3.0.op.up", "middle_block.1.proj_in.down", "input_hint_block.0.weight", "zero_convs.0.0.bias", "lora_controlnet",
    "input_blocks.1.0.in_layers.0.weight", "input_blocks.1.0.in_layers.2.bias",
)  # fmt: skip


@pytest.fixture(scope="module")
def easel(tmp_path_factory: pytest.TempPathFactory) -> Steered:
    return Steered(tmp_path_factory.mktemp("control-lora"))


def changes(net: Any) -> tuple[Tensors, Tensors]:
    """(a Control-LoRA for the UNet that the net was copied from, the whole ControlNet that it makes, both by diffusers' names)."""
    source, lora, whole = torch.Generator().manual_seed(1), {"lora_controlnet": torch.tensor([])}, {}
    for name, value in net.state_dict().items():
        layer = name.removesuffix(".weight")
        if value.ndim < 2 or name.startswith(("controlnet_", "norm")) or layer == name:
            lora[name] = whole[name] = value + 0.05 * torch.randn(value.shape, generator=source)
            continue
        up = 0.1 * torch.randn((len(value), RANK, *([1, 1] if value.ndim == 4 else [])), generator=source)
        down = 0.1 * torch.randn((RANK, *value.shape[1:]), generator=source)
        lora |= {f"{layer}.up": up, f"{layer}.down": down}
        whole[name] = value + (up.flatten(1) @ down.flatten(1)).reshape(value.shape)
    return lora, whole


def renamed(tensors: Tensors, net: Any) -> Tensors:
    """With the first files' names. Factors are named as their layer's weight is, with another ending."""
    rules = controlnet.from_parts({name: tuple(value.shape) for name, value in net.state_dict().items()})
    table = {entry.parts[0]: entry.single for entry in rules.from_parts(net.state_dict())}
    found: Tensors = {}
    for name, value in tensors.items():
        end = next((end for end in (".up", ".down") if name.endswith(end)), "")
        plain = name.removesuffix(end) + ".weight" if end else name
        single = table.get(plain, plain)
        found[single.removesuffix(".weight") + end if end else single] = value.contiguous()
    return found


def laid(easel: Steered, model: str, name: str) -> tuple[Path, Path]:
    """(the file of changes, the file of the whole) for a tiny model."""
    net = diffusers.ControlNetModel.from_unet(opened(Path(easel.checkpoint(model).path)).unet)
    lora, whole = changes(net)
    paths = easel.file(name), easel.file(f"{name} whole")
    save_file(renamed(lora, net), paths[0])
    save_file({key: value.contiguous() for key, value in whole.items()}, paths[1])
    return paths


def unit(path: Path) -> ResolvedUnit:
    asked = ControlUnit(module="none", model=path.stem, image=MAP, weight=0.8)
    return ResolvedUnit(unit=asked, kind="controlnet", file=SideFile(name=path.stem, path=str(path), sha256="0" * 64))


@pytest.mark.parametrize("model", ["sd15", "sdxl"])
def test_a_control_lora_equals_its_weights_added_by_hand(easel: Steered, model: str) -> None:
    lora, whole = laid(easel, model, f"{model} lora")
    if model == "sd15":
        assert set(PUBLISHED) <= read(lora).tensors.keys()
    [ours], [by_hand] = (easel.steered(model, unit(path), pictures={MAP: gradient()}, steps=1).images for path in (lora, whole))
    [without] = easel.steered(model, steps=1).images
    assert difference(ours, by_hand) == 0
    assert difference(ours, without) > 1


def test_a_difference_is_added_to_the_model_and_what_the_model_lacks_is_taken_as_it_is(easel: Steered) -> None:
    folder = Path(easel.checkpoint("sd15").path)
    base = opened(folder).unet
    plain = diffusers.ControlNetModel.from_unet(base).state_dict()
    net = shaken(diffusers.ControlNetModel.from_unet(base))
    changed = {name: value - plain[name] if name in base.state_dict() else value for name, value in net.state_dict().items()}
    path = easel.file("difference")
    save_file({"difference": torch.tensor(1.0), **{f"control_model.{k}": v for k, v in renamed(changed, net).items()}}, path)
    control, component = open_control(path, base.config, lambda: open_component(folder, "sd1", "unet"))
    assert isinstance(component, Over)
    read_net = build(component, "float32", path.name).state_dict()
    assert (control.kind, read_net.keys()) == ("controlnet", net.state_dict().keys())
    sums = {name: plain[name] + value if name in base.state_dict() else value for name, value in changed.items()}
    assert all(torch.equal(value, sums[name]) for name, value in read_net.items())


def test_changes_of_another_model_are_refused_and_a_checkpoint_is_needed(easel: Steered) -> None:
    lora, _ = laid(easel, "sdxl", "lora of sdxl")
    with pytest.raises(ModelFault, match="does not fit this model"):
        easel.steered("sd15", unit(lora), pictures={MAP: gradient()}, steps=1)
    with pytest.raises(ModelFault, match="together with a checkpoint"):
        open_control(lora)


def test_one_file_is_another_network_over_each_checkpoint(easel: Steered, tmp_path: Path) -> None:
    lora, _ = laid(easel, "sd15", "lora twice")
    folders = Path(easel.checkpoint("sd15").path), tiny.sd15(tmp_path / "other", seed=7)
    nets, network = Nets(), opened(folders[0]).unet
    hosts = [Host(key=str(folder), opened=partial(open_component, folder, "sd1", "unet")) for folder in folders]
    first, second, again = (
        nets.get(lora, network, "float32", names=("lora", "tiny"), host=host) for host in (hosts[0], hosts[1], hosts[0])
    )
    assert first is again
    assert not torch.equal(first.conv_in.weight, second.conv_in.weight)
    assert torch.equal(first.conv_in.bias, second.conv_in.bias)  # in the file in full
