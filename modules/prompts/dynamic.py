"""Prompts with choices: {a|b}, {2$$a|b|c}, {1-2$$ and $$a|b}, {0.3::a|0.7::b}, __name__ and ${name=text}, drawn from a seed.

From one template to a text for each picture; a text without these forms stays letter for letter as it is, and so does one that
was drawn before. Knows no tokens and no models, no torch. Start reading at `expand`.
Source: the syntax of the dynamic-prompts extension for A1111 (its documentation).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from modules.faults import RequestFault
from modules.prompts.choices import Choice, Node, Option, Recall, Remember, Wildcard, parse, weighed
from modules.prompts.wildcards import WildcardFiles

DEPTH_LIMIT = 30
TEXT_LIMIT = 100_000  # of one drawn text beyond its template, in characters
TOTAL_LIMIT = 20_000_000  # of all texts of a request
DRAW_LIMIT = 20_000


class Expansion(NamedTuple):
    """prompts, negative_prompts: one a seed. template, negative_template: as asked, "" where nothing was drawn."""

    prompts: tuple[str, ...]
    negative_prompts: tuple[str, ...]
    template: str
    negative_template: str
    warnings: tuple[str, ...]


def expand(prompt: str, negative_prompt: str, seeds: Sequence[int], folders: Sequence[Path]) -> Expansion:
    """The texts of the pictures with these seeds. The same seed draws the same from the same template and files.

    folders: where wildcard files lie. A wildcard that is not there stays in the text and is a warning. Raises RequestFault when a
    text grows without end or far too long.
    """
    shelf = _Shelf(WildcardFiles(folders))
    prompts = _drawn("prompt", prompt, seeds, shelf)
    negatives = _drawn("negative_prompt", negative_prompt, seeds, shelf)
    drawn = [row for row, asked in ((prompts, prompt), (negatives, negative_prompt)) if any(text != asked for text in row)]
    if sum(len(text) for row in drawn for text in row) > TOTAL_LIMIT:
        raise RequestFault("prompt", f"with its choices drawn comes to more than {TOTAL_LIMIT} characters for all pictures together")
    return Expansion(
        prompts=prompts,
        negative_prompts=negatives,
        template=prompt if prompts in drawn else "",
        negative_template=negative_prompt if negatives in drawn else "",
        warnings=tuple(shelf.missing),
    )


def _drawn(field: str, template: str, seeds: Sequence[int], shelf: _Shelf) -> tuple[str, ...]:
    nodes = parse(template)
    if nodes == [template]:
        return (template,) * len(seeds)
    limit = len(template) + TEXT_LIMIT
    return tuple(_Draw(field, random.Random(f"{field} {seed}"), shelf, limit).text(nodes) for seed in seeds)


class _Shelf:
    """The wildcard files of a request as options. missing: what was asked for and is not there, as sentences."""

    def __init__(self, files: WildcardFiles) -> None:
        self._files = files
        self._options: dict[str, list[Option]] = {}
        self.missing: dict[str, None] = {}

    def options(self, wildcard: Wildcard) -> list[Option]:
        if wildcard.name not in self._options:
            self._options[wildcard.name] = [weighed(line) for line in self._files.lines(wildcard.name)]
        if not self._options[wildcard.name]:
            self.missing[f"There is no wildcard {wildcard.written}; it stays in the text."] = None
        return self._options[wildcard.name]


class _Draw:
    """One text being drawn. Only random.random() is used, which gives the same numbers in every version of Python."""

    def __init__(self, field: str, source: random.Random, shelf: _Shelf, limit: int) -> None:
        self._field = field
        self._source = source
        self._shelf = shelf
        self._limit = limit
        self._known: dict[str, list[Node]] = {}
        self._draws = 0

    def text(self, nodes: Sequence[Node], depth: int = 0) -> str:
        """The text of some nodes. Raises RequestFault at the limits."""
        if depth > DEPTH_LIMIT:
            raise RequestFault(self._field, "holds a wildcard or variable that leads back to itself, or choices nested too deeply")
        found = "".join([node if isinstance(node, str) else self._one(node, depth + 1) for node in nodes])
        if len(found) > self._limit:
            raise RequestFault(self._field, f"with its choices drawn is longer than {self._limit} characters")
        return found

    def _one(self, node: Choice | Wildcard | Remember | Recall, depth: int) -> str:
        if isinstance(node, Choice):
            return self._choice(node, depth)
        if isinstance(node, Wildcard):
            options = self._shelf.options(node)
            return self._option(self._pick(options), depth) if options else node.written
        if isinstance(node, Remember):
            self._known[node.name] = [self.text(node.nodes, depth)] if node.at_once else node.nodes
            return ""
        meant = self._known.get(node.name, node.fallback)
        if meant is None:
            self._shelf.missing[f"There is no variable {node.written}; it stays in the text."] = None
            return node.written
        return self.text(meant, depth)

    def _choice(self, node: Choice, depth: int) -> str:
        options = list(node.options)
        only = options[0][1]
        if len(options) == 1 and len(only) == 1 and isinstance(only[0], Wildcard):  # so many lines of a file
            options = list(self._shelf.options(only[0])) or options
        low, high = (min(count, len(options)) for count in (node.low, node.high))
        picked: list[str] = []
        for _ in range(low + int(self._source.random() * (high - low + 1)) if high > low else low):
            option = self._pick(options)
            options.remove(option)
            picked.append(self._option(option, depth))
        return node.joiner.join(picked)

    def _option(self, option: Option, depth: int) -> str:
        nodes = option[1]
        return self.text(parse(nodes) if isinstance(nodes, str) else nodes, depth)

    def _pick(self, options: Sequence[Option]) -> Option:
        """One of them, by weight; all alike when none has any."""
        self._draws += 1
        if self._draws > DRAW_LIMIT:
            raise RequestFault(self._field, f"leads to more than {DRAW_LIMIT} choices for one picture")
        total = sum(weight for weight, _ in options)
        if not total:
            return options[int(self._source.random() * len(options))]
        at = self._source.random() * total
        for option in options:
            at -= option[0]
            if at < 0:
                return option
        return options[-1]
