"""Prompt editing: [from:to:when], [to:when], [from::when], [a|b] and `AND`. From text to what holds at which step.

Knows no tokens and no models. Start reading at `schedule` and `split_and`. Source: A1111 1.10's prompt language.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_TOKEN = re.compile(r"\\.|[\[\]():|]|[^\\\[\]():|]+|\\", re.DOTALL)
_WHEN = re.compile(r"\s*(\d+\.?\d*|\.\d+)\s*")
_AND = re.compile(r"\bAND\b")
_AND_WEIGHT = re.compile(r"^(.*?)\s*:\s*([-+]?(?:\d+\.?\d*|\.\d+))\s*$", re.DOTALL)
MAX_DEPTH = 200


@dataclass
class _Frame:
    """An open bracket: the segments so far and the separators between them."""

    opener: str
    segments: list[list[_Node]] = field(default_factory=lambda: [[]])
    separators: list[str] = field(default_factory=list[str])

    def literal(self, closer: str) -> list[_Node]:
        """Everything in it as plain text with what is nested kept."""
        nodes: list[_Node] = [self.opener]
        for n, segment in enumerate(self.segments):
            if n:
                nodes.append(self.separators[n - 1])
            nodes.append(_Sequence(segment))
        return [*nodes, closer]


@dataclass(frozen=True)
class _Sequence:
    nodes: list[_Node]


@dataclass(frozen=True)
class _Switch:
    """before until step `when`, after from then on. when: as written."""

    before: list[_Node]
    after: list[_Node]
    when: str

    def step(self, steps: int) -> int:
        at = int(float(self.when) * steps) if "." in self.when else int(self.when)
        return max(0, min(steps, at))


@dataclass(frozen=True)
class _Cycle:
    options: list[list[_Node]]


_Node = str | _Sequence | _Switch | _Cycle


@dataclass(frozen=True)
class Stretch:
    """text holds up to and including step `until` (1-based, counted in network calls)."""

    until: int
    text: str


def schedule(text: str, steps: int) -> list[Stretch]:
    """What the prompt says over `steps` steps; the last stretch ends there. A prompt without editing is one stretch.

    What does not parse is kept as text.
    """
    root = _parse(text)
    cuts, cycles = _cuts(root, steps)
    ends = range(1, steps + 1) if cycles else sorted({*cuts, steps})
    stretches: list[Stretch] = []
    for until in ends:
        now = _render(root, until, steps)
        if stretches and stretches[-1].text == now:
            stretches[-1] = Stretch(until, now)
        else:
            stretches.append(Stretch(until, now))
    return stretches


def split_and(text: str) -> list[tuple[str, float]]:
    """The parts of a prompt joined by AND, each with its weight (":1.2" at its end; 1 without)."""
    parts: list[tuple[str, float]] = []
    for part in _AND.split(text):
        found = _AND_WEIGHT.match(part) if len(part) < 100_000 and ":" in part[-24:] else None
        # a part that ends in ":2" weighs 2; "(a:2)" does not end in a number
        parts.append((found.group(1), float(found.group(2))) if found else (part, 1.0))
    return parts


def _parse(text: str) -> _Sequence:
    stack: list[_Frame] = [_Frame("")]
    for token in _TOKEN.findall(text):
        top = stack[-1]
        if token in ("(", "[") and len(stack) < MAX_DEPTH:
            stack.append(_Frame(token))
        elif token in (")", "]"):
            _close(stack, token)
        elif token in (":", "|") and top.opener == "[":
            top.separators.append(token)
            top.segments.append([])
        else:
            top.segments[-1].append(token)
    while len(stack) > 1:
        frame = stack.pop()
        stack[-1].segments[-1].append(_Sequence(frame.literal("")))
    return _Sequence(stack[0].segments[0])


def _close(stack: list[_Frame], closer: str) -> None:
    wanted = "(" if closer == ")" else "["
    if not any(frame.opener == wanted for frame in stack):
        stack[-1].segments[-1].append(closer)
        return
    while stack[-1].opener != wanted:  # an unclosed bracket inside: plain text
        frame = stack.pop()
        stack[-1].segments[-1].append(_Sequence(frame.literal("")))
    frame = stack.pop()
    stack[-1].segments[-1].append(_finish(frame, closer))


def _finish(frame: _Frame, closer: str) -> _Node:
    if frame.opener == "[" and frame.separators:
        if all(s == "|" for s in frame.separators):
            return _Cycle(frame.segments)
        last = frame.segments[-1]
        when = _WHEN.fullmatch(last[0]) if len(last) == 1 and isinstance(last[0], str) else None
        if when and all(s == ":" for s in frame.separators) and len(frame.separators) <= 2:
            before = frame.segments[0] if len(frame.separators) == 2 else []
            return _Switch(before, frame.segments[-2], when.group(1))
    return _Sequence(frame.literal(closer))


def _cuts(root: _Sequence, steps: int) -> tuple[set[int], bool]:
    """(steps after which the text may change, it changes with every step)."""
    cuts: set[int] = set()
    cycles = False
    waiting: list[_Node] = [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, _Sequence):
            waiting.extend(node.nodes)
        elif isinstance(node, _Switch):
            if 0 < (at := node.step(steps)) < steps:
                cuts.add(at)
            waiting.extend([*node.before, *node.after])
        elif isinstance(node, _Cycle):
            cycles = True
            waiting.extend(n for option in node.options for n in option)
    return cuts, cycles


def _render(root: _Sequence, step: int, steps: int) -> str:
    """The text at a step, 1-based."""
    out: list[str] = []
    waiting: list[_Node] = [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, str):
            out.append(node)
        elif isinstance(node, _Sequence):
            waiting.extend(reversed(node.nodes))
        elif isinstance(node, _Switch):
            waiting.extend(reversed(node.before if step <= node.step(steps) else node.after))
        else:
            waiting.extend(reversed(node.options[(step - 1) % len(node.options)]))
    return "".join(out)
