"""Words that stand for learnt vectors: finding them among token ids, and putting the vectors into a text encoder. torch lives here.

Knows tokenizers and the input end of text encoders; knows nothing about chunks and weights. Start reading at `Embeddings.split`,
then `inserted`. Source: the behaviour of A1111 1.10 (longest name first, by token ids); arXiv:2208.01618.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import torch

from modules.faults import ModelFault
from modules.weights import embeddings as files
from modules.weights.embeddings import Embedding, EmbeddingFile


class Embeddings:
    """The embeddings that fit one loaded model. Files are opened when a prompt first names them.

    skipped: name -> why it cannot be used with this model.
    """

    def __init__(
        self, found: Iterable[EmbeddingFile], tokenizers: Mapping[str, Any], widths: Mapping[str, int], optional: Sequence[str]
    ) -> None:
        self._widths = widths
        self._optional = optional
        self._loaded: dict[str, Embedding] = {}
        self._rows: dict[str, dict[int, list[tuple[tuple[int, ...], EmbeddingFile]]]] = {component: {} for component in tokenizers}
        self.names: list[str] = []
        self.skipped: dict[str, str] = {}
        for file in found:
            try:
                fit = file.fit(widths, optional)
            except ModelFault as fault:
                self.skipped[file.name] = fault.message
                continue
            self.names.append(file.name)
            for component in fit:
                ids = tuple(tokenizers[component](file.name, add_special_tokens=False).input_ids)
                if ids:
                    self._rows[component].setdefault(ids[0], []).append((ids, file))
        for rows in self._rows.values():
            for row in rows.values():
                row.sort(key=lambda entry: len(entry[0]), reverse=True)

    @classmethod
    def none(cls) -> Self:
        """Nothing to find."""
        return cls((), {}, {}, ())

    @classmethod
    def of(
        cls, paths: Iterable[Path], tokenizers: Mapping[str, Any], text_encoders: Mapping[str, Any], words: Iterable[EmbeddingFile] = ()
    ) -> Self:
        """The usable ones among these files. text_encoders: component -> CLIP or T5 class of transformers, those that are loaded.

        words: more of them, which a LoRA carries along.
        """
        found = list(words)
        broken: dict[str, str] = {}
        for path in paths:
            try:
                found.append(files.read_file(path))
            except ModelFault as fault:
                broken[path.stem] = fault.message
        widths = {c: int(e.get_input_embeddings().weight.shape[-1]) for c, e in text_encoders.items()}
        optional = [c for c, e in text_encoders.items() if e.config.model_type.startswith("t5")]
        made = cls(found, {c: tokenizers[c] for c in text_encoders}, widths, optional)
        made.skipped.update(broken)
        return made

    def split(self, component: str, ids: Sequence[int]) -> list[int | Embedding]:
        """The token ids of a text with each name in them replaced by its embedding; longest names first, no brackets needed.

        component: whose tokenizer made the ids. Raises ModelFault when a file that is named is damaged.
        """
        rows = self._rows.get(component)
        if not rows:
            return list(ids)
        found: list[int | Embedding] = []
        at = 0
        while at < len(ids):
            length, file = next(((len(n), f) for n, f in rows.get(ids[at], ()) if tuple(ids[at : at + len(n)]) == n), (1, None))
            found.append(ids[at] if file is None else self._load(file))
            at += length
        return found

    def _load(self, file: EmbeddingFile) -> Embedding:
        if file.name not in self._loaded:
            self._loaded[file.name] = files.load(file, self._widths, self._optional)
        return self._loaded[file.name]


@contextmanager
def inserted(text_encoder: Any, places: Sequence[tuple[int, torch.Tensor]]) -> Iterator[None]:
    """Inside, the token embeddings from each position on are the rows of its tensor (n, width), for every text of a call.

    position: within the sequence that is given to the text encoder, start token included. Nothing is left behind.
    """

    def put(_module: torch.nn.Module, _args: Any, output: torch.Tensor) -> torch.Tensor:
        output = output.clone()
        for position, rows in places:
            output[:, position : position + len(rows)] = rows.to(device=output.device, dtype=output.dtype)
        return output

    if not places:
        yield
        return
    handle = _table(text_encoder).register_forward_hook(put)
    try:
        yield
    finally:
        handle.remove()


def _table(text_encoder: Any) -> Any:
    """The layer that turns token ids into vectors. T5 has a second one that shares its weight and is never asked."""
    asked = getattr(getattr(text_encoder, "encoder", None), "embed_tokens", None)
    return text_encoder.get_input_embeddings() if asked is None else asked
