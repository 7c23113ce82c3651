"""A LoRA of twelve pictures of a thing that the starter model never saw: it appears where it is named, and other prompts stay as they were.

The longer form, for every method, is `python -m tests.train.unseen_trial`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.train import unseen
from tests.train.unseen_trial import NAME, PRIOR, Painter, learn

pytestmark = pytest.mark.slow
STEPS = 60


def test_a_thing_appears_when_it_is_named_and_only_then(tmp_path: Path) -> None:
    painter = Painter()
    judge = unseen.Judge({prompt: painter.draw([prompt] * 3) for prompt in unseen.OTHERS})
    before = painter.seen()
    files, _ = learn(tmp_path, "lora", painter, **PRIOR, max_train_steps=STEPS)
    after = painter.seen()
    assert [file.suffix for file in files] == [".safetensors"]
    assert NAME not in judge.named(before.named)
    assert judge.named(after.named).count(NAME) >= 4
    right = [name == prompt for name, prompt in zip(judge.named(after.others), unseen.OTHERS, strict=True)]
    assert sum(right) >= 5
    assert judge.alike(before.others, after.others) > 0.9
