"""A captioner in two parts says what the whole says; exported to ONNX it says the same, and its int8 form runs; what is wrong is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from modules.caption.installed import describe
from modules.caption.loading import Captioner, load
from modules.caption.onnx_files import FLOAT32, INT8, KINDS, PRECISIONS, Export, exported, file_of, size_bytes
from modules.caption.onnx_parts import PARTS, Begin, Step, split
from modules.caption.onnx_running import OnnxModel
from modules.caption.onnx_weights import compress
from modules.caption.writing import Watch, write
from modules.faults import ModelFault
from modules.folders import Folders
from modules.request.caption import ONNX, Writing
from modules.upkeep.captioner_plan import plan_export
from modules.upkeep.runner import FilesRunner
from modules.upkeep.work import ExportCaptioner
from tests.caption.tiny import MAKERS
from tests.processing.caption_backend import Control

USUAL: dict[str, Any] = {
    "min_length": 0, "max_length": 8, "num_beams": 1, "do_sample": False, "top_k": 50, "top_p": 1.0, "temperature": 1.0,
    "repetition_penalty": 1.0, "length_penalty": 1.0, "early_stopping": True,
}  # fmt: skip
WAYS: tuple[dict[str, Any], ...] = (
    {}, {"num_beams": 3, "num_return_sequences": 2}, {"do_sample": True, "num_return_sequences": 3},
    {"min_length": 4, "repetition_penalty": 1.4},
)  # fmt: skip


class Parts:
    """The parts as torch runs them, in the form of ONNX Runtime's sessions."""

    def __init__(self, part: Begin | Step) -> None:
        self._part = part

    def run(self, names: None, given: dict[str, Any]) -> list[Any]:
        tensors = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in given.items()}
        with torch.inference_mode():
            if isinstance(self._part, Begin):
                return [tensor.numpy() for tensor in self._part(tensors["pixel_values"])]
            rows = {kind: [value for name, value in tensors.items() if name.startswith(kind)] for kind in ("past_", "seen_")}
            logits, present = self._part(tensors["input_ids"], rows["past_"], rows["seen_"])
            return [logits.numpy(), *(tensor.numpy() for tensor in present)]


def in_parts(captioner: Captioner) -> Captioner:
    begin, step, about = split(captioner)
    return Captioner(
        captioner.installed, captioner.kind, OnnxModel(about, Parts(begin), Parts(step)), captioner.processor, "cpu", "float32"
    )


def test_the_kinds_that_can_be_exported_are_those_that_are_split():
    assert tuple(PARTS) == KINDS


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_the_two_parts_write_what_the_whole_writes(
    kind: str, way: dict[str, Any], captioner_of: Callable[[str], Captioner], begun: Callable[[str], Captioner], pictures: list[Image.Image]
):
    """Mixed sizes in one batch, with and without a beginning, token for token."""
    captioner = begun(kind)
    parts = in_parts(captioner)
    how = Writing(**{**USUAL, **way})
    for text in ("", "the cat") if "prompt" in captioner.kind.does else ("",):
        whole, ours = (write(one, pictures, text, how, seed=4) for one in (captioner, parts))
        assert [[row.tokens for row in rows] for rows in ours] == [[row.tokens for row in rows] for rows in whole]
        assert [[row.text for row in rows] for rows in ours] == [[row.text for row in rows] for rows in whole]
        scores = [[row.score for rows in some for row in rows] for some in (ours, whole)]
        assert scores[0] == pytest.approx(scores[1], abs=1e-4)


@pytest.fixture(scope="module")
def begun(captioner_of: Callable[[str], Captioner], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Captioner]:
    """The tiny model of a kind; BLIP-2 with a sign between picture and words, as OPT's own tokenizer writes it."""
    made: dict[str, Captioner] = {}

    def of(kind: str) -> Captioner:
        if kind != "blip-2":
            return captioner_of(kind)
        if kind not in made:
            folder = MAKERS[kind](tmp_path_factory.mktemp("begun") / "tiny-blip-2")
            said = json.loads((folder / "tokenizer.json").read_text())
            sign, text, second = (
                {"SpecialToken": {"id": "</s>", "type_id": 0}},
                *({"Sequence": {"id": name, "type_id": n}} for n, name in enumerate("AB")),
            )
            known = {"</s>": {"id": "</s>", "ids": [1], "tokens": ["</s>"]}}
            said["post_processor"] = {
                "type": "TemplateProcessing", "single": [sign, text], "pair": [text, second], "special_tokens": known,
            }  # fmt: skip
            (folder / "tokenizer.json").write_text(json.dumps(said))
            made[kind] = load(describe(folder), device="cpu", dtype="float32")
        return made[kind]

    return of


def test_a_model_without_a_sign_before_its_words_is_refused(captioner_of: Callable[[str], Captioner]):
    with pytest.raises(ModelFault, match="no sign between picture and words"):
        split(captioner_of("blip-2"))


@pytest.fixture(scope="module")
def out(model_of: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BLIP, exported once, as the job does it."""
    folders = Folders.at(tmp_path_factory.mktemp("onnx"))
    folder = folders.models / "BLIP" / "tiny-blip"
    shutil.copytree(model_of("blip"), folder)
    control = Control()
    plan = plan_export(ExportCaptioner(model="tiny-blip"), folders)
    state, result = FilesRunner().run({"kind": "export_captioner", "resolved": {"warnings": [], **plan}}, control)
    assert state == "done"
    assert [Path(file).name for file in result["files"]] == ["begin.onnx", "step.onnx", "begin_int8.onnx", "step_int8.onnx"]
    assert sorted(path.name for path in folder.iterdir() if path.name.startswith(".")) == []
    return folder


@pytest.mark.slow
def test_onnx_runtime_says_what_torch_says(out: Path, pictures: list[Image.Image]):
    found = describe(out)
    torchs, onnxs = load(found, device="cpu", dtype="float32"), load(found, device="cpu", dtype="float32", backend=ONNX)
    for way in WAYS:
        how = Writing(**{**USUAL, **way})
        whole, ours = (write(one, pictures, "the cat", how, seed=4) for one in (torchs, onnxs))
        assert [[row.tokens for row in rows] for rows in ours] == [[row.tokens for row in rows] for rows in whole]
    told: list[str] = []
    ((best, *_),) = write(onnxs, pictures[:1], "", Writing(**USUAL), watch=Watch(words=told.append))
    assert "".join(told).strip() == best.text
    assert onnxs.form == "float32 by ONNX Runtime"
    about = exported(found)
    assert about is not None
    assert about.checked is not None
    assert about.checked[FLOAT32]["apart"] < 1e-4
    assert about.checked[FLOAT32]["same_words"] == 1.0


def test_int8_is_near_to_float32_and_smaller(out: Path, pictures: list[Image.Image]):
    found = describe(out)
    plain, small = (load(found, device="cpu", dtype="float32", precision=name, backend=ONNX) for name in PRECISIONS)
    pixels = plain.processor.image_processor(images=pictures, return_tensors="pt")["pixel_values"]
    for one, other in zip(*(captioner.model.begin(pixels.numpy()) for captioner in (plain, small)), strict=True):
        assert np.abs(one - other).mean() < 0.15 * np.abs(one).mean()
    assert size_bytes(out, INT8) < size_bytes(out, FLOAT32)
    assert write(small, pictures, "", Writing(**USUAL))[0][0].text


def test_graphs_hold_no_paths_of_the_machine_that_made_them(out: Path):
    for name in PRECISIONS:
        for part in ("begin", "step"):
            content = file_of(out, part, name).read_bytes()
            assert b"site-packages" not in content
            assert b"/modules/" not in content


def test_an_export_of_other_weights_or_with_files_missing_is_refused(out: Path, tmp_path: Path):
    folder = tmp_path / "tiny-blip"
    shutil.copytree(out, folder)
    file_of(folder, "step", INT8).rename(folder / "onnx" / "away")
    with pytest.raises(ModelFault, match=r"lacks onnx/step_int8.onnx.*export-captioner tiny-blip --overwrite"):
        exported(describe(folder))
    (folder / "onnx" / "away").rename(file_of(folder, "step", INT8))
    weights = load_file(folder / "model.safetensors")
    save_file({name: tensor + 1e-3 for name, tensor in weights.items()}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelFault, match="from other weights"):
        load(describe(folder), device="cpu", dtype="float32", backend=ONNX)
    (folder / "onnx" / "export.json").write_text("{")
    with pytest.raises(ModelFault, match=r"export.json cannot be read"):
        exported(describe(folder))
    shutil.rmtree(folder / "onnx")
    with pytest.raises(ModelFault, match="was not exported to ONNX yet"):
        load(describe(folder), device="cpu", dtype="float32", backend=ONNX)


def test_what_is_exported_comes_back_from_its_description(out: Path):
    about = exported(describe(out))
    assert about is not None
    assert Export.from_data(json.loads(about.to_text())) == about


def test_weights_of_8_bits_are_a_quarter(tmp_path: Path):
    """A graph with a table, a filter and a matrix; each row keeps its own scale."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    from onnxruntime import InferenceSession

    random = np.random.default_rng(0)
    weights = {"table": (50, 64), "filter": (16, 3, 8, 8), "matrix": (64, 96)}
    arrays = {name: (random.normal(0, 1, shape) * random.uniform(0.1, 5, (shape[0], *[1] * (len(shape) - 1)))).astype(np.float32)
              for name, shape in weights.items()}  # fmt: skip
    nodes = [
        helper.make_node("Gather", ["table", "words"], ["found"]), helper.make_node("MatMul", ["found", "matrix"], ["out"]),
        helper.make_node("Conv", ["picture", "filter"], ["patches"], strides=[8, 8]),
    ]  # fmt: skip
    given = [helper.make_tensor_value_info("words", TensorProto.INT64, ["n"]),
             helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, 3, 32, 32])]  # fmt: skip
    gives = [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", 96]),
             helper.make_tensor_value_info("patches", TensorProto.FLOAT, [1, 16, 4, 4])]  # fmt: skip
    graph = helper.make_graph(nodes, "small", given, gives, [numpy_helper.from_array(array, name) for name, array in arrays.items()])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), str(tmp_path / "plain.onnx"))
    compress(tmp_path / "plain.onnx", tmp_path / "small.onnx")
    assert (tmp_path / "small.onnx").stat().st_size < 0.35 * (tmp_path / "plain.onnx").stat().st_size
    feeds = {"words": np.arange(50), "picture": random.normal(0, 1, (1, 3, 32, 32)).astype(np.float32)}
    plain, small = (InferenceSession(str(tmp_path / name)).run(None, feeds) for name in ("plain.onnx", "small.onnx"))
    for one, other in zip(plain, small, strict=True):
        assert np.abs(one - other).mean() < 0.03 * np.abs(one).mean()
