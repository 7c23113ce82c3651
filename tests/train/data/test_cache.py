"""The cache gives back exactly what was put, notices damage, and does not grow without end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from modules.train.data.cache import DiskCache


def test_what_was_put_comes_back(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path)
    rows = {
        "mean": torch.randn(4, 8, 8),
        "half": torch.randn(3).to(torch.bfloat16),
        "ids": torch.arange(5),
        "turned": torch.randn(4, 6).T,
        "none": torch.empty(0, 3),
    }
    assert cache.get("key") is None
    assert "key" not in cache
    cache.put("key", rows)
    found = DiskCache(tmp_path).get("key")
    assert found is not None
    assert set(found) == set(rows)
    assert "key" in cache
    assert all(torch.equal(found[name], rows[name]) and found[name].dtype == rows[name].dtype for name in rows)
    assert cache.get("key2") is None


@pytest.mark.parametrize("how", ["short", "flipped", "zeros", "empty", "of another key"])
def test_damage_is_a_miss_and_goes_away(tmp_path: Path, how: str) -> None:
    cache = DiskCache(tmp_path)
    cache.put("key", {"x": torch.randn(100)})
    (path,) = tmp_path.rglob("*.tensors")
    data = path.read_bytes()
    if how == "of another key":
        cache.put("other", {"x": torch.randn(100)})
        data = next(each for each in tmp_path.rglob("*.tensors") if each != path).read_bytes()
    damaged = {"short": data[:-9], "flipped": data[:-20] + bytes([data[-20] ^ 1]) + data[-19:], "zeros": bytes(len(data)), "empty": b""}
    path.write_bytes(damaged.get(how, data))
    assert cache.get("key") is None
    assert not path.exists()
    cache.put("key", {"x": torch.ones(1)})
    assert cache.get("key") is not None


def test_what_was_not_asked_for_longest_goes_first(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, most_bytes=3000)
    for number in range(6):
        cache.put(str(number), {"x": torch.zeros(200)})
    for age, path in enumerate(sorted(tmp_path.rglob("*.tensors"))):
        os.utime(path, (1000 + age, 1000 + age))
    assert cache.get("0") is not None
    assert cache.bytes_used() > 3000
    assert cache.shrink() > 0
    assert cache.bytes_used() <= 3000
    assert "0" in cache


def test_it_looks_after_itself(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, most_bytes=10_000)
    for number in range(130):
        cache.put(str(number), {"x": torch.zeros(200)})
    assert cache.bytes_used() < 80_000


def test_only_these(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path)
    for number in range(4):
        cache.put(str(number), {"x": torch.zeros(1)})
    assert cache.keep_only(["1", "3", "9"]) == 2
    assert [number for number in range(4) if str(number) in cache] == [1, 3]
