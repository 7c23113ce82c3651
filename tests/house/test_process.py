"""Rules on running processes: what the web process and the words floor really load. Checked on sys.modules of a fresh Python."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.house.tree import ROOT

WEB_PROCESS = ["modules.app", "modules.server", "modules.web", "modules.web.page", "modules.cli"]
NEVER_IN_WEB = ["torch", "diffusers", "transformers", "accelerate", "peft"]
WORDS = [
    "modules.faults",
    "modules.registry",
    "modules.knobs",
    "modules.folders",
    "modules.flags",
    "modules.request",
    "modules.settings",
    "modules.infotext",
]
NEVER_IN_WORDS = [*NEVER_IN_WEB, "gradio", "fastapi", "starlette", "pydantic", "numpy", "PIL"]
PROBE = """
import importlib, json, sys, time
began = time.perf_counter()
for name in {names!r}:
    importlib.import_module(name)
took = time.perf_counter() - began
print(json.dumps([took, [m for m in {banned!r} if m in sys.modules]]))
"""


def loaded(names: list[str], banned: list[str], root: Path = ROOT) -> tuple[float, list[str]]:
    """Import the modules in a fresh Python. Returns (seconds, the banned ones that came along)."""
    code = PROBE.format(names=names, banned=banned)
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise AssertionError(f"importing {names} failed:\n{done.stderr}")
    took, found = json.loads(done.stdout.splitlines()[-1])
    return float(took), list(found)


def test_the_web_process_never_loads_torch():
    took, found = loaded(WEB_PROCESS, NEVER_IN_WEB)
    print(f"app, server, web (with Gradio) and cli imported in {took:.2f} s")
    assert found == [], f"importing {WEB_PROCESS} loads {found}; find the import with python -X importtime"


def test_the_words_floor_loads_no_library():
    took, found = loaded(WORDS, NEVER_IN_WORDS)
    print(f"ground and words imported in {took:.2f} s (wanted: below 0.3 s)")
    assert found == [], f"importing {WORDS} loads {found}"


def test_the_app_loads_no_page():
    """The API answers before Gradio is there: neither app, server nor the outside of web/ may import it."""
    _, found = loaded(["modules.app", "modules.server", "modules.web"], ["gradio"])
    assert found == []


def test_the_probe_sees_what_is_loaded(tmp_path: Path):
    (tmp_path / "quiet.py").write_text("def f():\n    import colorsys\n")
    (tmp_path / "loud.py").write_text("import colorsys\n")
    assert loaded(["quiet"], ["colorsys"], tmp_path)[1] == []
    assert loaded(["loud"], ["colorsys"], tmp_path)[1] == ["colorsys"]
