"""How fast requests are taken while a job runs, and whether every one is done once and in order.

    python -m benchmarks.queue [--clients 5] [--each 10]

Builds the App with its worker, keeps that busy, and lets several clients queue pictures at once:
each client is a thread that submits as the server does.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from pathlib import Path

from benchmarks.program import machine
from modules.app import build
from modules.flags import Flags
from modules.request import GenerationRequest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=5)
    parser.add_argument("--each", type=int, default=10)
    args = parser.parse_args()
    print(machine())
    spent: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        app = build(Flags(data_dir=str(Path(folder))))
        app.start(required=True)
        busy = app.submit(GenerationRequest(prompt="a red apple, 3d", steps=150, n_iter=2))
        while app.jobs.get(busy.id).state != "running":
            time.sleep(0.05)
        time.sleep(2)

        def client(name: str) -> None:
            for n in range(args.each):
                began = time.perf_counter()
                app.submit(GenerationRequest(prompt="a dog, 3d", steps=2, seed=n), owner=name)
                spent.append(time.perf_counter() - began)

        threads = [threading.Thread(target=client, args=(f"client {n}",)) for n in range(args.clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        while app.jobs.list(states=("queued", "running")):
            time.sleep(0.2)
        rows = app.jobs.list(limit=10_000)
        in_order = all(
            [j.number for j in sorted(own, key=lambda j: j.started_s or 0)] == sorted(j.number for j in own)
            for own in ([j for j in rows if j.owner == f"client {n}"] for n in range(args.clients))
        )
        done = sum(j.state == "done" for j in rows)
        app.stop()
    spent.sort()
    total = args.clients * args.each
    print(f"{total} jobs of {args.clients} clients while a job ran: {done - 1} done, in order per client: {in_order}")
    middle, p99, longest = (value * 1000 for value in (statistics.median(spent), spent[int(total * 0.99)], spent[-1]))
    print(f"enqueue: median {middle:.1f} ms, p99 {p99:.1f} ms, max {longest:.1f} ms")


if __name__ == "__main__":
    main()
