"""Rules on /api/v2: every route has a summary, a typed answer and documented errors; every field of a query says what it takes."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from modules.server.v2.shapes import PROBLEM_TYPE
from tests.house.api_page import ALWAYS, described, operations, reference

PROBLEM = {"$ref": "#/components/schemas/Problem"}


def find(document: dict[str, Any]) -> list[str]:
    """What is missing, as sentences that begin with the route."""
    found: list[str] = []
    for method, path, about in operations(document):
        answers = about["responses"]
        found += [f"{method} {path}: {what}" for what, wrong in _rules(path, about, answers).items() if wrong]
    return found


def _rules(path: str, about: dict[str, Any], answers: dict[str, Any]) -> dict[str, bool]:
    good = [answer for status, answer in answers.items() if status.startswith("2") and status != "204"]
    errors = {status: answer for status, answer in answers.items() if status >= "400"}
    takes = bool(about.get("parameters") or about.get("requestBody"))
    return {
        "its summary is not a few words that begin with a capital": not _is_summary(about.get("summary", "")),
        "it has no description": len(about.get("description", "").split()) < 3,
        "it has no tag of its own": not about.get("tags", [""])[0].startswith("v2 "),
        "its answer has no type": not good or not all(_is_typed(answer) for answer in good),
        f"it does not tell {', '.join(ALWAYS)}": not set(ALWAYS) <= set(errors),
        "it names something in its path and does not tell 404": "{" in path and not {"404", "422"} & set(errors),
        "it takes values and does not tell 422": takes and "422" not in errors,
        "an error is not a Problem": any(answer.get("content") != {PROBLEM_TYPE: {"schema": PROBLEM}} for answer in errors.values()),
    }


def _is_summary(summary: str) -> bool:
    return bool(summary) and summary[0].isupper() and not summary.endswith(".") and len(summary.split()) <= 9 and summary != summary.title()


def _is_typed(answer: dict[str, Any]) -> bool:
    """JSON by a named shape, or anything else by its media type."""
    content = answer.get("content", {})
    json = content.get("application/json")
    return bool(content) and (json is None or "$ref" in json["schema"])


def test_house() -> None:
    assert not (found := find(described())), "\n".join(found)


def test_there_are_routes_of_every_kind() -> None:
    tags = {about["tags"][0] for _, _, about in operations(described())}
    assert tags >= {"v2 jobs", "v2 pictures", "v2 models", "v2 choices", "v2 inputs"}


def test_every_route_and_shape_stands_in_the_reference() -> None:
    text = reference()
    for method, path, _ in operations(described()):
        assert f"### {method} {path}\n" in text
    for name in ("Problem", "JobDetail", "PictureDetail", "ModelDetail"):
        assert f"### {name}\n" in text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda about: about.update(summary="Pictures"), "its summary"),
        (lambda about: about.update(description=""), "no description"),
        (lambda about: about["responses"]["200"]["content"]["application/json"].update(schema={}), "has no type"),
        (lambda about: about["responses"].pop("401"), "does not tell 401"),
        (lambda about: about["responses"].pop("422"), "takes values"),
        (lambda about: about["responses"]["422"].update(content={"application/json": {}}), "not a Problem"),
    ],
)
def test_catches(change: Any, words: str) -> None:
    document = copy.deepcopy(described())
    change(document["paths"]["/api/v2/pictures"]["get"])
    assert [line for line in find(document) if line.startswith("GET /api/v2/pictures: ") and words in line]
