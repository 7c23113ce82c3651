"""The runner for files as the program builds it, except that it may ask the web server of a test on this machine."""

from __future__ import annotations

from typing import Any

from modules.folders import Folders
from modules.upkeep.reach import Reach
from modules.upkeep.runner import FilesRunner


def build(folders: Folders, flags: dict[str, Any], device_index: int) -> FilesRunner:
    """flags["test_port"]: where that server listens."""
    port = flags["test_port"]
    return FilesRunner(Reach(test_port=port, timeout_s=5, pauses_s=(0.01,)), f"http://127.0.0.1:{port}")
