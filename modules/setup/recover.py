"""Brings the files of the version before back, when an update was cut off while it changed them.

A copy of this file lies in .update/ from just before the first file is changed until after the last; launch.py runs that copy when it finds
it, whatever mixture of versions lies around it. So it imports nothing of the program. Start reading at `recover`.
"""

import json
import os
import shutil
import subprocess
import sys
import time

PATIENCE_S = 20.0  # for an update that is still at it


def recover(folder: str) -> bool:
    """Put everything back as `folder`/journal.json says. folder: .update of the program. True when there was something to do."""
    program = os.path.dirname(os.path.abspath(folder))
    sentinel = os.path.join(folder, "recover.py")
    try:
        with open(os.path.join(folder, "journal.json"), encoding="utf-8") as file:
            journal = json.load(file)
    except FileNotFoundError:  # nothing was begun
        os.unlink(sentinel)
        return False
    _let_finish(journal.get("pid", 0), sentinel)
    if not os.path.exists(sentinel):
        return False
    for path in [*journal["changed"], *journal["removed"]]:
        _put(os.path.join(folder, "old", *path.split("/")), os.path.join(program, *path.split("/")))
    for path in journal["added"]:
        if os.path.lexists(target := os.path.join(program, *path.split("/"))):
            os.unlink(target)
    for name, text in journal["notes"].items():
        _note_back(os.path.join(folder, name), text)
    _head_back(program, journal["commit"], journal["branch"])
    os.unlink(sentinel)
    return True


def _put(source: str, target: str) -> None:
    """A copy of source in the place of target, whole or not at all."""
    os.makedirs(os.path.dirname(target), exist_ok=True)
    temp = target + ".recovered"
    if os.path.lexists(temp):
        os.unlink(temp)
    shutil.copy2(source, temp, follow_symlinks=False)
    os.replace(temp, target)


def _note_back(path: str, text: "str | None") -> None:
    """One of our own notes in .update as it was; None: there was none."""
    if text is not None:
        temp = path + ".recovered"
        with open(temp, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temp, path)
    elif os.path.exists(path):
        os.unlink(path)


def _head_back(program: str, commit: str, branch: "str | None") -> None:
    """Git says the former commit again. Without git the files are right all the same."""
    try:
        asked = subprocess.run(["git", "rev-parse", "--git-path", "index.lock"], cwd=program, capture_output=True, text=True, check=False)
        lock = os.path.join(program, asked.stdout.strip())
        if asked.returncode == 0 and os.path.isfile(lock):
            os.unlink(lock)
        subprocess.run(["git", "read-tree", commit], cwd=program, check=False)
        if branch:
            subprocess.run(["git", "symbolic-ref", "HEAD", "refs/heads/" + branch], cwd=program, check=False)
        else:
            subprocess.run(["git", "update-ref", "--no-deref", "HEAD", commit], cwd=program, check=False)
    except OSError as error:
        sys.stderr.write(f"git could not be told ({error}); `git status` may list files as changed\n")


def _let_finish(pid: int, sentinel: str) -> None:
    """Wait while the process that began is alive: it may only be a moment from its end."""
    until = time.monotonic() + PATIENCE_S
    while pid and pid != os.getpid() and os.name == "posix" and os.path.exists(sentinel) and time.monotonic() < until:
        try:
            os.kill(pid, 0)
        except OSError:
            return
        time.sleep(0.1)


if __name__ == "__main__":
    if recover(os.path.dirname(os.path.abspath(__file__))):
        sys.stderr.write("An update was cut off; the version before it is back. Nothing is lost: start the update again when you like.\n")
