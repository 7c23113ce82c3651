"""Jobs over folders: bad files are named, a run that is cut off goes on, what is there is kept as asked, nothing is written twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modules.caption.ledger import FILE, Ledger, runs
from modules.cluster.fitting import fits
from modules.faults import RequestFault
from modules.folders import Folders
from modules.jobs.pieces import Pieces
from modules.processing.caption_folder import run_folder
from modules.processing.caption_folder_plan import resolve_folder
from modules.processing.caption_run import CaptionDesk
from modules.processing.captions import run_captions
from modules.processing.picture_folders import pictures_in
from modules.request.caption_folder import FolderRequest, ResolvedFolder
from modules.settings import Settings
from tests.processing.caption_backend import Control, desk_of
from tests.processing.folder_trial import make

SHORT: dict[str, Any] = {"num_beams": 1, "max_length": 3, "batch_size": 32}


class Cut(Control):
    """The process ends after so many batches, or a person stops it."""

    def __init__(self, batches: int, *, stop: bool = False) -> None:
        super().__init__()
        self._left, self._stop = batches, stop

    def progress(self, **told: Any) -> None:
        super().progress(**told)
        if told["step"] == 0:
            self._left -= 1
        if self._left < 0:
            if not self._stop:
                raise KeyboardInterrupt
            self.interrupted = True


class Leading(Control):
    """Another worker makes the last pieces as soon as they are lent. stops: the job is stopped when they have come."""

    def __init__(self, desk: CaptionDesk, *, stops: bool = False) -> None:
        super().__init__()
        self.pieces = Pieces()
        self.helped: list[int] = []
        self._desk, self._stops = desk, stops

    def lend(self, count: int, *, kind: str, resolved: dict[str, Any], each: dict[str, dict[str, Any]]) -> int:
        for number in range(1, count)[-2:]:
            data = json.loads(json.dumps({**resolved, **each[str(number)]}))
            assert fits(kind, data)
            state, result = run_captions({"id": f"a.{number}", "kind": kind, "resolved": data}, Control(), self._desk)
            assert state == "done"
            self.pieces.hear({"do": "lent", "number": number})
            self.pieces.hear({"do": "piece", "number": number, "result": json.loads(json.dumps(result))})
            self.helped.append(number)
        self.interrupted = self._stops
        return self.pieces.name(count)

    def begun(self, number: int) -> None:
        self.told.append({"begun": number})


@pytest.fixture(scope="module")
def slot(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One slot for all, so that the captioner is loaded once."""
    return desk_of(Folders.at(tmp_path_factory.mktemp("slot"))).slot


@pytest.fixture
def run(folders: Folders, slot: Any) -> Callable[..., tuple[str, dict[str, Any]]]:
    def call(job: str = "job", control: Control | None = None, *, lends: bool = False, **asked: Any) -> tuple[str, dict[str, Any]]:
        resolved = resolve_folder(FolderRequest.from_data({"folder": "set", **SHORT, **asked}), Settings(), folders)
        assert ResolvedFolder.from_data(json.loads(json.dumps(resolved.to_data()))) == resolved
        desk = CaptionDesk(folders=folders, inputs=desk_of(folders).inputs, slot=slot)
        return run_folder({"id": job, "resolved": resolved.to_data(), "lends": lends}, control or Control(), desk)

    return call


@pytest.fixture
def place(folders: Folders) -> Path:
    return folders.data / "set"


def texts(place: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in place.glob("*.txt")}


def names_of(folders: Folders, job: str) -> list[str]:
    return [json.loads(line)["name"] for line in (runs(folders) / job / FILE).read_text().splitlines()[1:]]


def test_200_pictures_with_10_bad_ones_cut_off_twice(run: Any, place: Path, folders: Folders):
    """The figure for 1,000 with 50 in a true worker that is killed is in docs/captioning.md; `tests.processing.folder_trial` makes it."""
    broken = make(place, 200, 10)
    for batches in (2, 1):
        with pytest.raises(KeyboardInterrupt):
            run(control=Cut(batches))
    done = len(names_of(folders, "job"))
    assert 0 < done < 200
    written = {path: path.stat().st_mtime_ns for path in place.glob("*.txt")}
    control = Control()
    state, result = run(control=control)
    assert (state, result["captioned"], result["failed"], result["earlier"]) == ("done", 190, 10, done)
    assert [fault["name"] for fault in result["faults"]] == broken
    assert all(fault["why"] for fault in result["faults"])
    assert len(texts(place)) == 190
    assert all(texts(place).values())
    assert sorted(names_of(folders, "job")) == sorted(pictures_in(place, recursive=False, within=None)), "each once"
    assert all(path.stat().st_mtime_ns == when for path, when in written.items()), "written twice"
    assert "pictures/s" in control.told[-1]["text"]
    assert control.told[-1]["batch_count"] == -(-200 // 32)
    assert len([1 for kind, _ in control.events if kind == "warning"]) <= 10


def test_the_same_words_whatever_the_batch(run: Any, place: Path):
    make(place, 5, 0)
    run("one", batch_size=1)
    alone = texts(place)
    run("two", existing="overwrite", batch_size=4)
    assert texts(place) == alone


def test_two_workers_write_what_one_writes(run: Any, place: Path, folders: Folders, slot: Any):
    make(place, 60, 6)
    _, alone = run("alone", batch_size=5)
    own = texts(place)
    for path in place.glob("*.txt"):
        path.unlink()
    control = Leading(CaptionDesk(folders=folders, inputs=desk_of(folders).inputs, slot=slot))
    state, shared = run("shared", control, lends=True, batch_size=5)
    assert (state, control.helped) == ("done", [2, 3])
    assert [told["begun"] for told in control.told if "begun" in told] == [0, 1, 2, 3]
    assert texts(place) == own
    assert names_of(folders, "shared") == names_of(folders, "alone")
    for name in ("captioned", "skipped", "failed", "faults", "warnings"):
        assert shared[name] == alone[name], name
    assert max(told.get("batch_no", 0) for told in control.told) == 5, "the leading worker captioned 30"


def test_a_stop_keeps_what_another_worker_said(run: Any, place: Path, folders: Folders, slot: Any):
    make(place, 40, 0)
    control = Leading(CaptionDesk(folders=folders, inputs=desk_of(folders).inputs, slot=slot), stops=True)
    state, result = run("shared", control, lends=True, batch_size=16)
    assert (state, result["captioned"], len(texts(place))) == ("canceled", 24, 24)
    state, result = run("shared")
    assert (state, result["captioned"], result["earlier"]) == ("done", 40, 24)


def test_what_is_there_is_kept_as_asked(run: Any, place: Path, folders: Folders):
    make(place, 4, 0)
    (place / "picture 1.txt").write_text("mine")
    (place / "picture 2.txt").write_text(" \n")
    _, result = run("skip")
    assert (result["captioned"], result["skipped"]) == (3, 1)
    first = texts(place)
    assert first["picture 1.txt"] == "mine"
    assert first["picture 2.txt"].strip()
    run("append", existing="append", suffix="!")
    assert texts(place)["picture 1.txt"].startswith("mine, ")
    assert texts(place)["picture 1.txt"].endswith("!")
    run("append", existing="append", suffix="!")
    assert texts(place)["picture 1.txt"].count("!") == 1, "the same job again does nothing"
    appended = texts(place)
    run("over", existing="overwrite", prefix="mystyle, ", replace=["a => the", "x =>"], blacklist="flat")
    assert all(text.startswith("mystyle, ") for text in texts(place).values())
    ledger = Ledger.open(folders, "over")
    assert ledger is not None
    assert ledger.entries["picture 1.png"].before == appended["picture 1.txt"]


def test_a_stop_keeps_what_is_done_and_another_job_goes_on(run: Any, place: Path, folders: Folders):
    make(place, 12, 1)
    state, result = run("first", Cut(2, stop=True), batch_size=3)
    assert state == "canceled"
    assert 0 < result["captioned"] < 11
    state, whole = run("second", existing="overwrite", resume="first", batch_size=3)
    assert (state, whole["captioned"], whole["failed"]) == ("done", 11, 1)
    assert whole["earlier"] == result["captioned"]
    for asked, told in (({"resume": "none"}, "no list"), ({"resume": "first", "output": "captions.csv"}, "worked on")):
        with pytest.raises(RequestFault, match=told):
            run("third", **asked)


def test_folders_inside_tables_and_names_that_meet(run: Any, place: Path):
    make(place, 3, 0)
    make(place / "in", 2, 0)
    (place / "picture 0.jpg").write_bytes((place / "picture 0.png").read_bytes())
    _, result = run("table", output="metadata.jsonl", recursive=True)
    rows = [json.loads(line) for line in (place / "metadata.jsonl").read_text().splitlines()]
    own = ["picture 0.jpg", "picture 0.png", "picture 1.png", "picture 2.png"]
    assert [row["file_name"] for row in rows] == ["in/picture 0.png", "in/picture 1.png", *own]
    assert result["failed"] == 0
    _, result = run("beside", recursive=True)
    assert [fault["name"] for fault in result["faults"]] == ["picture 0.png"]
    assert "picture 0.jpg" in result["faults"][0]["why"]
    assert (place / "in" / "picture 1.txt").is_file()


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"folder": ""}, "folder"), ({"folder": "nowhere"}, "folder"), ({"folder": "../.."}, "folder"), ({"folder": "empty"}, "folder"),
        ({"replace": ["no arrow"]}, "replace"), ({"replace": [" => x"]}, "replace"), ({"output": "x"}, "output"),
        ({"existing": "burn"}, "existing"), ({"preset": "none"}, "preset"), ({"fit": "squeeze"}, "fit"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_before_it_is_queued(asked: dict[str, Any], field: str, run: Any, place: Path, folders: Folders):
    make(place, 1, 0)
    (folders.data / "empty").mkdir()
    with pytest.raises(RequestFault) as told:
        run(**asked)
    assert told.value.field == field


def test_only_the_command_line_leaves_the_data_folder(folders: Folders, tmp_path_factory: pytest.TempPathFactory):
    outside = tmp_path_factory.mktemp("outside")
    make(outside, 1, 0)
    asked = FolderRequest(folder=str(outside))
    with pytest.raises(RequestFault, match="command line"):
        resolve_folder(asked, Settings(), folders)
    assert resolve_folder(asked, Settings(), folders, anywhere=True).n_iter == 1
    (folders.data / "set").mkdir()
    (folders.data / "set" / "link.png").symlink_to(outside / "picture 0.png")
    with pytest.raises(RequestFault, match="holds no pictures"):
        resolve_folder(FolderRequest(folder="set"), Settings(), folders)
