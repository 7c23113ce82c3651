"""From a pickle to safetensors: starts the locked-up child, waits for it, checks what it wrote. This process reads no pickle.

Start reading at `unpickle`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from modules.faults import Cancelled, ModelFault
from modules.folders import PROGRAM
from modules.upkeep.growing import growing
from modules.upkeep.places import room_for
from modules.upkeep.report import Report
from modules.weights import header

LOOK_S = 0.2
START_S = 120
BYTES_A_SECOND = 5_000_000
# What a child needs of the environment to find its libraries; no keys, no proxies.
_KEPT = ("PATH", "LD_LIBRARY_PATH", "HOME", "USERPROFILE", "APPDATA", "SYSTEMROOT", "TEMP", "TMP", "TMPDIR", "LANG", "LC_ALL")


def unpickle(work: dict[str, Any], report: Report) -> None:
    """Carry out a planned rescue. Raises ModelFault when the file is refused or broken; the file itself is left as it is."""
    source, target = Path(work["paths"]["source"]), Path(work["target"])
    room_for(target.parent, source.stat().st_size, target.name)
    report.say(f"Reading {source.name} in a locked-up process…")
    with growing(target) as part:
        answer = _run_child(source, part, report)
        if "refused" in answer:
            raise ModelFault(f"{source.name} {answer['refused']}. Look for the model in the safetensors format.")
        if "tensors" not in answer:
            raise ModelFault(f"{source.name} cannot be read: {answer.get('broken', 'the reading process ended')}. Download it again.")
        written = header.read(part)
    report.notes |= {"tensors": len(written.tensors), "walls": answer["walls"]}
    if answer["left_out"]:
        report.warn(f"Left out, being no weights: {', '.join(answer['left_out'][:8])}.")
    report.made(target)


def _run_child(source: Path, target: Path, report: Report) -> dict[str, Any]:
    patience_s = START_S + source.stat().st_size / BYTES_A_SECOND
    env = {k: v for k, v in os.environ.items() if k.upper() in _KEPT}
    env |= {"PYTHONPATH": str(PROGRAM), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-P", "-m", "modules.upkeep.unpickle_child", str(source), str(target)]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as said:
        child = subprocess.Popen(
            command, cwd=target.parent, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=said, start_new_session=os.name != "nt"
        )
        try:
            waited = 0.0
            while child.poll() is None:
                if report.stopped():
                    raise Cancelled
                if waited > patience_s:
                    raise ModelFault(f"{source.name} takes longer to read than any honest file of its size; it was given up.")
                waited += LOOK_S
                try:
                    child.wait(LOOK_S)
                except subprocess.TimeoutExpired:
                    continue
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
        out.seek(0)
        said.seek(0)
        lines = out.read().decode("utf-8", "replace").splitlines()
        try:
            return json.loads(lines[-1])
        except (IndexError, ValueError):
            last = said.read().decode("utf-8", "replace").strip().splitlines()[-1:]
            return {"broken": f"the reading process ended with {child.returncode} {' '.join(last)[:300]}".strip()}
