"""Downloads as work: what a source means, files and model folders from a made-up hub, and one through the real queue and worker."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from modules.faults import Cancelled, ModelFault, RequestFault
from modules.folders import Folders
from modules.jobs import Jobs
from modules.library.rows import PLACES
from modules.upkeep import known
from modules.upkeep.download import download
from modules.upkeep.plan import plan
from modules.upkeep.reach import DownloadFault
from modules.upkeep.report import Report
from modules.upkeep.sources import parse_source
from tests.upkeep.conftest import Control
from tests.upkeep.web import Page, Site

GOOD = save({"w": torch.arange(40_000.0)})
FP16 = save({"w": torch.arange(40_000.0).half()})
_PARTS = {"unet": ["diffusers", "UNet2DConditionModel"], "tokenizer": ["transformers", "CLIPTokenizer"]}
INDEX = json.dumps({"_class_name": "StableDiffusionPipeline", **_PARTS}).encode()
REPOSITORY = {
    "model_index.json": INDEX,
    "README.md": b"# a model",
    "unet/config.json": b"{}",
    "unet/diffusion_pytorch_model.safetensors": GOOD,
    "unet/diffusion_pytorch_model.fp16.safetensors": FP16,
    "unet/diffusion_pytorch_model.bin": b"\x80\x02",
    "tokenizer/vocab.json": b"{}",
    "tokenizer/merges.txt": b"",
    "run.py": b"print('code')",
}


def asked(folders: Folders, **data: Any) -> dict[str, Any]:
    return plan("download", data, folders, None)[1]


def fetched(site: Site, folders: Folders, report: Report, **data: Any) -> Path:
    download(asked(folders, **data), report, site.reach, hub_base=site.url(""))
    return report.files[-1]


@pytest.mark.parametrize(
    ("text", "repo", "revision", "file"),
    [
        ("org/name", "org/name", "main", None),
        ("org/name:sub/m.safetensors", "org/name", "main", "sub/m.safetensors"),
        ("org/na.me@v2:m.gguf", "org/na.me", "v2", "m.gguf"),
        ("https://huggingface.co/org/name", "org/name", "main", None),
        ("https://huggingface.co/org/name/tree/fp16", "org/name", "fp16", None),
        ("https://huggingface.co/org/name/blob/main/a%20b.safetensors", "org/name", "main", "a b.safetensors"),
        ("https://huggingface.co/org/name/resolve/abc/m.safetensors?download=true", "org/name", "abc", "m.safetensors"),
    ],
)
def test_what_a_source_means(text: str, repo: str, revision: str, file: str | None):
    source = parse_source(text)
    assert (source.repo, source.revision, source.file, source.url) == (repo, revision, file, None)
    assert parse_source(source.text) == source


@pytest.mark.parametrize(
    "text",
    ["", "name", "http://example.org/m.safetensors", "https://user:pass@example.org/m", "https://", "file:///etc/passwd", "a/b/c",
     "org/name:../x", "org/name:/etc/passwd", "https://[::1", "https://example.org:99999/x", "-org/name"],
)  # fmt: skip
def test_what_is_no_source_is_refused(text: str):
    with pytest.raises(RequestFault, match="source"):
        parse_source(text)


def test_keys_in_addresses_are_not_shown():
    assert parse_source("https://example.org/m.safetensors?token=secret").shown == "https://example.org/m.safetensors"


def test_a_file_of_the_hub_is_checked_against_the_hubs_digest(site: Site, own: Folders, report: Report):
    site.put_repository("org/name", {"m.safetensors": GOOD, "other.safetensors": FP16})
    path = fetched(site, own, report, source="org/name:m.safetensors", kind="Lora")
    assert path == own.models / "Lora" / "m.safetensors"
    assert path.read_bytes() == GOOD
    site.files["/org/name/resolve/abc123/other.safetensors"] = Page(GOOD[:-1] + b"?")
    with pytest.raises(DownloadFault, match=r"were announced|not what was announced"):
        fetched(site, own, report, source="org/name:other.safetensors")
    with pytest.raises(RequestFault, match=r"must name a file of org/name.*m\.safetensors, other\.safetensors"):
        fetched(site, own, report, source="org/name")
    with pytest.raises(RequestFault, match=r"sha256: is not that of m2\.safetensors"):
        fetched(site, own, report, source="org/name:m.safetensors", name="m2", sha256="0" * 64)


@pytest.mark.parametrize(("variant", "weights"), [("", GOOD), ("fp16", FP16)])
def test_a_whole_model_comes_as_a_folder_without_pickles_and_code(site: Site, own: Folders, report: Report, variant: str, weights: bytes):
    site.put_repository("org/model", REPOSITORY)
    path = fetched(site, own, report, source="org/model", variant=variant)
    assert path == own.models / "Stable-diffusion" / "model"
    assert sorted(p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file()) == [
        "model_index.json", "tokenizer/merges.txt", "tokenizer/vocab.json", "unet/config.json", "unet/diffusion_pytorch_model.safetensors",
    ]  # fmt: skip
    assert (path / "unet/diffusion_pytorch_model.safetensors").read_bytes() == weights


def test_a_folder_that_was_stopped_goes_on_where_it_was(site: Site, own: Folders):
    site.put_repository("org/model", REPOSITORY)
    control = Control()
    control.stop_after = 2
    with pytest.raises(Cancelled):
        fetched(site, own, Report(control), source="org/model")
    assert not (own.models / "Stable-diffusion" / "model").exists()
    before = len(site.asked)
    assert fetched(site, own, Report(Control()), source="org/model").is_dir()
    assert "/org/model/resolve/abc123/model_index.json" not in [path for path, _ in site.asked[before:]]


def test_a_folder_of_pickles_only_is_refused(site: Site, own: Folders, report: Report):
    site.put_repository("org/old", {k: v for k, v in REPOSITORY.items() if not k.endswith(".safetensors")})
    with pytest.raises(RequestFault, match="part unet as pickles only"):
        fetched(site, own, report, source="org/old")


def test_a_model_from_foreign_code_is_refused_and_taken_away(site: Site, own: Folders, report: Report):
    index = json.dumps({"_class_name": "X", "unet": ["my_code", "MyUNet"]}).encode()
    site.put_repository("org/evil", {**REPOSITORY, "model_index.json": index})
    with pytest.raises(ModelFault, match="foreign code"):
        fetched(site, own, report, source="org/evil")
    assert list((own.models / "Stable-diffusion").iterdir()) == []


def test_a_web_page_instead_of_a_model_is_not_kept(site: Site, own: Folders, report: Report):
    site.put_repository("org/name", {"m.safetensors": b"<!doctype html><html>Sign in</html>"})
    with pytest.raises(ModelFault, match="web page"):
        fetched(site, own, report, source="org/name:m.safetensors")
    assert list((own.models / "Stable-diffusion").iterdir()) == []


def test_a_pickle_may_come_but_with_a_warning(site: Site, own: Folders, report: Report):
    site.put_repository("org/name", {"m.ckpt": b"PK\x03\x04"})
    assert fetched(site, own, report, source="org/name:m.ckpt").name == "m.ckpt"
    assert "Convert it" in report.warnings[0]


def test_what_is_known_is_planned_with_its_folder_digest_and_licence(own: Folders):
    work = asked(own, source="sdxl-vae")
    assert work["folder"] == str(own.models / "VAE")
    assert work["source"] == "stabilityai/sdxl-vae:sdxl_vae.safetensors"
    assert work["sha256"].startswith("63aeecb90f")
    assert work["licence"] == "MIT"


def test_the_list_of_known_models_is_sound():
    rows = known.models()
    ids = [m.id for m in rows]
    assert len(ids) == len(set(ids))
    for model in rows:
        assert parse_source(model.source).repo
        assert model.place in PLACES
        assert set(model.needs) <= set(ids)
        assert model.sha256 is None or len(bytes.fromhex(model.sha256)) == 32
        assert model.licence
    assert {m.family for m in rows} - {""} == {"sd15", "sd2", "sdxl", "sd3", "flux"}


def test_a_download_through_the_queue_and_the_worker_for_files(site: Site, own: Folders):
    body = save({"w": torch.zeros(2_000_000)})
    site.put_repository("org/name", {"m.safetensors": body})
    site.files["/org/name/resolve/abc123/m.safetensors"].cuts = [3_000_000]
    jobs = Jobs(own, {"test_port": site.port}, files_runner="tests.upkeep.backend:build")
    request, resolved = plan("download", {"source": "org/name:m.safetensors"}, own, None)
    try:
        jobs.start(lanes=("files",))
        job = jobs.wait(jobs.submit("download", request, resolved, lane="files").id, 120)
        assert job.state == "done", job.fault
        [path] = job.result["files"]
        assert hashlib.sha256(Path(path).read_bytes()).digest() == hashlib.sha256(body).digest()
        failed = jobs.wait(jobs.submit("download", {}, {**resolved, "source": "org/nobody:m.safetensors"}, lane="files").id, 60)
        assert failed.fault["kind"] == "download"
        assert "has no such file" in failed.fault["message"]
        strange = jobs.wait(jobs.submit("paint", {}, {}, lane="files").id, 60)
        assert "no work of the kind 'paint'" in strange.fault["message"]
    finally:
        jobs.stop()


CAPTIONER = {
    "config.json": b"{}",
    "tokenizer.json": b"{}",
    "vocab.txt": b"a",
    "modeling_own.py": b"evil",
    "model.safetensors": GOOD,
    "pytorch_model.bin": b"pickle",
    "onnx/model.onnx": b"other",
}


def test_a_captioner_comes_as_a_folder_without_pickles_and_code(site: Site, own: Folders, report: Report):
    site.put_repository("org/captioner", CAPTIONER)
    path = fetched(site, own, report, source="org/captioner", kind="BLIP")
    assert path == own.models / "BLIP" / "captioner"
    assert sorted(p.name for p in path.rglob("*")) == ["config.json", "model.safetensors", "tokenizer.json", "vocab.txt"]


@pytest.mark.parametrize(("weights", "told"), [({"pytorch_model.bin": b"pickle"}, "pickles only"), ({}, "holds no model.safetensors")])
def test_a_captioner_without_safetensors_is_refused(site: Site, own: Folders, report: Report, weights: dict[str, bytes], told: str):
    site.put_repository("org/captioner", {"config.json": b"{}", **weights})
    with pytest.raises(RequestFault, match=told):
        fetched(site, own, report, source="org/captioner", kind="BLIP")
    assert not (own.models / "BLIP").exists() or list((own.models / "BLIP").iterdir()) == []


def test_a_captioner_with_broken_weights_is_taken_away(site: Site, own: Folders, report: Report):
    site.put_repository("org/captioner", {**CAPTIONER, "model.safetensors": b"<html>no</html>"})
    with pytest.raises(ModelFault, match="web page"):
        fetched(site, own, report, source="org/captioner", kind="BLIP")
    assert list((own.models / "BLIP").iterdir()) == []
