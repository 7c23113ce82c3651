"""Does this copy of the program begin to work with this Python? `python -m modules.setup.starts`, run in a new version before it is taken.

Imports what the page and the worker are made of, and says what fails. Start reading at `main`.
"""

from __future__ import annotations

import importlib
import sys

PARTS = ("modules.app", "modules.server", "modules.web.page", "modules.jobs.worker", "modules.processing.runner")


def main() -> int:
    """Returns 1, with the reason on the error output, when a part cannot be imported."""
    for name in PARTS:
        try:
            importlib.import_module(name)
        except Exception as error:  # noqa: BLE001 - whatever it is, the new version is not taken, and this is why
            sys.stderr.write(f"{name}: {type(error).__name__}: {error}\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
