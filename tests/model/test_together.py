"""Jobs made as one batch with the starter model: each equals its single run, ends by itself, and fails by itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from modules.faults import BlankPicture, DiskFault
from modules.processing import together
from modules.processing.joining import joining_of
from modules.processing.resolve import resolve
from modules.processing.sampling import sample
from modules.prompts.styles import Styles
from modules.request import GenerationRequest, ResolvedRequest, Result
from modules.saver import Saver
from modules.settings import Settings
from tests.model import tiny
from tests.model.conftest import FakeControl, Studio

SAME = {"steps": 5, "width": 128, "height": 128, "cfg_scale": 5.0, "override_settings": {"join_jobs": "Always"}}
JOBS: tuple[dict[str, Any], ...] = (
    {"prompt": "a red apple, 3d", "seed": 11},
    {"prompt": "a blue car", "negative_prompt": "3d", "seed": 5, "batch_size": 2},
    {"prompt": "a (green:1.3) dog [on:under:0.5] a table", "seed": 12, "subseed": 4},
)
LONG = {"prompt": ", ".join(f"a dog and a cat number {n}" for n in range(20)), "seed": 3}


def resolved_of(studio: Studio, **request: Any) -> ResolvedRequest:
    asked = GenerationRequest.from_data({**SAME, **request})
    return resolve(asked, Settings(), studio.library, Styles(studio.folders.styles_file), studio.inputs)


def jobs_of(wanted: list[ResolvedRequest]) -> list[dict[str, Any]]:
    return [{"id": f"job-{n}", "kind": "txt2img", "resolved": one.to_data(), "attempts": 1, "made": []} for n, one in enumerate(wanted)]


def joined(studio: Studio, wanted: list[ResolvedRequest], controls: list[FakeControl] | None = None) -> list[tuple[str, Result]]:
    """In the order of the jobs."""
    jobs = jobs_of(wanted)
    ends = dict(studio.runner.begin_joined(jobs, controls or [FakeControl() for _ in jobs]))
    outcomes = [ends[job["id"]]() for job in jobs]
    return [(state, Result.from_data(result)) for state, result in outcomes]


def alone(studio: Studio, wanted: ResolvedRequest) -> Result:
    return Result.from_data(studio.runner.run(jobs_of([wanted])[0], FakeControl())[1])


def images(result: Result) -> list[np.ndarray]:
    return [np.asarray(Image.open(p.path).convert("RGB"), int) for p in result.pictures]


@pytest.mark.parametrize("sampler", ["DPM++ 2M", "Euler a", "DPM++ SDE"])
def test_joined_jobs_equal_their_single_runs_with_their_texts(studio: Studio, sampler: str) -> None:
    wanted = [resolved_of(studio, **job, sampler_name=sampler) for job in JOBS]
    found = [joining_of("txt2img", one.to_data(), {}) for one in wanted]
    assert len({one[0] for one in found if one is not None}) == 1
    assert None not in found
    made = joined(studio, wanted)
    for (state, result), one in zip(made, wanted, strict=True):
        single = alone(studio, one)
        assert state == "done"
        assert any("Made in one batch with 2 other" in note for note in result.notes)
        assert [p.kind for p in result.pictures] == [p.kind for p in single.pictures]
        assert [p.infotext for p in result.pictures] == [p.infotext for p in single.pictures]
        assert [p.seed for p in result.pictures] == [p.seed for p in single.pictures]
        assert all(np.abs(a - b).max() <= 2 for a, b in zip(images(result), images(single), strict=True))
        assert result.warnings == single.warnings


def test_a_longer_prompt_does_not_change_the_pictures_of_others(studio: Studio) -> None:
    wanted = [resolved_of(studio, **job) for job in (JOBS[0], LONG, {"prompt": "a cat", "seed": 9})]
    made = joined(studio, wanted)
    assert [any("one batch" in note for note in result.notes) for _, result in made] == [True, False, True]
    for (_, result), one in zip(made, wanted, strict=True):
        assert np.abs(images(result)[0] - images(alone(studio, one))[0]).max() <= 2


def test_an_empty_negative_prompt_that_means_zeros_stays_so(studio_with: Callable[[Path], Studio], tmp_path: Path) -> None:
    tiny.sdxl(tmp_path / "models" / "small-xl")
    studio = studio_with(tmp_path / "models")
    texts = ({"prompt": "a cat"}, {"prompt": "a dog", "negative_prompt": "3d"}, {"prompt": "an apple", "negative_prompt": "a car"})
    asked = {"steps": 2, "override_settings": {"sd_model_checkpoint": "small-xl", "join_jobs": "Always"}}
    wanted = [resolved_of(studio, **one, seed=n, **asked) for n, one in enumerate(texts)]
    made = joined(studio, wanted)
    assert [any("one batch" in note for note in result.notes) for _, result in made] == [False, True, True]
    for (_, result), one in zip(made, wanted, strict=True):
        assert np.abs(images(result)[0] - images(alone(studio, one))[0]).max() <= 2


def test_a_job_that_is_stopped_ends_with_its_picture_of_then_and_the_others_go_on(studio: Studio) -> None:
    wanted = [resolved_of(studio, **job, steps=12) for job in (JOBS[0], {"prompt": "a cat", "seed": 9})]
    kept, stopped = FakeControl(), FakeControl(stop_at=4)
    (first, one), (second, other) = joined(studio, wanted, [kept, stopped])
    assert (first, second) == ("done", "canceled")
    assert kept.steps[-1] == (12, 12)
    assert np.abs(images(one)[0] - images(alone(studio, wanted[0]))[0]).max() <= 2
    [partial] = other.pictures
    assert partial.kind == "partial"
    assert other.interrupted
    cut = Result.from_data(studio.runner.run(jobs_of(wanted)[1], FakeControl(stop_at=4))[1])
    assert np.abs(images(other)[0] - images(cut)[0]).max() <= 2


def test_a_skipped_job_is_done_and_all_stopped_end_the_batch(studio: Studio) -> None:
    wanted = [resolved_of(studio, **job, steps=12) for job in (JOBS[0], {"prompt": "a cat", "seed": 9})]
    made = joined(studio, wanted, [FakeControl(skip_at=3), FakeControl()])
    assert [state for state, _ in made] == ["done", "done"]
    assert [result.pictures[0].kind for _, result in made] == ["partial", "sample"]
    controls = [FakeControl(stop_at=3), FakeControl(stop_at=5)]
    made = joined(studio, wanted, controls)
    assert [state for state, _ in made] == ["canceled", "canceled"]
    assert controls[0].steps[-1] == (5, 12)


def test_each_sees_its_own_previews_and_tells_its_events_in_order(studio: Studio) -> None:
    wanted = [resolved_of(studio, **job) for job in JOBS[:2]]
    wanted = [dataclasses.replace(one, settings={**one.settings, "live_preview_refresh_period": 0}) for one in wanted]
    controls = [FakeControl(watched=True), FakeControl()]
    made = joined(studio, wanted, controls)
    assert controls[0].previews
    assert not controls[1].previews
    for control, (_, result) in zip(controls, made, strict=True):
        told = [data["path"] for kind, data in control.events if kind == "picture"]
        assert sorted(told) == sorted(p.path for p in result.pictures)


def test_want_of_memory_makes_each_by_itself_with_a_note_and_smaller_batches_from_then_on(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def scarce(model: Any, resolved: ResolvedRequest, run: Any, hooks: Any) -> Any:
        sizes.append(len(run.seeds))
        if len(run.seeds) > 2:
            raise torch.OutOfMemoryError("no more")
        return sample(model, resolved, run, hooks)

    monkeypatch.setattr(together, "sample", scarce)
    wanted = [resolved_of(studio, prompt="a cat", seed=n, steps=2) for n in range(4)]
    made = joined(studio, wanted)
    assert [state for state, _ in made] == ["done"] * 4
    assert all("Memory ran out for 4 jobs" in result.warnings[-1] for _, result in made)
    assert sizes == [4]
    joined(studio, wanted)
    assert sizes == [4, 2, 2]


def test_a_fault_of_one_is_its_own(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    def poisoned(model: Any, resolved: ResolvedRequest, run: Any, hooks: Any) -> Any:
        if "poison" in "".join(run.prompts):
            raise BlankPicture("There is no picture. Try another sampler.")
        return sample(model, resolved, run, hooks)

    monkeypatch.setattr(together, "sample", poisoned)
    monkeypatch.setattr("modules.processing.batch.sample", poisoned)
    wanted = [resolved_of(studio, prompt=prompt, seed=1, steps=2) for prompt in ("a cat", "poison", "a dog")]
    ends = dict(studio.runner.begin_joined(jobs_of(wanted), [FakeControl() for _ in wanted]))
    assert [ends[name]()[0] for name in ("job-0", "job-2")] == ["done", "done"]
    with pytest.raises(BlankPicture):
        ends["job-1"]()


def test_a_disk_that_is_full_for_one_is_its_own(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[str] = []

    def full(self: Saver, image: Any, *, job: str, **named: Any) -> Any:
        if job == "job-0":
            raise DiskFault("the disk is full. Free some space.")
        saved.append(job)
        return save(self, image, job=job, **named)

    save = Saver.save
    monkeypatch.setattr(Saver, "save", full)
    wanted = [resolved_of(studio, prompt="a cat", seed=n, batch_size=2, steps=2) for n in range(2)]
    ends = dict(studio.runner.begin_joined(jobs_of(wanted), [FakeControl() for _ in wanted]))
    with pytest.raises(DiskFault):
        ends["job-0"]()
    assert ends["job-1"]()[0] == "done"
    assert saved == ["job-1"] * 3
