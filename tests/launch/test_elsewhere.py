"""Containers and notebooks: nothing is run here, but what they tell the program is something it takes."""

from __future__ import annotations

import ast
import json
import re
import shlex
from typing import Any

import nbformat
import pytest

from modules.flags import parse
from modules.folders import PROGRAM
from modules.server.access import Access
from modules.server.rules import PUBLIC
from modules.setup import environment

NOTEBOOK = PROGRAM / "notebooks" / "darkroom.ipynb"
CONTAINER = (PROGRAM / "Containerfile").read_text(encoding="utf-8")
NAMES: dict[str, Any] = {"DATA": "/data", "USER": "me", "PASSWORD": "secret", "str": str}


def cells() -> list[str]:
    book = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(book)
    return [cell["source"] for cell in book["cells"] if cell["cell_type"] == "code"]


def test_the_notebook_is_valid_short_and_without_output():
    assert len(cells()) == 3
    raw = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in raw["cells"] if cell["cell_type"] == "code")


def lists_named(name: str) -> list[list[str]]:
    """The lists that cells give this name, worked out with values for what people choose."""
    found: list[list[str]] = []
    for source in cells():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
                found.append(eval(compile(ast.Expression(node.value), "cell", "eval"), {"__builtins__": {}}, NAMES))
    return found


def test_its_command_lines_are_ones_the_program_takes():
    (install,), (start,) = lists_named("install"), lists_named("start")
    assert parse(install).exit
    flags = parse(start)
    assert (flags.data_dir, flags.share, flags.gradio_auth) == ("/data", True, "me:secret")
    assert Access.from_flags(flags).protects_everything


def test_the_container_starts_the_program_with_credentials_and_without_rights():
    entry = json.loads(re.findall(r"^ENTRYPOINT (\[.*\])$", CONTAINER, re.MULTILINE)[0])
    assert entry[:2] == ["python", "launch.py"]
    flags = parse(entry[2:])
    assert (flags.host, flags.data_dir, flags.no_venv) == ("0.0.0.0", "/data", True)
    access = Access.from_flags(flags)
    assert access.protects_everything
    assert access.generated
    with_users = parse([*entry[2:], "--gradio-auth", "me:secret"])
    assert Access.from_flags(with_users).generated is None
    steps = re.findall(r"^([A-Z]+)", CONTAINER, re.MULTILINE)
    assert steps.index("USER") < steps.index("ENTRYPOINT")
    assert re.search(r"^VOLUME /data$", CONTAINER, re.MULTILINE)


def test_its_health_check_asks_for_a_page_that_needs_no_password():
    (check,) = re.findall(r"CMD (\[\"python\", \"-c\".*\])$", CONTAINER, re.MULTILINE)
    code = json.loads(check)[2]
    compile(code, "check", "exec")
    assert any(f"7860{path}'" in code for path in PUBLIC)


@pytest.mark.parametrize("package", ["torch", "torchvision"])
def test_the_processors_build_is_the_tested_version(package: str):
    """What its sed takes out of requirements.txt, by the same rule here."""
    rule = rf"s/^\({package}==[^ ]*\).*/\1+cpu/p"
    assert rule in CONTAINER
    line = next(line for line in (PROGRAM / "requirements.txt").read_text().splitlines() if line.startswith(f"{package}=="))
    version = dict(environment.pins(PROGRAM / "requirements.txt"))[package]
    assert re.sub(rf"^({package}==[^ ]*).*", r"\1+cpu", line) == f"{package}=={version}+cpu"


def test_the_commands_in_the_docs_are_ones_the_program_takes():
    text = (PROGRAM / "docs" / "install.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if re.match(r"python \S*launch\.py", line)]
    assert len(lines) >= 6
    for line in lines:
        assert parse(shlex.split(line, comments=True)[2:])
