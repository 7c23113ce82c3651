"""`launch.py mcp`: the tools over standard input and output, for a chat program that starts this one by itself.

Shares the queue with a server of the same data folder: whoever was there first runs the jobs. Start reading at `main`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from typing import TYPE_CHECKING

from modules.app import build
from modules.server.mcp.server import make
from modules.users import Viewer

if TYPE_CHECKING:
    from modules.app import App
    from modules.flags import Flags

LOOK_S = 2.0


def main(flags: Flags) -> int:
    """Serve until the input ends. Returns the exit status. Standard output belongs to the protocol alone."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    app = build(flags)
    try:
        app.start()
        asyncio.run(_serve(app))
    finally:
        app.stop()
    return 0


async def _serve(app: App) -> None:
    queue = asyncio.create_task(_run_queue(app))
    try:
        await make(app, lambda _context: Viewer()).run_stdio_async()
    finally:
        queue.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await queue


async def _run_queue(app: App) -> None:
    """Run the jobs unless another process does; take over when that one ends."""
    while not app.jobs.owns_queue:
        await asyncio.sleep(LOOK_S)
        await asyncio.to_thread(app.start)
