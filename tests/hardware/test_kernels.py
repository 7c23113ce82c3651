"""Number types, tried with real kernels on the CPU; a kernel that is wrong is found out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from modules.hardware import kernels


def test_float32_works_on_the_cpu():
    works, refused = kernels.try_dtypes("cpu")
    assert works[0] == "float32"
    assert set(works) | set(refused) == set(kernels.DTYPES)


def test_a_device_that_is_not_there_works_in_no_type():
    works, refused = kernels.try_dtypes("cuda:99")
    assert works == ()
    assert all(why.startswith("matmul: ") for why in refused.values())


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda x: x * float("nan"), "not numbers"),
        (lambda x: x * 1.2, "is wrong by"),
        (lambda x: x + 1e-4, ""),
    ],
)
def test_a_kernel_that_computes_nonsense_is_named(monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Any], Any], why: str):
    """The kernel is right in float64-like use (the reference) and spoilt on its second call, as a broken device would."""
    calls: list[int] = []

    def kernel(x: Any, y: Any, w: Any) -> Any:
        calls.append(1)
        return x @ y if len(calls) % 2 else spoil(x @ y)

    monkeypatch.setattr(kernels, "_kernels", lambda: {"matmul": kernel})
    found = kernels.trouble("cpu", "float32")
    assert (why in found) if why else (found == "")


def test_a_missing_kernel_is_a_reason_not_a_crash(monkeypatch: pytest.MonkeyPatch):
    def kernel(x: torch.Tensor, y: Any, w: Any) -> Any:
        if x.dtype == torch.float16:
            raise NotImplementedError("no kernel image is available for execution on the device\nmore")
        return x @ y

    monkeypatch.setattr(kernels, "_kernels", lambda: {"conv2d": kernel})
    assert kernels.trouble("cpu", "float32") == ""
    assert kernels.trouble("cpu", "float16") == "conv2d: no kernel image is available for execution on the device"
