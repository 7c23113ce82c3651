"""ControlNet units before anything is queued: what is found, what is refused and with which words, and how they lie in the job row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from PIL import Image

from modules.faults import ModelFault, RequestFault, UnknownName
from modules.folders import Folders
from modules.inputs import Inputs
from modules.library import Library
from modules.processing.resolve import resolve
from modules.prompts.styles import Styles
from modules.request import GenerationRequest, ResolvedRequest
from modules.settings import Settings
from tests.library.weight_files import write_safetensors

SMALL: dict[str, Any] = {
    "block_out_channels": [32, 64], "layers_per_block": 1, "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
    "cross_attention_dim": 48, "attention_head_dim": 8,
}  # fmt: skip
XL = {
    **SMALL, "use_linear_projection": True, "addition_embed_type": "text_time", "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 1568,
}  # fmt: skip


def net_of(kind: str, **config: Any) -> Any:
    with torch.device("meta"):
        return getattr(diffusers, kind)(**config)


def lay(path: Path, kind: str, **config: Any) -> None:
    write_safetensors(path, {name: ("F16", list(value.shape)) for name, value in net_of(kind, **config).state_dict().items()})


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    folders = Folders.at(tmp_path_factory.mktemp("resolve"))
    there = folders.models / "ControlNet"
    lay(there / "canny.safetensors", "ControlNetModel", **SMALL)
    lay(there / "deep xl" / "diffusion_pytorch_model.safetensors", "ControlNetModel", **XL)
    lay(there / "adapter.safetensors", "T2IAdapter", channels=[32, 64, 64, 64])
    pieces = {name: ("F16", list(value.shape)) for name, value in net_of("ControlNetModel", **SMALL).state_dict().items()}
    index: dict[str, str] = {}
    for n, names in enumerate((list(pieces)[::2], list(pieces)[1::2])):
        file = f"diffusion_pytorch_model-0000{n + 1}-of-00002.safetensors"
        write_safetensors(there / "in pieces" / file, {name: pieces[name] for name in names})
        index |= dict.fromkeys(names, file)
    (there / "in pieces" / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    write_safetensors(there / "lora.safetensors", {"lora_controlnet": ("F16", []), "label_emb.0.0.down": ("F16", [8, 8])})
    return folders


@pytest.fixture(scope="module")
def picture(places: Folders) -> str:
    return Inputs(places).put_picture(Image.new("RGB", (40, 30), "red"))


@pytest.fixture(scope="module")
def ask(places: Folders, picture: str) -> Any:
    library = Library(places)

    def run(*units: dict[str, Any], **request: Any) -> ResolvedRequest:
        asked = {"control_units": [{"model": "canny", "image": picture, **unit} for unit in units], **request}
        return resolve(GenerationRequest.from_data(asked), Settings(), library, Styles(places.styles_file), Inputs(places))

    yield run
    library.close()


def test_a_unit_is_found_with_its_file_and_survives_the_store(ask: Any) -> None:
    found = ask({"module": "canny", "weight": 0.5}, {"enabled": False, "model": "nowhere"}, {"model": "adapter"})
    first, second = found.control
    assert (first.kind, first.architecture, first.file.name, len(first.file.sha256)) == ("controlnet", "sd1", "canny.safetensors", 64)
    assert (second.kind, second.unit.module) == ("t2i_adapter", "none")
    assert ResolvedRequest.from_data(json.loads(json.dumps(found.to_data()))) == found
    assert ask().control == ()


def test_a_model_is_found_by_its_name_with_a_hash_or_by_the_hash_alone(ask: Any) -> None:
    digest = ask({}).control[0].file.sha256
    for name in (f"canny [{digest[:8]}]", f"renamed [{digest[:8]}]", "canny.safetensors"):
        assert ask({"model": name}).control[0].file.sha256 == digest


@pytest.mark.parametrize(
    ("unit", "field", "words"),
    [
        ({"weight": 3}, "control_units[0].weight", "between 0 and 2"),
        ({"guidance_start": 0.6, "guidance_end": 0.4}, "control_units[0].guidance_start", "must not lie after"),
        ({"image": None}, "control_units[0].image", "a picture is needed"),
        ({"image": "input:" + "0" * 64}, "control_units[0].image", "not kept here any more"),
        ({"model": "None"}, "control_units[0].model", "choose a ControlNet model"),
        ({"model": "cany"}, "control_units[0].model", "did you mean canny"),
        ({"module": "cany"}, "control_units[0].module", "did you mean canny"),
        ({"module": "inpaint_only"}, "control_units[0].mask", "needs a mask"),
        ({"module": "ip-adapter-auto"}, "control_units[0].model", "is no IP-Adapter"),
        ({"module": "reference_adain"}, "control_units[0].module", "take reference_only"),
        ({"resize_mode": "sideways"}, "control_units[0].resize_mode", "must be one of"),
        ({"advanced_weighting": ["a"]}, "control_units[0].advanced_weighting", "list of at most"),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_wrong_names_unit_and_field(ask: Any, unit: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(RequestFault) as caught:
        ask(unit)
    assert caught.value.field == field
    assert words in caught.value.why


def test_a_folder_with_the_pieces_of_one_is_one_model_whose_hash_is_over_all_of_them(ask: Any) -> None:
    file = ask({"model": "in pieces"}).control[0].file
    assert (Path(file.path).name, len(file.sha256)) == ("in pieces", 64)
    assert Path(file.path).is_dir()


def test_a_wrong_pair_is_refused_with_both_names(ask: Any) -> None:
    with pytest.raises(RequestFault, match=r"deep xl was made for Stable Diffusion XL; darkroom-starter is Stable Diffusion 1"):
        ask({"model": "deep xl"})


def test_files_that_cannot_be_used_say_why(ask: Any) -> None:
    with pytest.raises(ModelFault, match=r"Control-LoRA that lacks input_hint_block\.0\.weight"):
        ask({"model": "lora"})
    with pytest.raises(ModelFault, match="depth_anything"):
        ask({"module": "depth_anything"})


def test_img2img_without_a_picture_of_its_own_takes_the_one_it_begins_with(ask: Any, picture: str) -> None:
    found = ask({"image": ""}, init_images=[picture])
    assert found.control[0].unit.image is None


def test_what_cannot_be_together_is_refused(ask: Any, picture: str) -> None:
    reference = {"module": "reference_only"}
    assert ask(reference).control[0].kind == "reference"
    with pytest.raises(RequestFault, match="only one picture at a time"):
        ask(reference, reference)
    with pytest.raises(RequestFault, match="only one picture at a time"):
        ask(reference, style_image=picture)


def test_more_units_than_may_be_and_no_units_at_all_are_said(ask: Any) -> None:
    with pytest.raises(RequestFault, match="the most is 10"):
        ask(*[{}] * 11)


def test_the_library_lists_them_by_architecture(places: Folders) -> None:
    library = Library(places)
    try:
        rows = {row.name: row for row in library.sure_rows("controlnet")}
    finally:
        library.close()
    assert {name: (row.architecture, row.extra["control"]) for name, row in rows.items()} == {
        "canny": ("sd1", "controlnet"), "deep xl": ("sdxl", "controlnet"), "adapter": ("sd1", "t2i_adapter"),
        "darkroom-starter-canny": ("sd1", "controlnet"), "in pieces": ("sd1", "controlnet"),
    }  # fmt: skip


def test_unknown_names_are_close_matches(ask: Any) -> None:
    with pytest.raises(UnknownName) as caught:
        ask({"model": "kanny"})
    assert caught.value.close == ["canny"]
