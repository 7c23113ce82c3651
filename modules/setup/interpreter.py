"""Is this Python one that the program runs on? Written so that a much older Python can still read it and say so.

Start reading at `problem`.
"""

import os
import shutil

OLDEST = (3, 11)
NEWEST = (3, 13)


def problem(version, find=shutil.which):  # type: ignore[no-untyped-def]
    # type: (tuple, object) -> str
    """Why this version will not do and the command that helps; "" when it will. version: sys.version_info."""
    if OLDEST <= tuple(version[:2]) <= NEWEST:
        return ""
    text = "This is Python %d.%d; the program needs Python 3.11, 3.12 or 3.13." % tuple(version[:2])
    for minor in (12, 13, 11):
        if os.name == "nt" and find("py"):
            return text + "\nTry: py -3.%d launch.py" % minor
        if find("python3.%d" % minor):
            return text + "\nThere is one on this machine: python3.%d launch.py" % minor
    return text + "\nInstall Python 3.12 from python.org or your system's packages, then run: python3.12 launch.py"
