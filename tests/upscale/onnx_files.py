"""Small ONNX networks written by hand, as people's files are: one that finds what is bright, one that answers like YuNet.

Source of the format: onnx.proto (field numbers of ModelProto, GraphProto, NodeProto, TensorProto).
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

FLOAT, INT64 = 1, 7
KPS = (-1.0, -1.0, 2.0, -1.0, 0.5, 0.5, -0.7, 2.0, 1.7, 2.0)  # five points of a face around a cell, in cells


def _varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    parts = bytearray()
    while True:
        low, number = number & 127, number >> 7
        parts.append(low | (128 if number else 0))
        if not number:
            return bytes(parts)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes | str) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _tensor(name: str, values: np.ndarray) -> bytes:
    kind = FLOAT if values.dtype == np.float32 else INT64
    dims = b"".join(_number(1, side) for side in values.shape)
    return dims + _number(2, kind) + _bytes(8, name) + _bytes(9, values.tobytes())


def _ints(name: str, values: list[int]) -> bytes:
    return _bytes(5, _bytes(1, name) + b"".join(_number(8, value) for value in values) + _number(20, 7))


def _int(name: str, value: int) -> bytes:
    return _bytes(5, _bytes(1, name) + _number(3, value) + _number(20, 2))


def _node(kind: str, inputs: list[str], outputs: list[str], *attributes: bytes) -> bytes:
    ends = b"".join(_bytes(1, name) for name in inputs) + b"".join(_bytes(2, name) for name in outputs)
    return _bytes(1, ends + _bytes(3, outputs[0]) + _bytes(4, kind) + b"".join(attributes))


def _value(field: int, name: str, dims: list[int | str]) -> bytes:
    shape = b"".join(_bytes(1, _number(1, d) if isinstance(d, int) else _bytes(2, d)) for d in dims)
    return _bytes(field, _bytes(1, name) + _bytes(2, _bytes(1, _number(1, FLOAT) + _bytes(2, shape))))


def _model(nodes: bytes, constants: dict[str, np.ndarray], given: bytes, answers: bytes) -> bytes:
    held = b"".join(_bytes(5, _tensor(name, values)) for name, values in constants.items())
    graph = nodes + _bytes(2, "graph") + held + given + answers
    return _number(1, 6) + _bytes(8, _bytes(1, "") + _number(2, 11)) + _bytes(7, graph)


def bright(path: Path, side_px: int = 320, weight: float = 1.0) -> Path:
    """A network for background removal that takes what is bright for the subject."""
    constants = {"w": np.full((1, 3, 1, 1), weight, np.float32)}
    nodes = _node("Conv", ["in", "w"], ["out"], _ints("kernel_shape", [1, 1]))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_model(nodes, constants, _value(11, "in", [1, 3, side_px, side_px]), _value(12, "out", [1, 1, side_px, side_px])))
    return path


def yunet(path: Path) -> Path:
    """Answers as YuNet does; a bright cell of 32 pixels is a face, twice as large as the cell."""
    nodes, answers, constants = b"", b"", {}
    for stride in (8, 16, 32):
        weights = np.zeros((16, 3, stride, stride), np.float32)
        offsets = np.array([0, 0, 0.5, 0.5, math.log(2), math.log(2), *KPS], np.float32)
        if stride == 32:
            weights[:2] = 1 / (3 * stride * stride * 255)
        constants |= {f"w{stride}": weights, f"b{stride}": offsets, f"shape{stride}": np.array([1, -1, 16], np.int64)}
        nodes += _node(
            "Conv",
            ["input", f"w{stride}", f"b{stride}"],
            [f"c{stride}"],
            _ints("kernel_shape", [stride] * 2),
            _ints("strides", [stride] * 2),
        )
        nodes += _node("Transpose", [f"c{stride}"], [f"t{stride}"], _ints("perm", [0, 2, 3, 1]))
        nodes += _node("Reshape", [f"t{stride}", f"shape{stride}"], [f"r{stride}"])
        names = [f"{kind}_{stride}" for kind in ("cls", "obj", "bbox", "kps")]
        nodes += _node("Split", [f"r{stride}"], names, _int("axis", 2), _ints("split", [1, 1, 4, 10]))
        answers += b"".join(_value(12, name, [1, "n", size]) for name, size in zip(names, (1, 1, 4, 10), strict=True))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_model(nodes, constants, _value(11, "input", [1, 3, 640, 640]), answers))
    return path
