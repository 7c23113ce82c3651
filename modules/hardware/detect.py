"""Which devices there are, and which number types really work on them, tried with real kernels.

A type that is offered but computes nonsense (seen on several driver and card pairs) counts as not working.
Start reading at `probe`.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

DTYPES = ("float32", "float16", "bfloat16")
# Largest error against float32, relative to the largest value, that rounding alone can explain.
TOLERANCE = {"float32": 1e-4, "float16": 2e-2, "bfloat16": 1e-1}


@dataclass(frozen=True, kw_only=True)
class Device:
    """kind: cuda, rocm, xpu, mps, directml or cpu; torch_name: "cuda:0"; memory in bytes; dtypes: those that really work.

    problems: what is wrong, in words, with what to do.
    """

    kind: str
    torch_name: str
    name: str
    memory_bytes: int
    dtypes: tuple[str, ...] = ()
    problems: tuple[str, ...] = field(default=())

    def to_data(self) -> dict[str, Any]:
        return asdict(self)


def probe(*, with_kernels: bool = True) -> list[Device]:
    """Every device, the fastest kind first, the CPU last. with_kernels: try each number type with real work (about a second)."""
    found = [*_cuda(), *_xpu(), *_mps(), *_directml(), _cpu()]
    if not with_kernels:
        return found
    return [Device(**{**device.to_data(), "dtypes": working_dtypes(device.torch_name)}) for device in found]


def working_dtypes(torch_name: str) -> tuple[str, ...]:
    """The number types with which matmul, convolution and attention give right results on a device."""
    import torch

    device: Any = torch.device(torch_name) if not torch_name.startswith("privateuseone") else torch_name
    return tuple(name for name in DTYPES if _works(device, getattr(torch, name), TOLERANCE[name]))


def _works(device: Any, dtype: Any, tolerance: float) -> bool:
    import torch

    generator = torch.Generator("cpu").manual_seed(0)
    a, b = (torch.randn((1, 4, 32, 32), generator=generator) for _ in range(2))
    weight = torch.randn((8, 4, 3, 3), generator=generator) / 6
    kernels: tuple[Callable[..., Any], ...] = (
        lambda x, y, w: x @ y / 6,
        lambda x, y, w: torch.nn.functional.conv2d(x, w, padding=1),
        lambda x, y, w: torch.nn.functional.scaled_dot_product_attention(x, y, x),
    )
    try:
        for kernel in kernels:
            right = kernel(a, b, weight)
            tried = kernel(*(t.to(device=device, dtype=dtype) for t in (a, b, weight))).float().cpu()
            if not bool(torch.isfinite(tried).all()) or float((tried - right).abs().max() / right.abs().max()) > tolerance:
                return False
    except (RuntimeError, NotImplementedError, TypeError):  # the kernel is missing or fails on this device
        return False
    return True


def _cuda() -> list[Device]:
    import torch

    if not torch.cuda.is_available():
        return []
    kind = "rocm" if torch.version.hip else "cuda"
    built_for = torch.cuda.get_arch_list()
    return [_one_cuda(kind, index, built_for) for index in range(torch.cuda.device_count())]


def _one_cuda(kind: str, index: int, built_for: list[str]) -> Device:
    import torch

    properties = torch.cuda.get_device_properties(index)
    problem = missing_kernels(kind, properties.name, (properties.major, properties.minor), built_for)
    return Device(
        kind=kind, torch_name=f"cuda:{index}", name=properties.name, memory_bytes=properties.total_memory, problems=(problem,) if problem else ()
    )


def missing_kernels(kind: str, name: str, capability: tuple[int, int], built_for: list[str]) -> str | None:
    """Why this torch cannot work on an NVIDIA card, or None. built_for: torch.cuda.get_arch_list()."""
    if kind != "cuda" or not built_for:
        return None
    major, minor = capability
    same = [a for a in built_for if a.startswith("sm_") and a[3:].rstrip("af").isdigit() and int(a[3:].rstrip("af")) // 10 == major]
    usable = [a for a in same if int(a[3:].rstrip("af")) % 10 <= minor]
    ahead = [a for a in built_for if a.startswith("compute_") and a[8:].rstrip("af").isdigit() and int(a[8:].rstrip("af")) <= major * 10 + minor]
    if usable or ahead:
        return None
    return f"{name} needs kernels for sm_{major}{minor}, and this torch was built for {', '.join(built_for)}. Install a torch build for this card."


def _xpu() -> list[Device]:
    import torch

    if not hasattr(torch, "xpu") or not torch.xpu.is_available():
        return []
    rows = [(i, torch.xpu.get_device_properties(i)) for i in range(torch.xpu.device_count())]
    return [Device(kind="xpu", torch_name=f"xpu:{i}", name=p.name, memory_bytes=p.total_memory) for i, p in rows]


def _mps() -> list[Device]:
    import torch

    if not torch.backends.mps.is_available():
        return []
    return [Device(kind="mps", torch_name="mps", name=f"Apple {platform.machine()}", memory_bytes=torch.mps.recommended_max_memory())]


def _directml() -> list[Device]:
    try:
        import torch_directml  # pyright: ignore[reportMissingImports]
    except ImportError:
        return []
    return [
        Device(kind="directml", torch_name=f"privateuseone:{i}", name=torch_directml.device_name(i), memory_bytes=0)
        for i in range(torch_directml.device_count())
    ]


def _cpu() -> Device:
    import psutil

    return Device(kind="cpu", torch_name="cpu", name=_cpu_name(), memory_bytes=psutil.virtual_memory().total)


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.lower().startswith(("model name", "hardware")):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
