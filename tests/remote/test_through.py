"""The whole program behind a tunnel of localtunnel's protocol on loopback: let in with credentials, refused without, gone at its end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.remote.lt_server import TunnelServer
from tests.remote.stand_ins import Bench, gone, until
from tests.remote.through import WITHOUT_TORCH, Program, ask, walk

CLIENT = "from tests.remote.lt_client import main; sys.argv[0] = 'lt'; main()"


def test_page_and_api_through_a_tunnel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outer = os.environ["PATH"]
    bench = Bench(tmp_path / "bin", monkeypatch)
    bench.put("lt", f"sys.path.insert(0, {os.getcwd()!r})\n{CLIENT}\n")
    path = f"{bench.folder}{os.pathsep}{outer}"
    with (
        TunnelServer() as server,
        Program(WITHOUT_TORCH, tmp_path / "data", "--tunnel", "localtunnel", "--tunnel-server", server.url, path=path) as program,
    ):
        walk(program.address)
        [call] = bench.calls("lt")
        assert call["argv"] == ["--port", str(program.port), "--host", server.url]
        local = f"http://127.0.0.1:{program.port}"
        assert ask(local, "/internal/ping")[0] == 401, "at home the name is asked for too"
        assert program.end() == 0
        until(lambda: gone(call["pid"]))
