"""The tools at /mcp and over stdio, through the SDK's own client: what they make, what they say, and who is let in."""

from __future__ import annotations

import asyncio
import base64
import io
import os
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from PIL import Image

from modules.folders import PROGRAM
from modules.users import USER, Users
from tests.clients.serving import Serving, serving, until

APPLE: dict[str, Any] = {"prompt": "a red apple", "width": 64, "height": 64, "steps": 2, "seed": 7}
TOOLS = {"generate", "caption", "list_jobs", "get_job", "cancel_job", "list_models"}
Talk = Callable[[Client], Coroutine[Any, Any, Any]]


def over_http(url: str, talk: Talk, **http: Any) -> Any:
    async def inside() -> Any:
        sender = httpx2.AsyncClient(timeout=60, **http)
        async with sender, Client(streamable_http_client(f"{url}/mcp", http_client=sender)) as client:
            return await talk(client)

    return asyncio.run(inside())


def call(live: Serving, tool: str, **arguments: Any) -> Any:
    return over_http(live.url, lambda client: client.call_tool(tool, arguments))


def text(answer: Any) -> str:
    return "\n".join(part.text for part in answer.content if part.type == "text")


def pictures(answer: Any) -> list[Image.Image]:
    return [Image.open(io.BytesIO(base64.b64decode(part.data))) for part in answer.content if part.type == "image"]


def test_the_tools_and_what_they_take(live: Serving) -> None:
    tools = over_http(live.url, lambda client: client.list_tools()).tools
    assert {tool.name for tool in tools} == TOOLS
    assert all(tool.description and tool.title and tool.output_schema for tool in tools)
    generate = next(tool for tool in tools if tool.name == "generate")
    assert generate.input_schema["required"] == ["prompt"]
    steps = generate.input_schema["properties"]["steps"]
    assert (steps["anyOf"][0]["minimum"], steps["anyOf"][0]["maximum"]) == (1, 1000)  # of the Knob
    assert "context" not in generate.input_schema["properties"]
    assert {tool.name for tool in tools if tool.annotations.read_only_hint} == {"list_jobs", "get_job", "list_models"}


def test_a_picture_from_text_and_one_from_that_picture(live: Serving) -> None:
    told: list[float] = []

    async def talk(client: Client) -> tuple[Any, Any]:
        async def progress(done: float, total: float | None, message: str | None) -> None:
            told.append(done)

        first = await client.call_tool("generate", {**APPLE, "prompt": "slow", "steps": 14}, progress_callback=progress)
        name = first.structured_content["pictures"][0]["picture"]
        return first, await client.call_tool("generate", {**APPLE, "image": name, "mask": name, "denoising_strength": 0.5})

    first, second = over_http(live.url, talk)
    assert [image.size for image in pictures(first)] == [(64, 64)]
    assert told == sorted(told)
    assert told
    [made] = first.structured_content["pictures"]
    assert (made["seed"], first.structured_content["state"]) == (7, "done")
    assert made["picture"].startswith("picture:")
    assert made["picture"] in text(first)
    job = live.app.jobs.get(second.structured_content["job"])
    assert (len(job.request["init_images"]), job.request["denoising_strength"], job.owner) == (1, 0.5, "local")


def test_a_large_picture_is_shown_smaller(live: Serving) -> None:
    path = live.app.folders.outputs / "txt2img-images" / "large.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.effect_noise((1600, 900), 60).convert("RGB").save(path)
    until(lambda: live.app.pictures.at(path))
    answer = call(live, "caption", image=f"picture:{live.app.pictures.at(path).id}")
    assert "Caption: a red apple" in text(answer)
    from modules.server.mcp.pictures import AS_IT_IS_BYTES, shown

    small = shown(path)
    assert path.stat().st_size > AS_IT_IS_BYTES > len(base64.b64decode(small.data))
    assert (small.mime_type, pictures(type("Answer", (), {"content": [small]}))[0].size) == ("image/jpeg", (1024, 576))
    assert shown(path.with_name("gone.png")) is None


def test_a_job_that_takes_longer_is_asked_for_again_and_can_be_stopped(live: Serving) -> None:
    answer = call(live, "generate", **{**APPLE, "prompt": "slow", "steps": 900}, wait_s=0)
    job = answer.structured_content["job"]
    assert "get_job" in text(answer)
    assert job in [row["job"] for row in call(live, "list_jobs").structured_content["jobs"]]
    until(lambda: live.app.jobs.get(job).state == "running")
    assert "It goes on by itself" in text(call(live, "get_job", job=job))
    call(live, "cancel_job", job=job)
    until(lambda: live.app.jobs.get(job).finished)
    assert call(live, "list_jobs", state="canceled", limit=1).structured_content["jobs"][0]["job"] == job


def test_models(live: Serving) -> None:
    found = call(live, "list_models", kind="checkpoint", search="darkroom-starter").structured_content
    assert (found["total"], found["models"][0]["name"]) == (1, "darkroom-starter")
    assert call(live, "list_models", kind="vae").structured_content == {"models": [], "total": 0}
    loras = call(live, "list_models", kind="lora").structured_content
    assert [model["insert"] for model in loras["models"]] == ["<lora:darkroom-starter-aperture:1>", "<lora:darkroom-starter-blueprint:1>"]


@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        ("generate", {"prompt": "x", "steps": 0}, "greater than or equal to 1"),
        ("generate", {"prompt": "x", "sampler_name": "Euler b"}, "did you mean"),
        ("generate", {"prompt": "x", "checkpoint": "nothing like it"}, "sd_model_checkpoint"),
        ("generate", {"prompt": "x", "image": "picture:nothing"}, "not there any more"),
        ("generate", {"prompt": "x", "image": "aGVsbG8="}, "Invalid"),
        ("generate", {"prompt": "x", "image": "http://127.0.0.1/x.png"}, "not allowed"),
        ("caption", {"image": "picture:nothing"}, "not there any more"),
        ("get_job", {"job": "nothing"}, "list_jobs"),
        ("cancel_job", {"job": "nothing"}, "list_jobs"),
        ("list_jobs", {"state": "lost"}, "there is no state"),
        ("list_models", {"kind": "cars"}, "there is no kind"),
    ],
)
def test_what_cannot_be_is_told_in_words(live: Serving, tool: str, arguments: dict[str, Any], words: str) -> None:
    answer = call(live, tool, **arguments)
    assert answer.is_error
    assert words in text(answer)


def test_a_job_that_fails_says_why(live: Serving) -> None:
    answer = call(live, "generate", **{**APPLE, "prompt": "fail"})
    assert answer.is_error
    assert "Try another sampler" in text(answer)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Serving, dict[str, str]]]:
    """A server that asks, and a token of one of its users."""
    data = tmp_path_factory.mktemp("guarded")
    users = Users(data / "users.json")
    users.add("ann", "correct horse", USER)
    token = users.add_token("ann", "chat")
    with serving(data, mcp=True) as made:
        yield made, {"Authorization": f"Bearer {token}"}


def test_strangers_are_not_let_in(guarded: tuple[Serving, dict[str, str]]) -> None:
    url = guarded[0].url
    for method in ("GET", "POST", "DELETE"):
        answer = httpx2.request(method, f"{url}/mcp", json={} if method == "POST" else None)
        assert answer.status_code == 401, method
    with pytest.raises(BaseExceptionGroup) as caught:
        over_http(url, lambda client: client.list_tools())
    assert "Server returned an error response" in repr(caught.value)


def test_users_are_let_in_and_own_their_jobs(guarded: tuple[Serving, dict[str, str]]) -> None:
    made, headers = guarded
    answer = over_http(made.url, lambda client: client.call_tool("generate", APPLE), headers=headers)
    assert [image.size for image in pictures(answer)] == [(64, 64)]
    assert made.app.jobs.get(answer.structured_content["job"]).owner.startswith("ann")
    other = made.app.jobs.submit("fake", {}, {}, owner="bob")
    refused = over_http(made.url, lambda client: client.call_tool("cancel_job", {"job": other.id}), headers=headers)
    assert "belongs to somebody else" in text(refused)


def test_another_site_is_refused(live: Serving) -> None:
    answer = httpx2.post(f"{live.url}/mcp", json={}, headers={"Origin": "http://evil.example"})
    assert answer.status_code == 403


def test_it_is_off_and_costs_nothing_unless_it_is_asked_for(tmp_path: Path) -> None:
    program = (
        "import sys; from modules.app import build; from modules.flags import Flags; from modules.server import create;"
        f"app = build(Flags(data_dir={str(tmp_path)!r})); api = create(app); app.stop();"
        "print('mcp' in sys.modules, '/mcp' in [r.path for r in api.routes])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=PROGRAM, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_over_stdio_with_the_program_as_it_is_started(tmp_path: Path) -> None:
    """The real program and its queue; another process runs it, so that no model is loaded here."""
    with serving(tmp_path / "data") as made:
        words = ["launch.py", "mcp", "--no-venv", "--skip-install", "--data-dir", str(tmp_path / "data")]
        program = StdioServerParameters(command=sys.executable, args=words, cwd=str(PROGRAM), env={**os.environ, "OMP_NUM_THREADS": "1"})

        async def talk() -> Any:
            with (tmp_path / "errors.txt").open("w") as errors:
                async with Client(stdio_client(program, errlog=errors)) as client:
                    assert {tool.name for tool in (await client.list_tools()).tools} == TOOLS
                    return await client.call_tool("generate", APPLE)

        answer = asyncio.run(talk())
        assert [image.size for image in pictures(answer)] == [(64, 64)]
        assert made.app.jobs.get(answer.structured_content["job"]).state == "done"
