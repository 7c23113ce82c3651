"""What the App sees, as one line of JSON: for the doctor, which runs this in a process of its own.

    python -m modules.cli.inventory '{"data_dir": null}'

Start reading at `inventory`.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from modules.app import build
from modules.flags import Flags
from modules.settings import Settings


def inventory(flags: Flags) -> dict[str, Any]:
    """JSON-ready: models and refused (lines), settings (changed ones), notices, folders."""
    app = build(flags)
    try:
        default = Settings().to_data()
        current = app.settings.current.to_data()
        return {
            "models": [f"{c.title} ({c.family}, {c.native_px} px)" for c in app.library.checkpoints()],
            "refused": [f"not usable: {path}: {why}" for path, why in app.library.refused().items()],
            "settings": {k: v for k, v in current.items() if v != default[k]},
            "notices": app.settings.notices,
            "folders": {"data": str(app.folders.data), "models": str(app.folders.models), "outputs": str(app.folders.outputs)},
        }
    finally:
        app.stop()


if __name__ == "__main__":
    sys.stdout.write(json.dumps(inventory(Flags(**json.loads(sys.argv[1])))) + "\n")
