"""A checkout as parsed Python: its files, what each imports and where. The house rules are functions over a `Tree`.

Knows nothing about the rules themselves. Standard library only. Start reading at `Tree.read`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CODE_FOLDERS = ("modules", "scripts", "extensions", "benchmarks", "starter", "clients", "tests")


@dataclass(frozen=True, order=True)
class Finding:
    """One broken rule at one place; `str()` is what a person reads."""

    file: str
    line: int
    rule: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: [{self.rule}] {self.text}"


@dataclass(frozen=True)
class Import:
    """target: dotted name ("modules.jobs.store", "torch.nn"). inner: inside a function. typing_only: under TYPE_CHECKING."""

    target: str
    line: int
    inner: bool
    typing_only: bool

    @property
    def top(self) -> str:
        return self.target.partition(".")[0]


@dataclass(frozen=True)
class File:
    """name: path from the root with forward slashes. module: dotted name ("modules.jobs"; a package's __init__ has the package's)."""

    name: str
    module: str
    text: str

    @cached_property
    def code(self) -> ast.Module:
        """Parsed when it is first asked for."""
        return ast.parse(self.text, self.name)

    @cached_property
    def imports(self) -> list[Import]:
        return list(_imports(self.code, inner=False, typing_only=False))

    @property
    def room(self) -> str | None:
        """ "modules.jobs.store" -> "jobs", launch.py -> "launch", anything else None."""
        parts = self.module.split(".")
        if self.name == "launch.py":
            return "launch"
        return parts[1] if parts[0] == "modules" and len(parts) > 1 else None

    def functions(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        for node in ast.walk(self.code):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node


class Tree:
    """The Python files under launch.py, modules/, scripts/, extensions/, benchmarks/, starter/ and tests/ of one checkout."""

    def __init__(self, root: Path, files: dict[str, str]) -> None:
        self.root = root
        self.files = [File(name, _module(name), text) for name, text in sorted(files.items())]

    @classmethod
    def read(cls, root: Path = ROOT) -> Tree:
        """The checkout at root, read once in a process: the rules only look at it."""
        return _read(root)

    @classmethod
    def made(cls, files: dict[str, str]) -> Tree:
        """A made-up tree for a rule's own test: path -> text."""
        return cls(Path("made-up"), files)

    def under(self, *folders: str) -> list[File]:
        """The files below these folders or of exactly these names."""
        return [f for f in self.files if any(f.name == x or f.name.startswith(f"{x}/") for x in folders)]

    @cached_property
    def modules(self) -> dict[str, File]:
        return {f.module: f for f in self.files}

    def owner(self, target: str) -> str | None:
        """The file's module that an import target means: itself, or the module that holds the imported name."""
        while target:
            if target in self.modules:
                return target
            target = target.rpartition(".")[0]
        return None


@cache
def _read(root: Path) -> Tree:
    paths = [root / "launch.py", *(p for folder in CODE_FOLDERS for p in (root / folder).rglob("*.py"))]
    names = {p.relative_to(root).as_posix(): p for p in paths if p.is_file()}
    return Tree(root, {n: p.read_text(encoding="utf-8") for n, p in names.items() if "__pycache__" not in n})


def report(findings: list[Finding]) -> str:
    """The findings as the message of a failed test; empty when there are none."""
    return "\n".join(str(f) for f in sorted(set(findings)))


def _module(name: str) -> str:
    return name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _imports(node: ast.AST, *, inner: bool, typing_only: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name, child.lineno, inner, typing_only)
        elif isinstance(child, ast.ImportFrom):
            base = "." * child.level + (child.module or "")
            for alias in child.names:
                yield Import(f"{base}.{alias.name}", child.lineno, inner, typing_only)
        elif isinstance(child, ast.If) and _is_type_checking(child.test):
            for part in child.body:
                yield from _imports(ast.Module([part], []), inner=inner, typing_only=True)
            for part in child.orelse:
                yield from _imports(ast.Module([part], []), inner=inner, typing_only=typing_only)
        else:
            deeper = inner or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _imports(child, inner=deeper, typing_only=typing_only)


def _is_type_checking(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else test.id if isinstance(test, ast.Name) else ""
    return name == "TYPE_CHECKING"
