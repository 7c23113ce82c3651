"""What /api/v2/train takes and answers: sessions, metrics and samples, as exact shapes.

Those of pictures are in `train_picture_shapes`. Knows shapes; knows nothing about routes or files. Start reading at `TrainSession`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from modules.request.train import TrainConfig
from modules.server.v2.job_bodies import Exact, record_model
from modules.server.v2.job_shapes import JobFault, Progress
from modules.server.v2.shapes import Answer, Page

NAME_CHARS = 100
MOST_POINTS = 20_000
SessionState = Literal["new", "queued", "running", "paused", "stopped", "done", "failed"]
SessionName = Annotated[str, Field(min_length=1, max_length=NAME_CHARS, description="Letters, digits, spaces, . - and _; a folder's name.")]

TrainFields = record_model(TrainConfig, "TrainFields", without=("session",))


class TrainSession(Answer):
    """A session in the list. step: of the state that training would go on from, 0 without one; of: steps of all stages.

    state: "new" (never begun), "queued", "running", "paused" (its job waits, held), "stopped" (can go on), "done" or "failed".
    job: id of its latest job, null when that is forgotten; changed_s: seconds since 1970; thumbnail: of its first picture.
    broken: why its configuration cannot be read, empty when it can. total_bytes: what its folder takes on the disk.
    """

    name: str
    state: SessionState
    method: str
    checkpoint: str
    captioner: str
    pictures: int
    step: int
    of: int
    changed_s: float
    job: str | None
    thumbnail: str | None
    broken: str
    total_bytes: int
    url: str


class TrainSessionPage(Page[TrainSession]):
    """The sessions, by name."""


class TrainFile(Answer):
    """A file that a training made. kind: "lora", "embedding", "checkpoint", "captioner_lora" or "file"; step: null for the last one.

    insert: what goes into a prompt to use it, empty where it is chosen elsewhere; installed: it lies among the models.
    """

    name: str
    kind: str
    step: int | None
    size_bytes: int
    changed_s: float
    insert: str
    installed: bool


class TrainSessionDetail(TrainSession):
    """A session as a whole. folder: on the server; config: every value of config.toml; config_line: of the value that a failed start
    was about, null when it was about none; fault: why its latest job failed; progress: of the running job; outputs: what it made.
    """

    folder: str
    config: TrainFields  # pyright: ignore[reportInvalidTypeForm]
    config_line: int | None
    fault: JobFault | None
    progress: Progress | None
    outputs: list[TrainFile]


class NewTrainSession(Exact):
    """A session to be made. preset: values to begin with, one of /api/v2/train/options; config: values over them.

    folder: a folder of pictures inside the data folder, copied into the session with its captions.
    """

    name: SessionName
    preset: str = Field("", max_length=100)
    config: TrainFields | None = Field(None, description="Values that differ from the preset's.")  # pyright: ignore[reportInvalidTypeForm]
    folder: str = Field("", max_length=4000)


class TrainSessionChange(Exact):
    """What is left out stays. name: the session's new one, refused while its job waits or runs."""

    name: SessionName | None = None
    preset: str | None = Field(None, max_length=100, description="Takes over the values of a preset, before `config` is applied.")
    config: TrainFields | None = None  # pyright: ignore[reportInvalidTypeForm]


class CloneTrainSession(Exact):
    """A copy under another name: its configuration, pictures, captions and crops. progress: also its states, samples and results."""

    name: SessionName
    progress: bool = False


class TrainSessionGone(Answer):
    """A session that was removed."""

    name: str


class StartTraining(Exact):
    """again: forget what was trained and begin at step 0; else it goes on from its last state. held: it waits until released."""

    again: bool = False
    held: bool = False


class TrainPoint(Answer):
    """A line of metrics.jsonl. it_s: steps a second; time_s: seconds of training up to there; what was not measured is null."""

    step: int
    epoch: float
    loss: float | None
    val_loss: float | None
    lr: float | None
    it_s: float | None
    time_s: float | None
    memory_bytes: float | None
    grad_norm: float | None


class TrainMetrics(Answer):
    """Points after a step. last: what to send as `after` next; begun: grows by one whenever earlier points were cut off (a training
    that began again or went on from an earlier state), so that a plot is drawn anew. thinned: only every n-th point, 1 for all.
    """

    points: list[TrainPoint]
    last: int
    begun: int
    thinned: int
    state: SessionState
    step: int
    of: int
    eta_s: float | None
    text: str


class TrainSample(Answer):
    """A picture made on the way. prompt: its number among the sample prompts; text: that prompt."""

    file: str
    step: int
    prompt: int
    text: str
    url: str
    thumbnail: str


class TrainSamples(Answer):
    """The samples by step, then by prompt."""

    items: list[TrainSample]


class TryIt(Exact):
    """Which result to try. step: of a saved one, null for the last. weight: of a LoRA in the prompt."""

    step: int | None = Field(None, ge=0)
    all_steps: bool = Field(False, description="Install every saved step, to compare them in an X/Y/Z grid.")
    weight: float = Field(1.0, ge=-10, le=10)


class Trial(Answer):
    """What to put into txt2img. prompt: with the LoRA's tag and the trigger word, or the embedding's name; checkpoint: title of the
    model, empty to keep the present one; names: what was installed, by step, for an axis of a grid: "Prompt S/R" takes `inserts`.
    """

    prompt: str
    checkpoint: str
    width: int
    height: int
    insert: str
    inserts: list[str]
    files: list[str]


class TrainOption(Answer):
    """A field of the configuration. kind: "bool", "int", "float", "str" or "list"; choices: values, or null; list: name of a list of
    /api/v2/choices; low, high: bounds; ui_low, ui_high, step: of a slider. group: which card of the page it belongs on.
    """

    name: str
    label: str
    help: str
    group: str
    kind: Literal["bool", "int", "float", "str", "list"]
    default: Any
    choices: list[str] | None
    list: str | None
    low: float | None
    high: float | None
    ui_low: float | None
    ui_high: float | None
    step: float | None
    multiline: bool


class TrainPreset(Answer):
    """Values to begin with. families: of the models it is for; memory_gb: least memory of the device, 0 for any; native_px: training
    size of the models it is for, 0 for all.
    """

    name: str
    title: str
    method: str
    families: list[str]
    memory_gb: int
    native_px: int
    note: str
    values: dict[str, Any]


class TrainOptions(Answer):
    """What can be asked of a training. devices: how many there are; cluster: whether other machines can take part.

    captioners: those that can be trained.
    """

    fields: list[TrainOption]
    presets: list[TrainPreset]
    devices: int
    cluster: bool
    captioners: list[str]
