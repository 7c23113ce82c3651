"""What a grid costs over its pictures: the whole time of an X/Y/Z grid against the sum of its cells' own denoising times.

    python -m benchmarks.xyz [--columns 4] [--rows 4] [--steps 20] [--repeat 3]

Starts the program as a user would (its own processes, no page open), makes one picture so that the model is there, then sends grids over
/api/v2/grids with another seed each time and waits. Printed are, for each grid and as a median: the time from the first cell's begin to
the drawn grid, the sum of the denoising and decoding times that the cells report, and the ratio; and how long submitting took.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from benchmarks.program import machine, running_program

PROMPT = "a red apple, 3d"
SIDE = 128
POLL_S = 0.05


def ask(url: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """The JSON of an answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{url}/api/v2/{path}", data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=600) as answer:
        return json.load(answer)


def ended(url: str, path: str) -> Any:
    """The job or grid, once it has ended."""
    while (found := ask(url, path))["state"] in ("queued", "running"):
        time.sleep(POLL_S)
    return found


def grid_once(url: str, args: argparse.Namespace, seed: int) -> tuple[float, float, float, float]:
    """(seconds to submit, from the first cell to the drawn grid, of the cells' sampling and decoding, of sampling alone)."""
    request = {"prompt": PROMPT, "width": SIDE, "height": SIDE, "steps": args.steps, "cfg_scale": 5.0, "sampler_name": "DPM++ 2M"}
    axes = [{"type": "Seed", "values": f"{seed}-{seed + args.columns - 1}"}, {"type": "CFG Scale", "values": f"2-8 [{args.rows}]"}]
    began = time.perf_counter()
    made = ask(url, "grids", {"kind": "txt2img", "request": request, "axes": axes})
    submitted = time.perf_counter() - began
    done = ended(url, f"grids/{made['id']}")
    if done["state"] != "done":
        raise SystemExit(f"the grid ended as {done['state']}: {done['warnings']}")
    cells = [ask(url, f"jobs/{cell['job']}") for cell in done["items"]]
    whole = done["finished_s"] - min(cell["started_s"] for cell in cells)
    sampling = [cell["result"]["seconds"]["sample"] for cell in cells]
    decoding = [cell["result"]["seconds"]["decode"] for cell in cells]
    return submitted, whole, sum(sampling) + sum(decoding), sum(sampling)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--columns", type=int, default=4)
    parser.add_argument("--rows", type=int, default=4)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--repeat", type=int, default=3)
    args = parser.parse_args()
    print(machine())
    rows: list[tuple[float, float, float, float]] = []
    with tempfile.TemporaryDirectory() as folder, running_program(Path(folder)) as program:
        program.wait_for_model()
        url = program.url
        first = {"kind": "txt2img", "request": {"prompt": PROMPT, "width": SIDE, "height": SIDE, "steps": 2}}
        ended(url, f"jobs/{ask(url, 'jobs', first)['id']}")
        for n in range(args.repeat):
            submitted, whole, made, sampled = grid_once(url, args, 1000 * (n + 1))
            rows.append((submitted, whole, made, sampled))
            told = f"sampling and decoding {made:.2f} s, ratio {whole / made:.3f} (to sampling alone {whole / sampled:.3f})"
            print(f"{args.columns} x {args.rows} cells: submitted in {submitted:.2f} s, made and drawn in {whole:.2f} s, {told}")
    print(f"median ratio {statistics.median(whole / made for _, whole, made, _ in rows):.3f}")


if __name__ == "__main__":
    main()
