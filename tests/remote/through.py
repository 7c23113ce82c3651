"""The whole program behind a tunnel: started by its command line, asked by its public address, with and without credentials.

Both the test with a server of our own and the trial with the real one go through `walk`. Start reading at `Program`.
"""

from __future__ import annotations

import base64
import functools
import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from modules.folders import PROGRAM
from tests.browser.servers import free_port
from tests.remote.stand_ins import until

USER, PASSWORD = "mona", "correct horse"
LAUNCH = ("launch.py", "--no-venv", "--skip-install")
WITHOUT_TORCH = ("-c", """
import dataclasses, sys
from modules import app as hall, server, web
from modules.flags import parse
from modules.jobs import Jobs
app = hall.build(parse(sys.argv[1:]))
app.jobs.stop()
app = dataclasses.replace(app, jobs=Jobs(app.folders, {}, runner="tests.faults.backend:build"))
app.start()
api = server.create(app)
web.mount(api, app)
server.serve(api, app)
""")  # fmt: skip
PUBLIC = re.compile(r"Public address \([^)]*\): (\S+)")


class Program:
    """The program with a tunnel. lines: what it printed so far; address: the tunnel's.

    words: how it is started: `LAUNCH`, or `WITHOUT_TORCH` for the same server and page over a worker that loads nothing.
    """

    def __init__(self, words: Sequence[str], data: Path, *flags: str, path: str) -> None:
        self.port = free_port()
        command = [sys.executable, *words, "--port", str(self.port), "--data-dir", str(data), *flags]
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [*command, "--gradio-auth", f"{USER}:{PASSWORD}"],
            cwd=PROGRAM,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def _read(self) -> None:
        if self.process.stdout is not None:
            self.lines += iter(self.process.stdout.readline, "")  # grows line by line

    @property
    def address(self) -> str:
        def found() -> str:
            match = PUBLIC.search("".join(self.lines))
            assert match or self.process.poll() is None, self.lines
            return match[1] if match else ""

        return until(found)

    def end(self) -> int:
        """Ask it to end, as a service manager does; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def ask(
    address: str, path: str, body: Any = None, *, name: str = "", form: str = "application/json", port: int | None = None
) -> tuple[int, str]:
    """(status, text) of a request through the public address. Its name leads to loopback, whatever the resolver says.

    port: where the tunnel's server listens, when the address does not say it.
    """
    parts = urlsplit(address)
    headers = {"Host": parts.netloc, "Accept": form, "Content-Type": "application/json"}
    if name:
        headers["Authorization"] = f"Basic {base64.b64encode(f'{name}:{PASSWORD}'.encode()).decode()}"
    data = None if body is None else json.dumps(body).encode()
    if body is not None:
        headers["Origin"] = f"{parts.scheme}://{parts.netloc}"  # as a browser does on our own page
    request = urllib.request.Request(f"http://127.0.0.1:{port or parts.port}{path}", data, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def walk(address: str, port: int | None = None) -> None:
    """The page and the API through the tunnel: with credentials all of it, without them nothing but the sign-in page."""
    through = functools.partial(ask, address, port=port)
    for path in ("/", "/config", "/sdapi/v1/samplers", "/sdapi/v1/options", "/internal/remote", "/docs"):
        status, text = through(path)
        assert status == 401, (path, status, text[:200])
    status, text = through("/", form="text/html")
    assert (status, "password" in text) == (401, True), "a browser gets the page to sign in at"
    assert through("/sdapi/v1/txt2img", {"prompt": "a"})[0] == 401
    assert through("/sdapi/v1/samplers", name="somebody")[0] == 401
    until(lambda: "gradio_config" in through("/", name=USER, form="text/html")[1])  # the real page has taken the waiting one's place
    assert "Euler a" in through("/sdapi/v1/samplers", name=USER)[1]
    status, text = through("/sdapi/v1/options", {"samples_format": "webp"}, name=USER)
    assert status == 200, text
    assert json.loads(through("/sdapi/v1/options", name=USER)[1])["samples_format"] == "webp"
    shown = json.loads(through("/internal/remote", name=USER)[1])
    assert shown["tunnel"]["address"] == address
    assert [row["name"] for row in shown["programs"]] == [USER]
    assert PASSWORD not in json.dumps(shown)
    strange = ask(address.replace("//", "//other-"), "/internal/ping", name=USER, port=port)
    assert strange[0] in (403, 404, 502), "another name is not this server"
