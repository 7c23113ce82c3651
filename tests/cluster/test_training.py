"""A training over a cluster, without Ray: which places there are, what a lost process means, and files that go there and come home."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from modules.cluster.blobs import Blobs
from modules.cluster.fetching import MARK, goods_to_train, is_seen, settled_in
from modules.cluster.goods import Digests
from modules.cluster.hosts import Host
from modules.cluster.returning import Homeward, settle
from modules.cluster.training import MOST_BARREN, lead, seats
from modules.faults import Fault, RequestFault, SetupFault
from modules.folders import Folders
from modules.request.train import TrainConfig
from modules.train.sessions import Session
from modules.weights.hashes import file_sha256


def host(name: str, workers: int = 1, cards: int = 0) -> Host:
    return Host(node=name, name=name, address=name, workers=workers, cards=cards)


@pytest.fixture
def session(tmp_path: Path) -> Session:
    made = Session.create(Folders.at(data=tmp_path / "home"), "cat", TrainConfig())
    (made.paths.pictures / "0.png").write_bytes(b"picture")
    (made.paths.pictures / "0.txt").write_bytes(b"")
    return made


def state(folder: Path, step: int, text: str = "") -> None:
    place = folder / f"step-{step:06d}"
    place.mkdir(parents=True)
    (place / "manifest.json").write_text(json.dumps({"step": step}))
    (place / "tensors.safetensors").write_text(text or f"weights of {step}")


class TestPlaces:
    def test_processes_are_spread_and_then_doubled(self):
        assert seats([host("a", 2), host("b", 3)], 4) == (["a", "b", "a", "b"], True)
        assert seats([host("a", 2), host("b", 3)], 9) == (["a", "b", "a", "b", "b"], True)

    def test_where_there_are_cards_only_they_count(self):
        assert seats([host("a", 2), host("b", 3, cards=2), host("c", 1, cards=4)], 9) == (["b", "c", "b"], False)

    def test_nobody_is_there(self):
        assert seats([], 2) == ([], True)


class TestLead:
    """A training of which each try says what was lost, after it has come to a step."""

    def go(self, session: Session, tries: Sequence[tuple[int, str]], hosts: Sequence[Sequence[Host]]) -> tuple[list[int], list[str]]:
        """(processes of each try, warnings)."""
        left, seen = list(tries), list(hosts)
        counts: list[int] = []
        warnings: list[str] = []

        def attempt(nodes: Sequence[str], on_cpu: bool) -> str:
            counts.append(len(nodes))
            step, lost = left.pop(0)
            if step and not (session.paths.state / f"step-{step:06d}").exists():
                state(session.paths.state, step)
            return lost

        lead(session, 2, lambda: seen.pop(0) if len(seen) > 1 else seen[0], attempt, warnings.append)
        return counts, warnings

    def test_it_ends_by_itself(self, session: Session):
        assert self.go(session, [(4, "")], [[host("a"), host("b")]]) == ([2], [])

    def test_a_lost_machine_leaves_fewer(self, session: Session):
        counts, warnings = self.go(session, [(3, "One was lost."), (9, "")], [[host("a"), host("b")], [host("a")]])
        assert counts == [2, 1]
        assert warnings == [
            "A process of the training was lost. It goes on from step 3 with 1 of 2 processes, which take the same batches between them."
        ]  # fmt: skip

    def test_a_machine_that_came_back_is_used(self, session: Session):
        both, one = [host("a"), host("b")], [host("a")]
        assert self.go(session, [(3, "x"), (4, "y"), (9, "")], [both, one, both])[0] == [2, 1, 2]

    def test_losses_without_a_step_between_end_it(self, session: Session):
        tries = [(3, "x"), *[(0, "It broke.")] * (MOST_BARREN + 1)]
        with pytest.raises(Fault, match=r"at the same step: It broke\."):
            self.go(session, tries, [[host("a"), host("b")]])

    def test_too_few_places_at_first(self, session: Session):
        with pytest.raises(RequestFault, match="1 places"):
            self.go(session, [], [[host("a")]])

    def test_no_machine_is_left(self, session: Session):
        with pytest.raises(SetupFault, match="is left"):
            self.go(session, [(3, "x")], [[host("a"), host("b")], []])


class Straight:
    """A desk's calls without Ray: what `modules.cluster.rank.Desk` answers, of these files."""

    def __init__(self, session: Session, blobs: Blobs) -> None:
        self._session, self._blobs = session, blobs
        self.calls: list[str] = []

    def call(self, method: str, *values: Any, timeout_s: float = 10.0) -> Any:
        self.calls.append(method)
        return getattr(self, method)(*values)

    def luggage(self, first: bool) -> dict[str, Any]:
        home = Folders.at(data=self._session.folder.parents[2])
        self.goods = goods_to_train({}, home, self._session, Digests(home.cache / "digests.json"), results=first)
        return {"views": self.goods.views, "placed": self.goods.placed, "sizes": {d: self.goods.size_bytes(d) for d in self.goods.files}}

    def piece(self, digest: str, offset: int) -> bytes:
        return self.goods.files[digest].read_bytes()[offset : offset + 5]

    def lacking(self, token: str, digests: Sequence[str]) -> dict[str, tuple[int, bool]]:
        return {digest: self._blobs.have(digest) for digest in digests}

    def make_room(self, token: str, wanted: int, needed: Sequence[str]) -> None:
        self._blobs.make_room(wanted, needed)

    def put(self, token: str, digest: str, offset: int, data: bytes) -> int:
        return self._blobs.put(digest, offset, data)

    def finish(self, token: str, digest: str) -> None:
        self._blobs.finish(digest)

    def lay_out(self, token: str, views: Any, placed: dict[str, str]) -> dict[str, str]:
        settle(self._blobs, self._session.folder, placed)
        return {}


@pytest.fixture
def desk(session: Session, tmp_path: Path) -> Straight:
    return Straight(session, Blobs(tmp_path / "coming", 0))


def told(session: Session, tmp_path: Path, **more: Any) -> dict[str, Any]:
    return {
        "home": str(tmp_path / "there"), "budget_bytes": 10**8, "shared": False, "mark": "word", "session_folder": str(session.folder),
        "folders": Folders.at(data=tmp_path / "home").to_data(), "resolved": {"session": "cat"}, **more,
    }  # fmt: skip


class TestFiles:
    def there(self, session: Session, desk: Straight, tmp_path: Path, *, first: bool) -> Session:
        """The session as a process finds it."""
        mine = settled_in(told(session, tmp_path), desk, tmp_path / "mine", results=first, say=lambda text: None)
        return Session.open(Folders.from_data(mine["folders"]), "cat")

    def test_a_process_has_the_session_for_itself(self, session: Session, desk: Straight, tmp_path: Path):
        state(session.paths.state, 3)
        (session.paths.log / "metrics.jsonl").write_text("{}\n")
        copy = self.there(session, desk, tmp_path, first=False)
        assert copy.folder != session.folder
        assert (copy.paths.pictures / "0.png").read_bytes() == b"picture"
        assert (copy.paths.pictures / "0.txt").read_bytes() == b""
        assert (copy.paths.state / "step-000003" / "tensors.safetensors").read_text() == "weights of 3"
        assert not copy.paths.metrics.exists(), "only the first process writes one"

    def test_what_is_there_is_not_fetched_again_and_what_is_gone_goes(self, session: Session, desk: Straight, tmp_path: Path):
        copy = self.there(session, desk, tmp_path, first=True)
        (copy.paths.cache).mkdir()
        (copy.paths.cache / "encoded").write_text("kept")
        state(copy.paths.state, 9)
        desk.calls.clear()
        (session.paths.pictures / "0.png").rename(session.paths.pictures / "other.png")
        assert self.there(session, desk, tmp_path, first=True) == copy
        assert "piece" not in desk.calls
        assert [path.name for path in copy.pictures()] == ["other.png"]
        assert not copy.paths.state.exists(), "what an earlier try left here counts for nothing"
        assert (copy.paths.cache / "encoded").is_file()

    def test_a_folder_that_is_seen_is_used_there(self, session: Session, desk: Straight, tmp_path: Path):
        (session.folder / MARK).write_text("word")
        shared = told(session, tmp_path, shared=True)
        mine = settled_in(shared, desk, tmp_path / "mine", results=True, say=lambda text: None)
        assert Session.open(Folders.from_data(mine["folders"]), "cat") == session
        assert not (tmp_path / "mine").exists()
        assert not is_seen({**shared, "mark": "another"}), "a copy of the folder"
        assert not is_seen({**shared, "shared": False})

    def test_what_is_made_comes_home_once_and_whole(self, session: Session, desk: Straight, tmp_path: Path):
        state(session.paths.state, 3)
        (session.paths.output / "cat-000003.safetensors").write_text("old")
        copy = self.there(session, desk, tmp_path, first=True)
        homeward = Homeward(copy.folder, desk, tmp_path / "digests.json")
        state(copy.paths.state, 6)
        state(copy.paths.state, 9, "of the ninth")
        (copy.paths.state / "step-000003" / "manifest.json").unlink()
        (copy.paths.state / "step-000003" / "tensors.safetensors").unlink()
        (copy.paths.output / "cat-000003.safetensors").unlink()
        (copy.paths.output / "cat.safetensors").write_text("new")
        (copy.paths.output / ".half.tmp").write_text("half")
        homeward.bring()
        assert sorted(path.name for path in session.paths.state.iterdir()) == ["step-000006", "step-000009"]
        assert (session.paths.state / "step-000009" / "tensors.safetensors").read_text() == "of the ninth"
        assert [path.name for path in session.paths.output.iterdir()] == ["cat.safetensors"]
        assert [path.name for path in session.pictures()] == ["0.png"], "what was there stays"
        assert not any((tmp_path / "coming" / "whole").iterdir()), "and is not kept twice"
        desk.calls.clear()
        copy.paths.log.mkdir(exist_ok=True)
        copy.paths.metrics.write_text("{}\n")
        homeward.bring()
        assert desk.calls.count("put") == 1
        assert session.paths.metrics.read_text() == "{}\n"
        assert len(list(session.paths.state.iterdir())) == 2

    def test_a_state_that_holds_what_an_earlier_one_held_is_whole_too(self, session: Session, desk: Straight, tmp_path: Path):
        copy = self.there(session, desk, tmp_path, first=True)
        homeward = Homeward(copy.folder, desk, tmp_path / "digests.json")
        for step in (3, 6):
            state(copy.paths.state, step, "the same")
            homeward.bring()
        assert (session.paths.state / "step-000006" / "tensors.safetensors").read_text() == "the same"

    def test_what_leads_out_of_the_session_is_not_placed(self, session: Session, tmp_path: Path):
        blobs = Blobs(tmp_path / "coming", 0)
        source = tmp_path / "file"
        source.write_bytes(b"data")
        digest = file_sha256(source)
        blobs.put(digest, 0, b"data")
        blobs.finish(digest)
        with pytest.raises(RequestFault):
            settle(blobs, session.folder, {"samples/../../../out.png": digest})
        assert not list(tmp_path.rglob("out.png"))
