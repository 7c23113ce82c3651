"""The most memory that a stretch of work needed, as torch or the system counted it. Start reading at `Peak`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

SELF = Path("/proc/self")
FORGET_PEAK = b"5"  # what Linux's clear_refs takes for "count the peak from now on", see man 5 proc


class Peak:
    """Counts from `begin` on. kind: of device; torch_name: the device.

    On devices with memory of their own it is what torch's tensors took there; on the CPU what the process held in main memory, which
    only Linux tells.
    """

    def __init__(self, kind: str, torch_name: str) -> None:
        self._kind = kind
        self._torch_name = torch_name
        self._before = 0

    def begin(self) -> None:
        """Forget what was counted."""
        self._before = 0
        self._forget()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """While a model is read: the pages of its file look like the process's own then, though the system takes them back at need. That
        is so in main memory; elsewhere it goes on counting.
        """
        if self._kind != "cpu":
            yield
            return
        self._before = self.bytes()
        try:
            yield
        finally:
            self._forget()

    def _forget(self) -> None:
        if (counter := self._counter()) is not None:
            counter.reset_peak_memory_stats(self._torch_name)
        elif self._kind == "cpu":
            with contextlib.suppress(OSError):
                forget = os.open(SELF / "clear_refs", os.O_WRONLY)
                try:
                    os.write(forget, FORGET_PEAK)
                finally:
                    os.close(forget)

    def bytes(self) -> int:
        """0 where nobody counts it."""
        if (counter := self._counter()) is not None:
            return int(counter.max_memory_allocated(self._torch_name))
        return max(self._before, held_at_most(SELF / "status")) if self._kind == "cpu" else 0

    def _counter(self) -> Any:
        if self._kind not in ("cuda", "rocm", "xpu"):
            return None
        import torch

        return torch.xpu if self._kind == "xpu" else torch.cuda


def held_at_most(status: Path) -> int:
    """VmHWM of a /proc/PID/status file, in bytes; 0 without one."""
    try:
        lines: Mapping[str, str] = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        return int(lines["VmHWM"].split()[0]) * 1024
    except (OSError, KeyError, ValueError, IndexError):
        return 0
