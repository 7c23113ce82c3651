"""The locked-up process that reads a pickle: `python -m modules.upkeep.unpickle_child SOURCE TARGET`. One JSON line comes out.

Two walls. PyTorch's restricted unpickler builds tensors and plain values only and refuses whatever else a file names. Should it have
a hole, this process has no network, starts no process, writes no file but TARGET, and has limits on memory, time and size.
Start reading at `main`, then `lock_up`.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import re
import socket
import sys
from pathlib import Path
from typing import Any

import torch

from modules.weights.stream import DTYPES, Piece, write

CLONE_NEWUSER, CLONE_NEWNET, PR_SET_NO_NEW_PRIVS = 0x10000000, 0x40000000, 38
GIB = 2**30
EXPANSION = 4
# Names that well-meaning training programs left in their files. What stands for them here holds data and does nothing.
HARMLESS = re.compile(
    r"(pytorch_lightning|lightning|lightning_fabric|omegaconf|ml_collections|numpy|argparse|pathlib|collections|builtins\.(set|slice|object))"
    r"(\.|$)"
)
_DENIED = (
    "socket.", "subprocess.", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.system", "os.startfile", "pty.", "os.remove",
    "os.rename", "os.rmdir", "os.mkdir", "os.chmod", "os.chown", "os.link", "os.symlink", "os.truncate", "os.utime", "os.kill",
    "shutil.", "ctypes.dlopen", "ctypes.call_function", "code.__new__", "ftplib.", "urllib.", "webbrowser.", "winreg.", "sqlite3.",
)  # fmt: skip


class Inert:
    """Stands for a harmless foreign class: takes whatever it is given."""

    def __init__(self, *_: Any, **__: Any) -> None:
        return None

    def __setstate__(self, _: Any) -> None:
        return None

    def __setitem__(self, *_: Any) -> None:
        return None


class Refused(Exception):
    """The file is not converted; the sentence says why."""


def main(source: Path, target: Path) -> dict[str, Any]:
    """Read, then write. Returns {"tensors", "left_out", "walls"}. Raises Refused, or whatever a broken file makes torch raise."""
    walls = lock_up(source.stat().st_size, target)
    held = load(source)
    tensors, texts, left_out = sort_out(held)
    check_size(tensors, source.stat().st_size)
    pieces = [Piece(name, _short(tensor), tuple(tensor.shape), lambda t=tensor: t) for name, tensor in tensors.items()]
    write(target, pieces, texts)
    return {"tensors": len(tensors), "left_out": left_out[:20], "walls": walls}


def load(source: Path) -> Any:
    """The content, by PyTorch's restricted unpickler. Raises Refused naming what else the file wants."""
    unsafe = torch.serialization.get_unsafe_globals_in_checkpoint(source) if _is_zip(source) else []
    foreign = sorted({name for name in unsafe if not HARMLESS.match(name)})
    if foreign:
        raise Refused(f"holds more than weights: it wants to use {', '.join(foreign[:3])}. Nothing of it was run")
    stand_ins: list[Any] = [(type("Inert", (Inert,), {}), name) for name in unsafe]
    with torch.serialization.safe_globals(stand_ins):
        try:
            return torch.load(source, map_location="cpu", weights_only=True, mmap=_is_zip(source))
        except Exception as error:
            named = re.search(r"(?:GLOBAL|Unsupported global: GLOBAL|class) ([\w.]+)", str(error))
            if "weights_only" in str(error).lower() or "weights only" in str(error).lower():
                raise Refused(
                    f"holds more than weights{f': it wants to use {named[1]}' if named else ''}. Nothing of it was run"
                ) from error
            raise


def sort_out(held: Any) -> tuple[dict[str, torch.Tensor], dict[str, str], list[str]]:
    """(tensors by name, plain values as texts, names of what is left out) of what a checkpoint holds.

    A1111 embeddings become {"emb_params": ...}. Raises Refused when there are no tensors.
    """
    if isinstance(held, torch.Tensor):
        held = {"emb_params": held}
    if not isinstance(held, dict):
        raise Refused("holds no table of weights")
    outer: dict[Any, Any] = held
    inner: dict[Any, Any] = outer
    if isinstance(param := outer.get("string_to_param"), dict) and param:
        inner = {"emb_params": next(iter(param.values()))}
    else:
        for key in ("state_dict", "params_ema", "params", "model_state_dict", "model", "depth_model"):
            if isinstance(outer.get(key), dict) and any(isinstance(v, torch.Tensor) for v in outer[key].values()):
                inner = outer[key]
                break
    tensors = {str(k): v.detach() for k, v in inner.items() if isinstance(v, torch.Tensor)}
    if not tensors:
        raise Refused("holds no weights that this version knows")
    texts = {str(k): str(v)[:2000] for k, v in outer.items() if isinstance(v, str | int | float) and not isinstance(v, bool)}
    left_out = sorted(
        str(k) for k in {**outer, **inner} if str(k) not in {*tensors, *texts, "string_to_param"} and outer.get(k) is not inner
    )
    return tensors, texts, left_out


def check_size(tensors: dict[str, torch.Tensor], source_bytes: int) -> None:
    """A few bytes can describe tensors without end. Raises Refused."""
    size = sum(t.numel() * t.element_size() for t in tensors.values())
    if size > EXPANSION * source_bytes + 2**20:
        raise Refused("would become many times its size, which no honest file does")


def lock_up(source_bytes: int, target: Path) -> list[str]:
    """Raise the walls around this process; returns those that stand here."""
    walls = ["no other programs, no other files"]
    walls.append("own network without a way out" if _leave_the_network() else "no sockets")
    if _limit(source_bytes):
        walls.append("limits on memory, time and size")
    allowed = {str(target), os.path.realpath(target)}

    def guard(event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = args
            writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
            if writes and not isinstance(path, int) and os.path.realpath(os.fsdecode(path)) not in allowed:
                raise PermissionError(f"this process writes {target.name} only")
        elif event == "os.remove" and os.path.realpath(os.fsdecode(args[0])) in allowed:
            return
        elif event.startswith(_DENIED):
            raise PermissionError(f"this process may not do that ({event})")

    sys.addaudithook(guard)
    return walls


def _leave_the_network() -> bool:
    """A network name space of its own, where the system allows that: there is nothing in it to connect to."""
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if libc.unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0 and libc.unshare(CLONE_NEWNET) != 0:
        return False
    return [name for _, name in socket.if_nameindex()] in ([], ["lo"])


def _limit(source_bytes: int) -> bool:
    try:
        resource = importlib.import_module("resource")
    except ImportError:  # Windows
        return False
    used = 8 * GIB
    status = Path("/proc/self/status")
    if status.exists():
        used = int(re.findall(r"VmSize:\s+(\d+) kB", status.read_text())[0]) * 1024
    limits = {
        "RLIMIT_AS": used + 3 * source_bytes + GIB,
        "RLIMIT_CPU": 120 + source_bytes // 10_000_000,
        "RLIMIT_FSIZE": EXPANSION * source_bytes + 64 * 2**20,
        "RLIMIT_NOFILE": 64,
        "RLIMIT_CORE": 0,
    }
    for name, value in limits.items():
        _, hard = resource.getrlimit(getattr(resource, name))
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(getattr(resource, name), (value, value))
    return True


def _short(tensor: torch.Tensor) -> str:
    name = str(tensor.dtype).removeprefix("torch.")
    if name not in DTYPES or tensor.layout is not torch.strided or tensor.is_quantized:
        raise Refused(f"holds numbers of the type {name}, which a safetensors file cannot keep")
    return DTYPES[name]


def _is_zip(source: Path) -> bool:
    with source.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


if __name__ == "__main__":
    torch.set_num_threads(1)
    try:
        answer = main(Path(sys.argv[1]), Path(sys.argv[2]))
    except Refused as refused:
        answer = {"refused": str(refused)}
    except Exception as error:  # noqa: BLE001 - a broken file may raise anything; the parent gets it in words
        answer = {"broken": f"{type(error).__name__}: {str(error).splitlines()[0][:300] if str(error) else ''}"}
    sys.stdout.write(json.dumps(answer) + "\n")
