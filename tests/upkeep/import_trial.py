"""The import at full size: an A1111 folder with 2,000 pictures and 500 models, through the real worker for files.

    python -m tests.upkeep.import_trial       prints what was found and how long each part took; exit 1 when something is missing

Start reading at `main`.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from modules.app import App, build
from modules.cli.following import follow
from modules.flags import Flags
from modules.library.pictures import Wish
from modules.upkeep import imports
from tests.upkeep import a1111_folder

PICTURES, MODELS = 2000, 500
WORDS = ("number777", "number1234", "number1999")


def main(models: str) -> int:
    """models: how they are taken over. Returns the exit status."""
    with tempfile.TemporaryDirectory() as base:
        root = a1111_folder.build(Path(base) / "stable-diffusion-webui", pictures=PICTURES, models=MODELS)
        before = a1111_folder.fingerprint(root)
        flags = Flags(data_dir=str(Path(base) / "data"))
        began = time.perf_counter()
        app = build(flags)
        asked = {"folder": str(root), "models": models}
        app.plan_import(asked)
        looked = time.perf_counter()
        record, job = app.submit_import(asked)
        if job is not None:
            job = follow(app, job)
        app.stop()
        done = time.perf_counter()
        app = build(flags)  # the next start
        wrong = _missing(app)
        found = time.perf_counter()
        imports.undo(record.id, app.folders, app.settings, app.styles)
        app.stop()
        changed = a1111_folder.fingerprint(root) != before
    print(f"{models}: looked {looked - began:.1f} s, taken over {done - looked:.1f} s ({job.state if job else 'no job'}), ", end="")
    print(f"found again {found - done:.1f} s; the folder was {'CHANGED' if changed else 'left as it was'}")
    for line in wrong:
        print(f"  missing: {line}")
    return int(changed or bool(wrong))


def _missing(app: App) -> list[str]:
    app.pictures.refresh(thorough=True)
    app.library.refresh()
    counts, total = app.library.counts(), app.pictures.page(Wish()).total
    here = sum(counts[kind] for kind in ("lora", "vae", "embedding", "controlnet"))
    wrong = [f"{words} in the History" for words in WORDS if len(app.pictures.page(Wish(search=words)).rows) != 1]
    wrong += [f"{PICTURES - total} pictures"] if total != PICTURES else []
    wrong += [f"{MODELS - here} models"] if here < MODELS else []
    return wrong + ([] if app.settings.current.jpeg_quality == 91 else ["the settings"])


if __name__ == "__main__":
    sys.exit(max(main(models) for models in ("reference", "link")))
