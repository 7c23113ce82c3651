"""Benchmarks that cannot be run to their end here, tried small: models of real size, and other programs over their API."""

from __future__ import annotations

import argparse
import base64
import io
import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from PIL import Image

from benchmarks import others, real_size


class _Program(BaseHTTPRequestHandler):
    """Speaks as much of A1111's API as is asked for."""

    side = 64

    def do_GET(self) -> None:
        self._say({"sd_model_checkpoint": "model.safetensors [0123456789]"})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        kept = io.BytesIO()
        Image.new("RGB", (self.side, self.side)).save(kept, "PNG")
        self._say({"images": [base64.b64encode(kept.getvalue()).decode()] * asked["batch_size"]})

    def _say(self, data: object) -> None:
        text = json.dumps(data).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def program() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Program)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_programs_are_asked_for_the_same(program: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["others", f"ours={program}", f"theirs={program}/", "--pairs", "2", "--side", "64", "--batch", "2"]
    monkeypatch.setattr(sys, "argv", words)
    others.main()
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith(("| ours", "| theirs"))]
    assert rows[0].startswith("| ours | 1.00 |")
    assert all("model.safetensors" in row for row in rows)


def test_another_size_than_asked_for_is_no_answer(program: str) -> None:
    args = argparse.Namespace(prompt="", steps=1, sampler="Euler", side=128, batch=1)
    with pytest.raises(SystemExit, match=r"asked for 1 of 128x128, got 1 of \[\(64, 64\)\]"):
        others.picture(program, args, 1)


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(SystemExit, match=r"127\.0\.0\.1:9"):
        others.ask("http://127.0.0.1:9", "/sdapi/v1/options")


def test_the_program_makes_the_picture_of_plain_diffusers() -> None:
    args = argparse.Namespace(device="cpu", dtype="float32", side=64, steps=1, pairs=1, t5=False, tiny=True, eager=True)
    plain, ours = real_size.measured("sd15", args)
    assert plain.startswith("| sd15: plain diffusers | 1.000x |")
    assert ours.startswith("| sd15: the program |")
    assert "| equal |" in ours


def test_every_model_has_its_configuration() -> None:
    from modules.families import FAMILIES, shipped

    for name, row in real_size.MODELS.items():
        assert name in shipped.names()
        assert FAMILIES.get(row.family).variant(row.variant).tasks["txt2img"] == real_size._class_name(name)
