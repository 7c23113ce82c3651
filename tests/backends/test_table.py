"""The rows: what each says about a machine that lacks something."""

from __future__ import annotations

import importlib.util
import shutil
import sysconfig
from pathlib import Path
from typing import Any

import pytest
import torch

from modules.backends import onnx_runtime, tensorrt
from modules.backends.record import Work
from modules.backends.table import BACKENDS, usable

KINDS = ["cpu", "cuda", "rocm", "xpu", "mps", "directml"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_row_answers_in_a_sentence(kind: str):
    answers = usable(kind)
    assert list(answers) == BACKENDS.names()
    assert answers["eager"] == ""
    for name, why in answers.items():
        assert why == "" or (why.endswith(".") and "\n" not in why), name


def test_every_row_but_eager_builds_and_names_its_source():
    for name, row in BACKENDS:
        assert row.source.startswith("https://")
        assert (row.build is None) == (name == "eager")
        assert bool(row.tolerance) == (name != "eager")


@pytest.mark.parametrize(
    ("name", "module", "words"),
    [("onnx", "onnxruntime", "pip install onnxruntime"), ("openvino", "openvino", "pip install openvino"), ("onnx", "onnx", "onnx")],
)
def test_a_package_that_is_not_there(name: str, module: str, words: str, monkeypatch: pytest.MonkeyPatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda asked, *more: None if asked == module else found(asked, *more))
    assert words in BACKENDS.get(name).probe("cpu")


def test_compile_without_a_compiler(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert "no C++ compiler" in BACKENDS.get("compile").probe("cpu")


def test_compile_without_the_headers_of_python(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    assert "header files" in BACKENDS.get("compile").probe("cpu")
    (tmp_path / "Python.h").touch()
    assert BACKENDS.get("compile").probe("cpu") == ""


def test_compile_on_a_card_without_triton(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda asked, *more: None)
    assert "triton" in BACKENDS.get("compile").probe("cuda")


def test_a_card_that_the_installed_onnx_runtime_was_not_built_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(onnx_runtime, "has_provider", lambda name: False)
    assert "install onnxruntime-gpu" in BACKENDS.get("onnx").probe("cuda")
    monkeypatch.setattr(tensorrt, "has_provider", lambda name: name == tensorrt.PROVIDER)
    assert BACKENDS.get("tensorrt").probe("cuda") == ""
    assert "not on rocm" in BACKENDS.get("tensorrt").probe("rocm")


@pytest.mark.parametrize(("dtype", "halves"), [(torch.float16, True), (torch.float32, False)])
def test_what_onnx_runtime_is_told_about_tensorrt(dtype: Any, halves: bool, tmp_path: Path):
    work = Work(network=None, example=(torch.zeros(1, dtype=dtype),), kind="cuda", key="k", folder=tmp_path)
    (name, options), beside = tensorrt.providers(work)
    assert (name, beside) == ("TensorrtExecutionProvider", "CUDAExecutionProvider")
    assert options["trt_fp16_enable"] is halves
    assert options["trt_engine_cache_path"] == str(tmp_path / "tensorrt")
