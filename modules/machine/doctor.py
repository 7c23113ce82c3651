"""The doctor's report about the machine and the installation, made to be pasted into a bug report.

Passwords never appear, and the home folder is written as ~. Needs only the standard library; what needs more (devices,
models) is asked of processes of their own, so that a crash there is a line of the report. Start reading at `report`.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from modules import __version__
from modules.backends.table import usable
from modules.faults import Fault
from modules.flags import Flags
from modules.folders import PROGRAM
from modules.hardware.choice import choose_dtypes, pick
from modules.hardware.detect import Device, probe_in_child
from modules.machine.masking import mask, private
from modules.setup import checks, environment, interpreter

GIB = 2**30
LOG_LINES = 8
CHILD_TIMEOUT_S = 60.0
INVENTORY = "modules.cli.inventory"  # run by its name in a process of its own: what the App sees
FOLDER_FLAGS = ("data_dir", "models_dir", "ckpt_dir", "vae_dir", "lora_dir", "embeddings_dir")
TELLING = ("PYTORCH_", "CUDA_", "HIP_", "ROCR_", "HSA_", "TORCH_", "HF_", "OMP_", "PIP_", "HTTP_PROXY", "HTTPS_PROXY", "PYTHONPATH")
MASKED = ("PROXY", "URL", "TOKEN", "KEY", "PASS")


def report(flags: Flags, write: Callable[[str], None]) -> list[str]:
    """Write the report line by line; returns what in it keeps the program from working, in words."""
    problems: list[str] = []
    sections: dict[str, Callable[[Flags, list[str]], list[str]]] = {
        "Program": program,
        "Machine": machine,
        "Packages": packages,
        "Devices": devices,
        "Network": network,
        "Models, settings and folders": models_and_settings,
        "Worker's log, last lines": worker_log,
    }
    for title, section in sections.items():
        write(f"## {title}")
        try:
            lines = section(flags, problems)
        except Exception as error:  # noqa: BLE001 - the report must come to its end; what failed here is part of it
            lines = [f"cannot be told: {type(error).__name__}: {error}"]
            problems.append(f"{title}: {type(error).__name__}: {error}")
        for line in lines or ["none"]:
            write(private(f"  {line}"))
    write("## Problems")
    for problem in problems or ["none found"]:
        write(private(f"  {problem}"))
    return problems


def program(flags: Flags, problems: list[str]) -> list[str]:
    """Version, Python and flags. This and every section: lines of the report; what needs mending is added to problems."""
    wrong = interpreter.problem(sys.version_info)
    if wrong:
        problems.append(wrong)
    kind = "no virtual environment" if sys.prefix == sys.base_prefix else "virtual environment"
    own = "own " if Path(sys.prefix) == environment.home(PROGRAM) else ""
    return [
        f"Darkroom {__version__}{_commit()} in {PROGRAM}",
        f"Python {platform.python_version()} ({platform.architecture()[0]}), {sys.executable}, {own}{kind}",
        f"flags: {' '.join(flags.given()) or 'none'}",
    ]


def machine(flags: Flags, problems: list[str]) -> list[str]:
    """System, disks, and variables that change how libraries behave."""
    lines = [platform.platform(), f"{platform.machine()}, {os.cpu_count()} cores"]
    for folder in dict.fromkeys((PROGRAM, Path(flags.data_dir or PROGRAM).resolve())):
        free = checks.free_bytes(folder)
        lines.append(f"disk: {free / GIB:.1f} GiB free in {folder}")
        if free < checks.RUN_BYTES:
            problems.append(f"The disk of {folder} is full. Free some space.")
    telling = sorted(name for name in os.environ if name.upper().startswith(TELLING))
    return [*lines, *(f"{name}={'(set)' if any(m in name.upper() for m in MASKED) else os.environ[name]}" for name in telling)]


def packages(flags: Flags, problems: list[str]) -> list[str]:
    """The packages of the requirements as they are installed."""
    requirements = PROGRAM / environment.REQUIREMENTS
    missing, other = environment.compare(requirements)
    if missing:
        problems.append(f"Packages are missing: {', '.join(missing)}. `python launch.py --exit` installs them.")
    absent = {m.partition("==")[0] for m in missing}
    here = [f"{name} {importlib.metadata.version(name)}" for name, _ in environment.pins(requirements) if name not in absent]
    lines = [", ".join(here[i : i + 6]) for i in range(0, len(here), 6)]
    return [*lines, *(f"missing: {m}" for m in missing), *(f"not the tested version: {o}" for o in other)]


def devices(flags: Flags, problems: list[str]) -> list[str]:
    """What each device is and can do, and which one the program would take."""
    answer = probe_in_child()
    found = [Device.from_data(d) for d in answer["devices"]]
    lines: list[str] = []
    for device in found:
        free = f", {device.free_bytes / GIB:.1f} GiB free" if device.free_bytes else ""
        lines.append(f"{device.torch_name}: {device.name} ({device.kind}), {device.memory_bytes / GIB:.1f} GiB{free}")
        lines.append(f"    these number types work: {', '.join(device.dtypes) or 'none'}")
        lines += [f"    {name} does not: {why}" for name, why in device.refused.items()]
        problems += device.problems
    problems += answer["diagnoses"]
    if answer["error"]:
        problems.append(answer["error"])
    if found:
        device, count = pick(found, flags.to_data(), flags.device_id or 0)
        dtype, vae_dtype, notes = choose_dtypes(device, flags.to_data())
        able = [f"backend {name}: {why or 'can be used'}" for name, why in usable(device.kind).items()]
        lines += [f"in use: {device.torch_name} ({count} of its kind), network in {dtype}, VAE in {vae_dtype}", *notes, *able]
    return lines


def network(flags: Flags, problems: list[str]) -> list[str]:
    """The port that would be listened on. One in use is no problem: the program itself may be running."""
    try:
        checks.port(flags.host, flags.port)
        return [f"{flags.host}, port {flags.port}: free"]
    except Fault as fault:
        return [f"{flags.host}, port {flags.port}: {fault.message}"]


def models_and_settings(flags: Flags, problems: list[str]) -> list[str]:
    """As the program itself sees them."""
    seen = _inventory(flags)
    if "error" in seen:
        problems.append(seen["error"])
        return []
    if not seen["models"]:
        problems.append("There is no model. Put one into models/Stable-diffusion.")
    if not os.access(seen["folders"]["data"], os.W_OK):
        problems.append(f"{seen['folders']['data']} cannot be written. Choose another folder with --data-dir.")
    changed = [f"setting {name} = {value!r}" for name, value in seen["settings"].items()]
    where = [f"{name}: {path}" for name, path in seen["folders"].items()]
    return [*where, *(f"model {m}" for m in seen["models"]), *seen["refused"], *changed, *seen["notices"]]


def worker_log(flags: Flags, problems: list[str]) -> list[str]:
    """The last lines that the worker process wrote."""
    path = Path(flags.data_dir or PROGRAM) / "log" / "worker.log"
    if not path.exists():
        return []
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 16_384))
        return [mask(line[:300]) for line in file.read().decode("utf-8", "replace").splitlines()[-LOG_LINES:]]


def _inventory(flags: Flags) -> dict[str, Any]:
    """The answer of INVENTORY, or {"error": why there is none}."""
    asked = json.dumps({name: getattr(flags, name) for name in FOLDER_FLAGS})
    command = [sys.executable, "-m", INVENTORY, asked]
    try:
        done = subprocess.run(command, cwd=PROGRAM, capture_output=True, text=True, timeout=CHILD_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return {"error": f"Reading models and settings took more than {CHILD_TIMEOUT_S:.0f} s."}
    try:
        return json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        said = [line for line in done.stderr.splitlines() if line.strip()]
        return {"error": f"Models and settings cannot be read: {said[-1] if said else f'exit {done.returncode}'}"}


def _commit() -> str:
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=PROGRAM, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return f" (commit {done.stdout.strip()})" if done.returncode == 0 else ""
