"""Reading the next model's files ahead: which, how far, and when it is given up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from modules.processing.ahead import PIECE_BYTES, SPARE_BYTES, ReadAhead, files_of, weight_files

MUCH = 1 << 40


def weights(folder: Path, pieces: int, name: str = "a.safetensors") -> Path:
    path = folder / name
    with path.open("wb") as file:
        file.truncate(pieces * PIECE_BYTES)
    return path


def counted(answers: Callable[[int], int]) -> tuple[Callable[[], int], list[int]]:
    """A memory that is asked before the first piece and after each; what it answered."""
    told: list[int] = []

    def room() -> int:
        told.append(answers(len(told)))
        return told[-1]

    return room, told


def test_every_piece_is_read(tmp_path: Path) -> None:
    room, told = counted(lambda n: MUCH)
    ahead = ReadAhead(room)
    ahead.look([weights(tmp_path, 3)])
    ahead.wait()
    assert len(told) == 1 + 3


def test_nothing_is_read_that_does_not_fit(tmp_path: Path) -> None:
    room, told = counted(lambda n: SPARE_BYTES + PIECE_BYTES)
    ahead = ReadAhead(room)
    ahead.look([weights(tmp_path, 3)])
    ahead.wait()
    assert len(told) == 1


def test_it_stops_when_memory_gets_short(tmp_path: Path) -> None:
    room, told = counted(lambda n: MUCH if n < 2 else 0)
    ahead = ReadAhead(room)
    ahead.look([weights(tmp_path, 5)])
    ahead.wait()
    assert len(told) == 3


def test_it_stops_when_another_job_will_be_next(tmp_path: Path) -> None:
    ahead: ReadAhead
    room, told = counted(lambda n: (ahead.look([]) if n == 2 else None) or MUCH)
    ahead = ReadAhead(room)
    ahead.look([weights(tmp_path, 5)])
    ahead.wait()
    assert len(told) == 3


def test_a_file_that_has_gone_is_passed_over(tmp_path: Path) -> None:
    room, told = counted(lambda n: MUCH)
    ahead = ReadAhead(room)
    ahead.look([tmp_path / "gone.safetensors", weights(tmp_path, 1)])
    ahead.wait()
    assert len(told) == 1 + 1


def test_the_weights_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "unet").mkdir()
    (tmp_path / "model_index.json").touch()
    found = weights(tmp_path / "unet", 1)
    assert weight_files(tmp_path) == [(found, PIECE_BYTES)]
    assert weight_files(found) == [(found, PIECE_BYTES)]
    assert weight_files(tmp_path / "not there") == []


def test_which_files_a_job_needs() -> None:
    own: dict[str, Any] = {
        "settings": {"read_ahead": True}, "checkpoint": {"path": "a"}, "vae": {"path": "v"}, "parts": {"t5": {"path": "t"}},
        "networks": [{"path": "l"}, {"path": "l"}], "refiner": {"checkpoint": {"path": "r"}, "vae": None, "parts": {}},
        "hires": {"checkpoint": None, "networks": [{"path": "h"}]},
    }  # fmt: skip
    assert files_of(own) == [Path(name) for name in ("a", "t", "v", "l", "r", "h")]
    assert files_of(own, ["a"]) == [Path(name) for name in ("l", "r", "h")]
    assert files_of({**own, "settings": {"read_ahead": False}}) == []
    assert files_of({"settings": {}, "folder": "x"}) == []
