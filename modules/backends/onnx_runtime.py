"""ONNX Runtime, on the processor and on graphics cards for which its package was built. Start reading at `build`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from modules.backends.graphs import opened
from modules.backends.onnx_session import CPU, missing, session
from modules.backends.record import Answer, Backend, Work

if TYPE_CHECKING:
    import torch

NEEDS = {"onnxruntime": "onnxruntime", "onnx": "onnx"}
# Kind of device -> (what of ONNX Runtime runs there, the package that has it).
PROVIDERS = {
    "cpu": (CPU, "onnxruntime"),
    "cuda": ("CUDAExecutionProvider", "onnxruntime-gpu"),
    "rocm": ("MIGraphXExecutionProvider", "onnxruntime-migraphx"),
    "directml": ("DmlExecutionProvider", "onnxruntime-directml"),
}


def probe(kind: str) -> str:
    """Packages, and what of ONNX Runtime works on this kind of device."""
    if why := missing(NEEDS, "ONNX Runtime"):
        return why
    if kind not in PROVIDERS:
        return f"ONNX Runtime is not used on {kind} here."
    name, package = PROVIDERS[kind]
    return (
        "" if kind == "cpu" or has_provider(name) else f"the ONNX Runtime that is installed has no {name}; install {package} in its place."
    )


def has_provider(name: str) -> bool:
    """Was the installed ONNX Runtime built with this?"""
    import onnxruntime

    return name in onnxruntime.get_available_providers()


def build(work: Work) -> Answer:
    """The network's graph, exported or from the disk, in a session."""
    return answering(opened(work, lambda path: session(path, (PROVIDERS[work.kind][0],))))


def answering(running: Any) -> Answer:
    """A session as what answers. Tensors go through main memory, which is little beside a network's call."""
    import torch

    names = [given.name for given in running.get_inputs()]

    def answer(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
        told = {name: tensor.detach().cpu().numpy() for name, tensor in zip(names, tensors, strict=True)}
        return torch.from_numpy(running.run(None, told)[0]).to(tensors[0].device)

    return answer


ROW = Backend(
    title="ONNX Runtime",
    help="The network as an ONNX graph. Run here on the CPU; on CUDA, ROCm and DirectML not run here.",
    source="https://onnxruntime.ai/docs/execution-providers/",
    probe=probe,
    build=build,
    tolerance={"float32": 1e-4, "float16": 2e-2},
)
