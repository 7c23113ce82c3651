"""The public link: the tunnel program is checked before each use, and a failure is one sentence. No network here."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from gradio import networking, tunneling

from modules.faults import SetupFault
from modules.web import share


@pytest.fixture
def binary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tunnel program that is there already and is the one that Gradio names."""
    path = tmp_path / "frpc"
    path.write_bytes(b"the real one")
    monkeypatch.setattr(tunneling, "BINARY_PATH", str(path))
    monkeypatch.setattr(tunneling, "CHECKSUMS", {tunneling.BINARY_URL: hashlib.sha256(b"the real one").hexdigest()})
    return path


def test_the_link_leads_to_our_port(binary: Path, monkeypatch: pytest.MonkeyPatch):
    asked: list[tuple[object, ...]] = []
    monkeypatch.setattr(networking, "setup_tunnel", lambda *words: (asked.append(words), "https://x.gradio.live")[1])
    assert share.open_link(7860) == "https://x.gradio.live"
    host, port, token, server, certificate = asked[0]
    assert (host, port, server, certificate) == ("127.0.0.1", 7860, None, None)
    assert len(str(token)) >= 32


def test_an_exchanged_program_is_never_run(binary: Path, monkeypatch: pytest.MonkeyPatch):
    binary.write_bytes(b"somebody else's")
    monkeypatch.setattr(networking, "setup_tunnel", lambda *words: pytest.fail("it was run"))
    with pytest.raises(SetupFault, match="its checksum differs"):
        share.open_link(7860)


def test_a_machine_without_a_checksum_gets_no_link(binary: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tunneling, "CHECKSUMS", {})
    with pytest.raises(SetupFault, match="names no checksum"):
        share.open_link(7860)


def test_no_internet_is_one_sentence(binary: Path, monkeypatch: pytest.MonkeyPatch):
    def fail(*words: object) -> str:
        raise RuntimeError("Could not get share link from Gradio API Server.")

    monkeypatch.setattr(networking, "setup_tunnel", fail)
    with pytest.raises(SetupFault, match="Could not get share link from Gradio API Server"):
        share.open_link(7860)
