"""torch as it comes: every operation when it is reached. What all others are compared with and go back to."""

from __future__ import annotations

from modules.backends.record import Backend

ROW = Backend(
    title="Eager torch",
    help="torch as it comes, on every device; what the others are compared with.",
    source="https://docs.pytorch.org/docs/stable/",
    probe=lambda kind: "",
    tolerance={},
)
