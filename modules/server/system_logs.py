"""/internal/system/logs and /doctor: the last lines of the logs, and the doctor's report. For administrators; secrets are taken out.

Start reading at `routes`.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

from fastapi import APIRouter

from modules.faults import DiskFault, RequestFault, UnknownName
from modules.machine import doctor, logs
from modules.machine.masking import mask, private

if TYPE_CHECKING:
    from modules.app import App
    from modules.flags import Flags
    from modules.server.access import Access

log = logging.getLogger(__name__)
WORDS_CHARS = 200


class Report:
    """The doctor's report of a server, made in a thread as it takes some seconds; the last one stays."""

    def __init__(self, flags: Flags) -> None:
        self._flags = flags
        self._lock = threading.Lock()
        self._busy = False
        self._lines: list[str] = []
        self._problems: int | None = None

    def begin(self) -> None:
        """Make a new one, unless one is being made."""
        with self._lock:
            if not self._busy:
                self._busy, self._lines, self._problems = True, [], None
                threading.Thread(target=self._make, daemon=True, name="doctor").start()

    def to_data(self) -> dict[str, Any]:
        """busy; text: what there is of it by now; problems: how many it found, null while it is made or when there is none."""
        return {"busy": self._busy, "text": "\n".join(self._lines), "problems": self._problems}

    def _make(self) -> None:
        try:
            self._problems = len(doctor.report(self._flags, self._lines.append))
        except Exception as error:
            log.exception("the report could not be made")
            self._lines.append(f"The report ended here: {type(error).__name__}: {error}")
        finally:
            self._busy = False


def routes(app: App, access: Access) -> APIRouter:
    """The routes of logs and of the report."""
    router = APIRouter(prefix="/internal/system", tags=["system"])
    report = Report(app.flags)
    secrets = [*access.api_users.values(), *access.page_users.values(), access.generated or ""]

    @router.get("/logs")
    def known() -> list[dict[str, Any]]:
        """{name, bytes} of each log there is."""
        return [{"name": name, "bytes": path.stat().st_size} for name, path in logs.files(app.folders).items()]

    @router.get("/logs/{name}")
    def shown(
        name: str, lines: int = 200, level: Literal["info", "warning", "error"] = "info", text: str = "", mark: str = ""
    ) -> dict[str, Any]:
        """The last lines of a log that have this level or a worse one, and these words. mark: of the last answer; {"same": true} when
        nothing has been written since.
        """
        if not 1 <= lines <= logs.MOST_LINES:
            raise RequestFault("lines", f"must be a whole number from 1 to {logs.MOST_LINES}", got=lines)
        found = logs.files(app.folders)
        if name not in found:
            raise UnknownName("log", name, found)
        try:
            stat = found[name].stat()
            if mark == f"{stat.st_ino}:{stat.st_size}:{stat.st_mtime_ns}":
                return {"same": True, "mark": mark}
            told = logs.tail(
                found[name], lines=lines, level=level, text=text[:WORDS_CHARS], clean=lambda line: private(mask(line, secrets))
            )
        except OSError as error:
            raise DiskFault(f"{found[name].name} cannot be read: {error.strerror}.") from error
        return {"same": False, **asdict(told)}

    @router.get("/doctor")
    def told() -> dict[str, Any]:
        """The report, as far as it is made."""
        return report.to_data()

    @router.post("/doctor")
    def make() -> dict[str, Any]:
        """Make a new report; it takes some seconds, as it tries the devices."""
        report.begin()
        return report.to_data()

    return router
