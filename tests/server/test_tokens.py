"""The token counters' route: whose tokens, what is left out before counting, and that the web process stays without torch."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from modules.app import App
from modules.folders import PROGRAM
from modules.processing.calls import call_named
from modules.prompts.styles import Style
from modules.server import tokens

ONE_SERVER = True

ROUTE = "/internal/token-count"


@pytest.fixture
def counted(client: TestClient) -> Callable[..., dict[str, Any]]:
    def ask(text: str, **more: Any) -> dict[str, Any]:
        answer = client.post(ROUTE, json={"text": text, **more})
        assert answer.status_code == 200, answer.text
        return answer.json()

    return ask


def test_the_model_in_use_counts(counted: Callable[..., dict[str, Any]]) -> None:
    assert counted("") == {"used": 0, "limit": 75}
    one = counted("apple")["used"]
    assert one >= 1
    assert counted("apple BREAK apple") == {"used": 75 + one, "limit": 150}
    assert counted("apple <lora:ink:1>")["used"] == one
    assert counted("apple # a remark")["used"] == one
    assert counted("{apple|apple}")["used"] == one


def test_steps_decide_which_forms_there_are(counted: Callable[..., dict[str, Any]]) -> None:
    assert counted("[:apple:15]", steps=10)["used"] == 0
    assert counted("[:apple:15]", steps=20)["used"] > 0


def test_styles_count_when_they_are_to(app: App, counted: Callable[..., dict[str, Any]]) -> None:
    app.styles.save(Style("s", "apple, {prompt}, apple", "cat cat cat"))
    plain, cats = counted("apple")["used"], counted("cat cat cat")["used"]
    assert counted("apple", styles=["s", "not there"])["used"] > 2 * plain
    assert counted("", styles=["s"], negative=True)["used"] == cats
    app.settings.set({"include_styles_into_token_counters": False})
    assert counted("apple", styles=["s"])["used"] == plain


def test_switched_off(app: App, counted: Callable[..., dict[str, Any]]) -> None:
    app.settings.set({"disable_token_counters": True})
    assert counted("apple") == {"used": None, "limit": None}


@pytest.mark.parametrize(
    "body",
    [{}, {"text": 3}, {"text": "a", "steps": 0}, {"text": "a", "steps": "x"}, {"text": "a", "styles": "s"}, {"text": "a" * 1_000_001}],
)
def test_bad_bodies_are_refused(client: TestClient, body: dict[str, Any]) -> None:
    assert client.post(ROUTE, json=body).status_code == 422


@pytest.mark.parametrize(
    ("pipeline", "prompt_tokens", "folders", "expected"),
    [
        ("StableDiffusionPipeline", None, ("tokenizer",), ("tokenizer", None)),
        ("StableDiffusionXLPipeline", None, ("tokenizer", "tokenizer_2"), ("tokenizer", None)),
        ("StableDiffusionXLImg2ImgPipeline", None, ("tokenizer_2",), ("tokenizer_2", None)),
        ("StableDiffusion3Pipeline", None, ("tokenizer", "tokenizer_2", "tokenizer_3"), ("tokenizer", None)),
        ("FluxPipeline", None, ("tokenizer", "tokenizer_2"), ("tokenizer_2", 512)),
        ("FluxPipeline", 256, ("tokenizer", "tokenizer_2"), ("tokenizer_2", 256)),
    ],
)
def test_whose_tokens_count(
    tmp_path: Path, pipeline: str, prompt_tokens: int | None, folders: tuple[str, ...], expected: tuple[str, int | None]
) -> None:
    for name in folders:
        (tmp_path / name).mkdir()
    assert tokens._counted(call_named(pipeline).text, prompt_tokens, tmp_path) == expected


def test_a_broken_tokenizer_gives_way_to_the_one_that_comes_with_us(tmp_path: Path) -> None:
    (tmp_path / "tokenizer").mkdir()
    (tmp_path / "tokenizer" / "vocab.json").write_text("broken", encoding="utf-8")
    assert len(tokens._opened(tmp_path, 1, "sd15", "tokenizer")("a red apple")) == 3
    assert len(tokens._opened(tmp_path, 1, "sdxl-refiner", "tokenizer_9")("a red apple")) == 3


def test_counting_loads_no_torch() -> None:
    code = (
        "import sys; from pathlib import Path; from modules.server import tokens; from modules.prompts.counting import count;"
        "from modules.prompts.reading import Reading; print(count('a cat', 20, tokens._opened(Path(), 0, 'sd15', 'tokenizer'), Reading()));"
        "print([m for m in ('torch', 'transformers', 'diffusers') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PROGRAM, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.splitlines() == ["Tokens(used=2, limit=75)", "[]"], done.stderr
