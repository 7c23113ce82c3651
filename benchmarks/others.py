"""The same request at several programs that speak A1111's API, in turn: this one, A1111, Forge, SD.Next, each started by you.

    python -m benchmarks.others darkroom=http://127.0.0.1:7860 a1111=http://127.0.0.1:7861 [--pairs 5] [--steps 20] [--side 512]

All of them on one machine with one checkpoint; one is asked while the others are idle. The first one named is what the others are compared
with. How to install them side by side stands in benchmarks/README.md. Size and number of pictures are checked in each answer.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import statistics
import time
import urllib.error
import urllib.request
from typing import Any

from benchmarks.program import machine

WAIT_S = 1800


def ask(url: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """An answer as data. Raises SystemExit naming the address."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{url.rstrip('/')}{path}", data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=WAIT_S) as answer:
            return json.load(answer)
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise SystemExit(f"{url}{path} does not answer as A1111's API does: {error}") from error


def body_of(args: argparse.Namespace, seed: int) -> dict[str, Any]:
    """What every program is asked. Keys that all of them know."""
    return {
        "prompt": args.prompt, "negative_prompt": "", "steps": args.steps, "cfg_scale": 7, "seed": seed, "sampler_name": args.sampler,
        "width": args.side, "height": args.side, "batch_size": args.batch, "n_iter": 1, "save_images": False, "send_images": True,
    }  # fmt: skip


def picture(url: str, args: argparse.Namespace, seed: int) -> float:
    """Seconds of one request. Raises SystemExit when the answer is not what was asked for."""
    from PIL import Image

    began = time.perf_counter()
    found = ask(url, "/sdapi/v1/txt2img", body_of(args, seed))
    spent = time.perf_counter() - began
    images = [Image.open(io.BytesIO(base64.b64decode(text))) for text in found.get("images", [])]
    sizes = {image.size for image in images[-args.batch :]}
    if len(images) < args.batch or sizes != {(args.side, args.side)}:
        raise SystemExit(f"{url}: asked for {args.batch} of {args.side}x{args.side}, got {len(images)} of {sorted(sizes)}")
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", nargs="+", metavar="NAME=URL")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--sampler", default="Euler")
    parser.add_argument("--prompt", default="a red apple on a table")
    args = parser.parse_args()
    programs = dict(one.partition("=")[::2] for one in args.programs)
    if not all(programs.values()):
        parser.error("each program is NAME=URL, such as a1111=http://127.0.0.1:7861")
    models = {name: str(ask(url, "/sdapi/v1/options").get("sd_model_checkpoint")) for name, url in programs.items()}
    spent: dict[str, list[float]] = {name: [] for name in programs}
    for n in range(args.pairs + 1):
        for name, url in programs.items():
            seconds = picture(url, args, n)
            if n:  # the first round warms up
                spent[name].append(seconds)
    print(machine())
    first = next(iter(programs))
    print(
        f"\n| program | time | seconds a request of {args.batch} x {args.side} px, {args.steps} steps | model |\n| --- | --- | --- | --- |"
    )
    for name, seconds in spent.items():
        ratio = statistics.median(a / b for a, b in zip(seconds, spent[first], strict=True))
        median = statistics.median(seconds)
        print(f"| {name} | {ratio:.2f} | {median:.2f} ({min(seconds):.2f} to {max(seconds):.2f}) | {models[name]} |")


if __name__ == "__main__":
    main()
