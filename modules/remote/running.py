"""One run of a tunnel's program: started in a group of its own under the keeper, its output line by line, ended whole.

Knows processes; knows nothing about what the lines mean. Start reading at `Running`.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from modules.remote.keeper import ENDED, PATIENCE_S

KEEPER = Path(__file__).with_name("keeper.py")
LONGEST_LINE = 4000
GRACE_S = PATIENCE_S + 2.0


class Running:
    """Begins at once. heard(line) is called from a thread for each line, then heard(None) when everything has ended.

    Raises OSError when not even the keeper starts.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], cwd: Path, heard: Callable[[str | None], None]) -> None:
        self.status: int | None = None
        self._heard = heard
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(KEEPER)],
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=os.name != "nt",  # Ctrl+C in the terminal reaches the server alone, which ends this in order
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0) if os.name == "nt" else 0,
        )
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise OSError("no pipe to the keeper")
        self._stdin = stdin
        order = json.dumps({"command": list(command), "cwd": str(cwd)})
        with contextlib.suppress(OSError):
            stdin.write(f"{order}\n".encode())
            stdin.flush()
        self._reader = threading.Thread(target=self._read, args=(stdout,), daemon=True, name="tunnel-output")
        self._reader.start()

    def end(self) -> None:
        """End the program and all that it has started. Returns when they are gone; again and after their end: nothing happens."""
        with contextlib.suppress(OSError):
            self._stdin.close()
        self._reader.join(GRACE_S)  # the output ends when nobody holds it any more
        if self._process.returncode is None and os.name != "nt":
            with contextlib.suppress(OSError):  # nobody has asked for its status, so the number is still this group's
                os.killpg(self._process.pid, signal.SIGKILL)
        if os.name == "nt":
            self._process.kill()
        self._process.wait()

    def _read(self, stdout: IO[bytes]) -> None:
        with stdout:
            while raw := stdout.readline(LONGEST_LINE):
                line = raw.decode("utf-8", "replace").rstrip("\r\n")
                if line.startswith(ENDED):
                    self.status = int(line.removeprefix(ENDED))
                else:
                    self._heard(line)
        self._heard(None)
