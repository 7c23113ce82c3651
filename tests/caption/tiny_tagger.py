"""Taggers whose network is one matrix over the mean colour, with the inputs, outputs and lists of the true ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE_PX = 32
ROWS = (
    ("general", 9), ("sensitive", 9), ("questionable", 9), ("explicit", 9), ("1girl", 0), ("blue_background", 0), ("^_^", 0),
    ("red_(colour)", 0), ("a_hero", 4), ("o_o", 0),
)  # fmt: skip
DEEP = ("1girl", "blue_background", "a_hero", "rating:safe", "rating:explicit")


def wd(folder: Path, *, batch: int | str = "batch_size", last_step: bool = True, seed: int = 1) -> Any:
    """A folder as the WD taggers have it. Returns the matrix (3, tags), which reads the mean colour / 64, blue first."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{n},{name},{category},{100 - n}" for n, (name, category) in enumerate(ROWS)]
    (folder / "selected_tags.csv").write_text("\n".join(["tag_id,name,category,count", *lines]) + "\n", encoding="utf-8")
    weights = np.random.default_rng(seed).normal(0, 1, (3, len(ROWS))).astype(np.float32)
    _network(folder, weights, 64, batch, last_step)
    return weights


def deepdanbooru(folder: Path) -> Any:
    """A folder as DeepDanbooru has it, with its network as ONNX. Returns the matrix (3, tags), which reads the mean colour, red first."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tags.txt").write_text("\n".join(DEEP) + "\n", encoding="utf-8")
    (folder / "tags-character.txt").write_text("a_hero\n", encoding="utf-8")
    weights = np.random.default_rng(2).normal(0, 1, (3, len(DEEP))).astype(np.float32)
    _network(folder, weights, 1, "unk__100", True)
    return weights


def _network(folder: Path, weights: Any, divided_by: float, batch: int | str, last_step: bool) -> None:
    name = "predictions_sigmoid"
    nodes = [
        helper.make_node("ReduceMean", ["input_1:0", "axes"], ["mean"], keepdims=0),
        helper.make_node("Div", ["mean", "by"], ["small"]),
        helper.make_node("MatMul", ["small", "weights"], ["logits" if last_step else name]),
        *([helper.make_node("Sigmoid", ["logits"], [name])] if last_step else []),
    ]
    graph = helper.make_graph(
        nodes,
        "tagger",
        [helper.make_tensor_value_info("input_1:0", TensorProto.FLOAT, [batch, SIDE_PX, SIDE_PX, 3])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, weights.shape[1]])],
        [
            numpy_helper.from_array(np.array([1, 2]), "axes"),
            numpy_helper.from_array(np.float32(divided_by), "by"),
            numpy_helper.from_array(weights, "weights"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, str(folder / "model.onnx"))
