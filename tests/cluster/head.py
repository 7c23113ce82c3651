"""`python -m tests.cluster.head FOLDER ADDRESS`: a queue with workers on a cluster and none here, until it is killed or stdin ends."""

from __future__ import annotations

import sys
from pathlib import Path

from modules.cluster.hosts import Place
from modules.cluster.roster import Roster
from modules.folders import Folders
from modules.jobs import Jobs

RUNNER = "tests.cluster.backend:build"


def main(folder: Path, address: str) -> None:
    folders = Folders.at(data=folder)
    jobs = Jobs(folders, {"cluster": address}, runner=RUNNER, fits=lambda kind, data: False)
    roster = Roster(jobs.plan, Place(address=address, home=str(folder / "there"), budget_bytes=10**8), jobs.elsewhere)
    jobs.start(required=True)
    roster.start()
    sys.stdout.write("started\n")
    sys.stdout.flush()
    sys.stdin.read()
    roster.stop()
    jobs.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
