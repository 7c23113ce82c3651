"""Full DreamBooth: the model's own weights learn, in two stages as fast-DreamBooth has them: the text encoders first, then the network.

The second stage begins with the text encoders as the first one left them; each stage has an optimizer of its own. Without steps for the
first stage, but with a learning rate for the text encoders, both learn together. Pictures of the class beside one's own (prior
preservation) come from the data set. Source: arXiv:2208.12242. Start reading at `DreamBooth`; what is written is in `whole_model`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from modules.families import Family
from modules.faults import RequestFault
from modules.request.train import TrainConfig
from modules.train.methods.whole_model import write_model
from modules.train.networks.denoising import Denoising
from modules.train.networks.on_pictures import OnPictures, fill, in_type, keep_fewer_activations
from modules.train.networks.recipes import recipe_of
from modules.train.trainee import ParamGroup, Stage, Tensors

TEXT, NETWORK = "text_encoder", "network"  # names of the stages
_ADVICE = "Train the same model with the same stages, or start anew."


class DreamBooth(OnPictures):
    """The weights of a loaded pipeline, trained in place. Raises ModelFault for a model that cannot be trained, RequestFault."""

    def __init__(self, config: TrainConfig, pipeline: Any, family: Family, variant: str = "") -> None:
        able = tuple(name for name in recipe_of(family, variant).trained if getattr(pipeline, name, None) is not None)
        self._texts = able if config.text_encoder_lr else ()
        self._networks = (family.denoiser,) if config.learning_rate else ()
        if not self._texts and not self._networks:
            raise RequestFault("learning_rate", "nothing is trained when both learning rates are 0", got=0)
        super().__init__(config, pipeline, family, variant, self._texts)
        self._modules: dict[str, nn.Module] = {}
        for name, part in self.denoising.modules().items():
            if name in (*self._texts, *self._networks):
                self._modules[name] = in_type(part, torch.float32)  # in half precision small steps would be lost
            elif name != "vae":
                in_type(part, self.denoising.dtype)
        self._learning: tuple[str, ...] = ()
        self._so_far: set[str] = set()

    @property
    def _apart(self) -> bool:
        return bool(self._texts and self.config.text_encoder_steps)

    def stages(self) -> tuple[Stage, ...]:
        config = self.config
        first = (Stage(TEXT, "Text encoder", config.text_encoder_steps, config.text_encoder_resolution),) if self._apart else ()
        second = (Stage(NETWORK, "Network", config.max_train_steps),) if self._networks or not self._apart else ()
        return (*first, *second)

    def begin(self, stage: Stage) -> None:
        self._learning = self._texts if stage.name == TEXT else (*self._networks, *(() if self._apart else self._texts))
        learning_text = tuple(name for name in self._learning if name in self._texts)
        old = self.denoising
        self.denoising = Denoising(self.config, old.pipeline, old.family, old.variant, trained_text=learning_text)
        self.denoising.freeze()
        self._so_far |= set(self._learning)
        for name in self._learning:
            self._modules[name].requires_grad_(True).train()
        if self.config.gradient_checkpointing:
            network = self.denoising.network.train()  # gradients for the text pass it even while it is frozen
            for module in {id(m): m for m in (network, *(self._modules[name] for name in self._learning))}.values():
                keep_fewer_activations(module)

    def parameters(self) -> list[ParamGroup]:
        rates = dict.fromkeys(self._networks, self.config.learning_rate)
        return [
            ParamGroup(name, list(self._modules[name].parameters()), rates.get(name, self.config.text_encoder_lr))
            for name in self._learning
        ]

    def after_step(self) -> None:
        """Nothing is limited."""

    def state_dict(self) -> Tensors:
        return {name: weight.detach() for name, weight in self._named(self._so_far).items()}

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        held = {name.partition(".")[0] for name in state}
        fill({name: weight.data for name, weight in self._named(held & self._modules.keys()).items()}, state, _ADVICE)
        self._so_far |= held

    def export(self, path: Path, metadata: Mapping[str, str]) -> list[Path]:
        return write_model(self.denoising, path, self.config, metadata)

    def trained_modules(self) -> Mapping[str, int]:
        return {name: sum(weight.numel() for weight in part.parameters()) for name, part in self._modules.items()}

    def _named(self, components: set[str]) -> dict[str, nn.Parameter]:
        return {
            f"{component}.{name}": weight
            for component, part in self._modules.items()
            if component in components
            for name, weight in part.named_parameters()
        }
