"""What is said to the person beside the picture, as HTML: infotext, warnings, faults. Everything is escaped here.

Knows nothing about Gradio. Start reading at `picture_cards`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from modules.request import Picture, Result

TITLES = {
    "request": "This cannot be made as asked",
    "unknown_name": "That name is not known here",
    "unknown_script": "That script is not here",
    "model": "The model cannot be used",
    "out_of_memory": "Not enough memory",
    "blank_picture": "The model gave no picture",
    "disk": "The picture could not be saved",
    "worker_died": "The worker stopped",
    "unknown_job": "That job is gone",
}
MAP = "control"  # kind of a picture that a ControlNet unit saw; it stands behind the pictures that were made
TEXT_LIMIT = 200_000
ITEM_LIMIT = 4_000
NO_PARAMETERS = "This picture carries no generation parameters. Some programs and chat services remove them when they save a file again."


def fault_box(fault: Mapping[str, Any]) -> str:
    """A box that stays until it is closed: what happened and what to do. fault: `Fault.data()`."""
    title = TITLES.get(str(fault.get("kind")), "Something went wrong")
    return _box("fault", title, [str(fault.get("message") or "See the log for details.")])


def warning_box(warnings: Sequence[str], title: str = "About this picture") -> str:
    """Plain words, one line a warning; nothing for no warnings."""
    return _box("warning", title, warnings) if warnings else ""


def notice_box(lines: Sequence[str], title: str = "") -> str:
    """Something to know that is no fault; nothing for no lines."""
    return _box("notice", title, lines) if lines else ""


def _box(kind: str, title: str, lines: Iterable[str]) -> str:
    role = "alert" if kind == "fault" else "status"
    head = f"<strong>{escape(title)}</strong>" if title else ""
    body = "".join(f"<p>{escape(line)}</p>" for line in lines)
    close = '<button type="button" class="dr-close" aria-label="Close this message" data-do="close-box"></button>'
    return f'<div class="dr-box dr-{kind}" role="{role}">{head}{body}{close}</div>'


def picture_cards(result: Result, *, first: int = 0, source: str = "", subseed: int | None = None) -> str:
    """The infotext of every picture; the page's script shows that of the selected one.

    first: number of the first one in the gallery; source: "job/place" it can be asked for at; subseed: its variation seed.
    """
    return "".join(_card(n, picture, result, source, subseed) for n, picture in enumerate(result.pictures, first))


def _card(n: int, picture: Picture, result: Result, source: str, subseed: int | None) -> str:
    facts = [f"{picture.width} × {picture.height}", Path(picture.path).name if picture.saved else "not saved", *result.notes]
    if "total" in result.seconds:
        facts.append(f"{result.seconds['total']:.1f} s")
    if picture.kind == "partial":
        facts.append("stopped before its last step")
    if picture.kind == MAP:
        facts = ["Detected map", *facts[:2]]
    hidden = " hidden" if n else ""
    own = f' data-source="{escape(source)}"' if source else ""
    own += f' data-subseed="{subseed}"' if subseed is not None else ""
    seed = f' data-seed="{picture.seed}"' if picture.kind != MAP else ""
    return (
        f'<article class="dr-card" data-n="{n}"{seed} data-kind="{escape(picture.kind)}"{own}{hidden}>'
        f'<div class="dr-facts">{"".join(f"<span>{escape(fact)}</span>" for fact in facts)}'
        '<button type="button" class="dr-link" data-do="copy-infotext">Copy</button></div>'
        f'<pre class="dr-infotext">{_limited(picture.infotext, TEXT_LIMIT)}</pre></article>'
    )


def file_text(parameters: str, items: Mapping[str, str]) -> str:
    """What a picture file says about itself."""
    parts: list[str] = []
    if parameters:
        parts.append(f'<h3>Parameters</h3><pre class="dr-infotext" id="pnginfo_parameters">{_limited(parameters, TEXT_LIMIT)}</pre>')
    else:
        parts.append(notice_box([NO_PARAMETERS]))
    if items:
        rows = "".join(f"<dt>{escape(str(k)[:200])}</dt><dd>{_limited(str(v), ITEM_LIMIT)}</dd>" for k, v in items.items())
        parts.append(f'<h3>Other items</h3><dl class="dr-items">{rows}</dl>')
    return "".join(parts)


def _limited(text: str, limit: int) -> str:
    if len(text) <= limit:
        return escape(text)
    return f"{escape(text[:limit])}… ({len(text) - limit} more characters)"
