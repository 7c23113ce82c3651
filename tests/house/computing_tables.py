"""Tables of what computes pictures and how weights are kept: backends, attention, quantisers. Start reading at `backends_table`."""

from __future__ import annotations

import json

from modules.backends.attention import ATTENTIONS
from modules.backends.table import BACKENDS
from modules.weights.quantisers import QUANTISERS
from tests.house.markdown import table
from tests.house.tree import ROOT

DEVICES = ("cuda", "rocm", "xpu", "mps", "directml", "cpu")


def backends_table() -> str:
    """Every backend, how near it must be to eager, and where it is described."""
    rows = [
        (
            f"`{name}`",
            row.title,
            row.help,
            ", ".join(f"{kind} {share:g}" for kind, share in row.tolerance.items()),
            "every size" if row.any_size else "one size",
            row.source,
        )
        for name, row in BACKENDS
    ]
    return table(("Name", "Title", "What it is", "Allowed difference", "Built for", "Source"), rows)


def attentions_table() -> str:
    """Every way of computing attention."""
    rows = [(f"`{name}`", row.help, "yes" if not row.probe("cpu", None) else "no", row.source) for name, row in ATTENTIONS]
    return table(("`cross_attention_optimization`", "What it is", "On the CPU", "Source"), rows)


def quantisers_table() -> str:
    """Every quantiser, with the figures that benchmarks.quantisation kept."""
    figures = json.loads((ROOT / "benchmarks" / "quantisation.json").read_text(encoding="utf-8"))
    rows = [
        (
            f"`{name}`",
            row.title,
            f"{row.bytes_per_weight:g}",
            _figure(figures["rows"].get(name), figures["full_bytes"]),
            f"`{row.needs}` ({row.licence})" if row.needs else "nothing",
            ", ".join(kind for kind in DEVICES if not row.refused.get(kind)),
            row.ran or "not run here",
            row.note,
        )
        for name, row in QUANTISERS
    ]
    heads = ("Name", "Title", "Bytes a weight", "PSNR; memory; time", "Needs", "Devices", "Ran on", "Good to know")
    return f"Figures: `{figures['command']}` ({figures['machine']}).\n\n" + table(heads, rows)


def _figure(row: dict[str, float] | None, full_bytes: int) -> str:
    return f"{row['psnr_db']:g} dB; {row['bytes'] / full_bytes:.2f}; {row['seconds_ratio']:g}" if row else "not measured"
