"""The Models tab over HTTP: its forms become jobs, its lists are renewed, a card chooses the model in use."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

from modules.faults import RequestFault
from modules.knobs import knobs_of
from modules.upkeep.work import KINDS
from modules.web.model_cards import known_models
from tests.web.fake_app import LARGE, STARTER
from tests.web.test_page import OWN, Events, config, events

__all__ = ["config", "events"]


class Asked:
    """Stands in for `App.submit_work`: notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any], str, str | None]] = []

    def __call__(self, kind: str, data: dict[str, Any], *, owner: str = "local", key: str | None = None) -> Any:
        self.asked.append((kind, data, owner, key))
        if data.get("source") == "bad <b>":
            raise RequestFault("source", "is <b>bad</b>; take another")
        return type("Job", (), {"id": f"job-{len(self.asked)}"})()


@pytest.fixture
def asked(page: TestClient) -> Asked:
    page.app_under_test.submit_work = made = Asked()
    return made


def values(kind: str, **changes: Any) -> list[Any]:
    """The values of a form as the browser sends them."""
    return [changes.get(name, "" if field.kind is list else field.default) for name, field in knobs_of(KINDS[kind]).items()]


ELSEWHERE = {"export_captioner"}  # a button on the Caption tab


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ELSEWHERE])
def test_every_kind_of_work_has_a_form_that_becomes_a_job(events: Events, asked: Asked, kind: str):
    first = next(iter(knobs_of(KINDS[kind])))
    ticket, message = events(f"models_{kind}_start", "click", [f"key-{kind}", *values(kind, **{first: "mine"})])
    assert json.loads(ticket) == {"key": f"key-{kind}", "id": "job-1"}
    assert message == ""
    [(asked_kind, data, owner, key)] = asked.asked
    assert (asked_kind, data[first], owner, key) == (kind, "mine", "local", f"key-{kind}")
    assert data.keys() <= knobs_of(KINDS[kind]).keys()
    assert None not in data.values()


def test_a_box_for_several_takes_commas_and_lines(events: Events, asked: Asked):
    events("models_merge_lora_start", "click", ["k", *values("merge_lora", model="m", loras="ink:0.5, glow\n ,clay:1:0")])
    assert asked.asked[0][1]["loras"] == ["ink:0.5", "glow", "clay:1:0"]


def test_what_cannot_be_done_is_said_beside_the_form(events: Events, asked: Asked):
    ticket, message = events("models_convert_start", "click", ["k", *values("convert", source="bad <b>")])
    assert json.loads(ticket) == {"key": "k", "fault": True}
    assert "is &lt;b&gt;bad&lt;/b&gt;; take another" in message


def test_a_card_chooses_the_model_in_use(events: Events, page: TestClient):
    settings = page.app_under_test.settings
    dropdown, width, height, *_ = events("models_pick", "click", [LARGE.title, *OWN, *OWN])
    assert (dropdown["value"], width, height) == (LARGE.title, LARGE.native_px, LARGE.native_px)
    assert settings.current.sd_model_checkpoint == LARGE.title
    settings.set({"sd_model_checkpoint": ""})


def test_the_lists_of_the_forms_are_renewed(events: Events, page: TestClient):
    library = page.app_under_test.library
    before, library.known = library.known, [LARGE]
    try:
        lists = events("models_fresh", "click", [])
    finally:
        library.known = before
    choices = [[value for _, value in update["choices"]] for update in lists]
    assert ["", LARGE.title] in choices
    assert not any(STARTER.title in one for one in choices)


def test_well_known_models_are_listed_and_nothing_in_them_is_a_link():
    html = known_models()
    assert html.count("<li") == html.count('data-do="known-model"') > 10
    assert "http" not in html
