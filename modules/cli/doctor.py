"""`python launch.py doctor`: the report of `modules.machine.doctor` on the standard output. Start reading at `main`."""

from __future__ import annotations

import sys

from modules.flags import Flags
from modules.machine.doctor import report


def main(flags: Flags) -> int:
    """Print the report. Returns 1 when something in it keeps the program from working."""

    def write(line: str) -> None:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    return 1 if report(flags, write) else 0
