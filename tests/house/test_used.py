"""Rule: what a person can set does something. Every flag, setting and request field is read by the program somewhere."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from modules import flags
from modules.knobs import knobs_of
from modules.request import GenerationRequest
from modules.settings import Settings
from tests.house.tree import ROOT, File, Finding, Tree, report

# Names that do nothing by design -> why.
IDLE = {
    "cache_fp16_weight": "LoRAs work beside 8-bit weights in full precision anyway; it is taken so that A1111's config.json is understood",
    "ngrok_region": "ngrok chooses the nearest region; the flag is taken so that A1111's command lines work",
    "api": "the API is always served; the flag is taken so that A1111's command lines work",
    "api_forbid_local_requests": "addresses of this network are never fetched; it is taken so that A1111's config.json is understood",
}


def names_read(file: File) -> set[str]:
    """Every attribute read (`flags.port`) and text (`settings["n_rows"]`, `"--no-half"`) of a file."""
    found: set[str] = set()
    for node in ast.walk(file.code):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            found.add(node.attr)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value.removeprefix("--").replace("-", "_"))
    return found


def find_unread(tree: Tree, declared: str, names: Iterable[str], scripts: str = "") -> list[Finding]:
    """Names declared in one file or folder that no other file of the program reads. scripts: JavaScript, where a name may stand too."""
    read: set[str] = set()
    for file in tree.under("modules", "launch.py"):
        if not file.name.startswith(declared):
            read |= names_read(file)
    for own in (f for f in tree.files if f.name.startswith(declared)):  # a property may be the reader: Flags.host reads listen
        read |= {
            n.attr
            for n in ast.walk(own.code)
            if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name) and n.value.id in ("self", "flags")
        }
    return [
        Finding(declared, 0, "unread", f"nothing reads {name}")
        for name in names
        if name not in read and name not in IDLE and name not in scripts
    ]


def _scripts() -> str:
    return "\n".join(p.read_text(encoding="utf-8") for p in sorted((ROOT / "modules" / "web" / "assets").glob("*.js")))


def test_every_flag_does_something():
    found = find_unread(Tree.read(), "modules/flags.py", [f.name for f in flags.table()])
    assert not found, report(found)


def test_every_setting_does_something():
    found = find_unread(Tree.read(), "modules/settings/", knobs_of(Settings), _scripts())
    assert not found, report(found)


def test_every_request_field_does_something():
    found = find_unread(Tree.read(), "modules/request/", knobs_of(GenerationRequest))
    assert not found, report(found)


def test_catches_a_name_that_nobody_reads():
    tree = Tree.made({"modules/flags.py": "class Flags:\n    port: int = 1\n    lost: int = 2", "modules/app.py": "x = flags.port"})
    assert [f.text for f in find_unread(tree, "modules/flags.py", ["port", "lost"])] == ["nothing reads lost"]
