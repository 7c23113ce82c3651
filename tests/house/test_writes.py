"""Rule: nobody writes into somebody else. No `global`, no assignment to a name of an imported module or class, no monkeypatch."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.house.tree import File, Finding, Tree, report

# (file, what it may write) -> why. Only entry points of a process may change the process.
ALLOWED: dict[tuple[str, str], str] = {
    (
        "modules/jobs/worker.py",
        "sys.stdout",
    ): "entry of the worker process: its standard output is the wire to the page, so prints of libraries go to the log",
    (
        "modules/web/mounting.py",
        "os.environ (by update)",
    ): "Gradio reads its switches (telemetry off, upload folder) from the environment when it is imported",
    (
        "modules/cluster/rank.py",
        "os.environ (by pop)",
    ): "Ray Train names the first card there for every process of a machine, and accelerate would believe it",
    (
        "modules/compat/loading.py",
        "sys.modules[]",
    ): "dataclasses and pydantic look there for the module of a guest's class; no import can ask for these names",
    (
        "modules/backends/open_vino.py",
        "sys.modules (by setdefault)",
    ): "OpenVINO sends a report over the network when it is imported, unless its package for that cannot be imported",
    (
        "modules/backends/tuning.py",
        "torch.backends.mkldnn.matmul.fp32_precision",
    ): "torch has one switch for all matrices, and no other way to leave the CPU's out; it is put back with the switch",
    **{
        (f"scripts/{name}.py", f"state.{field}"): "how a script of A1111's kind says how long it will take; state is a view of the job"
        for name in ("loopback", "poor_mans_outpainting", "prompt_matrix", "prompts_from_file", "sd_upscale")
        for field in ("job", "job_count")
        if (name, field) != ("prompt_matrix", "job")
    },
}
LIST_WRITERS = {"append", "insert", "extend", "remove", "clear", "pop", "update", "setdefault"}
PROCESS_WIDE = {("sys", "path"), ("sys", "modules"), ("sys", "argv"), ("os", "environ")}


def find(tree: Tree, allowed: dict[tuple[str, str], str] = ALLOWED) -> list[Finding]:
    """Every write into an imported name, `global` statement and process-wide change that is not in `allowed`."""
    found: list[Finding] = []
    used: set[tuple[str, str]] = set()
    for file in tree.under("modules", "launch.py", "scripts", "extensions", "benchmarks"):
        for line, target in _writes(file):
            if (file.name, target) in allowed:
                used.add((file.name, target))
            else:
                found.append(Finding(file.name, line, "writes", f"writes into {target}"))
    return found + [
        Finding(name, 0, "writes", f"no longer writes {target}; take it off the list ALLOWED")
        for name, target in allowed
        if (name, target) not in used
    ]


def _writes(file: File) -> Iterator[tuple[int, str]]:
    imported = _imported_names(file.code)
    own = _own_names(file.code)
    names = imported - own
    for node in ast.walk(file.code):
        if isinstance(node, ast.Global):
            yield node.lineno, f"global {', '.join(node.names)}"
        elif isinstance(node, ast.Call):
            yield from _call(node, names)
        else:
            for target in _targets(node):
                dotted = _dotted(target)
                if dotted and "." in dotted and dotted.partition(".")[0] in names:
                    yield node.lineno, dotted


def _call(node: ast.Call, names: set[str]) -> Iterator[tuple[int, str]]:
    """setattr(module, ...), delattr(module, ...), globals()[...], sys.path.insert(...), os.environ.update(...)."""
    if isinstance(node.func, ast.Name) and node.func.id in ("setattr", "delattr") and node.args:
        first = _dotted(node.args[0])
        if first and first.partition(".")[0] in names:
            yield node.lineno, f"{first} (by {node.func.id})"
    elif isinstance(node.func, ast.Name) and node.func.id == "globals":
        yield node.lineno, "globals()"
    elif isinstance(node.func, ast.Attribute) and node.func.attr in LIST_WRITERS:
        holder = _dotted(node.func.value)
        if holder and tuple(holder.split(".")) in PROCESS_WIDE:
            yield node.lineno, f"{holder} (by {node.func.attr})"


def _targets(node: ast.AST) -> list[ast.expr]:
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AugAssign | ast.AnnAssign):
        targets = [node.target]
    elif isinstance(node, ast.Delete):
        targets = node.targets
    else:
        return []
    return [e for t in targets for e in (t.elts if isinstance(t, ast.Tuple | ast.List) else [t])]


def _dotted(node: ast.expr) -> str | None:
    """`a.b["c"].d` -> "a.b[].d"; None when it does not start at a plain name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        base = _dotted(node.value)
        return f"{base}.{node.attr}" if base else None
    if isinstance(node, ast.Subscript):
        base = _dotted(node.value)
        return f"{base}[]" if base and "." in base else f"{base}.[]" if base else None
    return None


def _imported_names(code: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(code):
        if isinstance(node, ast.Import):
            names |= {a.asname or a.name.partition(".")[0] for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {a.asname or a.name for a in node.names}
    return names


def _own_names(code: ast.Module) -> set[str]:
    """Names that are also parameters or assigned in this file: then a write goes to a value of ours."""
    own: set[str] = set()
    for node in ast.walk(code):
        if isinstance(node, ast.arg):
            own.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            own.add(node.id)
    return own


def test_house():
    assert not (found := report(find(Tree.read()))), found


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("x = 0\ndef f():\n    global x\n    x = 1", "global x"),
        ("import torch\ntorch.backends.cudnn.benchmark = True", "torch.backends.cudnn.benchmark"),
        ("from diffusers import UNet\nUNet.forward = None", "UNet.forward"),
        ("from modules import settings\nsettings.value += 1", "settings.value"),
        ("import sys\nsys.modules['a'] = None", "sys.modules[]"),
        ("import os\nos.environ['A'] = 'b'", "os.environ[]"),
        ("import torch\nsetattr(torch.nn.Module, 'to', None)", "torch.nn.Module (by setattr)"),
        ("import sys\nsys.path.insert(0, 'x')", "sys.path (by insert)"),
        ("import os\ndef f():\n    del os.environ['A']", "os.environ[]"),
        ("from modules.table import ROWS\nROWS['a'] = 1", "ROWS.[]"),
        ("globals()['x'] = 1", "globals()"),
        ("import a, b\na.x, b.y = 1, 2", "b.y"),
    ],
)
def test_catches(code: str, words: str):
    assert words in report(find(Tree.made({"modules/a.py": code}), {}))


def test_own_values_may_be_changed():
    body = "        self.x = 1\n        thing.y = 2\n        rows = {}\n        rows['a'] = 1"
    code = f"from b import Thing\nclass A:\n    def f(self, thing: Thing) -> None:\n{body}"
    assert find(Tree.made({"modules/a.py": code}), {}) == []


def test_an_exception_must_be_needed():
    allowed = {("modules/a.py", "os.environ[]"): "the worker tells its libraries to stay offline"}
    assert find(Tree.made({"modules/a.py": "import os\nos.environ['A'] = '1'"}), allowed) == []
    assert "take it off" in report(find(Tree.made({"modules/a.py": "x = 1"}), allowed))
