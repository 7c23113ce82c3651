"""The page's side of a cluster, without Ray: which workers there can be, what is sent of the flags, and what is told of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from modules.app import App, build
from modules.cluster import roster as roster_module
from modules.cluster.hosts import Host, Place
from modules.cluster.roster import Roster
from modules.cluster.version import identity
from modules.flags import Flags
from modules.folders import PROGRAM
from modules.jobs.process import WorkerPlan
from modules.server import create
from tests.server.conftest import LOCAL
from tests.server.walking import basic

HOST = Host(node="ab" * 28, name="attic", address="10.0.0.7", workers=2, cards=1, card="A100")


@pytest.fixture
def app(tmp_path: Path, starter_path: object) -> Iterator[App]:
    made = build(
        Flags(data_dir=str(tmp_path), cluster="10.0.0.1:6379", cluster_only=True, cluster_disk_gb=3, medvram=True, api_auth="me:secret")
    )
    yield made
    made.stop()


def told(app: App, *hosts: Host) -> dict[str, WorkerPlan]:
    """The plans after a scout has said that these machines are there."""
    assert app.roster is not None
    seen: list[Mapping[str, WorkerPlan]] = []
    app.roster._changed = seen.append
    app.roster._take({"hosts": [host.to_data() for host in hosts]})
    app.roster._take({"hosts": [host.to_data() for host in hosts]})
    assert len(seen) == 1, "nothing has changed the second time"
    return dict(seen[0])


def test_a_worker_for_each_place(app: App):
    plans = told(app, HOST)
    first, second = plans.values()
    assert first.words == ("-m", "modules.cluster.bridge")
    assert first.more["cluster"]["gpu"] is True
    assert second.more["cluster"]["gpu"] is False
    assert first.more["cluster"]["budget_bytes"] == 3 * 2**30
    assert (first.about["host"], first.about["card"], second.about["card"]) == ("attic", "A100", "")
    assert first.log != second.log
    assert first.fits is not None
    assert first.fits("txt2img", {"visit": None, "settings": {}, "control": []})
    assert app.jobs.plan.fits is not None
    assert not app.jobs.plan.fits("txt2img", {"visit": None, "settings": {}, "control": []}), "left to the others"
    assert app.jobs.plan.fits("train", {})


def test_no_secret_goes_over(app: App):
    flags = next(iter(told(app, HOST).values())).flags
    assert flags["medvram"] is True
    assert "secret" not in str(flags)
    assert "api_auth" not in flags


def test_the_cluster_tab_tells_of_it(app: App):
    told(app, HOST)
    found = TestClient(create(app), base_url=LOCAL, headers=basic("me", "secret")).get("/internal/system/cluster").json()
    assert (found["address"], found["problem"], found["version"]) == ("10.0.0.1:6379", "", identity())
    assert found["hosts"][0]["name"] == "attic"
    assert (found["gone"], found["waiting"]) == ([], 0)


def test_machines_that_are_lost_and_come_back_are_told(app: App):
    assert app.roster is not None
    cellar = replace(HOST, node="cd" * 28, name="cellar", address="10.0.0.8")
    for hosts in ((HOST, cellar), (cellar,), (cellar, replace(HOST, node="ef" * 28))):
        told(app, *hosts)
        if hosts == (cellar,):
            [gone] = app.roster.to_data()["gone"]
            assert (gone["name"], gone["address"]) == ("attic", "10.0.0.7")
            assert gone["lost_s"] >= gone["since_s"]
    found = app.roster.to_data()
    assert [(host["name"], host["losses"], host["lost_s"]) for host in found["hosts"]] == [("cellar", 0, None), ("attic", 1, None)]
    assert found["gone"] == []


def test_a_cluster_that_does_not_answer_is_told(app: App):
    assert app.roster is not None
    assert "Looking for the cluster" in app.roster.problem
    app.roster._take({"problem": "There is no cluster."})
    assert app.roster.to_data()["problem"] == "There is no cluster."


def test_a_scout_that_ends_is_started_again(app: App, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """The scout is another program here, which says one thing and ends."""
    says = "import sys, json; sys.stdin.readline(); print(json.dumps({'problem': 'once more'}))"
    monkeypatch.setattr(roster_module, "SCOUT", ("-c", says))
    monkeypatch.setattr(roster_module, "AGAIN_S", 0.01)
    heard: list[dict[str, Any]] = []
    made = Roster(app.jobs.plan, Place(address="10.0.0.1:6379"), lambda plans: None)
    monkeypatch.setattr(made, "_take", lambda message: (heard.append(message), len(heard) == 2 and made._stopping.set()))
    made.start()
    made._thread.join(30)
    assert heard == [{"problem": "once more"}] * 2


def test_without_the_flag_nothing_of_it_is_loaded(tmp_path: Path, starter_path: object):
    code = "import sys; import modules.app; print([name for name in sys.modules if name == 'ray' or name.startswith('modules.cluster')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PROGRAM).stdout == "[]\n"
    app = build(Flags(data_dir=str(tmp_path)))
    assert app.roster is None
    assert app.jobs.plan.fits is None
    assert app.jobs.plan.words == ("-m", "modules.jobs.worker")
    app.stop()
