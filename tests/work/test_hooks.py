"""The hooks: guests in their order, what they change and how long they take, and their faults kept away from the picture."""

from __future__ import annotations

from typing import Any

import pytest

from modules.faults import Cancelled
from modules.hooks import FAULTS_KEY, HOOKS, SLOW_S, Guest, Hooks, Run, Texts
from tests.words.examples import resolved


class Adds(Guest):
    """Adds a word to every prompt."""

    def __init__(self, word: str) -> None:
        self.name = self.word = word

    def before_batch(self, run: Run, texts: Texts) -> None:
        texts.prompts[:] = [f"{prompt} {self.word}" for prompt in texts.prompts]


class Breaks(Guest):
    """Raises what it was given, or gives back something of another kind."""

    name = "breaks"

    def __init__(self, error: BaseException | None) -> None:
        self.error = error

    def before_batch(self, run: Run, texts: Texts) -> Any:
        if self.error is not None:
            raise self.error
        return "not texts"


class Strict:
    """A ledger that disables at the first fault."""

    def __init__(self) -> None:
        self.faults: list[tuple[str, str]] = []

    def fault(self, guest: str, hook: str, text: str) -> bool:
        self.faults.append((guest, hook))
        return True


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def run(said: list[str]) -> Run:
    return Run(job="job", resolved=resolved(), warn=said.append)


def texts() -> Texts:
    return Texts(batch_no=0, prompts=["a cat"], negative_prompts=[""], seeds=[1], subseeds=[-1])


def test_guests_follow_each_other_and_the_trace_tells_what_each_changed(run: Run, said: list[str]):
    hooks = Hooks([Adds("red"), Adds("small")], run)
    assert hooks.wants("before_batch")
    assert not hooks.wants("decoded")
    assert hooks.pass_on("before_batch", texts()).prompts == ["a cat red small"]
    trace = hooks.close(1.0)
    assert [(row["guest"], row["hook"], row["calls"], row["changed"]) for row in trace] == [
        ("red", "before_batch", 1, ["prompts"]),
        ("small", "before_batch", 1, ["prompts"]),
    ]
    assert said == []


@pytest.mark.parametrize(("error", "words"), [(ValueError("odd"), "ValueError: odd"), (None, "gave back str in place of Texts")])
def test_a_fault_is_a_warning_and_the_others_go_on(run: Run, said: list[str], error: Exception | None, words: str):
    hooks = Hooks([Adds("red"), Breaks(error), Adds("small")], run)
    assert hooks.pass_on("before_batch", texts()).prompts == ["a cat red small"]
    assert hooks.pass_on("before_batch", texts()).prompts == ["a cat red small"]
    [text] = said  # the same fault is told once
    assert words in text
    assert run.infotext == {FAULTS_KEY: "breaks (before_batch)"}


def test_who_cancels_the_job_is_heard(run: Run):
    with pytest.raises(Cancelled):
        Hooks([Breaks(Cancelled())], run).pass_on("before_batch", texts())


def test_a_guest_that_the_ledger_disables_is_not_asked_again(run: Run, said: list[str]):
    ledger = Strict()
    hooks = Hooks([Breaks(ValueError("odd")), Adds("red")], run, ledger)
    hooks.pass_on("before_batch", texts())
    hooks.pass_on("before_batch", texts())
    assert ledger.faults == [("breaks", "before_batch")]
    assert "switched off" in said[-1]
    assert {row["guest"]: row["calls"] for row in hooks.close(1.0)} == {"breaks": 1, "red": 2}


def test_a_slow_guest_is_told_about(run: Run, said: list[str]):
    hooks = Hooks([Adds("red")], run)
    hooks.pass_on("before_batch", texts())
    hooks._row("red", "before_batch").seconds = 2 * SLOW_S
    hooks.close(100.0)
    assert said == []  # slow, but a small part of the whole
    hooks.close(3.0)
    assert said == [f"The script red took {2 * SLOW_S:.1f} s of 3.0 s."]


def test_every_hook_says_where_it_is_called():
    assert {"before_resolve", "resolved", "before_batch", "step", "before_decode", "before_save", "job_done"} <= set(HOOKS)
    assert all("Call site" in str(getattr(Guest, hook).__doc__) or "call site" in str(getattr(Guest, hook).__doc__) for hook in HOOKS)
