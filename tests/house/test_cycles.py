"""Rule: no two files import each other, directly or round a corner. Imports inside functions count."""

from __future__ import annotations

from tests.house.tree import Finding, Tree, report


def find(tree: Tree) -> list[Finding]:
    """One finding for each knot of files, naming its members."""
    graph = {
        f.module: sorted({o for i in f.imports if (o := tree.owner(i.target)) and o != f.module})
        for f in tree.under("modules", "launch.py")
    }
    knots = [k for k in _components(graph) if len(k) > 1]
    return [Finding(tree.modules[k[0]].name, 1, "cycles", f"these import each other: {', '.join(k)}") for k in knots]


def _components(graph: dict[str, list[str]]) -> list[list[str]]:
    """The strongly connected parts. Source: Kosaraju's algorithm, without recursion."""
    order: list[str] = []
    seen: set[str] = set()
    for start in graph:
        stack: list[tuple[str, bool]] = [(start, False)]
        while stack:
            node, done = stack.pop()
            if done:
                order.append(node)
            elif node not in seen:
                seen.add(node)
                stack.append((node, True))
                stack += [(n, False) for n in graph.get(node, ()) if n in graph and n not in seen]
    backwards: dict[str, list[str]] = {n: [] for n in graph}
    for node, targets in graph.items():
        for target in targets:
            if target in graph:
                backwards[target].append(node)
    parts: list[list[str]] = []
    placed: set[str] = set()
    for start in reversed(order):
        part, stack2 = [], [start]
        while stack2:
            node = stack2.pop()
            if node not in placed:
                placed.add(node)
                part.append(node)
                stack2 += backwards[node]
        if part:
            parts.append(sorted(part))
    return parts


def test_house():
    assert not (found := report(find(Tree.read()))), found


def test_catches_two_that_import_each_other():
    tree = Tree.made({"modules/jobs/a.py": "import modules.jobs.b", "modules/jobs/b.py": "def f():\n    from modules.jobs.a import x"})
    assert "modules.jobs.a, modules.jobs.b" in report(find(tree))


def test_catches_a_way_round():
    tree = Tree.made(
        {
            "modules/a.py": "from modules import b",
            "modules/b.py": "from modules.c import x",
            "modules/c.py": "import modules.a",
            "modules/d.py": "import modules.a",
        }
    )
    assert "modules.a, modules.b, modules.c" in report(find(tree))
    assert "modules.d" not in report(find(tree))


def test_a_ladder_is_no_cycle():
    assert (
        find(
            Tree.made(
                {"modules/a.py": "import os", "modules/b.py": "import modules.a", "modules/c.py": "import modules.a\nimport modules.b"}
            )
        )
        == []
    )
