"""Requests made up from our own description of the API, right and wrong ones, and what must hold for every answer.

    python -m tests.server.openapi_cases --cases 10000 --seed 1

No answer is a 5xx, none takes long, and each is of the type and shape that the description says. Exit 1 when one is not, with a command
that repeats it. The server is the real one, over a queue whose runner draws nothing. Start reading at `run_cases`.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from modules.app import App
from tests.server.stand_in import stand_in_server

CASES = 500
TURNS = 20  # where little can be asked, as with no parameters, others are asked more
LIMIT_S = 20.0
PATIENCE_S = 120.0  # the first description is made when it is asked for, here perhaps on a busy machine
SHOWN = 20
FREE = {"type", "title", "description", "format"}  # what a schema says that forbids no text
CHECKS = (content_type_conformance, response_schema_conformance)


@dataclass
class Found:
    """cases: how many were sent; faults: operation -> what was wrong first; seconds: the longest answer."""

    cases: int = 0
    seconds: float = 0.0
    faults: dict[str, str] = field(default_factory=dict[str, str])
    statuses: Counter[int] = field(default_factory=Counter[int])


def run_cases(data: Path, cases: int, seed_number: int, only: str = "") -> Found:
    """Send at least so many requests, spread over the operations. only: part of the path of those that are wanted."""
    found = Found()
    load_all_checks()
    with stand_in_server(data) as (app, url):
        schema = schemathesis.openapi.from_url(f"{url}/openapi.json", timeout=PATIENCE_S)
        operations = [one.ok() for one in schema.get_all_operations()]
        operations = [one for one in operations if only in one.path]
        session = requests.Session()
        for turn in range(TURNS):
            each = -(-(cases - found.cases) // (2 * len(operations)))
            for operation, mode in itertools.product(operations, (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)):
                if mode is GenerationMode.NEGATIVE and not _can_be_wrong(operation.definition.raw):
                    continue
                _run_operation(app, operation, mode, each, seed_number + turn, session, found)
            if found.cases >= cases:
                break
    return found


def _can_be_wrong(described: dict[str, Any]) -> bool:
    """Whether our description of an operation forbids anything. Where it asks for any text, or for bytes, or for nothing, all is right:
    hundreds of tries to make up a wrong request would be in vain."""
    bodies = described.get("requestBody", {}).get("content", {}).values()
    asked = [one for one in described.get("parameters", []) if one["in"] != "path"]  # one of these that has to be there can be left out
    schemas = [one.get("schema", {}) for one in (*described.get("parameters", []), *bodies)]
    return bool(asked) or any(one.get("type") != "string" or set(one) - FREE for one in schemas)


def _run_operation(
    app: App, operation: Any, mode: GenerationMode, count: int, seed_number: int, session: requests.Session, found: Found
) -> None:
    label = operation.label

    @seed(seed_number)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: Any) -> None:
        _tame(case)
        began = time.perf_counter()
        try:
            response = case.call(session=session, timeout=LIMIT_S)
        except requests.exceptions.InvalidHeader:
            return  # the client itself refuses to send it
        except requests.exceptions.Timeout:
            found.faults.setdefault(label, f"no answer within {LIMIT_S:g} s\n{case.as_curl_command()}")
            return
        found.cases += 1
        found.statuses[response.status_code] += 1
        found.seconds = max(found.seconds, time.perf_counter() - began)
        wrong = _wrong(case, response)
        if wrong:
            found.faults.setdefault(label, f"{wrong}\n{case.as_curl_command()[:2000]}\n{response.text[:500]}")
        if app.jobs.paused:
            app.jobs.resume()

    try:
        send()
    except Exception as error:  # one operation that cannot be tried must not hide the others
        if type(error).__name__ not in ("Unsatisfiable", "SkipTest", "Skipped"):
            found.faults.setdefault(label, f"could not be tried: {type(error).__name__}: {error}")


def _tame(case: Any) -> None:
    """Nothing that asks to wait: an answer that takes long is then a fault."""
    for name in ("wait_s",):
        if case.query and name in case.query:
            case.query[name] = 0
    if case.headers:
        for name in [n for n in case.headers if n.lower() in ("accept", "host", "origin", "authorization", "cookie", "connection")]:
            del case.headers[name]


def _wrong(case: Any, response: Any) -> str:
    """What is wrong with an answer; "" for nothing."""
    if response.status_code >= 500:
        return f"status {response.status_code}"
    try:
        case.validate_response(response, checks=list(CHECKS))
    except FailureGroup as group:
        return "; ".join(f"{type(one).__name__}: {one}" for one in group.exceptions)[:1500]
    return ""


def report(found: Found) -> Iterator[str]:
    """Lines for people."""
    yield f"{found.cases} requests, the longest took {found.seconds:.2f} s; {dict(sorted(found.statuses.items()))}"
    for label, fault in list(found.faults.items())[:SHOWN]:
        yield f"\n{label}\n{fault}"


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", type=int, default=CASES)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="part of the path of the operations that are wanted")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = run_cases(Path(folder), asked.cases, asked.seed, asked.only)
    print("\n".join(report(found)))
    return 1 if found.faults else 0


if __name__ == "__main__":
    sys.exit(main())
