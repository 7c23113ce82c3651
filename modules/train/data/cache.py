"""What was encoded once, on the disk: latents of pictures, hidden states of captions. Tensors in, the same tensors out. torch lives here.

The key says everything that they follow from (the pixels, the words, the model), so that what is out of date is never found. What was not
asked for longest goes first when there is too much. The folder may be emptied at any time. Start reading at `DiskCache`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections.abc import Collection, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from modules.folders import write_atomic

MOST_BYTES = 100 * 10**9
FOLDER = "encoded"
ENDING = ".tensors"
_HEADER_BYTES = 8
_CHECK_EVERY = 64  # writes between two looks at how much there is


class DiskCache:
    """Tensors by key. Safe for several threads and processes: files are written whole, and reading one that goes away is a miss."""

    def __init__(self, folder: Path, most_bytes: int = MOST_BYTES) -> None:
        """folder: a session's cache folder, `session.paths.cache`; it need not exist. most_bytes: beyond it the oldest go."""
        self._folder = folder / FOLDER
        self._most = most_bytes
        self._written = 0
        self._lock = threading.Lock()

    def get(self, key: str) -> dict[str, torch.Tensor] | None:
        """What was put under that key, None when there is nothing or it is damaged; a damaged file is removed."""
        path = self._path(key)
        try:
            data = path.read_bytes()
        except OSError:
            return None
        tensors = _unpacked(data, key)
        with contextlib.suppress(OSError):
            if tensors is None:
                path.unlink()
            else:
                os.utime(path)
        return tensors

    def put(self, key: str, tensors: Mapping[str, torch.Tensor]) -> None:
        """Keep the tensors, of any device and type. Raises DiskFault."""
        plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        body = save(plain)
        write_atomic(self._path(key), _check(body, key) + body)
        with self._lock:
            self._written += 1
            full = self._written % _CHECK_EVERY == 0
        if full:
            self.shrink()

    def __contains__(self, key: str) -> bool:
        return self._path(key).is_file()

    def bytes_used(self) -> int:
        """Of all files."""
        return sum(size for _, size, _ in self._files())

    def shrink(self) -> int:
        """Remove what was not asked for longest until there is no more than allowed. Returns how many went."""
        files = sorted(self._files())
        total, gone = sum(size for _, size, _ in files), 0
        for _, size, path in files:
            if total <= self._most:
                break
            with contextlib.suppress(OSError):
                path.unlink()
                total, gone = total - size, gone + 1
        return gone

    def keep_only(self, keys: Collection[str]) -> int:
        """Remove what is under no key of these. Returns how many went."""
        kept = {self._path(key) for key in keys}
        gone = 0
        for _, _, path in self._files():
            if path not in kept:
                with contextlib.suppress(OSError):
                    path.unlink()
                    gone += 1
        return gone

    def _path(self, key: str) -> Path:
        name = hashlib.blake2b(key.encode(), digest_size=20).hexdigest()
        return self._folder / name[:2] / f"{name}{ENDING}"

    def _files(self) -> list[tuple[float, int, Path]]:
        """(when it was last asked for, its bytes, its path) of every file."""
        found: list[tuple[float, int, Path]] = []
        for path in self._folder.glob(f"*/*{ENDING}"):
            with contextlib.suppress(OSError):  # gone meanwhile
                known = path.stat()
                found.append((known.st_mtime, known.st_size, path))
        return found


def _check(body: bytes, key: str) -> bytes:
    """Sixteen bytes in front of the safetensors, by which damage and another key are seen."""
    return hashlib.blake2b(body, digest_size=16, key=hashlib.blake2b(key.encode(), digest_size=32).digest()).digest()


def _unpacked(data: bytes, key: str) -> dict[str, torch.Tensor] | None:
    body = data[16:]
    if len(body) < _HEADER_BYTES or data[:16] != _check(body, key):
        return None
    try:
        return load(body)
    except (SafetensorError, ValueError, KeyError):
        return None
