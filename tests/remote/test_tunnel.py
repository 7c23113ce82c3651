"""A tunnel from its start to its end, with stand-ins for the programs: address, restarts, expiry, and that nothing is left behind."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from modules.faults import NotAllowed, SetupFault
from modules.folders import PROGRAM
from modules.remote import Asked, Tunnel
from modules.remote.state import EXPIRED, FAILED, OFF, OPEN, WAITING
from modules.remote.tunnel import Pace, pauses
from tests.remote.stand_ins import CLOUDFLARED_LINES, NGROK_LINES, QUICK, Bench, gone, until

PUBLIC = "https://ab12-203-0-113-7.ngrok-free.app"
# Starts another process and says its number, as npx does with node; neither ends by itself.
WITH_A_CHILD = """
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
Path({note!r}).write_text(str(child.pid))
time.sleep(600)
"""
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
SERVER = """
import sys, time
from modules.remote import Asked, Tunnel
tunnel = Tunnel(say=lambda line: print(line, flush=True))
tunnel.start("ngrok", Asked(port=7860))
time.sleep(600)
"""


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path / "bin", monkeypatch)


class Told:
    """A tunnel and what it told."""

    def __init__(self, pace: Pace | None = None) -> None:
        self.opened: list[str] = []
        self.closed: list[str] = []
        self.said: list[str] = []
        self.tunnel = Tunnel(
            opened=self.opened.append, closed=self.closed.append, say=self.said.append, pace=pace or Pace(first=0.01, most=0.02)
        )

    @property
    def state(self) -> str:
        return self.tunnel.state.state

    def until(self, state: str) -> None:
        until(lambda: self.state == state)


@pytest.fixture
def told() -> Iterator[Told]:
    made = Told()
    yield made
    made.tunnel.stop()


def test_ngrok_by_its_documented_command_line(bench: Bench, told: Told) -> None:
    error = '{"lvl":"eror","err":"session of s3cret was cut","msg":"failed","t":"2026"}'
    bench.says("ngrok", (*NGROK_LINES, error))
    told.tunnel.start("ngrok", Asked(port=7860, token="s3cret", subpath="sd"))
    told.until(OPEN)
    [call] = bench.calls("ngrok")
    assert call["argv"] == ["http", "7860", "--log", "stdout", "--log-format", "json"]
    assert call["token"] == "s3cret"
    assert told.opened == [f"{PUBLIC}/sd"]
    assert told.tunnel.state.address == f"{PUBLIC}/sd"
    assert told.said == [f"Public address (ngrok): {PUBLIC}/sd"]
    until(lambda: told.tunnel.state.lines)
    assert told.tunnel.state.lines == ("session of (token) was cut",), "secrets stay out of what is shown"
    told.tunnel.stop()
    assert (told.state, told.closed, told.tunnel.state.address) == (OFF, told.opened, "")
    until(lambda: gone(call["pid"]))


def test_cloudflared_by_its_documented_command_line(bench: Bench, told: Told) -> None:
    bench.says("cloudflared", CLOUDFLARED_LINES, stream="stderr")
    told.tunnel.start("cloudflared", Asked(port=7860))
    told.until(OPEN)
    [call] = bench.calls("cloudflared")
    assert call["argv"] == ["tunnel", "--no-autoupdate", "--url", "http://127.0.0.1:7860"]
    assert told.opened == [QUICK]
    told.tunnel.stop()
    until(lambda: gone(call["pid"]))


def test_it_is_started_again_when_it_dies(bench: Bench, told: Told) -> None:
    bench.says("cloudflared", CLOUDFLARED_LINES, then="if len(calls) < 3: sys.exit(1)\ntime.sleep(600)")
    told.tunnel.start("cloudflared", Asked(port=7860))
    until(lambda: told.tunnel.state.restarts == 2 and told.state == OPEN)
    assert len(bench.calls("cloudflared")) == 3
    assert told.opened == [QUICK] * 3
    assert told.closed == [QUICK] * 2
    assert told.said[1].startswith("The tunnel has ended: Cloudflare Tunnel ended; it said: 2026-08-31T12:00:02Z INF |  https://random")


def test_the_pauses_grow() -> None:
    assert list(itertools.islice(pauses(Pace(first=2, most=20)), 6)) == [2, 4, 8, 16, 20, 20]


def test_it_is_closed_when_its_time_is_over(bench: Bench, told: Told) -> None:
    bench.says("cloudflared", CLOUDFLARED_LINES)
    told.tunnel.start("cloudflared", Asked(port=7860, minutes=1 / 60))
    assert told.tunnel.state.expires_s is not None
    told.until(EXPIRED)
    assert told.closed == told.opened
    until(lambda: all(gone(call["pid"]) for call in bench.calls("cloudflared")))
    assert told.said[-1] == "The tunnel's time is over; it is closed."


def test_it_expires_and_stops_between_two_runs_too(bench: Bench) -> None:
    bench.says("cloudflared", ("ERR no network",), then="sys.exit(1)")
    told = Told(Pace(first=600))
    told.tunnel.start("cloudflared", Asked(port=7860, minutes=1 / 60))
    told.until(EXPIRED)
    told.tunnel.start("cloudflared", Asked(port=7860))
    told.until(WAITING)
    assert told.tunnel.state.message == "Cloudflare Tunnel ended; it said: ERR no network"
    told.tunnel.stop()
    assert told.state == OFF


def test_a_missing_program_says_so_and_nothing_is_started(bench: Bench, told: Told) -> None:
    with pytest.raises(SetupFault, match=r"cloudflared is not on this machine\. Get cloudflared at https://"):
        told.tunnel.start("cloudflared", Asked(port=7860))
    assert (told.state, told.tunnel.state.on) == (FAILED, False)
    assert "Get cloudflared" in told.tunnel.state.message


def test_what_cannot_become_better_is_not_tried_again(bench: Bench, told: Told) -> None:
    bench.says("ngrok", ("ERROR:  authentication failed: Usage of ngrok requires a verified account.", "ERROR:  ERR_NGROK_4018"), then="")
    told.tunnel.start("ngrok", Asked(port=7860))
    told.until(FAILED)
    assert "NGROK_AUTHTOKEN" in told.tunnel.state.message
    assert len(bench.calls("ngrok")) == 1


def test_a_program_that_gives_no_address_is_started_again(bench: Bench) -> None:
    bench.says("ngrok", ("hello",), then=f"if len(calls) > 1: say(*{NGROK_LINES!r})\ntime.sleep(600)")
    told = Told(Pace(first=0.01, patience=2.0))
    told.tunnel.start("ngrok", Asked(port=7860))
    until(lambda: told.state == OPEN)
    assert told.tunnel.state.restarts >= 1
    assert told.said[0].startswith("The tunnel has ended: no address came within 2 s")
    told.tunnel.stop()


def test_a_server_that_does_not_want_it_gets_none(bench: Bench) -> None:
    def refuse(address: str) -> None:
        raise NotAllowed("nobody is asked for a name here", needs="a name")

    bench.says("cloudflared", CLOUDFLARED_LINES)
    tunnel = Tunnel(opened=refuse)
    tunnel.start("cloudflared", Asked(port=7860))
    until(lambda: tunnel.state.state == FAILED)
    assert tunnel.state.message == "nobody is asked for a name here"
    until(lambda: gone(bench.calls("cloudflared")[0]["pid"]))


def test_another_tunnel_takes_the_place_of_the_first(bench: Bench, told: Told) -> None:
    bench.says("cloudflared", CLOUDFLARED_LINES)
    bench.says("ngrok", NGROK_LINES)
    told.tunnel.start("cloudflared", Asked(port=7860))
    told.until(OPEN)
    told.tunnel.start("ngrok", Asked(port=7860))
    told.until(OPEN)
    assert (told.opened, told.closed) == ([QUICK, PUBLIC], [QUICK])
    until(lambda: gone(bench.calls("cloudflared")[0]["pid"]))


@pytest.mark.skipif(os.name == "nt", reason="groups of processes are POSIX here; Windows ends a tree by taskkill")
def test_what_the_program_started_goes_too_and_the_deaf_as_well(bench: Bench, told: Told, tmp_path: Path) -> None:
    note = tmp_path / "child"
    bench.says("cloudflared", CLOUDFLARED_LINES, then=WITH_A_CHILD.format(note=str(note)))
    told.tunnel.start("cloudflared", Asked(port=7860))
    told.until(OPEN)
    child = int(until(lambda: note.exists() and note.read_text()))
    told.tunnel.stop()
    until(lambda: gone(child))
    bench.says("cloudflared", CLOUDFLARED_LINES, then=DEAF)
    told.tunnel.start("cloudflared", Asked(port=7860))
    told.until(OPEN)
    told.tunnel.stop()
    until(lambda: all(gone(call["pid"]) for call in bench.calls("cloudflared")))


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX")
def test_a_killed_server_leaves_no_tunnel_behind(bench: Bench) -> None:
    bench.says("ngrok", NGROK_LINES)
    server = subprocess.Popen([sys.executable, "-c", SERVER], cwd=PROGRAM, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    assert server.stdout.readline() == f"Public address (ngrok): {PUBLIC}\n"
    [call] = bench.calls("ngrok")
    assert not gone(call["pid"])
    server.send_signal(signal.SIGKILL)
    server.communicate()
    until(lambda: gone(call["pid"]))
