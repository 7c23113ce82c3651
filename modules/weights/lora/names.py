"""Which layers of a model a name in a LoRA file means, in every program's way of naming them. No torch.

A layer has two spellings: the diffusers one and the *native* one of the maker's own code, where query, key and value may be one
layer (`modules.weights.layouts`). Both come with a program's prefix, with dots or underscores. Everything is derived from the
layers the model has. Start reading at `Names.find`. Source of the prefixes: kohya's scripts, LyCORIS, PEFT and diffusers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from modules.weights.layouts import flux, mmdit, text, unet
from modules.weights.layouts.rules import Rules

Shape = tuple[int, ...]
# Architecture -> component -> the prefix kohya's scripts write for it.
KOHYA: dict[str, dict[str, str]] = {
    "sd1": {"unet": "lora_unet", "text_encoder": "lora_te"},
    "sd2": {"unet": "lora_unet", "text_encoder": "lora_te"},
    "sdxl": {"unet": "lora_unet", "text_encoder": "lora_te1", "text_encoder_2": "lora_te2"},
    "sd3": {"transformer": "lora_unet", "text_encoder": "lora_te1", "text_encoder_2": "lora_te2", "text_encoder_3": "lora_te3"},
    "flux": {"transformer": "lora_unet", "text_encoder": "lora_te1", "text_encoder_2": "lora_te3"},
}
# Prefixes that mean the UNet or transformer whatever the architecture, longest first; then those of one text encoder alone.
_NETWORK = (
    "base_model_model_", "model_diffusion_model_", "diffusion_model_", "lora_transformer_", "lora_unet_", "transformer_", "unet_",
    "lycoris_", "",
)  # fmt: skip
_ENCODER = ("lora_{0}_", "{0}_", "lycoris_")
_ONLY_ENCODER = ("lora_te_", "lora_te1_", "te_", "te1_")
_NATIVE_ENCODERS = {"clip_l": "lora_te1", "clip_g": "lora_te2", "t5xxl": "lora_te3"}


@dataclass(frozen=True)
class Target:
    """A layer of a diffusers component and its share of an entry.

    path: of the module ("down_blocks.0.resnets.0.conv1"); shape: of its weight, as torch sees it; start: first output row of the entry
    that is its own; swapped: its two halves of rows stand the other way round in the file.
    """

    component: str
    path: str
    shape: Shape
    start: int = 0
    swapped: bool = False

    @property
    def rows(self) -> slice:
        """Its rows of the entry's output."""
        return slice(self.start, self.start + self.shape[0])


@dataclass(frozen=True)
class Native:
    """A layer in its maker's spelling, and the diffusers layers it is made of, in the order of its rows."""

    name: str
    paths: tuple[str, ...]
    swap: bool = False


class Names:
    """All names of the layers of one model. architecture: "sd1", "sdxl", ...; layers: component -> path -> weight's shape."""

    def __init__(self, architecture: str, layers: Mapping[str, Mapping[str, Shape]]) -> None:
        self.architecture = architecture
        self.layers = layers
        self.kohya = KOHYA.get(architecture, KOHYA["sd1"])
        self.natives = {component: natives(architecture, component, own) for component, own in layers.items()}
        self._tables = {component: self._table(component) for component in layers}
        self._prefixes = [(prefix, component) for component in layers for prefix in _prefixes(component, self.kohya)]
        self._prefixes.sort(key=lambda row: len(row[0]), reverse=True)

    def find(self, layer: str) -> tuple[Target, ...]:
        """The layers that a name in a file means; empty when the model has none of that name."""
        flat = layer.replace(".", "_").replace("_processor_", "_")
        for prefix, component in self._prefixes:
            if flat.startswith(prefix) and (found := self._tables[component].get(flat[len(prefix) :])):
                return found
        return ()

    def targets(self, component: str, paths: Iterable[str], *, swap: bool = False) -> tuple[Target, ...]:
        """These layers, one behind the other."""
        made: list[Target] = []
        start = 0
        for path in paths:
            shape = self.layers[component][path]
            made.append(Target(component, path, shape, start, swapped=swap))
            start += shape[0]
        return tuple(made)

    def _table(self, component: str) -> dict[str, tuple[Target, ...]]:
        table: dict[str, tuple[Target, ...]] = {}
        for native in self.natives[component]:
            table[native.name.replace(".", "_")] = self.targets(component, native.paths, swap=native.swap)
        for path in self.layers[component]:
            one = self.targets(component, [path])
            logical = path.removeprefix("text_model.").replace(".", "_")
            spellings = [path.replace(".", "_"), logical, f"text_model_{logical}"]
            table |= dict.fromkeys([*spellings, *(s.removesuffix("_0") for s in spellings if s.endswith("to_out_0"))], one)
        return table


def _prefixes(component: str, kohya: Mapping[str, str]) -> list[str]:
    if component in ("unet", "transformer"):
        return list(_NETWORK)
    own = kohya.get(component, component)
    found = [f"{own}_", *(pattern.format(component) for pattern in _ENCODER)]
    found += [f"text_encoders_{name}_transformer_" for name, prefix in _NATIVE_ENCODERS.items() if prefix == own]
    return [*found, *(_ONLY_ENCODER if own == "lora_te" else ())]


def natives(architecture: str, component: str, layers: Mapping[str, Shape]) -> list[Native]:
    """The layers of a component in its maker's spelling; only those that the model has whole."""
    make = None if component == "text_encoder_3" else text.from_clip if component.startswith("text") else _LAYOUTS.get(architecture)
    if make is None:
        return []
    inner = "text_model." if make is text.from_clip and not any(path.startswith("text_model.") for path in layers) else ""
    shapes = {f"{inner}{path}.weight": shape for path, shape in layers.items()}
    found = [
        Native(
            entry.single.removesuffix("weight").rstrip("._"),
            tuple(part.removeprefix(inner).removesuffix(".weight") for part in entry.parts),
            entry.how == "swap",
        )
        for entry in make(shapes).from_parts(shapes)
        if entry.how in ("same", "stack", "swap")
    ]
    return found + [one for native in found for one in _as_xlabs(native)]


def _as_xlabs(native: Native) -> list[Native]:
    """The same layer of a Flux transformer as X-Labs' trainer names it: both streams' adapters hang on the block's processor."""
    at, _, end = native.name.rpartition("_blocks.")
    number, _, layer = end.partition(".")
    if at == "single" and layer == "linear1":
        return [Native(f"single_blocks.{number}.qkv", native.paths[:3])]
    name = {"img_attn.qkv": "qkv_lora1", "txt_attn.qkv": "qkv_lora2", "img_attn.proj": "proj_lora1", "txt_attn.proj": "proj_lora2"}.get(
        layer
    )
    name = "proj" if at == "single" and layer == "linear2" else name
    return [Native(f"{at}_blocks.{number}.{name}", native.paths)] if name else []


_LAYOUTS: dict[str, Callable[[Mapping[str, Shape]], Rules]] = {
    "sd1": unet.from_parts,
    "sd2": unet.from_parts,
    "sdxl": unet.from_parts,
    "sd3": mmdit.from_parts,
    "flux": flux.from_parts,
}
