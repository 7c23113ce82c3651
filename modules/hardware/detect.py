"""Which devices there are and what they are called; with `python -m modules.hardware.detect` as JSON.

A driver may crash the process that touches it, so reports and first tries go through `probe_in_child`.
Start reading at `probe`.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from modules.folders import PROGRAM
from modules.hardware.diagnosis import missing_kernels, unused_card
from modules.hardware.kernels import try_dtypes

CHILD_TIMEOUT_S = 180.0
_NVIDIA_DRIVER = Path("/sys/module/nvidia/version")


@dataclass(frozen=True, kw_only=True)
class Device:
    """kind: cuda, rocm, xpu, mps, directml or cpu; torch_name: "cuda:0"; memory in bytes, 0 where it cannot be read.

    dtypes: those that really work; refused: the others and why; problems: what is wrong, with what to do.
    """

    kind: str
    torch_name: str
    name: str
    memory_bytes: int
    free_bytes: int = 0
    dtypes: tuple[str, ...] = ()
    refused: dict[str, str] = field(default_factory=dict[str, str])
    problems: tuple[str, ...] = ()

    def to_data(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        values: dict[str, Any] = {**data, "dtypes": tuple(data["dtypes"]), "problems": tuple(data["problems"])}
        return cls(**values)

    def tried(self) -> Self:
        """The same device after trying the number types with real kernels."""
        works, refused = try_dtypes(self.torch_name)
        return replace(self, dtypes=works, refused=refused)


def probe(*, with_kernels: bool = True) -> list[Device]:
    """Every device, the fastest kind first, the CPU last. with_kernels: try each number type with real work (about a second)."""
    found = [device for backend in (_cuda, _xpu, _mps, _directml) for device in _listed(backend)]
    found.append(_cpu())
    return [d.tried() for d in found] if with_kernels else found


def diagnoses() -> list[str]:
    """What keeps devices from being used that are there all the same."""
    import torch

    driver = _NVIDIA_DRIVER.read_text().strip() if _NVIDIA_DRIVER.exists() else None
    error = ""
    if driver and torch.version.cuda and not torch.cuda.is_available():
        try:
            torch.cuda.init()
        except RuntimeError as failed:
            error = str(failed).splitlines()[0]
    found = unused_card(
        driver=driver, cuda_build=torch.version.cuda, hip_build=torch.version.hip, available=torch.cuda.is_available(), error=error
    )
    return [found] if found else []


def probe_in_child(torch_name: str = "", *, timeout_s: float = CHILD_TIMEOUT_S) -> dict[str, Any]:
    """{"devices": [...], "diagnoses": [...], "error": ""} from a process of its own, which a driver may crash.

    torch_name: only this device; "" for all. error says how the process ended when it gave no answer.
    """
    command = [sys.executable, "-m", "modules.hardware.detect", *([torch_name] if torch_name else [])]
    try:
        done = subprocess.run(command, cwd=PROGRAM, capture_output=True, text=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired:
        return {"devices": [], "diagnoses": [], "error": f"trying the devices took more than {timeout_s:.0f} s"}
    try:
        return {**json.loads(done.stdout.splitlines()[-1]), "error": ""}
    except (ValueError, IndexError):
        said = [line for line in done.stderr.splitlines() if line.strip()][-1:]
        ended = f"signal {-done.returncode}" if done.returncode < 0 else f"exit {done.returncode}"
        return {"devices": [], "diagnoses": [], "error": f"trying the devices ended the process ({ended}) {' '.join(said)}".strip()}


def _listed(backend: Callable[[], list[Device]]) -> list[Device]:
    """A backend's devices; a driver that refuses to start has none (`diagnoses` says why)."""
    try:
        return backend()
    except (RuntimeError, OSError, AttributeError) as error:
        sys.stderr.write(f"{backend.__name__.strip('_')} devices cannot be listed: {error}\n")
        return []


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
    free = 0 if problem else torch.cuda.mem_get_info(index)[0]
    return Device(
        kind=kind,
        torch_name=f"cuda:{index}",
        name=properties.name,
        memory_bytes=properties.total_memory,
        free_bytes=free,
        problems=(problem,) if problem else (),
    )


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

    memory = psutil.virtual_memory()
    return Device(kind="cpu", torch_name="cpu", name=_cpu_name(), memory_bytes=memory.total, free_bytes=memory.available)


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.lower().startswith(("model name", "hardware")):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def main(argv: list[str]) -> None:
    """Print the devices as one line of JSON. argv: the torch name of one device, or nothing."""
    devices = [d.tried() for d in probe(with_kernels=False) if not argv or d.torch_name in argv]
    sys.stdout.write(json.dumps({"devices": [d.to_data() for d in devices], "diagnoses": diagnoses()}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
