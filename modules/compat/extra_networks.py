"""`modules.extra_networks`: kinds of `<word:...>` tags that guests add, and the guest that carries them out in each batch.

The program's own kinds (lora, lyco) are not here: `modules.prompts.networks` reads them. Start reading at `Tags`.
Source: the behaviour of A1111 1.10.
"""

from __future__ import annotations

import re
from typing import Any

from modules.hooks import Guest, Run, Texts
from modules.prompts.networks import KINDS

_TAG = re.compile(r"<(\w++):([^>]++)>")


class ExtraNetworkParams:
    """What stands in a tag behind its word. positional: in order; named: those written as key=value."""

    def __init__(self, items: list[str] | None = None) -> None:
        self.items = list(items or [])
        self.positional = [item for item in self.items if "=" not in item]
        self.named = dict(item.split("=", 1) for item in self.items if "=" in item)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ExtraNetworkParams) and self.items == other.items

    __hash__ = None  # type: ignore[assignment]


class ExtraNetwork:
    """A kind of tag. name: its word."""

    def __init__(self, name: str) -> None:
        self.name = name

    def activate(self, p: Any, params_list: list[ExtraNetworkParams]) -> None:
        raise NotImplementedError

    def deactivate(self, p: Any) -> None:
        raise NotImplementedError


class Tags:
    """The kinds that guests registered in this process."""

    def __init__(self) -> None:
        self.extra_network_registry: dict[str, ExtraNetwork] = {}
        self.extra_network_aliases: dict[str, ExtraNetwork] = {}

    def register_extra_network(self, extra_network: ExtraNetwork) -> None:
        self.extra_network_registry[extra_network.name] = extra_network

    def register_extra_network_alias(self, extra_network: ExtraNetwork, alias: str) -> None:
        self.extra_network_aliases[alias] = extra_network

    def kind(self, word: str) -> ExtraNetwork | None:
        """The guest's kind of that word, None for the program's own and for nobody's."""
        return self.extra_network_registry.get(word) or self.extra_network_aliases.get(word)

    def initialize(self) -> None:
        """As A1111 has it: nobody is registered."""
        self.extra_network_registry.clear()
        self.extra_network_aliases.clear()

    def parse_prompt(self, prompt: str, every: bool = True) -> tuple[str, dict[str, list[ExtraNetworkParams]]]:
        """(the prompt without its tags, word -> what they hold). every False: only tags of guests are taken out."""
        found: dict[str, list[ExtraNetworkParams]] = {}

        def take(match: re.Match[str]) -> str:
            word = match.group(1)
            if not every and (word in KINDS or self.kind(word) is None):
                return match.group(0)
            found.setdefault(word, []).append(ExtraNetworkParams(match.group(2).split(":")))
            return ""

        return _TAG.sub(take, prompt), found

    def parse_prompts(self, prompts: list[str]) -> tuple[list[str], dict[str, list[ExtraNetworkParams]] | None]:
        """The same of many; what the tags hold comes from the first."""
        rows = [self.parse_prompt(prompt) for prompt in prompts]
        return [text for text, _ in rows], rows[0][1] if rows else None

    def module(self) -> dict[str, Any]:
        """The names of A1111's module."""
        own = ("extra_network_registry", "extra_network_aliases", "register_extra_network", "register_extra_network_alias", "initialize",
               "parse_prompt", "parse_prompts")  # fmt: skip
        return {
            **{name: getattr(self, name) for name in own},
            "ExtraNetwork": ExtraNetwork,
            "ExtraNetworkParams": ExtraNetworkParams,
            "activate": lambda p, data: [self._activate(p, word, rows) for word, rows in data.items()] and None,
            "deactivate": lambda p, data: [kind.deactivate(p) for word in data if (kind := self.kind(word))] and None,
        }

    def _activate(self, p: Any, word: str, rows: list[ExtraNetworkParams]) -> None:
        kind = self.kind(word)
        if kind is not None:
            kind.activate(p, rows)


class TagGuest(Guest):
    """Takes the tags of guests out of a batch's prompts and switches their networks on, once a batch; `close` switches them off."""

    name = "tags of scripts"

    def __init__(self, tags: Tags, p: Any) -> None:
        self._tags = tags
        self._p = p
        self._on: dict[str, ExtraNetwork] = {}

    def listens(self, hook: str) -> bool:
        return bool(self._tags.extra_network_registry) and not self._p.disable_extra_networks

    def before_batch(self, run: Run, texts: Texts) -> Texts:
        rows = [self._tags.parse_prompt(prompt, every=False) for prompt in texts.prompts]
        p = self._p
        texts.prompts[:] = [text for text, _ in rows]
        asked = rows[0][1] if rows else {}
        p.prompts, p.extra_network_data = texts.prompts, asked
        for word, params in asked.items():
            kind = self._tags.kind(word)
            if kind is not None:
                self._on[word] = kind
                kind.activate(p, params)
        for word, kind in self._tags.extra_network_registry.items():
            if word not in asked:
                kind.activate(p, [])
                self._on[word] = kind
        texts.prompts = p.prompts
        return texts

    def close(self) -> None:
        """The pictures are made."""
        for kind in self._on.values():
            kind.deactivate(self._p)
        self._on = {}
