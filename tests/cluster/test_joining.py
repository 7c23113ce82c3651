"""The command lines with which Ray begins and ends on a machine; `python launch.py cluster`. Nothing is started."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from modules.cli import cluster
from modules.cluster import joining
from modules.flags import Flags


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[list[str], dict[str, str]]]:
    """The commands that would have run, with their variables."""
    seen: list[tuple[list[str], dict[str, str]]] = []

    def call(words: list[str], *, env: dict[str, str], **_: Any) -> int:
        seen.append((words, env))
        return 0

    monkeypatch.setattr(cluster.subprocess, "call", call)
    monkeypatch.setattr(joining, "TOKEN_FILE", tmp_path / "ray" / "auth_token")
    monkeypatch.setattr(joining, "CURRENT", tmp_path / "current")
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"):
        monkeypatch.delenv(name, raising=False)
    return seen


def test_a_head_stays_on_loopback_unless_told_otherwise(run: list[Any], capsys: pytest.CaptureFixture[str]):
    assert cluster.main(Flags(), ["start"]) == 0
    words, env = run[0]
    assert {"--head", "--node-ip-address=127.0.0.1", "--port=6379", "--include-dashboard=false", "--disable-usage-stats"} <= set(words)
    assert "--resources" not in words
    assert env["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] == "0", "Ray would take the machine's own address instead"
    assert (env["RAY_AUTH_MODE"], env["RAY_USAGE_STATS_ENABLED"]) == ("token", "0")
    said = capsys.readouterr().out
    assert "Only this machine can reach it" in said
    assert "--cluster 127.0.0.1:6379" in said


def test_a_head_for_others_says_how_to_join(run: list[Any], capsys: pytest.CaptureFixture[str]):
    assert cluster.main(Flags(), ["start", "--host", "10.0.0.1", "--port=7000", "--workers", "2"]) == 0
    words, env = run[0]
    assert json.loads(words[words.index("--resources") + 1]) == {"darkroom": 2}
    assert "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER" not in env
    token = joining.TOKEN_FILE.read_text()
    assert len(token) == 64
    assert joining.TOKEN_FILE.stat().st_mode & 0o077 == 0
    assert f"cluster join 10.0.0.1:7000 --token {token}" in capsys.readouterr().out
    cluster.main(Flags(), ["start"])
    assert joining.TOKEN_FILE.read_text() == token, "the next start keeps it"


def test_a_machine_joins_with_the_token(run: list[Any]):
    assert cluster.main(Flags(), ["join", "10.0.0.1:7000", "--token", "secret", "--workers", "3"]) == 0
    words, env = run[0]
    assert "--address=10.0.0.1:7000" in words
    assert words[-1] == "--block"
    assert json.loads(words[words.index("--resources") + 1]) == {"darkroom": 3}
    assert (env["RAY_AUTH_TOKEN"], env["RAY_AUTH_MODE"]) == ("secret", "token")
    assert env["PYTHONPATH"].split(":")[0] == str(joining.PROGRAM), "Ray's processes there must find the program"


def test_status_and_stop(run: list[Any]):
    joining.CURRENT.write_text("127.0.0.1:6379")
    assert cluster.main(Flags(), ["status", "--json"]) == 0
    assert run[0][0][1:] == ["-m", "modules.cluster.census", "auto", "--json"]
    assert run[0][1]["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] == "0", "what runs on this machine now is bound to loopback"
    assert cluster.main(Flags(cluster="10.0.0.1:6379"), ["status"]) == 0
    assert run[1][0][-1] == "10.0.0.1:6379"
    assert cluster.main(Flags(), ["stop"]) == 0
    assert run[2][0][-1] == "stop"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fly"], "no command cluster fly"),
        (["join"], "usage: cluster join"),
        (["start", "--workers", "many"], "--workers must be a whole number"),
        (["start", "--port", "99999"], "--port must be"),
        (["start", "--host"], "--host needs a value"),
        (["start", "--speed", "9"], "there is no option --speed"),
    ],
)
def test_wrong_words_are_named(run: list[Any], words: list[str], said: str, capsys: pytest.CaptureFixture[str]):
    assert cluster.main(Flags(), words) == 2
    assert said in capsys.readouterr().err
    assert not run


def test_auth_of_ones_own_is_left_alone():
    assert "RAY_AUTH_MODE" not in joining.reach("10.0.0.1:1", {"RAY_AUTH_MODE": "disabled", "RAY_AUTH_TOKEN": "x"})
    assert joining.reach("ray://127.0.0.1:10001", {"RAY_AUTH_TOKEN": "x"}) == {
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "token"
    }  # fmt: skip
