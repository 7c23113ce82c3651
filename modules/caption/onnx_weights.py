"""Weights of an ONNX graph as 8 bit numbers with a scale for each row; what a graph says beside its weights is left out.

Matrices are multiplied as whole numbers (activations get 8 bits while it runs); tables and other large weights are kept in 8 bits and made
floating again when they are read. Start reading at `compress`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

LEAST = 2048  # numbers a weight must hold to be worth 8 bits
MULTIPLIED = ("MatMul", "Gemm")


def strip(path: Path) -> None:
    """Take out of a graph where each of its nodes came from: half of a small file, and paths of the machine that made it."""
    import onnx

    model = onnx.load(str(path), load_external_data=False)
    model.doc_string = ""
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    model.graph.doc_string = ""
    del model.graph.value_info[:]
    for row in (*model.graph.node, *model.graph.input, *model.graph.output, *model.graph.initializer):
        row.doc_string = ""
        del row.metadata_props[:]
    onnx.save(model, str(path))


def compress(source: Path, target: Path) -> None:
    """Write a graph with weights of 8 bits. source: a float32 graph; weights beside it are read and written too."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    large = source.with_name(f"{source.name}.data").is_file()
    quantize_dynamic(
        source,
        target,
        op_types_to_quantize=[*MULTIPLIED],
        per_channel=True,
        reduce_range=True,  # 7 bits of each 8: sums of two products overflow 16 bits on processors without VNNI
        weight_type=QuantType.QInt8,
        use_external_data_format=large,
    )
    _shrink_the_rest(target, large)


def _shrink_the_rest(path: Path, large: bool) -> None:
    """Weights that are still floating, tables of words and places and the first filter, as 8 bits and a scale for each row."""
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load(str(path))
    graph = model.graph
    nodes: list[Any] = []
    for weight in list(graph.initializer):
        if weight.data_type != onnx.TensorProto.FLOAT or len(weight.dims) < 2 or np.prod(weight.dims) < LEAST:
            continue
        values = numpy_helper.to_array(weight)
        axis = next((n for n, side in enumerate(weight.dims) if side > 1), 0)
        others = tuple(n for n in range(values.ndim) if n != axis)
        scale = np.maximum(np.abs(values).max(axis=others) / 127, 1e-12).astype(np.float32)
        shape = [-1 if n == axis else 1 for n in range(values.ndim)]
        whole = np.clip(np.round(values / scale.reshape(shape)), -127, 127).astype(np.int8)
        name = weight.name
        graph.initializer.remove(weight)
        graph.initializer.append(numpy_helper.from_array(whole, f"{name}_8bit"))
        graph.initializer.append(numpy_helper.from_array(scale, f"{name}_scale"))
        graph.initializer.append(numpy_helper.from_array(np.zeros(scale.shape, np.int8), f"{name}_zero"))
        nodes.append(helper.make_node("DequantizeLinear", [f"{name}_8bit", f"{name}_scale", f"{name}_zero"], [name], axis=axis))
    for node in reversed(nodes):
        graph.node.insert(0, node)
    path.with_name(f"{path.name}.data").unlink(missing_ok=True)  # it would be written behind what is there
    onnx.save(model, str(path), save_as_external_data=large, location=f"{path.name}.data", convert_attribute=False)
