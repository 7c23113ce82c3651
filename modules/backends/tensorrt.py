"""TensorRT, by way of ONNX Runtime's execution provider for it, as its documentation has it. Not run here. Start reading at `build`."""

from __future__ import annotations

from typing import Any

from modules.backends.graphs import opened
from modules.backends.onnx_runtime import NEEDS, answering, has_provider
from modules.backends.onnx_session import missing, session
from modules.backends.record import Answer, Backend, Work

PROVIDER, BESIDE = "TensorrtExecutionProvider", "CUDAExecutionProvider"  # the second runs what the first cannot
ENGINES = "tensorrt"


def probe(kind: str) -> str:
    """NVIDIA's cards only, with an ONNX Runtime that was built for TensorRT."""
    if kind != "cuda":
        return f"TensorRT runs on NVIDIA's cards (CUDA), not on {kind}."
    if why := missing(NEEDS, "TensorRT"):
        return why
    return "" if has_provider(PROVIDER) else f"the ONNX Runtime that is installed has no {PROVIDER}; install onnxruntime-gpu and tensorrt."


def providers(work: Work) -> list[Any]:
    """What ONNX Runtime is told. Engines and timings are kept on the disk; they hold for one kind of card and one version."""
    folder = work.folder / ENGINES
    options = {
        "device_id": work.example[0].device.index or 0,
        "trt_fp16_enable": str(work.example[0].dtype) == "torch.float16",
        "trt_engine_cache_enable": True,
        "trt_engine_cache_path": str(folder),
        "trt_engine_cache_prefix": work.key,
        "trt_timing_cache_enable": True,
        "trt_timing_cache_path": str(folder),
    }
    return [(PROVIDER, options), BESIDE]


def build(work: Work) -> Answer:
    """The graph in a session, and the engine for the example's sizes, which takes minutes the first time."""
    (work.folder / ENGINES).mkdir(parents=True, exist_ok=True)
    answer = answering(opened(work, lambda path: session(path, providers(work))))
    answer(work.example)
    return answer


ROW = Backend(
    title="TensorRT",
    help="The same graph, compiled by TensorRT for NVIDIA's cards, once for each size. Not run here.",
    source="https://onnxruntime.ai/docs/execution-providers/TensorRT-ExecutionProvider.html",
    probe=probe,
    build=build,
    tolerance={"float32": 1e-3, "float16": 3e-2},
    any_size=False,
)
