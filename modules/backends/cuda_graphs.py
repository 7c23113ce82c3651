"""torch.compile with CUDA graphs: the kernels of the compiled blocks are recorded once and played back. Not run here.

Saves what launching each kernel costs, which counts for small pictures on fast cards; takes more of the card's memory than compiled
blocks alone. Start reading at `build`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from modules.backends import compiled
from modules.backends.record import Answer, Backend, CannotStandIn, Work

if TYPE_CHECKING:
    import torch

MODE = "reduce-overhead"  # torch's name for it
ROUNDS = 3  # torch warms up in the first call, records in the second and plays back from the third


def probe(kind: str) -> str:
    """NVIDIA's cards, with what compiled blocks need there."""
    return compiled.probe(kind) if kind == "cuda" else f"CUDA graphs are for NVIDIA's cards (CUDA), not for {kind}."


def build(work: Work) -> Answer:
    """Compiles and records for the example's sizes. Raises CannotStandIn for a network without repeated blocks."""
    import torch

    try:
        work.network.network.compile_repeated_blocks(mode=MODE)
    except ValueError as error:
        raise CannotStandIn("this network has no repeated blocks that diffusers can compile.") from error

    def answer(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
        with torch.inference_mode():  # what was compiled under another mode would be compiled again
            torch.compiler.cudagraph_mark_step_begin()
            return work.network(*[tensor.clone() for tensor in tensors]).clone()  # the next call writes over what this one gave

    for _ in range(ROUNDS):
        answer(list(work.example))
    return answer


ROW = Backend(
    title="torch.compile with CUDA graphs",
    help="Compiled blocks whose kernels are recorded and played back, for NVIDIA's cards. Built for each size. Not run here.",
    source="https://docs.pytorch.org/docs/stable/torch.compiler_cudagraph_trees.html",
    probe=probe,
    build=build,
    tolerance={"float32": 1e-4, "float16": 2e-2, "bfloat16": 1e-1},
    any_size=False,
)
