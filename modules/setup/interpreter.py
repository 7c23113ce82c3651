"""Is this Python one that the program runs on? Written so that a much older Python can still read it and say so.

Start reading at `problem`.
"""

import os
import shutil
from typing import Any

OLDEST = (3, 11)
NEWEST = (3, 13)


def problem(version: Any, find: Any = shutil.which) -> str:
    """Why this version will not do and the command that helps; "" when it will. version: sys.version_info; find: looks a program up."""
    here = tuple(version[:2])
    if OLDEST <= here <= NEWEST:
        return ""
    text = f"This is Python {here[0]}.{here[1]}; the program needs Python 3.11, 3.12 or 3.13."
    for name in ("python3.12", "python3.13", "python3.11"):
        if os.name == "nt" and find("py"):
            return f"{text}\nTry: py -{name[6:]} launch.py"
        if find(name):
            return f"{text}\nThere is one on this machine: {name} launch.py"
    return f"{text}\nInstall Python 3.12 from python.org or your system's packages, then run: python3.12 launch.py"
