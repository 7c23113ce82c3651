"""Putting the model away, loading it again, new embeddings, and what is refused: over HTTP, and in the worker with the starter model."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from starlette.testclient import TestClient

from modules.app import App
from modules.faults import ModelFault, RequestFault
from modules.processing.model_work_plan import CREATE_EMBEDDING, RELOAD, UNLOAD, plan_model_work
from modules.processing.slot import Slot
from modules.prompts.new_embedding import new_vectors
from tests.server.fake_jobs import FakeJobs

CREATE = "/sdapi/v1/create/embedding"


def ended(jobs: FakeJobs, **result: Any) -> None:
    jobs.at_once = lambda job: jobs.change(job, state="done", result={"files": [], **result})


@pytest.mark.parametrize(("path", "kind"), [("unload-checkpoint", UNLOAD), ("reload-checkpoint", RELOAD)])
def test_the_routes_wait_for_their_job_and_answer_nothing(client: TestClient, jobs: FakeJobs, path: str, kind: str) -> None:
    ended(jobs)
    answer = client.post(f"/sdapi/v1/{path}")
    assert (answer.status_code, answer.json()) == (200, {})
    [job] = jobs.jobs.values()
    assert job.kind == kind
    assert job.resolved["title"]
    jobs.at_once = lambda job: jobs.fail(job, ModelFault("The file is gone.").data())
    failed = client.post(f"/sdapi/v1/{path}")
    assert (failed.status_code, failed.json()["errors"]) == (500, "The file is gone.")


def test_a_new_embedding_is_asked_for_with_a1111s_names(client: TestClient, app: App, jobs: FakeJobs) -> None:
    ended(jobs, files=["/somewhere/mine.safetensors"])
    answer = client.post(CREATE, json={"name": "mine", "num_vectors_per_token": "3", "init_text": None, "more": 1})
    assert answer.json() == {"info": "create embedding filename: /somewhere/mine.safetensors"}
    [job] = jobs.jobs.values()
    assert job.request == {"name": "mine", "num_vectors_per_token": 3, "init_text": "*", "overwrite_old": False}
    assert job.resolved["target"] == str(app.folders.models / "embeddings" / "mine.safetensors")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"), ({"name": " "}, "name"), ({"name": 5}, "name"), ({"name": "../.."}, "name"), ({"name": "con"}, "name"),
        ({"name": "a", "num_vectors_per_token": 0}, "num_vectors_per_token"),
        ({"name": "a", "num_vectors_per_token": 76}, "num_vectors_per_token"), ({"name": "a", "init_text": 5}, "init_text"),
    ],
    ids=str,
)  # fmt: skip
def test_a_new_embedding_without_sense_is_refused(client: TestClient, jobs: FakeJobs, body: dict[str, Any], field: str) -> None:
    answer = client.post(CREATE, json=body)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", field]
    assert jobs.jobs == {}


def test_a_name_stays_in_the_folder_and_is_not_taken_twice(app: App) -> None:
    def plan(**data: Any) -> dict[str, Any]:
        return plan_model_work(CREATE_EMBEDDING, data, app.settings.current, app.folders, app.library)[1]

    folder = app.folders.models / "embeddings"
    assert plan(name="../../etc/passwd")["target"] == str(folder / "passwd.safetensors")
    assert plan(name="a:b?.safetensors")["target"] == str(folder / "a_b_.safetensors")
    folder.mkdir(parents=True)
    (folder / "mine.safetensors").touch()
    with pytest.raises(RequestFault, match="overwrite_old"):
        plan(name="mine")
    assert plan(name="mine", overwrite_old=True)["overwrite_old"] is True


@pytest.mark.parametrize("path", ["create/hypernetwork", "train/embedding", "train/hypernetwork"])
def test_what_is_not_done_here_says_why(client: TestClient, path: str) -> None:
    answer = client.post(f"/sdapi/v1/{path}", json={})
    assert answer.status_code == 422
    assert answer.json()["detail"].endswith(".")


class Words:
    """A text encoder with four tokens, each with vectors of its own."""

    def __init__(self, kind: str, width: int) -> None:
        self.config = type("Config", (), {"model_type": kind})()
        self.table = torch.nn.Embedding(4, width)

    def get_input_embeddings(self) -> torch.nn.Embedding:
        return self.table

    def __call__(self, text: str, add_special_tokens: bool) -> Any:
        """Its tokenizer too: a word is its number."""
        return type("Tokens", (), {"input_ids": [int(word) for word in text.split()]})()


def test_words_are_spread_evenly_over_the_vectors() -> None:
    clip, t5 = Words("clip_text_model", 6), Words("t5", 5)
    rows = clip.table.weight.detach()

    def made(text: str, count: int) -> torch.Tensor:
        [(slot, found)] = new_vectors({"text_encoder": (clip, clip), "text_encoder_2": (t5, t5)}, text, count).items()
        assert slot == "emb_params"
        return found

    assert torch.equal(made("1 2", 4), rows[[1, 1, 2, 2]])
    assert torch.equal(made("3 2 1", 2), rows[[3, 2]])
    assert torch.equal(made("  ", 2), torch.zeros(2, 6))
    other = Words("clip_text_model", 3)
    both = new_vectors({"text_encoder": (clip, clip), "text_encoder_2": (other, other)}, "1", 2)
    assert {slot: tuple(found.shape) for slot, found in both.items()} == {"clip_l": (2, 6), "clip_g": (2, 3)}
    with pytest.raises(ModelFault, match="no CLIP"):
        new_vectors({"text_encoder": (t5, t5)}, "1", 1)


@pytest.mark.model
def test_a_model_set_aside_is_put_back_and_not_loaded_again(app: App) -> None:
    told: list[str] = []
    slot = Slot(lambda _p: told.append("place"), lambda _p: told.append("lift"), "float32", lambda: 10**12)
    checkpoint = app.library.default_checkpoint("")
    model = slot.take(checkpoint, lambda *_a, **_k: None)
    slot.set_aside()
    slot.set_aside()
    assert slot.take(checkpoint, lambda *_a, **_k: None) is model
    assert slot.take(checkpoint, lambda *_a, **_k: None) is model
    assert told.count("place") == 2
    slot.set_aside()
    slot.release()
    assert slot.take(checkpoint, lambda *_a, **_k: None) is not model
