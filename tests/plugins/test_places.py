"""Which scripts are found, in which order, and what is switched off."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from modules.folders import Folders
from modules.plugins import FaultLedger, extensions, find
from modules.plugins.ledger import TOO_OFTEN
from modules.settings import Settings


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    for name, files in {"Beta": ("one.py",), "alpha": ("two.py", "three.py")}.items():
        (tmp_path / "extensions" / name / "scripts").mkdir(parents=True)
        for file in files:
            (tmp_path / "extensions" / name / "scripts" / file).write_text("")
    return dataclasses.replace(Folders.at(tmp_path), program=tmp_path / "program")  # without what the program brings along


def names(folders: Folders, settings: Settings | None = None, **flags: bool) -> list[str]:
    return [f"{s.extension}/{s.module}" for s in find(folders, settings or Settings(), flags)[0] if s.extension]


def test_names_decide_the_order_until_metadata_does(folders: Folders):
    assert names(folders) == ["beta/one.py", "alpha/three.py", "alpha/two.py"]
    (folders.data / "extensions" / "Beta" / "metadata.ini").write_text("[Extension]\nName=Gamma\n[scripts]\nAfter=alpha/two.py\n")
    assert names(folders) == ["alpha/three.py", "alpha/two.py", "gamma/one.py"]


def test_wishes_that_contradict_each_other_are_said(folders: Folders):
    (folders.data / "extensions" / "Beta" / "metadata.ini").write_text("[scripts]\nAfter=alpha\nBefore=alpha\n")
    assert "beta/one.py" in find(folders, Settings(), {})[1][0]
    assert len(names(folders)) == 3


def test_what_is_switched_off_says_why(folders: Folders):
    assert names(folders, Settings(disabled_extensions=["Beta"])) == ["alpha/three.py", "alpha/two.py"]
    assert names(folders, Settings(disable_all_extensions="all")) == names(folders, safe_mode=True) == []
    assert "--disable-all-extensions" in extensions(folders, Settings(), {"disable_all_extensions": True})[0].off
    (folders.data / "extensions" / "Beta" / "metadata.ini").write_text("[Extension]\nRequires=nobody\n")
    assert {one.name: one.off for one in extensions(folders, Settings(), {})}["beta"].startswith("it needs nobody")


def test_a_ledger_remembers_over_restarts_and_forgets_an_older_file(folders: Folders):
    script = folders.data / "extensions" / "alpha" / "scripts" / "two.py"
    for n in range(TOO_OFTEN):
        ledger = FaultLedger(folders)
        ledger.know("two", script)
        assert ledger.fault("two", "process", "ValueError: no") is (n == TOO_OFTEN - 1)
    assert "ValueError: no" in ledger.off("two")  # pyright: ignore[reportPossiblyUnboundVariable]
    script.write_text("x = 1\n")
    fresh = FaultLedger(folders)
    fresh.know("two", script)
    assert fresh.off("two") == ""
