"""Which benchmarks there are, in which short form `python -m benchmarks` runs each, and what of its figures is drawn.

Every script in this folder with a `main` is one; what stands in SHORT adds its short form. Start reading at `listed`.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Short:
    """title: heading on the page; arguments: of the short form; by_hand: why the command for all leaves it out, "" where it runs it.

    drawn: a pattern whose group is the number that is drawn of each row of figures; caption: under the plot; line: drawn at this value.
    """

    title: str
    arguments: tuple[str, ...] = ()
    drawn: str = ""
    caption: str = ""
    line: float | None = None
    by_hand: str = ""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A benchmark. name: of its file; question: the first line of what it says about itself."""

    name: str
    question: str
    short: Short = field(default_factory=lambda: Short(title=""))

    @property
    def title(self) -> str:
        return self.short.title or self.name.replace("_", " ").capitalize()

    @property
    def command(self) -> str:
        """As a person would type it."""
        return " ".join(("python", "-m", f"benchmarks.{self.name}", *self.short.arguments))


_GPU = "needs a graphics card with 24 to 80 GB"
SHORT: Mapping[str, Short] = {
    "overhead": Short(title="The whole program against plain diffusers", arguments=("--pairs", "5")),
    "real_size": Short(
        title="Models of real size: eager, compiled, and the whole stack",
        drawn=r"\| ([\d.]+)x",
        caption="times as fast as plain diffusers in bfloat16",
        line=1.0,
        by_hand=_GPU,
    ),
    "others": Short(title="Beside other programs", by_hand="needs the other programs, started by you on this machine"),
    "start": Short(title="Start", arguments=("--runs", "2"), drawn=r"median +([\d.]+) s", caption="seconds"),
    "switching": Short(title="Changing the model", drawn=r"([\d.]+) s", caption="seconds until the other model is in hand"),
    "memory_plan": Short(title="Planned and measured memory"),
    "throughput": Short(title="Throughput of batches"),
    "backends": Short(
        title="Backends", arguments=("--pairs", "2"), drawn=r"time / eager's ([\d.]+)", caption="time, 1 is eager's", line=1.0
    ),
    "layouts": Short(
        title="Number types and order in memory on the processor",
        arguments=("--rounds", "4"),
        drawn=r"\| ([\d.]+) \|",
        caption="time, 1 is float32 as it comes",
        line=1.0,
    ),
    "steering": Short(
        title="Step caches, merged tokens, guidance left out",
        arguments=("--pairs", "3"),
        drawn=r"time ([\d.]+)",
        caption="time, 1 is without",
        line=1.0,
    ),
    "quantisation": Short(
        title="Quantised weights",
        arguments=("--pictures", "2", "--steps", "8"),
        drawn=r"\| ([\d.]+) dB",
        caption="dB of likeness to full precision, higher is more alike",
    ),
    "captions": Short(title="Captions for a folder", arguments=("--batch", "16")),
    "training": Short(title="Training a LoRA", arguments=("--rounds", "2", "--steps", "3")),
    "queue": Short(title="The queue under load", by_hand="takes ten minutes"),
    "xyz": Short(title="An X/Y/Z grid"),
    "prompts": Short(title="Readers of prompts"),
    "page": Short(title="The page", by_hand="makes 500 pictures"),
    "library": Short(title="A large library", by_hand="writes 20,000 files"),
    "history": Short(title="A long history", by_hand="writes 20,000 pictures"),
    "full_size": Short(title="Full-size models on this machine", by_hand="takes 25 GB of disk and 15 GiB of memory"),
}


def listed(folder: Path = FOLDER) -> list[Row]:
    """Every benchmark: those of SHORT in its order, then the others by name. A name in SHORT without a script is left out."""
    found: dict[str, Row] = {}
    for path in sorted(folder.glob("[a-z]*.py")):
        code = ast.parse(path.read_text(encoding="utf-8"))
        if any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in code.body):
            question = (ast.get_docstring(code) or "").split("\n\n")[0].replace("\n", " ")
            found[path.stem] = Row(name=path.stem, question=question, short=SHORT.get(path.stem, Short(title="")))
    ordered = [found[name] for name in SHORT if name in found]
    return [*ordered, *(row for name, row in found.items() if name not in SHORT)]
