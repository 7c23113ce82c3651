"""What a caption's request asks for, and how that is put to a kind of captioner: a beginning, a question, a task with words or a region.

Knows no models and no files; imports no torch. Start reading at `task_of` and `put`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from modules.caption import ANSWER, ATTEND, CAPTION, CAPTIONERS, FIND, MATCH, OCR, PROMPT, TAGS, WORDS, Kind
from modules.caption.installed import Installed
from modules.caption.kind import A_REGION, NO_WORDS, REPLY, Task
from modules.faults import RequestFault
from modules.request.caption import TASKS, CaptionRequest

TO = "to "  # before a task's name, among what a model must be able to do
DOING = {
    CAPTION: "write captions",
    PROMPT: "go on from a beginning",
    ANSWER: "answer questions",
    MATCH: "compare texts",
    WORDS: "rank words",
    FIND: "find things",
    TAGS: "give tags",
    OCR: "read text",
    ATTEND: "show where it looks",
    **{TO + name: words for name, words in TASKS.items()},
}
_TOGETHER = ({"task", "prompt"}, {"task", "caption"}, {"task", "prompt", "caption"}, {"question", "caption"})
_THOUSANDTHS = 1000
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


@dataclass(frozen=True, kw_only=True)
class Put:
    """text: as the model is given it, or the written caption; before: what was asked when that was written; places: gives places."""

    text: str
    before: str = ""
    places: bool = False


def abilities(model: Installed) -> set[str]:
    """Everything that a captioner can do, tasks included."""
    kind = CAPTIONERS.get(model.kind)
    return {*model.does, *(TO + name for name in kind.tasks), *([ATTEND] if kind.looks else [])}


def task_of(request: CaptionRequest) -> tuple[str, tuple[str, ...]]:
    """(the task of a `ResolvedCaption`, what a model must be able to do for it). Raises RequestFault for what does not go together."""
    told = _told(request)
    asked = [name for name in ("prompt", "question", "texts", "caption") if getattr(request, name)] + (["task"] if told else [])
    if len(asked) > 1 and set(asked) not in _TOGETHER:
        raise RequestFault(asked[1], f"cannot be given together with {asked[0]}; ask once for each")
    needed = (TO + told,) if told else ()
    if request.texts:
        return MATCH, (MATCH,)
    if request.caption.strip():
        return ATTEND, (ATTEND, *needed)
    if request.question.strip():
        return ANSWER, (ANSWER,)
    if told:
        return CAPTION, needed
    return CAPTION, (CAPTION, PROMPT) if request.prompt.strip() else (CAPTION,)


def put(request: CaptionRequest, task: str, kind: Kind, model: str) -> Put:
    """How the request is put to a captioner. model: its name. Raises RequestFault("prompt")."""
    told = kind.tasks.get(_told(request))
    asked = request.prompt.strip()
    if request.question.strip():
        text = kind.template.replace("{}", request.question.strip())
    elif told is not None:
        text = _instruction(told, _told(request), asked, kind, model)
    else:
        text = kind.beginning.replace("{}", asked) if asked else ""
    if task == ATTEND:
        return Put(text=request.caption.strip(), before=text.partition(REPLY)[0])
    return Put(text=text, places=told is not None and told.places)


def _told(request: CaptionRequest) -> str:
    """The task's name; "" for a caption, which every captioner writes without being told."""
    return "" if request.task == CAPTION else request.task


def _instruction(task: Task, name: str, words: str, kind: Kind, model: str) -> str:
    if task.reads == NO_WORDS:
        if not words:
            return task.text
        if PROMPT not in kind.does:
            raise RequestFault("prompt", f"is not read by {model} when it is to {TASKS[name]}; leave it empty", got=words)
        return f"{task.text}{REPLY}{words}"
    if task.reads == A_REGION:
        return task.text.replace("{}", "".join(f"<loc_{number}>" for number in _region(words, name)))
    if not words:
        raise RequestFault("prompt", f"is needed to {TASKS[name]}: the words to look for")
    return task.text.replace("{}", words)


def _region(text: str, name: str) -> list[int]:
    """Left, top, right, bottom in thousandths of the picture's sides."""
    numbers = [int(float(number)) for number in _NUMBER.findall(text)]
    fits = len(numbers) == 4 and all(number < _THOUSANDTHS for number in numbers) and numbers[0] < numbers[2] and numbers[1] < numbers[3]
    if not fits:
        why = f"must be a region to {TASKS[name]}: left, top, right and bottom in thousandths of the picture, such as 100, 250, 600, 900"
        raise RequestFault("prompt", why, got=text)
    return numbers
