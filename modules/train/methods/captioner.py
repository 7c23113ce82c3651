"""A LoRA on a captioner: pictures and their captions, in any language; the vision tower stays as it is unless it is named.

Which layers learn is said by the captioner's kind (`modules.caption.kind.Kind.adapts`). Words that its tokenizer cannot write get rows of
their own, which learn in full. Start reading at `CaptionerLora`; what is written is in `captioner_files`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import LoraConfig
from PIL import Image
from torch import nn

from modules.caption import CAPTIONERS
from modules.caption.adapting import Changes, add_lora, add_words, take_lora_off, with_tokenizer
from modules.caption.kind import VISION
from modules.caption.loading import Captioner
from modules.caption.new_words import longer, wanted_words
from modules.caption.writing import write
from modules.faults import ModelFault, RequestFault
from modules.request.caption import Writing
from modules.request.train import TrainConfig
from modules.train.methods.captioner_files import Learnt, save_adapter
from modules.train.methods.drawn import captioned
from modules.train.trainee import Example, ParamGroup, SampleAsked, Stage, StepNoise, Tensors

ROWS, BIAS, LORA = "new_words.rows", "new_words.bias", "lora"
SPREAD = 0.5  # of new rows around the mean of the base's, in its own deviations
_GREEDY = Writing(
    min_length=0, max_length=48, num_beams=1, do_sample=False, top_k=50, top_p=1.0, temperature=1.0, repetition_penalty=1.0,
    length_penalty=1.0, early_stopping=False,
)  # fmt: skip


class CaptionerLora:
    """One training of an adapter. captions: every caption that will be trained, by which missing words are found.

    pictures: folder in which sample prompts are looked up as names of pictures. Raises RequestFault when this kind of captioner cannot be
    adapted or no layer is chosen.
    """

    def __init__(
        self, config: TrainConfig, captioner: Captioner, *, captions: Iterable[str] = (), pictures: Path | None = None, words: bool = True
    ) -> None:
        kind = captioner.kind
        if kind.reads is None or not isinstance(captioner.model, nn.Module):
            able = ", ".join(row.title for _, row in CAPTIONERS if row.reads)
            raise RequestFault("captioner", f"{captioner.installed.name} cannot be adapted; these kinds can: {able}", got=kind.id)
        self.config, self.base, self.pictures = config, captioner, pictures
        self.changes = Changes()
        self.new = wanted_words(captioner.tokenizer, captions) if words and kind.words else []
        self.rows: dict[str, nn.Parameter] = {}
        self.captioner = self._with_new_words() if self.new else captioner
        names = _chosen(captioner, config.target_blocks)
        self.lora_config = LoraConfig(
            r=config.network_dim,
            lora_alpha=config.network_alpha,  # pyright: ignore[reportArgumentType]  # any number serves
            lora_dropout=config.network_dropout,
            use_dora=_dora(config),
            target_modules="|".join(map(re.escape, names)),
            fan_in_fan_out=all(type(captioner.model.get_submodule(name)).__name__ == "Conv1D" for name in names),  # as GPT-2 has them
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.lora = add_lora(captioner.model, self.lora_config)
        for parameter in self.lora.values():
            parameter.data = parameter.data.float()
        self.ends = kind.ends(captioner.model)

    # ---- What the loop asks -------------------------------------------------------------------------------------------

    def stages(self) -> tuple[Stage, ...]:
        return (Stage("network", "Training", self.config.max_train_steps),)

    def begin(self, stage: Stage) -> None:
        model = self.captioner.model
        model.requires_grad_(False)
        model.train()  # for the dropout of the network; the base's own layers answer as in use
        for name, module in model.named_modules():
            if isinstance(module, nn.Dropout) and ".lora_dropout." not in name:
                module.eval()
        for parameter in (*self.lora.values(), *self.rows.values()):
            parameter.requires_grad_(True)
        if self.config.gradient_checkpointing and getattr(model, "supports_gradient_checkpointing", False):
            getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)()

    def parameters(self) -> list[ParamGroup]:
        groups = [ParamGroup("captioner", list(self.lora.values()), self.config.learning_rate)]
        if self.rows:
            groups.append(ParamGroup("new_words", list(self.rows.values()), self.config.learning_rate, weight_decay=0.0))
        return groups

    def loss(self, examples: Sequence[Example], rng: StepNoise) -> torch.Tensor:
        """Mean over each caption's tokens, its end included, of minus the log of their chance."""
        captioner = self.captioner
        tokens = [self._tokens(example) for example in examples]
        longest = max(map(len, tokens))
        end = tokens[0][-1]
        words = torch.tensor([row + [end] * (longest - len(row)) for row in tokens], device=captioner.device)
        counts = torch.tensor([len(row) for row in tokens], device=captioner.device)
        inputs = captioner.placed(self._inputs(examples))
        logits = self._read(inputs, words).float()
        each = nn.functional.cross_entropy(logits.transpose(1, 2), words, reduction="none")
        counted = torch.arange(longest, device=each.device)[None] < counts[:, None]
        weights = torch.tensor([example.weight for example in examples], device=each.device)
        return (each * counted).sum(1) / counts * weights

    def encode_pixels(self, examples: Sequence[Example]) -> list[Tensors]:
        found = self.captioner.kind.inputs(self.captioner.processor, [picture(example) for example in examples], "")["pixel_values"]
        return [{"pixel_values": row.clone()} for row in found]

    def encode_text(self, captions: Sequence[str]) -> list[Tensors]:
        return [{"tokens": torch.tensor(self._spelled(caption))} for caption in captions]

    def text_is_frozen(self) -> bool:
        return True

    def cache_name(self, what: str) -> str:
        size = self.base.installed.size_bytes
        return f"{self.base.installed.name}-{size}" + (f"-{len(self.new)}" if what == "text" else "")

    def encoders_not_needed(self, *, pixels: bool, text: bool) -> None:
        """The processor lies in main memory only."""

    def after_step(self) -> None:
        """Nothing is limited."""

    def state_dict(self) -> Tensors:
        found = {f"{LORA}.{name}": parameter.detach() for name, parameter in self.lora.items()}
        return found | {name: parameter.detach() for name, parameter in self.rows.items()}

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        own = {f"{LORA}.{name}": parameter for name, parameter in self.lora.items()} | self.rows
        if own.keys() != state.keys() or any(own[name].shape != tensor.shape for name, tensor in state.items()):
            raise ModelFault("The state belongs to another captioner, another rank or other captions. Train anew, or take the old ones.")
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(state[name])

    def trained_modules(self) -> Mapping[str, int]:
        found = {"captioner": sum(parameter.numel() for parameter in self.lora.values())}
        return found | ({"new_words": sum(parameter.numel() for parameter in self.rows.values())} if self.rows else {})

    def sample(self, asked: SampleAsked) -> Image.Image:
        """The picture of that name among the session's, or its first one, with what the captioner says of it now."""
        image = self._named(asked.prompt)
        model, was = self.captioner.model, self.captioner.model.training
        model.eval()
        try:
            said = write(self.captioner, [image], "", _GREEDY)[0][0].text
        finally:
            if was:
                self.begin(self.stages()[0])
        return captioned(image, said)

    def export(self, path: Path, metadata: Mapping[str, str]) -> list[Path]:
        learnt = Learnt(
            base=self.base.installed.name, kind=self.base.kind.id, config=self.lora_config.to_dict(), lora=self.lora, rows=self.rows,
            tokenizer=self.captioner.tokenizer, new=self.new, share=self.share,
        )  # fmt: skip
        return [save_adapter(learnt, path, metadata)]

    # ---- Beside ---------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Take everything off again: the captioner is what it was, bit for bit."""
        take_lora_off(self.base.model)
        self.changes.undo()
        self.base.model.requires_grad_(False).train(False)

    @property
    def share(self) -> float:
        """Part of all values that learns, 0 to 1."""
        own = sum(self.trained_modules().values())
        return own / max(1, sum(parameter.numel() for parameter in self.base.model.parameters()))

    def _with_new_words(self) -> Captioner:
        captioner = self.base
        inner, outer = captioner.kind.words or ("", "")
        embedding, output = captioner.model.get_submodule(inner), captioner.model.get_submodule(outer)
        table = embedding.weight.detach().float()
        draw = torch.Generator().manual_seed(self.config.seed)
        noise = torch.randn(len(self.new), table.shape[1], generator=draw).to(table.device)
        rows = nn.Parameter(table.mean(0) + SPREAD * table.std(0) * noise)
        own = output.bias.detach().float() if output.bias is not None else torch.zeros(1, device=table.device)
        bias = nn.Parameter(own.mean().expand(len(self.new)).clone())
        self.rows = {ROWS: rows, BIAS: bias}
        add_words(captioner, rows, bias, self.changes)
        return with_tokenizer(captioner, longer(captioner.tokenizer, self.new, embedding.num_embeddings))

    def _inputs(self, examples: Sequence[Example]) -> dict[str, Any]:
        cached = [example.latents for example in examples]
        images = [picture(example) for example in examples] if None in cached else [Image.new("RGB", (32, 32))] * len(examples)
        found = dict(self.captioner.kind.inputs(self.captioner.processor, images, ""))
        if None not in cached:
            found["pixel_values"] = torch.stack([tensors["pixel_values"] for tensors in cached if tensors is not None])
        return found

    def _read(self, inputs: Mapping[str, Any], words: torch.Tensor) -> torch.Tensor:
        reads = self.captioner.kind.reads
        if reads is None:
            raise TypeError("a captioner that cannot be adapted")
        return reads(self.captioner.model, self.captioner.tokenizer, inputs, words)

    def _tokens(self, example: Example) -> list[int]:
        return example.text["tokens"].tolist() if example.text is not None else self._spelled(example.caption)

    def _spelled(self, caption: str) -> list[int]:
        """Its tokens with the sign for the end, as many as the model has room for."""
        ids = self.captioner.tokenizer(caption.strip(), add_special_tokens=False).input_ids
        room = self.captioner.positions
        begun = self._begun
        most = len(ids) if room is None else max(1, room - begun - 1)
        return [*ids[:most], self.ends[0] if isinstance(self.ends, list) else self.ends]

    @property
    def _begun(self) -> int:
        """Places that are taken before the caption begins."""
        if not hasattr(self, "_begun_found"):
            inputs = self.base.kind.inputs(self.base.processor, [Image.new("RGB", (32, 32))], "")
            self._begun_found = self.base.kind.prompt_length(inputs)
        return self._begun_found

    def _named(self, name: str) -> Image.Image:
        found = [path for path in sorted(self.pictures.rglob("*")) if path.is_file()] if self.pictures else []
        chosen = [path for path in found if name and path.name == Path(name).name]
        for path in (*chosen, *found):
            try:
                with Image.open(path) as opened:
                    return opened.convert("RGB")
            except OSError:
                continue  # a caption's file, or a broken picture
        return Image.new("RGB", (128, 128), "white")


def picture(example: Example) -> Image.Image:
    """The example's pixels as a picture. Raises ValueError when the dataset left them out."""
    if example.pixels is None or not example.pixels.numel():
        raise ValueError(f"{example.name}: pixels are wanted and were left out")
    levels = ((example.pixels.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return Image.fromarray(np.ascontiguousarray(levels.permute(1, 2, 0).cpu().numpy()))


def _chosen(captioner: Captioner, blocks: Sequence[str]) -> list[str]:
    """The layers that learn. blocks: parts of the model ("text", "vision") or pieces of names; none: all but vision.

    Raises RequestFault when there is no such layer.
    """
    parts = captioner.kind.adapts
    named = [block for block in blocks if block in parts]
    pieces = [block for block in blocks if block not in parts]
    expression = "|".join(parts[name] for name in named or [name for name in parts if name != VISION])
    names = [
        name
        for name, module in captioner.model.named_modules()
        if re.fullmatch(expression, name) and hasattr(module, "weight") and (not pieces or any(piece in name for piece in pieces))
    ]
    if not names:
        raise RequestFault("target_blocks", f"no layer of {captioner.installed.name} is called so; its parts are {', '.join(parts)}")
    return names


def _dora(config: TrainConfig) -> bool:
    if config.network_algo not in ("lora", "dora"):
        raise RequestFault("network_algo", "captioners are adapted by lora or dora", got=config.network_algo, allowed=["lora", "dora"])
    return config.network_algo == "dora"
