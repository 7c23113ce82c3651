"""Two processes against one with twice the batch: `python -m tests.processing.train_processes_trial`.

Trains the same session of a tiny model on the processor, once alone and once through `accelerate launch` with two processes that talk over
gloo; those are stopped after their first step and go on. Ends with 1 when losses or weights differ by more than float32 allows.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

from safetensors.torch import load_file

from modules.train.sessions import Session
from tests.processing.train_rig import Heard, Place

STEPS = 6
# An epsilon above the noise of float32: AdamW makes a whole step of a gradient that is nothing but rounding.
CONFIG = {"max_train_steps": STEPS, "learning_rate": 1e-3, "optimizer_args": ["eps=1e-3"]}
LOSSES, WEIGHTS = 1e-5, 1e-4  # relative; of sums that are made in another order


def losses(session: Session) -> list[float]:
    return [float(json.loads(line)["loss"]) for line in session.paths.metrics.read_text().splitlines()]


def main() -> int:
    """Train both and compare them."""
    with tempfile.TemporaryDirectory() as data:
        place = Place(Path(data))
        alone = place.session("alone", train_batch_size=2, **CONFIG)
        together = place.session("together", train_batch_size=1, num_processes=2, **CONFIG)
        began = time.perf_counter()
        place.train(alone)
        middle = time.perf_counter()
        stopped, told = place.train(together, Heard(stopped=True))
        state, _ = place.train(together)
        print(f"alone {middle - began:.1f} s; two processes, started twice, {time.perf_counter() - middle:.1f} s", flush=True)
        print(f"stopped at step {told['step']} as {stopped!r}, then {state!r}", flush=True)
        one, two = losses(alone), losses(together)
        by_step = [abs(a - b) / abs(a) for a, b in zip(one, two, strict=True)]
        apart = max(by_step)
        first, second = (load_file(place.folders.models / "Lora" / f"{name}.safetensors") for name in ("alone", "together"))
        largest = max(float(tensor.abs().max()) for tensor in first.values())
        drift = max(float((first[name] - second[name]).abs().max()) for name in first) / largest
        print(f"losses differ by {', '.join(f'{each:.1e}' for each in by_step)}; weights by {drift:.1e} of the largest", flush=True)
        good = (stopped, state) == ("canceled", "done") and 0 < told["step"] < STEPS and apart < LOSSES and drift < WEIGHTS
        return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
