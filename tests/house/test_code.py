"""Rules on the code itself: nothing swallowed, asserted at users or printed, nothing loaded that can run code, all explained."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.house.tree import File, Finding, Tree, report

PRINTERS = ("modules/cli.py", "launch.py")
BROAD = {"Exception", "BaseException"}
# Call by its last names -> why it may not stand in modules/.
UNSAFE = {
    "torch.load": "can run code from the file; read safetensors",
    "pickle.load": "can run code from the file",
    "pickle.loads": "can run code from the data",
    "pickle.Unpickler": "can run code from the file",
    "joblib.load": "can run code from the file",
    "dill.load": "can run code from the file",
    "yaml.load": "use yaml.safe_load",
    "eval": "runs text as code",
    "exec": "runs text as code",
    "os.system": "use subprocess with a list",
    "hf_hub_download": "the program makes no download by itself",
    "snapshot_download": "the program makes no download by itself",
}
LOADERS = {"from_pretrained", "from_single_file"}
# (file, call) -> why it may stand there all the same.
LOCKED_UP: dict[tuple[str, str], str] = {
    ("modules/upkeep/unpickle_child.py", "torch.load"): "weights only, in a process without network, programs and other files",
}


def find_swallowed(file: File) -> Iterator[Finding]:
    """Bare `except:`, and broad handlers that do nothing."""
    for node in ast.walk(file.code):
        if isinstance(node, ast.ExceptHandler):
            if node.type is None:
                yield Finding(file.name, node.lineno, "swallowed", "bare except; name the exceptions")
            elif _broad(node.type) and all(isinstance(x, ast.Pass | ast.Continue) or _is_ellipsis(x) for x in node.body):
                yield Finding(file.name, node.lineno, "swallowed", "`except Exception` that does nothing; say what happened")
        elif isinstance(node, ast.Call) and _dotted(node.func).endswith("suppress") and any(_broad(a) for a in node.args):
            yield Finding(file.name, node.lineno, "swallowed", "suppress(Exception); name the exceptions")


def find_asserts(file: File) -> Iterator[Finding]:
    """`assert` vanishes under -O and tells a person nothing."""
    for node in ast.walk(file.code):
        if isinstance(node, ast.Assert):
            yield Finding(file.name, node.lineno, "asserts", "raise a fault that says what to do")


def find_unsafe(file: File) -> Iterator[Finding]:
    """Loading that can run foreign code or reach the network."""
    for node in ast.walk(file.code):
        if not isinstance(node, ast.Call):
            continue
        name = _dotted(node.func)
        last = name.rpartition(".")[2]
        keywords = {k.arg: k.value for k in node.keywords}
        for bad, why in UNSAFE.items():
            if (file.name, bad) in LOCKED_UP and _is_true(keywords.get("weights_only")):
                continue
            if name == bad or ("." not in bad and bad not in ("eval", "exec") and last == bad):
                yield Finding(file.name, node.lineno, "unsafe loading", f"{bad}: {why}")
        if last in LOADERS and not _is_true(keywords.get("local_files_only")):
            yield Finding(file.name, node.lineno, "unsafe loading", f"{last} without local_files_only=True may ask the network")
        for flag in ("trust_remote_code", "shell"):
            if flag in keywords and not _is_false(keywords[flag]):
                yield Finding(file.name, node.lineno, "unsafe loading", f"{flag} lets foreign text run")


def find_prints(file: File) -> Iterator[Finding]:
    """Output goes to the log or to the caller; only the command line prints."""
    if file.name in PRINTERS:
        return
    for node in ast.walk(file.code):
        if isinstance(node, ast.Call) and _dotted(node.func) == "print":
            yield Finding(file.name, node.lineno, "prints", "use logging, or return the text")


def find_unexplained(file: File) -> Iterator[Finding]:
    """Modules, public classes and public functions without a docstring."""
    if not ast.get_docstring(file.code) and file.text.strip():
        yield Finding(file.name, 1, "docstrings", "the module says what it knows, what not, and where to start reading")
    for node in file.code.body:
        named = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        if named and not node.name.startswith("_") and not ast.get_docstring(node):
            yield Finding(file.name, node.lineno, "docstrings", f"{node.name} is public and has no docstring")


def _broad(node: ast.expr) -> bool:
    if isinstance(node, ast.Tuple):
        return any(_broad(e) for e in node.elts)
    return _dotted(node).rpartition(".")[2] in BROAD


def _is_ellipsis(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and node.value.value is ...


def _is_true(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is True


def _is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}".lstrip(".")
    return ""


RULES = [find_swallowed, find_asserts, find_unsafe, find_prints, find_unexplained]


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.__name__)
def test_house(rule):
    files = Tree.read().under("modules", "launch.py", "scripts", "extensions")
    assert not (found := report([f for file in files for f in rule(file)])), found


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        (find_swallowed, "try:\n    f()\nexcept:\n    g()"),
        (find_swallowed, "try:\n    f()\nexcept Exception:\n    pass"),
        (find_swallowed, "try:\n    f()\nexcept (OSError, BaseException) as e:\n    ..."),
        (find_swallowed, "for x in y:\n    try:\n        f()\n    except Exception:\n        continue"),
        (find_swallowed, "with contextlib.suppress(Exception):\n    f()"),
        (find_asserts, "assert x, 'must be'"),
        (find_unsafe, "torch.load(path, weights_only=True)"),
        (find_unsafe, "torch.load(path)"),
        (find_unsafe, "pickle.loads(data)"),
        (find_unsafe, "eval(text)"),
        (find_unsafe, "huggingface_hub.snapshot_download('x')"),
        (find_unsafe, "UNet.from_pretrained(path)"),
        (find_unsafe, "UNet.from_pretrained(path, local_files_only=flag)"),
        (find_unsafe, "UNet.from_pretrained(path, local_files_only=True, trust_remote_code=True)"),
        (find_unsafe, "subprocess.run(text, shell=True)"),
        (find_prints, "print('hello')"),
        (find_unexplained, "x = 1"),
        (find_unexplained, '"""Room."""\ndef public():\n    pass'),
        (find_unexplained, '"""Room."""\nclass Public:\n    x = 1'),
    ],
)
def test_catches(rule, code: str):
    assert list(rule(Tree.made({"modules/a.py": code}).files[0]))


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        (find_swallowed, "try:\n    f()\nexcept OSError:\n    pass"),
        (find_swallowed, "try:\n    f()\nexcept Exception:\n    log.exception('f')"),
        (find_unsafe, "UNet.from_pretrained(path, local_files_only=True, trust_remote_code=False)"),
        (find_unsafe, "model.eval()\njson.load(file)\nsafetensors.torch.load_file(path)"),
        (find_unexplained, '"""Room."""\ndef _own():\n    pass'),
        (find_unexplained, ""),
    ],
)
def test_lets_through(rule, code: str):
    assert not list(rule(Tree.made({"modules/a.py": code}).files[0]))


def test_the_command_line_may_print():
    assert not list(find_prints(Tree.made({"modules/cli.py": "print('path')"}).files[0]))
