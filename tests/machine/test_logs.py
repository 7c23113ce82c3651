"""The end of a log: levels, words, secrets, bars that are drawn over themselves, and files of any size."""

from __future__ import annotations

from pathlib import Path

from modules.folders import Folders
from modules.machine import logs
from modules.machine.masking import mask

TEXT = """Loading the model
\rLoading weights:  56%|##  |\rLoading weights: 100%|####|
\x1b[33mUserWarning: slow path\x1b[0m
  warnings.warn(...)
2026-11-22 ERROR modules.x: password=geheim is wrong
Traceback (most recent call last):
  File "x.py", line 1, in f
    raise ValueError
ValueError: nothing there
done
"""


def write(path: Path, text: str = TEXT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def told(path: Path, **wishes: object) -> list[tuple[str, str]]:
    return [(line.level, line.text) for line in logs.tail(path, **{"lines": 100, "clean": mask, **wishes}).lines]


def test_lines_have_the_level_of_what_they_belong_to(tmp_path: Path):
    assert told(write(tmp_path / "a.log")) == [
        ("info", "Loading the model"),
        ("info", "Loading weights: 100%|####|"),
        ("warning", "UserWarning: slow path"),
        ("warning", "  warnings.warn(...)"),
        ("error", "2026-11-22 ERROR modules.x: password=(hidden) is wrong"),
        ("error", "Traceback (most recent call last):"),
        ("error", '  File "x.py", line 1, in f'),
        ("error", "    raise ValueError"),
        ("error", "ValueError: nothing there"),
        ("info", "done"),
    ]


def test_narrowed_by_level_and_by_words_of_any_case(tmp_path: Path):
    path = write(tmp_path / "a.log")
    assert {level for level, _ in told(path, level="warning")} == {"warning", "error"}
    assert told(path, level="error", text="NOTHING there") == [("error", "ValueError: nothing there")]
    assert told(path, text="geheim") == [], "what is hidden cannot be searched for either"
    assert told(path, lines=1) == [("info", "done")]
    assert logs.tail(path, lines=1).more
    assert not logs.tail(path, lines=100).more


def test_a_large_file_is_read_from_its_end_and_the_mark_follows_it(tmp_path: Path):
    path = write(tmp_path / "a.log", "".join(f"line {n:5} {'-' * 90}\n" for n in range(8_000)))
    found = logs.tail(path, lines=3)
    assert [line.text[:10] for line in found.lines] == ["line  7997", "line  7998", "line  7999"]
    assert found.more
    with path.open("a") as file:
        file.write("more\n")
    assert logs.tail(path, lines=1).mark != found.mark


def test_only_logs_of_the_data_folder_are_found(tmp_path: Path):
    folders = Folders.at(tmp_path)
    write(folders.logs / "worker.log")
    write(folders.logs / "notes.txt")
    assert [name for name in logs.files(folders) if name != "install"] == ["worker"]
