"""Textual inversion: a word whose vectors learn, and nothing else. Source: arXiv:2208.01618.

The rows stand beside the text encoder's own embedding, which is never written to. The word is found among token ids exactly as it is when
pictures are made (`modules.prompts.embeddings`). Start reading at `TextualInversion`; reading the word is in `new_word`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import nn

from modules.caption.adapting import Changes
from modules.caption.new_words import MoreRows
from modules.families import Family
from modules.faults import RequestFault
from modules.folders import write_atomic
from modules.request.train import TrainConfig
from modules.train.methods.new_word import ReadingWord, first_rows
from modules.train.networks.on_pictures import OnPictures, fill, in_type, keep_fewer_activations
from modules.train.networks.recipes import recipe_of
from modules.train.trainee import Example, ParamGroup, Stage, StepNoise, Tensors
from modules.weights.embeddings import SLOTS, Embedding, read_file
from modules.weights.embeddings import load as load_embedding

_ADVICE = "Leave the number of vectors as it was, or start anew."
# What a tensor is called in the file, by which text encoders learn; alone: as A1111 and kohya call a lone one.
NAMES: Mapping[str, str] = {"text_encoder": "clip_l", "text_encoder_2": "clip_g"}
ALONE = "emb_params"


class TextualInversion(OnPictures):
    """One word on a loaded pipeline; `close` takes it off again. Raises ModelFault for a model that cannot be trained, RequestFault."""

    def __init__(self, config: TrainConfig, pipeline: Any, family: Family, variant: str = "") -> None:
        able = tuple(name for name in recipe_of(family, variant).trained if getattr(pipeline, name, None) is not None)
        self.word = (config.embedding_name or config.session).strip()
        if not self.word or any(sign in self.word for sign in "/\\:<>()[]"):
            raise RequestFault("embedding_name", "must be a word that can be a file's name and stand in a prompt", got=self.word)
        self.changes = Changes()
        self.rows: dict[str, nn.Parameter] = {}
        for name in able:
            self._add(pipeline, name, config)
        super().__init__(config, pipeline, family, variant, able)
        for name, part in self.denoising.modules().items():
            if name != "vae":
                in_type(part, self.denoising.dtype)
        for rows in self.rows.values():
            rows.data = rows.data.float()

    def _add(self, pipeline: Any, name: str, config: TrainConfig) -> None:
        """Rows beside the embedding of one text encoder, and a tokenizer that reads the word as them."""
        encoder, place = getattr(pipeline, name), name.replace("text_encoder", "tokenizer")
        tokenizer, table = getattr(pipeline, place), encoder.get_input_embeddings()
        rows = nn.Parameter(first_rows(config.initializer_text, config.num_vectors, tokenizer, table.weight, config.seed))
        for owner in list(encoder.modules()):
            for child, module in owner.named_children():
                if module is table:
                    self.changes.put(owner, child, MoreRows(table, rows))
            if getattr(owner, "eos_token_id", None) == 2:  # old configs; the pooled vector would be taken at the largest id, which is new
                self.changes.put(owner, "eos_token_id", tokenizer.eos_token_id)
        reading = ReadingWord(tokenizer, self.word, table.num_embeddings, config.num_vectors)
        self.changes.put(pipeline, place, reading)
        self.rows[name] = rows

    def stages(self) -> tuple[Stage, ...]:
        return (Stage("network", "Training", self.config.max_train_steps),)

    def begin(self, stage: Stage) -> None:
        self.denoising.freeze()
        for rows in self.rows.values():
            rows.requires_grad_(True)
        if self.config.gradient_checkpointing:
            for module in (self.denoising.network, *(self.denoising.texts.encoders[name] for name in self.rows)):
                module.train()
                keep_fewer_activations(module)

    def parameters(self) -> list[ParamGroup]:
        return [ParamGroup(name, [rows], self.config.learning_rate, weight_decay=0.0) for name, rows in self.rows.items()]

    def loss(self, examples: Sequence[Example], rng: StepNoise) -> torch.Tensor:
        return super().loss([self._named(example) for example in examples], rng)

    def _named(self, example: Example) -> Example:
        """The example with the word in its caption; a caption without it gets it in front, but for those left out on purpose."""
        left_out = not example.caption and self.config.caption_dropout > 0
        if example.is_prior or left_out or self.word.casefold() in example.caption.casefold():
            return example
        return replace(example, caption=f"{self.word}, {example.caption}" if example.caption else self.word)

    def after_step(self) -> None:
        """Vectors no longer than scale_weight_norms times the mean of the encoder's own; 0: as long as they like."""
        if not self.config.scale_weight_norms:
            return
        with torch.no_grad():
            for name, rows in self.rows.items():
                table = self.denoising.texts.encoders[name].get_input_embeddings().base.weight
                most = self.config.scale_weight_norms * float(torch.linalg.vector_norm(table.float(), dim=1).mean())
                rows.mul_((most / torch.linalg.vector_norm(rows, dim=1, keepdim=True)).clamp(max=1))

    def state_dict(self) -> Tensors:
        return {name: rows.detach() for name, rows in self.rows.items()}

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        fill({name: rows.data for name, rows in self.rows.items()}, state, _ADVICE)

    def export(self, path: Path, metadata: Mapping[str, str]) -> list[Path]:
        """One file, read back before it is called done. The last one, called after the session, is called after the word instead."""
        target = path.with_name(f"{self.word if path.name == self.config.session else path.name}.safetensors")
        names = {name: ALONE if len(self.rows) == 1 and self._is_alone(name) else NAMES[name] for name in self.rows}
        tensors = {names[name]: rows.detach().cpu().float().contiguous() for name, rows in self.rows.items()}
        said = {"modelspec.title": self.word, "ti_vectors": str(self.config.num_vectors), "ti_initializer": self.config.initializer_text}
        write_atomic(target, save(tensors, {**said, **metadata}))
        self._check(target)
        return [target]

    def _is_alone(self, name: str) -> bool:
        """Whether the file is for a model that listens to this encoder only (SD 1 and 2), not to T5 besides (Flux)."""
        return name in SLOTS[ALONE] and len(self.denoising.texts.encoders) == 1

    def _check(self, target: Path) -> Embedding:
        encoders = self.denoising.texts.encoders
        widths = {name: encoder.get_input_embeddings().weight.shape[-1] for name, encoder in encoders.items()}
        return load_embedding(read_file(target), widths, [name for name in widths if name not in self.rows])

    def trained_modules(self) -> Mapping[str, int]:
        return {name: rows.numel() for name, rows in self.rows.items()}

    def close(self) -> None:
        """Take the word off: the pipeline is what it was, in the number type of the training."""
        self.changes.undo()
