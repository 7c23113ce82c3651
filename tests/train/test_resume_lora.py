"""A LoRA with its text encoder on a small random model, through the whole loop: stopped and gone on with, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from modules.families import FAMILIES
from modules.train.data.cache import DiskCache
from modules.train.data.dataset import Dataset
from modules.train.loop import train
from modules.train.methods import make_trainee
from modules.train.sessions import Session
from tests.train.killing import differences
from tests.train.networks.rig import SOME, built
from tests.train.runs import PLAIN, Quiet, session_at

CONFIG = {
    **PLAIN, "network_dim": 2, "network_dropout": 0.1, "text_encoder_lr": 1e-3, "target_blocks": SOME["sd15"], "max_train_steps": 4,
    "save_every": 2,
    "validate_every": 0, "sample_every": 0, "save_precision": "float32", "caption_dropout": 0.3, "flip_aug": True, "train_batch_size": 1,
}  # fmt: skip


class Stopping:
    """A trainee that stops the run after so many steps; everything else is the trainee's own."""

    def __init__(self, trainee: Any, control: Quiet, steps: int) -> None:
        self._trainee, self._control, self._left = trainee, control, steps

    def __getattr__(self, name: str) -> Any:
        return getattr(self._trainee, name)

    def after_step(self) -> None:
        self._trainee.after_step()
        self._left -= 1
        if not self._left:
            self._control.stop()


def go(session: Session, folder: Path, steps: int = 0) -> str:
    """A run with a model loaded anew, as another process would have it."""
    torch.set_num_threads(1)
    config, control = session.config(), Quiet()
    trainee = make_trainee(config, built("sd15", folder), FAMILIES.get("sd15"))
    cache = DiskCache(session.paths.cache)
    return train(session, config, Stopping(trainee, control, steps), Dataset.of(session, config), control, cache=cache).state


def test_a_lora_goes_on_as_if_it_had_not_been_stopped(tmp_path: Path):
    model = tmp_path / "model"
    whole, broken = session_at(tmp_path / "whole", CONFIG, pictures=3), session_at(tmp_path / "broken", CONFIG, pictures=3)
    assert go(whole, model) == "done"
    assert [go(broken, model, steps=3), go(broken, model)] == ["canceled", "done"]
    assert (broken.paths.output / "cat-000002.safetensors").is_file()
    assert differences(whole, broken) == []
