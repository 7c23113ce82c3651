"""Writing a LoRA file: under kohya's names, which every program reads, or under diffusers' own. torch lives here.

Names are built from the layer, whichever class holds it in memory, so text encoders always have "text_model_" in theirs.
Knows factors and names; where the factors come from is `extract` or a trainer. Start reading at `write`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from safetensors.torch import save

from modules.folders import write_atomic
from modules.weights.lora.maths import Factors
from modules.weights.lora.names import Names, Native

Layers = Mapping[tuple[str, str], Factors]  # (component, path) -> factors, scale included
DIALECTS = ("kohya", "diffusers")
# Architecture -> (ss_base_model_version, modelspec.architecture)
_BASES = {
    "sd1": ("sd_v1", "stable-diffusion-v1/lora"),
    "sd2": ("sd_v2", "stable-diffusion-v2-512/lora"),
    "sdxl": ("sdxl_base_v1-0", "stable-diffusion-xl-v1-base/lora"),
    "sd3": ("sd3", "stable-diffusion-3-5-large/lora"),
    "flux": ("flux1", "flux-1-dev/lora"),
}
_FLUX_CODE = "https://github.com/black-forest-labs/flux"
_SAI_CODE = "https://github.com/Stability-AI/generative-models"
_LEGACY = slice(0x100000, 0x110000)


def write(
    target: Path,
    layers: Layers,
    names: Names,
    *,
    dialect: str = "kohya",
    dtype: torch.dtype = torch.float16,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write the factors, whole or not at all. Alpha is the rank: the scale is in the numbers.

    dialect: "kohya" (query, key and value of SD3 and Flux joined as their makers have them) or "diffusers" (PEFT's names).
    metadata: more text -> text, over what is written anyway. Raises DiskFault.
    """
    make = {"kohya": _kohya, "diffusers": _diffusers}[dialect]
    tensors = {name: tensor.to(dtype).contiguous() for name, tensor in make(layers, names)}
    ranks = {tensor.shape[0] for name, tensor in tensors.items() if name.endswith((".lora_down.weight", ".lora_A.weight"))}
    said = {**_facts(names.architecture, ranks), "modelspec.title": target.stem, "ss_output_name": target.stem, **(metadata or {})}
    write_atomic(target, save(tensors, {**said, **hashes(tensors, said)}))


def hashes(tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> dict[str, str]:
    """A1111's two digests of a LoRA: over the tensors' bytes, whatever the metadata says later, and the old one over 64 KiB."""
    data = save(dict(tensors), {key: value for key, value in metadata.items() if key.startswith("ss_")})
    begin = 8 + int.from_bytes(data[:8], "little")
    return {
        "sshs_model_hash": hashlib.sha256(memoryview(data)[begin:]).hexdigest(),
        "sshs_legacy_hash": hashlib.sha256(data[_LEGACY]).hexdigest()[:8],
    }


def _facts(architecture: str, ranks: set[int]) -> dict[str, str]:
    base, spec = _BASES.get(architecture, _BASES["sd1"])
    dim = str(ranks.pop()) if len(ranks) == 1 else "Dynamic"
    return {
        "ss_network_module": "networks.lora",
        "ss_network_dim": dim,
        "ss_network_alpha": dim,
        "ss_base_model_version": base,
        "ss_v2": str(architecture == "sd2"),
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": spec,
        "modelspec.implementation": _FLUX_CODE if architecture == "flux" else _SAI_CODE,
    }


def _diffusers(layers: Layers, names: Names) -> Iterator[tuple[str, torch.Tensor]]:
    for (component, path), factors in layers.items():
        name = f"{component}.{_logical(component, path)}"
        yield f"{name}.lora_A.weight", factors.down
        yield f"{name}.lora_B.weight", factors.up


def _kohya(layers: Layers, names: Names) -> Iterator[tuple[str, torch.Tensor]]:
    for component in dict.fromkeys(component for component, _ in layers):
        own = {path: factors for (c, path), factors in layers.items() if c == component}
        for native in _spelled(component, own, names):
            factors = _joined(native, {p: own[p] for p in native.paths if p in own}, names.layers[component])
            name = f"{names.kohya[component]}_{native.name.replace('.', '_')}"
            yield f"{name}.lora_down.weight", factors.down
            yield f"{name}.lora_up.weight", factors.up
            yield f"{name}.alpha", torch.tensor(float(factors.down.shape[0]))


def _spelled(component: str, own: Mapping[str, Factors], names: Names) -> Iterator[Native]:
    """The layers as kohya's scripts name them: diffusers' UNet for SD1 and 2, the makers' own UNet or transformer for all others."""
    done: set[str] = set()
    if not component.startswith("text_encoder") and names.architecture not in ("sd1", "sd2"):
        for native in names.natives[component]:
            if done.isdisjoint(native.paths) and not own.keys().isdisjoint(native.paths):
                done.update(native.paths)
                yield native
    for path in own:
        if path not in done:
            yield Native(_logical(component, path), (path,))


def _joined(native: Native, own: Mapping[str, Factors], shapes: Mapping[str, tuple[int, ...]]) -> Factors:
    """The factors of several layers as one: exact. Equal downs are kept once, else ranks stand side by side."""
    if len(native.paths) == 1:
        factors = own[native.paths[0]]
        return Factors(down=factors.down, up=torch.cat(factors.up.chunk(2)[::-1])) if native.swap else factors
    downs = [f.down for f in own.values()]
    shared = len(own) == len(native.paths) and all(d.shape == downs[0].shape and torch.equal(d, downs[0]) for d in downs[1:])
    if shared:
        return Factors(down=downs[0], up=torch.cat([own[path].up for path in native.paths]))
    up = torch.zeros(sum(shapes[path][0] for path in native.paths), sum(len(d) for d in downs), dtype=downs[0].dtype)
    row = column = 0
    for path in native.paths:
        if path in own:
            block = own[path].up
            up[row : row + len(block), column : column + block.shape[1]] = block
            column += block.shape[1]
        row += shapes[path][0]
    return Factors(down=torch.cat(downs), up=up)


def _logical(component: str, path: str) -> str:
    """CLIP layers always with "text_model." in front; T5 has none."""
    is_clip = component.startswith("text_encoder") and path.startswith(("encoder.layers.", "embeddings.", "final_layer_norm"))
    return f"text_model.{path}" if is_clip else path
