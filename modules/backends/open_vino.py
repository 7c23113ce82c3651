"""OpenVINO over the same ONNX graph: for processors of every maker and for Intel's graphics. Start reading at `build`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modules.backends.graphs import opened
from modules.backends.onnx_session import missing
from modules.backends.record import Answer, Backend, Work

if TYPE_CHECKING:
    import torch

REPORTER = "openvino_telemetry"  # with it, importing OpenVINO tells Google Analytics; nothing here tells anybody anything
NEEDS = {"openvino": "openvino", "onnx": "onnx"}
DEVICES = {"cpu": "CPU", "xpu": "GPU"}  # kind of device -> OpenVINO's name of it


def probe(kind: str) -> str:
    """Packages and kind."""
    return missing(NEEDS, "OpenVINO") or ("" if kind in DEVICES else f"OpenVINO does not run on {kind}.")


def build(work: Work) -> Answer:
    """The network's graph, exported or from the disk, compiled in memory."""
    import torch

    compiled: Any = opened(work, lambda path: _compiled(path, work))

    def answer(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
        given = [tensor.detach().cpu().numpy() for tensor in tensors]
        return torch.from_numpy(compiled(given)[0].copy()).to(tensors[0].device)

    return answer


def _compiled(path: Path, work: Work) -> Any:
    """Without a hint OpenVINO computes float32 networks in smaller numbers where the processor has them."""
    sys.modules.setdefault(REPORTER, None)  # pyright: ignore[reportArgumentType]  # "not there": OpenVINO then reports to nobody
    import openvino  # pyright: ignore[reportMissingImports]  # optional
    import torch

    precision = "f16" if work.example[0].dtype == torch.float16 else "f32"
    options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
    if work.kind == "cpu":
        options["INFERENCE_NUM_THREADS"] = torch.get_num_threads()
    return openvino.Core().compile_model(str(path), DEVICES[work.kind], options)


ROW = Backend(
    title="OpenVINO",
    help="The same graph, compiled by OpenVINO. Run here on the CPU; on Intel's graphics not run here.",
    source="https://docs.openvino.ai/2026/openvino-workflow/running-inference.html",
    probe=probe,
    build=build,
    tolerance={"float32": 1e-4, "float16": 2e-2},
)
