"""The loop over a tiny trainee: going on exactly, several batches as one, stages, EMA, what is kept, what is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

from modules.faults import ModelFault, RequestFault
from modules.train import state
from tests.train.killing import differences
from tests.train.runs import FULL, PLAIN, Quiet, curve, run, same, session_at

OPTIMIZERS = [
    {"optimizer": "AdamW"},
    {"optimizer": "Adafactor"},
    {"optimizer": "Prodigy", "learning_rate": 1.0, "optimizer_args": ["d_coef=0.8"]},
    {"optimizer": "Lion", "learning_rate": 1e-4},
    {"optimizer": "AdamWScheduleFree", "ema_decay": 0.0},
]


@pytest.mark.parametrize("changed", OPTIMIZERS, ids=lambda each: each["optimizer"])
def test_stopping_and_going_on_is_an_unbroken_run(tmp_path: Path, changed: dict):
    config = {**FULL, **changed, "lr_scheduler": "constant", "lr_warmup_steps": 0}
    whole, broken = session_at(tmp_path / "whole", config), session_at(tmp_path / "broken", config)
    finished, _ = run(whole)
    ended = [run(broken, steps=3)[0], run(broken, steps=4)[0], run(broken)[0]]
    assert [each.state for each in ended] == ["canceled", "canceled", "done"]
    assert [each.step for each in ended] == [3, 7, 12]
    assert (finished.state, finished.step) == ("done", 12)
    assert differences(whole, broken) == []
    rows = curve(whole)
    assert [row["step"] for row in rows] == list(range(1, 13))
    assert [row["step"] for row in rows if "val_loss" in row] == [4, 8, 12]


def test_two_stages_each_go_on(tmp_path: Path):
    config = {**FULL, "method": "dreambooth", "text_encoder_steps": 5, "text_encoder_lr": 1e-2, "max_train_steps": 6, "cache_text": True}
    config |= {"text_encoder_resolution": 32}  # the first stage in smaller pictures than the second
    whole, broken = session_at(tmp_path / "whole", config), session_at(tmp_path / "broken", config)
    _, trained = run(whole)
    assert [run(broken, steps=n)[0].step for n in (2, 3, 4)] == [2, 5, 9]
    _, again = run(broken)
    assert differences(whole, broken) == []
    assert same(trained.state_dict(), again.state_dict())
    assert [row["stage"] for row in curve(whole)] == ["text_encoder"] * 5 + ["network"] * 6
    assert {(stage, height * width <= 32 * 32) for stage, (height, width) in trained.sizes} == {("text_encoder", True), ("network", False)}


def test_the_loss_falls(tmp_path: Path):
    session = session_at(
        tmp_path, {**PLAIN, "max_train_steps": 100, "train_batch_size": 8, "learning_rate": 1e-2, "save_every": 1000, "validate_every": 0}
    )
    run(session)
    losses = [row["loss"] for row in curve(session)]
    assert sum(losses[-20:]) < 0.85 * sum(losses[:20])


def test_accumulated_batches_count_as_one(tmp_path: Path):
    """Without dropout and with batches of one, two accumulated ones are the mean of both gradients."""
    session = session_at(tmp_path / "a", {**PLAIN, "train_batch_size": 1, "gradient_accumulation_steps": 2, "max_train_steps": 1})
    outcome, _ = run(session, cached=False)
    other = session_at(tmp_path / "b", {**PLAIN, "train_batch_size": 1, "max_train_steps": 2, "learning_rate": 0.0, "weight_decay": 0.0})
    run(other, cached=False)
    assert outcome.loss == pytest.approx(sum(row["loss"] for row in curve(other)) / 2, rel=1e-6)


def test_averaged_weights_are_what_comes_out_and_not_what_is_trained(tmp_path: Path):
    session = session_at(tmp_path, {**PLAIN, "ema_decay": 0.99, "save_every": 6})
    _, trained = run(session, steps=7)
    _, tree = state.load(session.paths.state, print) or (0, {})
    made = load_file(session.paths.output / "cat-000006.safetensors")
    assert not same(made, tree["trained"])
    assert same(dict(trained.state_dict()), tree["trained"])
    assert all(torch.isfinite(each).all() for each in made.values())


def test_pictures_are_encoded_once(tmp_path: Path):
    session = session_at(tmp_path, {**PLAIN, "max_train_steps": 20, "sample_every": 0})
    _, first = run(session)
    assert first.encoded == {"pixels": 8, "text": 8}
    assert first.left == {"pixels": True, "text": True}
    _, second = run(session, max_train_steps=30)
    assert second.encoded == {"pixels": 0, "text": 0}
    _, third = run(session, cache_latents=False, cache_text=False, max_train_steps=34)
    assert third.encoded["pixels"] >= 8


def test_the_class_counts_by_its_weight(tmp_path: Path):
    config = {**PLAIN, "prior_preservation": True, "class_prompt": "a square", "num_class_images": 2, "max_train_steps": 1}
    losses = {}
    for weight in (0.0, 1.0, 3.0):
        session = session_at(tmp_path / str(weight), {**config, "prior_loss_weight": weight})
        session.paths.class_pictures.mkdir()
        for number in range(2):
            Image.new("RGB", (64, 64), (number * 100, 50, 90)).save(session.paths.class_pictures / f"{number}.png")
        losses[weight] = run(session)[0].loss
    assert losses[3.0] - losses[0.0] == pytest.approx(3 * (losses[1.0] - losses[0.0]), rel=1e-4)
    assert losses[1.0] > losses[0.0] > 0


def test_files_on_the_way_and_what_they_say(tmp_path: Path):
    session = session_at(tmp_path, {**PLAIN, "save_every": 3, "save_from": 6, "keep_last": 1, "sample_prompts": ["a cat"]})
    control = Quiet()
    outcome, _ = run(session, control)
    assert sorted(path.name for path in session.paths.output.iterdir()) == ["cat-000009.safetensors", "cat.safetensors"]
    assert sorted(path.name for path in session.paths.samples.iterdir()) == ["000006-0.png", "000012-0.png"]
    assert sorted(path.name for path in session.paths.state.iterdir()) == ["step-000009", "step-000012"]
    with safe_open(session.paths.output / "cat.safetensors", "pt") as file:
        said = file.metadata()
    assert said["ss_steps"] == "12"
    assert json.loads(said["ss_tag_frequency"])["cat"]["square"] == 8
    assert "Training step: 6" in Image.open(session.paths.samples / "000006-0.png").info["parameters"]
    assert {kind for kind, _ in control.events} == {"sample", "saved", "made"}
    assert control.steps[-1] == 12
    assert outcome.files[-1].name == "cat.safetensors"


def test_a_file_that_a_kill_prevented_is_made_when_it_goes_on(tmp_path: Path):
    session = session_at(tmp_path, {**PLAIN, "sample_prompts": ["a cat"], "sample_every": 4})
    run(session, steps=8)
    for path in (session.paths.output / "cat-000008.safetensors", session.paths.samples / "000008-0.png"):
        path.unlink()
    run(session)
    assert (session.paths.output / "cat-000008.safetensors").is_file()
    assert (session.paths.samples / "000008-0.png").is_file()


def test_more_steps_later(tmp_path: Path):
    """A training that is done goes on when more steps are asked for, and is done at once when not."""
    session = session_at(tmp_path, PLAIN)
    run(session)
    assert run(session)[0].step == 12
    outcome, _ = run(session, max_train_steps=15, learning_rate=5e-4)
    assert (outcome.began_at, outcome.step) == (12, 15)
    assert [row["lr"] for row in curve(session)][-4:] == [1e-3, 5e-4, 5e-4, 5e-4]


def test_another_optimizer_or_other_pictures_are_told(tmp_path: Path):
    session = session_at(tmp_path, PLAIN)
    run(session, steps=3)
    (session.paths.pictures / "0.txt").write_text("another caption", encoding="utf-8")
    outcome, _ = run(session, optimizer="Lion")
    assert outcome.step == 12
    assert any("goes on with a new epoch" in text for text in outcome.warnings)
    assert any("optimizer was AdamW" in text for text in outcome.warnings)


def test_a_loss_that_is_no_number_ends_it_and_keeps_the_last_state(tmp_path: Path):
    session = session_at(tmp_path, PLAIN)
    run(session, steps=5)
    before = state.load(session.paths.state, print)
    with pytest.raises(ModelFault, match="lower learning rate"):
        run(session, broken_after=2, max_train_steps=60, save_every=1000, validate_every=0)
    after = state.load(session.paths.state, print)
    assert before[0] == after[0] == 5
    assert same(before[1]["trained"], after[1]["trained"])


def test_a_session_is_trained_once_at_a_time(tmp_path: Path):
    session = session_at(tmp_path, PLAIN)
    with session.lock():
        with pytest.raises(RequestFault, match="is being trained"):
            run(session)
        assert session.running
    assert not session.running


def test_an_unknown_argument_of_the_optimizer_is_named(tmp_path: Path):
    with pytest.raises(RequestFault, match="AdamW has no momentum"):
        run(session_at(tmp_path, {**PLAIN, "optimizer_args": ["momentum=0.9"]}))


def test_eight_bits_on_a_processor_are_refused_with_what_to_take(tmp_path: Path):
    with pytest.raises(RequestFault, match="Take AdamW"):
        run(session_at(tmp_path, {**PLAIN, "optimizer": "AdamW8bit"}))
