"""`python launch.py train` in a process of its own, its training a stand-in: python -m tests.cli.train_stand_in DATA WORDS..."""

from __future__ import annotations

import sys

from modules.cli import train
from modules.flags import Flags
from modules.jobs import service

BACKEND = "tests.server.v2.train_backend:build"


def main(data: str, words: list[str]) -> int:
    service.Jobs.__init__.__kwdefaults__ = {**(service.Jobs.__init__.__kwdefaults__ or {}), "train_runner": BACKEND}
    return train.main(Flags(data_dir=data), words)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], sys.argv[2:]))
