"""The list of backends: a file and a row each. Can be imported without torch. Start reading at `BACKENDS`."""

from __future__ import annotations

from modules.backends import compiled, cuda_graphs, eager, onnx_runtime, open_vino, tensorrt
from modules.backends.record import Backend
from modules.registry import Registry

EAGER = "eager"

BACKENDS: Registry[Backend] = Registry("backend")
BACKENDS.add(EAGER, eager.ROW)
BACKENDS.add("compile", compiled.ROW, aliases=("torch.compile",))
BACKENDS.add("cuda-graphs", cuda_graphs.ROW, aliases=("cudagraphs",))
BACKENDS.add("onnx", onnx_runtime.ROW, aliases=("onnxruntime",))
BACKENDS.add("openvino", open_vino.ROW)
BACKENDS.add("tensorrt", tensorrt.ROW)
BACKENDS.freeze()


def usable(kind: str) -> dict[str, str]:
    """Name -> "" where it can be used on this kind of device, else the reason in a sentence."""
    return {name: row.probe(kind) for name, row in BACKENDS}
