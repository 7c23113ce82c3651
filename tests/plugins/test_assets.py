"""What extensions put into the page: which files, in which order, and translations put together."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from modules.folders import Folders
from modules.plugins import Extension, assets, extensions
from modules.settings import Settings


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    files = {
        "javascript/own.js": "", "user.css": "", "localizations/Probe.json": json.dumps({"A": "own", "B": "own", "rtl": True}),
        "extensions/b/javascript/z.mjs": "", "extensions/b/javascript/y.js": "", "extensions/b/style.css": "",
        "extensions/a/javascript/x.js": "", "extensions/a/javascript/notes.txt": "",
        "extensions/a/localizations/Probe.json": '{"B": "a", "C": 3}',
        "extensions/off/javascript/off.js": "", "extensions/b/localizations/Broken.json": "[1]",
    }  # fmt: skip
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return Folders.at(tmp_path)


def known(folders: Folders) -> list[Extension]:
    return [one for one in extensions(folders, Settings(disabled_extensions=["off"]), {}) if not one.builtin]


def test_scripts_and_styles_come_in_a1111s_order(folders: Folders):
    named = [one.address.partition("?")[0] for one in assets.scripts(folders, known(folders))]
    start = "file=extensions"
    assert named == ["file=javascript/own.js", f"{start}/a/javascript/x.js", f"{start}/b/javascript/y.js", f"{start}/b/javascript/z.mjs"]
    assert [one.path.name for one in assets.styles(folders, known(folders))] == ["style.css", "user.css"]


def test_translations_of_one_name_are_put_together(folders: Folders):
    found = assets.localizations(folders, known(folders))
    assert {"Broken", "Probe"} <= set(found)
    assert assets.words_of(found["Probe"]) == ({"A": "own", "B": "a"}, True, [])
    words, rtl, notices = assets.words_of(found["Broken"])
    assert (words, rtl) == ({}, False)
    assert "Broken.json could not be read" in notices[0]
