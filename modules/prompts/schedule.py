"""Prompt editing: [from:to:when], [to:when], [from::when], [a|b] and `AND`. From text to what holds at which step.

Knows no tokens and no models. Start reading at `schedule` and `split_and`. Source: A1111 1.10's prompt language.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

_TOKEN = re.compile(r"[\[\]():|]|(?:[^\\\[\]():|]++|\\.?)++", re.DOTALL)
_WHEN = re.compile(r"\s*+([+-]?+(?:\d++\.?+\d*+|\.\d++))\s*+")
_AND = re.compile(r"\bAND\b")
AND_WEIGHT_LIMIT = 1e4


class _Switch(NamedTuple):
    """before until step `when`, after from then on: ranges of nodes. whole: `when` is a number of steps, not a share of them."""

    nodes: list[_Node]
    before: slice
    after: slice
    when: float
    whole: bool


class _Cycle(NamedTuple):
    """What stands between the cuts takes turns. nodes: from "[" to "]"; cuts: where each "|" stands in them."""

    nodes: list[_Node]
    cuts: list[int]

    def option(self, step: int) -> slice:
        """Whose turn it is at a step, 1-based."""
        n = (step - 1) % (len(self.cuts) + 1)
        return slice(self.cuts[n - 1] + 1 if n else 1, self.cuts[n] if n < len(self.cuts) else len(self.nodes) - 1)


_Node = str | list["_Node"] | _Switch | _Cycle
_NO_CUTS: list[int] = []


@dataclass(frozen=True)
class Clock:
    """What the numbers in a prompt mean. steps: of this pass, counted in network calls.

    first_pass: calls of the pass before this one: then whole numbers count on from there and shares are 1.0 to 2.0; None in the
    first pass. old: A1111's old rule: numbers below 1 are shares of this pass, all others are steps of it.
    """

    steps: int
    first_pass: int | None = None
    old: bool = False

    def step(self, switch: _Switch) -> int:
        """The last step, 0 .. steps, at which what stands before still holds."""
        if self.old:
            at = switch.when * self.steps if switch.when < 1 else switch.when
        elif self.first_pass is None:
            at = switch.when if switch.whole else switch.when * self.steps
        else:
            at = switch.when - self.first_pass if switch.whole else (switch.when - 1) * self.steps
        return int(max(0.0, min(float(self.steps), at)))


@dataclass(frozen=True)
class Stretch:
    """text holds up to and including step `until` (1-based, counted in network calls)."""

    until: int
    text: str


def schedule(text: str, steps: int, *, first_pass: int | None = None, old: bool = False) -> list[Stretch]:
    """What the prompt says over `steps` steps; the last stretch ends there. A prompt without editing is one stretch.

    first_pass, old: as in `Clock`. What does not parse is kept as text.
    """
    if "[" not in text:
        return [Stretch(steps, text)]
    clock = Clock(steps, first_pass, old)
    root = _parse(text)
    switches, periods = _changes(root, clock)
    cuts = sorted(switches)
    ends = range(1, steps + 1) if periods else [*cuts, steps]
    known: dict[tuple[int, ...], str] = {}
    stretches: list[Stretch] = []
    for until in ends:
        turn = (sum(cut < until for cut in cuts), *((until - 1) % period for period in periods))
        if turn not in known:
            known[turn] = _render(root, until, clock)
        if stretches and stretches[-1].text == known[turn]:
            stretches.pop()
        stretches.append(Stretch(until, known[turn]))
    return stretches


def split_and(text: str) -> list[tuple[str, float]]:
    """The parts of a prompt joined by AND, each with its weight (":1.2" at its end; 1 without). "(a:2)" does not end in a number."""
    parts: list[tuple[str, float]] = []
    for part in _AND.split(text):
        front, colon, back = part.rpartition(":")
        number = _WHEN.fullmatch(back) if colon else None
        if number is None:
            parts.append((part, 1.0))
        else:
            parts.append((front.rstrip(), max(-AND_WEIGHT_LIMIT, min(AND_WEIGHT_LIMIT, float(number.group(1))))))
    return parts


def _parse(text: str) -> list[_Node]:
    """The text as nodes. Round brackets are text; they only keep separators in them from being any.

    A round bracket that closes one opened outside of square brackets leaves these unclosed, which makes them text.
    """
    outer: list[tuple[list[_Node], list[int], int]] = []  # the same three of the square brackets around, outermost first
    nodes: list[_Node] = []  # what was found in the innermost
    cuts: list[int] = _NO_CUTS  # where separators stand in it
    rounds, around = 0, 0  # round brackets that are open in it and further out
    for token in _TOKEN.findall(text):
        if token == "[":
            outer.append((nodes, cuts, rounds))
            around += rounds
            nodes = [token]
            cuts, rounds = _NO_CUTS, 0
            continue
        if outer:
            if token == "]":
                nodes.append(token)
                inner: _Node = _finished(nodes, cuts) if cuts else nodes
                nodes, cuts, rounds = outer.pop()
                around -= rounds
                nodes.append(inner)
                continue
            if (token == "|" or token == ":") and not rounds:
                if cuts:
                    cuts.append(len(nodes))
                else:
                    cuts = [len(nodes)]
            elif token == ")" and not rounds and around:
                while not rounds:
                    unclosed = nodes
                    nodes, cuts, rounds = outer.pop()
                    around -= rounds
                    nodes.append(unclosed)
        if token == "(":
            rounds += 1
        elif token == ")" and rounds:
            rounds -= 1
        nodes.append(token)
    while outer:
        unclosed = nodes
        nodes, _, _ = outer.pop()
        nodes.append(unclosed)
    return nodes


def _finished(nodes: list[_Node], cuts: list[int]) -> _Node:
    """A square bracket with separators, from "[" to "]": a switch or a cycle, or text when it is neither."""
    colons = sum(nodes[cut] == ":" for cut in cuts)
    if not colons:
        return _Cycle(nodes, cuts)
    last = nodes[-2]
    when = _WHEN.fullmatch(last) if isinstance(last, str) and cuts[-1] == len(nodes) - 3 else None
    if when is None or colons < len(cuts) or colons > 2:
        return nodes
    before, after = (slice(1, cuts[0]), slice(cuts[0] + 1, cuts[1])) if colons == 2 else (slice(0), slice(1, cuts[0]))
    return _Switch(nodes, before, after, float(when.group(1)), "." not in when.group(1))


def _changes(root: list[_Node], clock: Clock) -> tuple[set[int], list[int]]:
    """(steps after which a switch changes the text, lengths of the cycles)."""
    cuts: set[int] = set()
    periods: set[int] = set()
    waiting: list[_Node] = [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, _Switch):
            cuts.add(clock.step(node))
            waiting += [*node.nodes[node.before], *node.nodes[node.after]]
        elif isinstance(node, _Cycle):
            periods.add(len(node.cuts) + 1)
            waiting += node.nodes
        elif isinstance(node, list):
            waiting += node
    return {cut for cut in cuts if 0 < cut < clock.steps}, sorted(periods)


def _render(root: list[_Node], step: int, clock: Clock) -> str:
    """The text at a step, 1-based."""
    words: list[str] = []
    waiting: list[_Node] = [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, str):
            words.append(node)
        elif isinstance(node, _Switch):
            waiting += reversed(node.nodes[node.before if step <= clock.step(node) else node.after])
        elif isinstance(node, _Cycle):
            waiting += reversed(node.nodes[node.option(step)])
        else:
            waiting += reversed(node)
    return "".join(words)
