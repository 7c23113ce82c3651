"""A process between the server and a tunnel's program: it ends the program, and all that it started, when the server is gone.

The server may be killed without a chance to clean up; a tunnel that outlives it would show the internet whatever takes the port next.
Reads one line of JSON, {"command": words, "cwd": folder}, then waits for the end of its input. Runs by itself, with the standard
library only: python keeper.py. Start reading at `main`.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading

PATIENCE_S = 3.0
ENDED = "\0ended "  # before the exit status, as the last line of the output


def main() -> int:
    """Run the command until it ends or the input does."""
    order = json.loads(sys.stdin.buffer.readline())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)  # whoever holds the input decides; a handler, unlike "ignore", is not passed on
    try:
        client = subprocess.Popen(order["command"], cwd=order["cwd"], stdin=subprocess.DEVNULL)
    except OSError as error:
        _tell(f"{error.strerror or error}: {order['command'][0]}")
        _tell(f"{ENDED}127")
        return 127
    threading.Thread(target=_end_with_input, args=(client,), daemon=True).start()
    status = client.wait()
    with contextlib.suppress(OSError):
        _tell(f"{ENDED}{status}")
    _end_group(client, signal.SIGTERM)
    _end_group(client, getattr(signal, "SIGKILL", signal.SIGTERM))  # takes this process along on POSIX
    return status


def _end_with_input(client: "subprocess.Popen[bytes]") -> None:
    sys.stdin.buffer.read()
    _end_group(client, signal.SIGTERM)
    try:
        client.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        _end_group(client, getattr(signal, "SIGKILL", signal.SIGTERM))


def _end_group(client: "subprocess.Popen[bytes]", number: int) -> None:
    """Everything that the command has started; this process leads the group on POSIX."""
    if os.name == "nt":
        subprocess.run(["taskkill", "/T", "/F", "/PID", str(client.pid)], capture_output=True, check=False)
        return
    with contextlib.suppress(OSError):
        os.killpg(os.getpgrp(), number)


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
