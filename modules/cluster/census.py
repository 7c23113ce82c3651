"""Who is in a cluster, as a report: machines, and what each worker there holds and does.

`python -m modules.cluster.census ADDRESS [--json]`: a process of its own, as all that use Ray. Start reading at `census`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

import ray

from modules.cluster.hosts import Place, hosts_of, places_of
from modules.cluster.ties import connect, found
from modules.cluster.version import identity
from modules.faults import Fault

ASK_S = 5.0


def census(address: str) -> list[dict[str, Any]]:
    """A row for each worker that there can be: host, address, card, and "about" (see `Post.about`), None when it does not run.

    Raises SetupFault when there is no cluster.
    """
    connect(address)
    rows: list[dict[str, Any]] = []
    for host, place in places_of(hosts_of(ray.nodes()), Place(address=address)):
        post = found(place)
        about: dict[str, Any] | None = None
        if post is not None:
            try:
                about = post.call("about", timeout_s=ASK_S)
            except Fault as fault:
                about = {"problem": fault.message}
        rows.append({**host.to_data(), "place": place.index, "gpu": place.gpu, "about": about})
    return rows


def lines(rows: list[dict[str, Any]]) -> list[str]:
    """The report in words."""
    if not rows:
        return ["No machine offers workers. Add one with: python launch.py cluster join HOST:PORT --token TOKEN"]
    return [f"{row['name']} ({row['address']}) worker {row['place'] + 1}{_card(row)}: {_doing(row['about'])}" for row in rows]


def _card(row: Mapping[str, Any]) -> str:
    return f" on {row['card'] or 'a card'}" if row["gpu"] else ""


def _doing(about: Mapping[str, Any] | None) -> str:
    if about is None:
        return "no head uses it"
    if "problem" in about:
        return str(about["problem"])
    other = "" if about["version"] == identity() else f"; other version: {about['version']}"
    return f"{'working' if about['jobs'] else 'idle'}, {about['model'] or 'no model loaded'}{other}"


def main(argv: list[str]) -> int:
    """Entry of the process."""
    try:
        rows = census(argv[0])
    except Fault as fault:
        sys.stderr.write(f"{fault.message}\n")
        return 1
    sys.stdout.write((json.dumps(rows, indent=2) if "--json" in argv else "\n".join(lines(rows))) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
