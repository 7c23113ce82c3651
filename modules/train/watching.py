"""What is looked at and kept on the way: validation, samples, states, files to use. The loop says when.

Start reading at `Watcher`.
"""

from __future__ import annotations

import dataclasses
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from modules.request.train import TrainConfig
from modules.train import state
from modules.train.feed import Batch, Feed, Position
from modules.train.kept import Kept
from modules.train.log import Log
from modules.train.networks.export import tag_frequency
from modules.train.samples import asked_of, keep_sample, sample_path
from modules.train.sessions import Session
from modules.train.stepper import Stepper
from modules.train.trainee import Dataset, Trainee

DRAWS = 4  # how often each picture of the validation is looked at, with another noise each time
VALIDATION_EPOCH = -1  # the epoch of examples for validation: nothing of them is left to chance


class Watcher:
    """Bound to one run. event: tells people; written: files of output/ so far in this run."""

    def __init__(
        self,
        session: Session,
        config: TrainConfig,
        trainee: Trainee,
        dataset: Dataset,
        log: Log,
        event: Callable[[str, dict[str, Any]], None],
    ) -> None:
        self._session, self._config, self._trainee, self._dataset, self._log, self._event = session, config, trainee, dataset, log, event
        self._asked = [asked_of(text, config) for text in config.sample_prompts]
        self.samples: list[Path] = []
        self.written: list[Path] = []

    def validate(self, stepper: Stepper, kept: Kept) -> float | None:
        """Mean loss over the pictures kept apart, with the same noise every time; None without such pictures."""
        indices = self._dataset.validation()
        total, count = 0.0, 0
        with stepper.used():
            for number, index in enumerate(indices):
                examples = kept.given([kept.example(self._dataset, index, VALIDATION_EPOCH)])
                for draw in range(DRAWS):
                    total += stepper.validation(Batch(examples, (0,), 1, 0, number, VALIDATION_EPOCH), draw)
                    count += 1
        return total / count if count else None

    def sample(self, stepper: Stepper, step: int) -> None:
        """A picture for each sample prompt, by the weights as they will be used."""
        if not self._asked:
            return
        self._session.paths.samples.mkdir(exist_ok=True)
        with stepper.used():
            for number, asked in enumerate(self._asked):
                image = self._trainee.sample(asked)
                path = sample_path(self._session.paths.samples, step, number)
                keep_sample(path, image, asked, step)
                self._log.picture(number, step, image)
                self.samples.append(path)
                self._event("sample", {"step": step, "prompt": number, "file": path.name})

    def save(self, stepper: Stepper, position: Position, stage: str, elapsed_s: float) -> None:
        """The state to go on from."""
        tree: dict[str, Any] = {
            "stage": stage,
            "position": dataclasses.asdict(position),
            "trained": dict(self._trainee.state_dict()),
            "stepper": stepper.tree(),
            "data": data_mark(self._config, self._dataset),
            "elapsed_s": elapsed_s,
        }
        self._log.settle()
        state.save(self._session.paths.state, position.step, tree)
        self._event("saved", {"step": position.step})

    def export(self, stepper: Stepper, feed: Feed, position: Position, *, last: bool) -> list[Path]:
        """A file to use: output/<name>-000250, or output/<name> at the end. Older ones beyond keep_last go."""
        folder = self._session.paths.output
        folder.mkdir(exist_ok=True)
        name = self._session.name if last else f"{self._session.name}-{position.step:06d}"
        with stepper.used():
            made = self._trainee.export(folder / name, self._metadata(feed, position))
        self.written += made
        self._event("made", {"step": position.step, "last": last, "files": [path.name for path in made]})
        if not last:
            self._thin(folder)
        return made

    def has_export(self, step: int) -> bool:
        return any(self._session.paths.output.glob(f"{_plain(self._session.name)}-{step:06d}*"))

    def has_samples(self, step: int) -> bool:
        return all(sample_path(self._session.paths.samples, step, number).is_file() for number in range(len(self._asked)))

    def _thin(self, folder: Path) -> None:
        if not self._config.keep_last:
            return
        pattern = re.compile(re.escape(self._session.name) + r"-(\d{6,})(?![\d])")
        steps = sorted({match[1] for path in folder.iterdir() if (match := pattern.match(path.name))}, key=int)
        for old in steps[: -self._config.keep_last]:
            for path in folder.glob(f"{_plain(self._session.name)}-{old}*"):
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    def _metadata(self, feed: Feed, position: Position) -> Mapping[str, str]:
        """What the file says of this training, in kohya's keys; the trainee adds what it knows of the network."""
        captions = _captions(self._session)
        return {
            "ss_output_name": self._session.name,
            "ss_steps": str(position.step),
            "ss_epoch": str(position.epoch),
            "ss_num_train_images": str(len(self._dataset)),
            "ss_num_batches_per_epoch": str(len(feed.order(position.epoch))),
            **(tag_frequency({self._session.name: captions}, self._config.caption_separator) if captions else {}),
        }


def data_mark(config: TrainConfig, dataset: Dataset) -> str:
    """What the order of the data follows from: when it changed, a training goes on with a new epoch."""
    return "/".join((dataset.fingerprint(), str(config.seed), str(config.global_batch)))


def _captions(session: Session) -> list[str]:
    found: list[str] = []
    for picture in session.pictures():
        beside = picture.with_suffix(".txt")
        if beside.is_file():
            found.append(beside.read_text(encoding="utf-8", errors="replace").strip())
    return found


def _plain(name: str) -> str:
    """A name inside a glob pattern."""
    return re.sub(r"([\[\]*?])", r"[\1]", name)
