"""Control networks from files, kept for the next run, and whether one fits the network that it is to steer.

Safetensors only, without the network: single files with their own or with diffusers' names, with or without config.json beside them,
folders with the pieces of one, and Control-LoRAs over the weights of the model that is steered.
Start reading at `Nets.get`.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modules.faults import ModelFault
from modules.weights.layouts.component import Component
from modules.weights.layouts.control_lora import Over
from modules.weights.layouts.controls import open_control
from modules.weights.layouts.module import build

KEPT = 2


@dataclass(frozen=True, kw_only=True)
class Host:
    """The weights of the model that is to be steered, as it lies on the disk: without LoRAs, wherever its network is at present.

    key: changes with them; opened(): raises ModelFault when it has no UNet.
    """

    key: str
    opened: Callable[[], Component]


class Nets:
    """The control networks in memory, those used last. Between runs they lie in main memory."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._loaded: dict[tuple[str, ...], Any] = {}

    def get(self, path: Path, network: Any, dtype: str, *, names: tuple[str, str], host: Host | None = None) -> Any:
        """The control network of a file, or of a folder with its pieces, for that network; eval mode, in main memory.

        dtype: "float32", "float16", "bfloat16". names: of it and of the model, for messages. host: for files that hold changes of the
        model's weights. Raises ModelFault when it is damaged or does not fit.
        """
        alone = (str(path), _stamp(path), dtype, _width(network.config))
        key = next((known for known in (alone, (*alone, host.key if host else "")) if known in self._loaded), alone)
        net = self._loaded.pop(key, None)
        if net is None:
            while len(self._loaded) >= self._kept:
                self._loaded.pop(next(iter(self._loaded)))
            _, component = open_control(path, network.config, host.opened if host else None)
            key = (*alone, host.key) if host and isinstance(component, Over) else alone
            net = build(component, dtype, path.name)
        check_fits(net, network, names)
        self._loaded[key] = net
        return net

    def release(self) -> bool:
        """Let go of all of them; False when there were none."""
        held = bool(self._loaded)
        self._loaded.clear()
        gc.collect()
        return held

    def __len__(self) -> int:
        return len(self._loaded)


def _stamp(path: Path) -> str:
    """Changes with the file, or with any of the folder's."""
    files = sorted(path.glob("*")) if path.is_dir() else [path]
    return " ".join(str(file.stat().st_mtime_ns) for file in files if file.is_file())


def check_fits(net: Any, network: Any, names: tuple[str, str]) -> None:
    """Raises ModelFault, naming both, when what the control network gives cannot be added to the network's layers."""
    own, other = net.config, network.config
    if type(net).__name__ == "T2IAdapter":
        fits = _adapter_fits(net, other)
    elif "block_out_channels" in own:
        fits = list(own.block_out_channels) == list(other.get("block_out_channels") or ()) and _same_text(own, other)
    else:
        fits = _hidden(own) == _hidden(other)
    if not fits:
        raise ModelFault(
            f"{names[0]} does not fit {names[1]}: their layers have different widths. Choose one that was made for this model."
        )


def _same_text(own: Any, other: Any) -> bool:
    attends = any("Cross" in kind for kind in own.down_block_types)
    return not attends or own.cross_attention_dim == other.cross_attention_dim


def _adapter_fits(net: Any, other: Any) -> bool:
    wide = list(other.get("block_out_channels") or ())
    own = list(net.config.channels)
    if net.config.adapter_type == "full_adapter_xl":
        return own[:1] == wide[:1] and own[-1:] == wide[-1:]
    return own == wide[: len(own)] and len(wide) - len(own) in (0, 1)


def _hidden(config: Any) -> int:
    return int(config.num_attention_heads) * int(config.attention_head_dim)


def _width(config: Any) -> str:
    """What of a network's config a control network may take over."""
    return repr([config.get(name) for name in ("block_out_channels", "attention_head_dim", "num_attention_heads", "norm_num_groups")])
