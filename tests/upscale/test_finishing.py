"""The table of finishing tools, and what is said when a tool's files are not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from modules.faults import RequestFault
from modules.folders import Folders
from modules.upscale.finishing import DETECTOR, FINISHING, files_of, names_of


def test_the_missing_files_are_named_with_their_folder(tmp_path: Path) -> None:
    folders = Folders.at(tmp_path)
    assert names_of("face restoration") == ["GFPGAN", "CodeFormer"]
    for tool in FINISHING.values():
        with pytest.raises(RequestFault) as caught:
            files_of(tool, folders)
        assert caught.value.field == tool.field
        assert str(tmp_path / "models" / tool.folder) in caught.value.message
        for name in tool.files:
            assert name in caught.value.message


def test_only_what_is_missing_is_named_and_what_is_there_is_found(tmp_path: Path) -> None:
    folders, gfpgan = Folders.at(tmp_path), FINISHING["GFPGAN"]
    place = tmp_path / "models" / "GFPGAN"
    place.mkdir(parents=True)
    (place / DETECTOR).write_bytes(b"x")
    with pytest.raises(RequestFault) as caught:
        files_of(gfpgan, folders)
    assert DETECTOR not in caught.value.message
    assert "Models tab" in caught.value.message
    (place / gfpgan.files[0]).write_bytes(b"x")
    assert files_of(gfpgan, folders) == (place / gfpgan.files[0], place / DETECTOR)
