"""The order of test files: those that take longest begin. A plugin of every run, by tests/conftest.py.

Knows the mark `slow` and how many tests a file has. Start reading at `pytest_collection_modifyitems`.
"""

from __future__ import annotations

from collections import Counter

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that hold tests marked `slow` first, then those with the most tests: a long one left to the end would keep one process busy
    while the others have nothing to do. The tests of a file stay together and in their order.
    """
    slow, all_of = (Counter(item.path for item in some) for some in ([i for i in items if i.get_closest_marker("slow")], items))
    items.sort(key=lambda item: (-slow[item.path], -all_of[item.path], str(item.path)))
