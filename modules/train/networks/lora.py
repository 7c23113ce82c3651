"""LoRA and its relatives on a model that makes pictures: the `Trainee` of the method "lora".

Puts peft's layers on the network and, with a learning rate of its own, on the CLIP text encoders; what they learn is written as one
file. What the error is stands in `denoising`, which layers in `targets`, the file in `export`. Start reading at `LoraTrainee`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from modules.families import Family
from modules.faults import ModelFault, RequestFault
from modules.request.train import TrainConfig
from modules.train.networks import export
from modules.train.networks.adapters import Attached, Size, layers_of
from modules.train.networks.on_pictures import OnPictures, in_type, keep_fewer_activations
from modules.train.networks.recipes import Recipe, recipe_of
from modules.train.networks.targets import CLIP, Chosen, check, chosen
from modules.train.trainee import ParamGroup, Stage, Tensors, seed_of
from modules.weights.lora import write as writing
from modules.weights.lora.merge import names_of

_BESIDE = "-diffusers"  # behind the name of the second file when both formats are asked for


class LoraTrainee(OnPictures):
    """A network on a loaded pipeline. pipeline: on the device it is to be trained on; family, variant: what the checkpoint is.

    Raises ModelFault for a model that cannot be trained; RequestFault for options that it or the network has no use for.
    """

    def __init__(self, config: TrainConfig, pipeline: Any, family: Family, variant: str = "") -> None:
        recipe = recipe_of(family, variant)
        texts = _text_encoders(config, pipeline, recipe)
        _refuse(config)
        super().__init__(config, pipeline, family, variant, texts)
        parts = {name: part for name, part in self.denoising.modules().items() if name != "vae"}
        self.names = names_of(
            family.architecture, {c: {n: tuple(t.shape) for n, t in part.state_dict().items()} for c, part in parts.items()}
        )
        self.denoising.freeze()
        for part in parts.values():
            in_type(part, self.denoising.dtype)
        wanted = {c: self._chosen(c, layers_of(part)) for c, part in parts.items() if c in (*self._networks, *texts)}
        if self._networks and config.target_blocks:
            check(wanted[family.denoiser], config.target_blocks, chosen(layers_of(self.denoising.network), recipe.rule, convolutions=True))
        size = Size(
            rank=config.network_dim,
            alpha=config.network_alpha,
            kernel_rank=config.conv_dim or config.network_dim,
            kernel_alpha=config.conv_alpha if config.conv_dim else config.network_alpha,
            dropout=config.network_dropout,
        )
        self.attached = {
            c: Attached(parts[c], which, config.network_algo, size, seed_of(config.seed, c)) for c, which in wanted.items() if which.paths
        }

    @property
    def _networks(self) -> tuple[str, ...]:
        """The network, unless only the text encoder is to learn."""
        return (self.denoising.family.denoiser,) if self.config.learning_rate else ()

    def _chosen(self, component: str, layers: Mapping[str, tuple[int, ...]]) -> Chosen:
        if component in self._networks:
            rule = self.denoising.recipe.rule
            return chosen(layers, rule, convolutions=bool(self.config.conv_dim), blocks=self.config.target_blocks)
        return chosen(layers, CLIP)

    # What the loop asks; see `modules.train.trainee.Trainee`.

    def stages(self) -> tuple[Stage, ...]:
        return (Stage("network", "Training", self.config.max_train_steps),)

    def begin(self, stage: Stage) -> None:
        for network in self.attached.values():
            network.module.train()
            if self.config.gradient_checkpointing:
                keep_fewer_activations(network.module)
            for parameter in network.parameters():
                parameter.requires_grad_(True)
        if self.config.gradient_checkpointing and self.denoising.trained_text:  # gradients for the text pass the network
            self.denoising.network.train()
            keep_fewer_activations(self.denoising.network)

    def parameters(self) -> list[ParamGroup]:
        rates = dict.fromkeys(self._networks, self.config.learning_rate)
        return [ParamGroup(c, network.parameters(), rates.get(c, self.config.text_encoder_lr)) for c, network in self.attached.items()]

    def after_step(self) -> None:
        if self.config.scale_weight_norms:
            for network in self.attached.values():
                network.limit_norms(self.config.scale_weight_norms)

    def state_dict(self) -> Tensors:
        return {f"{c}.{name}": weight.detach() for c, network in self.attached.items() for name, weight in network.named()}

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        parts = {c: {n.removeprefix(f"{c}."): t for n, t in state.items() if n.startswith(f"{c}.")} for c in self.attached}
        try:
            if sum(map(len, parts.values())) != len(state):
                raise ValueError("the state holds tensors of other components")
            for component, network in self.attached.items():
                network.load(parts[component])
        except ValueError as error:
            raise ModelFault(
                f"The training cannot go on from its state: {error}. Set rank, network and blocks as they were, or start anew."
            ) from error

    def export(self, path: Path, metadata: Mapping[str, str]) -> list[Path]:
        config, made = self.config, list[Path]()
        dialects = writing.DIALECTS if config.save_format == "both" else (config.save_format,)
        said = export.metadata_of(
            config,
            self.denoising.recipe,
            prediction=self.denoising.objective.prediction,
            trained=self.attached,
            given=metadata,
        )
        learnt = export.changes(self.attached)
        for dialect in dialects:
            beside = _BESIDE if made else ""
            target = path.with_name(f"{path.name}{beside}.safetensors")
            writing.write(target, learnt, self.names, dialect=dialect, dtype=export.DTYPES[config.save_precision], metadata=said)
            made.append(target)
        return made

    def trained_modules(self) -> Mapping[str, int]:
        return {c: sum(weight.numel() for weight in network.parameters()) for c, network in self.attached.items()}

    def detach(self) -> None:
        """Take the network off: the pipeline is what it was, bit for bit, in the number type of the training."""
        for network in self.attached.values():
            network.detach()


def _text_encoders(config: TrainConfig, pipeline: Any, recipe: Recipe) -> tuple[str, ...]:
    """Text encoders that learn. Raises RequestFault when nothing would."""
    if not config.text_encoder_lr:
        if not config.learning_rate:
            raise RequestFault("learning_rate", "nothing is trained when both learning rates are 0", got=0)
        return ()
    return tuple(name for name in recipe.trained if getattr(pipeline, name, None) is not None)


def _refuse(config: TrainConfig) -> None:
    """Raises RequestFault for what peft or the files cannot do, before anything is trained."""
    if config.network_algo in ("loha", "lokr") and config.save_format != "kohya":
        raise RequestFault("save_format", f"diffusers has no file form for {config.network_algo}; choose kohya", got=config.save_format)
