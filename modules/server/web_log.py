"""log/web.log: what the web process has to say about faults, in a file that stays small, beside the terminal.

Start reading at `open_log`.
"""

from __future__ import annotations

import contextlib
import logging
import logging.handlers
from collections.abc import Generator
from pathlib import Path

from modules import __version__

FILE = "web.log"
MOST_BYTES = 2_000_000
OLDER = 2
FORM = "%(asctime)s %(levelname)s %(name)s: %(message)s"
OWN = "darkroom"


@contextlib.contextmanager
def open_log(folder: Path) -> Generator[None]:
    """Write warnings and faults into the file too, as long as this lasts. A folder that cannot be written to is a warning."""
    root, own, server = logging.getLogger(), logging.getLogger(OWN), logging.getLogger("uvicorn")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = logging.handlers.RotatingFileHandler(folder / FILE, maxBytes=MOST_BYTES, backupCount=OLDER, encoding="utf-8", delay=True)
    except OSError as error:
        root.warning("There is no %s: %s", FILE, error)
        yield
        return
    file.setFormatter(logging.Formatter(FORM))
    aside = logging.StreamHandler()  # what Python does by itself while nobody listens
    aside.setLevel(logging.WARNING)
    level = own.level
    own.setLevel(logging.INFO)
    root.addHandler(file)
    root.addHandler(aside)
    server.addHandler(file)
    own.info("Darkroom %s begins", __version__)
    try:
        yield
    finally:
        own.info("Darkroom %s ends", __version__)
        own.setLevel(level)
        server.removeHandler(file)
        root.removeHandler(aside)
        root.removeHandler(file)
        file.close()
