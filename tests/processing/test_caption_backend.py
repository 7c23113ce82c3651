"""What runs a captioner, and taggers: chosen and refused before a job is queued; jobs of tags; exports planned."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from modules.caption.installed import describe
from modules.caption.onnx_files import Export, source_of
from modules.faults import ModelFault, RequestFault, UnknownName
from modules.folders import Folders
from modules.inputs import Inputs
from modules.processing import caption_backend
from modules.processing.caption_plan import names, resolve_caption
from modules.processing.captioner_slot import kept_as
from modules.processing.captions import run_captions
from modules.request.caption import ONNX, CaptionRequest, ResolvedCaption
from modules.request.tagging import BY_NAME, Tagging
from modules.settings import Settings
from modules.upkeep.captioner_plan import plan_export
from modules.upkeep.work import ExportCaptioner
from tests.caption import tiny
from tests.caption.conftest import model_of
from tests.caption.tiny_tagger import wd
from tests.processing.caption_backend import Control, desk_of
from tests.processing.pictures import data_of, noise

__all__ = ["model_of"]
RED = data_of(Image.new("RGB", (40, 20), (250, 10, 20)))


@pytest.fixture
def resolve(folders: Folders) -> Callable[..., ResolvedCaption]:
    inputs = Inputs(folders)

    def call(settings: Settings | None = None, data: bytes = b"", **asked: Any) -> ResolvedCaption:
        request = CaptionRequest.from_data({"images": [inputs.put(data or data_of(noise()))], **asked})
        resolved = resolve_caption(request, settings or Settings(), folders, inputs)
        assert ResolvedCaption.from_data(resolved.to_data()) == resolved
        return resolved

    return call


@pytest.fixture
def tagger(folders: Folders) -> Path:
    folder = folders.models / "taggers" / "wd-vit-tagger-v3"
    wd(folder)
    return folder


@pytest.fixture
def exported(folders: Folders, model_of: Callable[[str], Path]) -> Path:
    """A captioner with files where those of an export are, and the description of one."""
    folder = folders.models / "BLIP" / "mine"
    shutil.copytree(model_of("blip"), folder)
    (folder / "onnx").mkdir()
    for name in ("begin", "step", "begin_int8", "step_int8"):
        (folder / "onnx" / f"{name}.onnx").write_bytes(b"x")
    about = Export(kind="blip", first=5, pad=0, ends=(3,), vocabulary=9, grows=(4, 2, 8), fixed=4, source=source_of(describe(folder)))
    (folder / "onnx" / "export.json").write_text(about.to_text())
    return folder


def test_an_exported_captioner_is_chosen_and_its_precision(exported: Path, resolve: Any):
    found = resolve(model="mine", backend="onnx")
    assert (found.model.backend, found.precision) == (ONNX, "auto")
    row = describe(exported)
    assert (kept_as(row, ONNX, "auto"), kept_as(row, ONNX, "float32"), kept_as(row, "torch", "auto")) == ("int8", "float32", "")
    assert (kept_as(row, "torch", "int8"), kept_as(row, "torch", "4-bit")) == ("int8", "4-bit")


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"precision": "float16"}, "precision: is no precision of ONNX here; there is auto, float32, int8"),
        ({"attention": True}, "backend: heat maps need the model's own layers; take torch"),
        ({"caption": "a cat"}, "backend: heat maps need the model's own layers"),
        ({"model": "darkroom-starter-captioner"}, "was not exported to ONNX yet: python launch.py models export-captioner"),
        ({"model": "darkroom-starter-scorer", "texts": ["a"]}, "backend: .*which has no ONNX form here; these have: BLIP captioning"),
    ],
)
def test_what_the_exported_form_cannot_do_is_refused(asked: dict[str, Any], told: str, exported: Path, resolve: Any):
    with pytest.raises((RequestFault, ModelFault), match=told):
        resolve(**{"model": "mine", "backend": "onnx", **asked})


def test_an_adapter_is_refused_where_torch_does_not_run_the_model(exported: Path, tagger: Path, resolve: Any, folders: Folders):
    tiny.lora(folders.models / "caption-adapters" / "deutsch")
    assert resolve(model="mine", adapter="deutsch").adapter.name == "deutsch"
    with pytest.raises(RequestFault, match=r"backend: the adapter deutsch needs the own weights of mine, .* take torch"):
        resolve(model="mine", adapter="deutsch", backend="onnx")
    with pytest.raises(RequestFault, match=r"adapter: deutsch changes .* by torch; wd-vit-tagger-v3 is a tagger and runs by ONNX"):
        resolve(model=tagger.name, adapter="deutsch")


def test_a_missing_package_is_named_before_a_job_is_queued(resolve: Any, monkeypatch: pytest.MonkeyPatch):
    assert resolve(precision="int8").precision == "int8"
    monkeypatch.setattr(caption_backend, "QUANTISES", {"a_package_that_is_not_there": "it"})
    with pytest.raises(RequestFault, match="precision: 4-bit needs it; install it: python -m pip install it"):
        resolve(precision="4-bit")


def test_deepdanbooru_is_answered_by_a_tagger_as_its_settings_say(tagger: Path, resolve: Any, folders: Folders):
    found = resolve(model="DeepDanbooru")
    assert (found.model.name, found.model.kind) == ("wd-vit-tagger-v3", "tagger")
    assert found.tagging == Tagging(threshold=0.5, character=0.5, order=BY_NAME, spaces=True, escape=True)
    mine = Settings(deepbooru_sort_alpha=False, deepbooru_filter_tags="1girl, o_o", interrogate_deepbooru_score_threshold=0.2)
    assert resolve(mine, model="deepbooru", character_threshold=0.9).tagging == Tagging(
        threshold=0.2, character=0.9, escape=True, skip=("1girl", "o_o")
    )
    assert resolve(model="wd-vit-tagger-v3", tag_skip="no_humans").tagging == Tagging(skip=("no_humans",))
    assert names(folders) == ["clip", "deepdanbooru", "wd-vit-tagger-v3", "darkroom-starter-captioner"]
    assert resolve().model.kind == "blip", "a tagger is no stand-in for a captioner"
    with pytest.raises(UnknownName, match="interrogate_tagger"):
        resolve(Settings(interrogate_tagger="another"), model="deepdanbooru")


@pytest.mark.parametrize(
    "asked", [{"prompt": "a photo of"}, {"question": "what?"}, {"attention": True}, {"texts": ["a"]}], ids=lambda asked: next(iter(asked))
)
def test_what_a_tagger_cannot_do_is_refused(asked: dict[str, Any], tagger: Path, resolve: Any):
    with pytest.raises(RequestFault, match="wd-vit-tagger-v3 can write captions, give tags, but not"):
        resolve(model="wd-vit-tagger-v3", **asked)


def test_old_files_of_deepdanbooru_are_named(resolve: Any, folders: Folders):
    place = folders.models / "torch_deepdanbooru"
    place.mkdir(parents=True)
    (place / "model-resnet_custom_v3.pt").write_bytes(b"x")
    with pytest.raises(RequestFault, match=r"model-resnet_custom_v3.pt is a pickle.*and is not read. Its successors"):
        resolve(model="deepdanbooru")


def test_a_job_of_tags(tagger: Path, resolve: Any, folders: Folders):
    plan = resolve(data=RED, model="deepdanbooru", threshold=0.2, tag_order="chance", tag_ratings=True, show_input=True)
    state, result = run_captions({"resolved": plan.to_data()}, Control(), desk_of(folders))
    (entry,) = result["captions"]
    assert state == "done"
    assert entry["caption"].split(", ")[0] == entry["tags"]["rating"][0][0]
    assert [name for name, _ in entry["tags"]["general"]] == ["o_o", "red_(colour)"]
    assert r"red \(colour\)" in entry["caption"]
    assert entry["seen"]["width"] == 32
    assert result["notes"] == ["wd-vit-tagger-v3 in float32 by ONNX Runtime"]


@pytest.mark.parametrize(("precision", "held"), [("int8", "int8, "), ("4-bit", "4-bit, ")])
def test_a_job_in_a_small_precision_tells_what_is_held(precision: str, held: str, resolve: Any, folders: Folders):
    plan = resolve(precision=precision, max_length=6, num_beams=1)
    state, result = run_captions({"resolved": plan.to_data()}, Control(), desk_of(folders))
    assert state == "done"
    assert result["captions"][0]["caption"]
    assert result["notes"][0].startswith(f"darkroom-starter-captioner in {held}")
    assert result["notes"][0].endswith("held instead of 9.1 MB")


def test_an_export_is_planned(exported: Path, folders: Folders):
    (exported / "onnx" / "export.json").unlink()
    plan = plan_export(ExportCaptioner(model="MINE", precision="int8"), folders)
    assert (plan["title"], plan["precisions"], plan["target"]) == ("Export mine to ONNX", ["int8"], str(exported / "onnx"))
    assert plan_export(ExportCaptioner(model="mine"), folders)["precisions"] == ["float32", "int8"]
    with pytest.raises(UnknownName):
        plan_export(ExportCaptioner(model="nobody"), folders)
    with pytest.raises(RequestFault, match=r"has no ONNX form here; these have: BLIP captioning, Vision .*, GIT, BLIP-2"):
        plan_export(ExportCaptioner(model="darkroom-starter-scorer"), folders)


def test_an_export_that_is_there_is_not_written_over_unasked(exported: Path, folders: Folders):
    with pytest.raises(RequestFault, match="was exported before; send overwrite"):
        plan_export(ExportCaptioner(model="mine"), folders)
    assert plan_export(ExportCaptioner(model="mine", overwrite=True), folders)["model"] == "mine"
