"""Rule: files to 400 lines, functions to 80. What is longer stands here with its reason, and this list only shrinks."""

from __future__ import annotations

from tests.house.tree import Finding, Tree, report

FILE_LINES = 400
FUNCTION_LINES = 80
# "path" or "path:function" -> why it must be that long.
LONGER: dict[str, str] = {}


def find(tree: Tree, longer: dict[str, str] = LONGER) -> list[Finding]:
    """What is too long without a reason, and reasons that are no longer needed."""
    found: list[Finding] = []
    needed: set[str] = set()
    for file in tree.files:
        lines = len(file.text.splitlines())
        if lines > FILE_LINES:
            needed.add(file.name)
            found.append(Finding(file.name, lines, "sizes", f"{lines} lines; the limit is {FILE_LINES}"))
        for function in file.functions():
            lines = (function.end_lineno or function.lineno) - function.lineno + 1
            if lines > FUNCTION_LINES:
                key = f"{file.name}:{function.name}"
                needed.add(key)
                found.append(Finding(key, function.lineno, "sizes", f"{lines} lines; the limit is {FUNCTION_LINES}"))
    stale = [Finding(key, 0, "sizes", "is short enough now; take it off the list LONGER") for key in longer if key not in needed]
    reasonless = [Finding(key, 0, "sizes", "needs a written reason in LONGER") for key, why in longer.items() if len(why.split()) < 4]
    return [f for f in found if f.file not in longer] + stale + reasonless


def test_house():
    assert not (found := report(find(Tree.read()))), found


def test_catches_a_long_file_and_a_long_function():
    tree = Tree.made({"modules/a.py": "x = 1\n" * 401, "modules/b.py": "def f():\n" + "    x = 1\n" * 80})
    text = report(find(tree, {}))
    assert "modules/a.py:401" in text
    assert "modules/b.py:f:1" in text


def test_a_reason_is_accepted_and_must_be_needed():
    tree = Tree.made({"modules/a.py": "x = 1\n" * 401})
    assert find(tree, {"modules/a.py": "a table that is generated"}) == []
    assert "take it off" in report(find(Tree.made({"modules/a.py": "x = 1"}), {"modules/a.py": "a table that is generated"}))
    assert "written reason" in report(find(tree, {"modules/a.py": "long"}))


def test_the_limits_themselves_are_fine():
    assert find(Tree.made({"modules/a.py": "x = 1\n" * 400, "modules/b.py": "def f():\n" + "    x = 1\n" * 79}), {}) == []
