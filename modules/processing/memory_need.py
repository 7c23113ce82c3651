"""What a run will ask of the device's memory: weights from the headers of its files, work from the footprints of its components.

No torch: the web process counts before the run, the worker before it takes the model. Knows nothing about devices; `modules.hardware.plan`
chooses. Start reading at `Counting.need`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from modules.families import FAMILIES, shipped
from modules.faults import Fault
from modules.hardware.footprint import Footprint, bytes_at
from modules.hardware.plan import Need, Work
from modules.processing.calls import call_named
from modules.processing.memory_beside import Beside, Surroundings
from modules.processing.memory_known import NUMBER_BYTES, Known, counted
from modules.processing.quantising import quantisers_of
from modules.request import Checkpoint, ResolvedRequest, SideFile
from modules.weights.layouts import LAYOUTS
from modules.weights.layouts.component import open_component

LATENTS_HELD = 4  # copies of the latents beside the call: the present ones, the model's input for two rows, the answer
TEXTS_KEPT = 3  # vectors of prompt and negative prompt that the encoder keeps
TEXTS_HELD = {False: 3, True: 5}  # copies for each picture while the network works: without guidance, and with it, which joins both
CLIP_TOKENS = 77


def spot_of(resolved: ResolvedRequest) -> str:
    """The model and the size of a run, as a name for what is remembered of it."""
    hires = resolved.hires
    size = f"{resolved.width}x{resolved.height}{f'+{hires.width}x{hires.height}' if hires else ''}"
    small = " ".join(quantisers_of(resolved.checkpoint, resolved.settings).values())
    kept = str(resolved.settings.get("parts_on_cpu") or "None")
    small += "" if kept == "None" else f" on the CPU: {kept}"
    return f"{resolved.checkpoint.sha256 or resolved.checkpoint.path} {small} {resolved.task} {size} x{resolved.batch_size}"


@dataclass(kw_only=True)
class Counting:
    """footprint(component, number bytes) -> what it needs beside its weights, None where nobody knows. Keeps what it read of files."""

    footprint: Callable[[Known, int], Footprint | None]
    _surroundings: Surroundings = field(init=False)
    _files: dict[tuple[str, str, int], Known | None] = field(default_factory=dict[tuple[str, str, int], "Known | None"])

    def __post_init__(self) -> None:
        self._surroundings = Surroundings(footprint=self.footprint)

    def need(self, resolved: ResolvedRequest, dtype: str, vae_dtype: str) -> Need | None:
        """Of the pass that needs most, of all that the run makes; None where something is not known. dtype: "float16"."""
        passes = self._passes(resolved, dtype, vae_dtype)
        if not passes or any(need is None for need in passes):
            return None
        found = [need for need in passes if need is not None]
        works = tuple(work for need in found for work in need.works if need.parts == found[0].parts)
        largest = max(found, key=lambda need: sum(part.whole_bytes for part in need.parts.values()))
        chosen = found[0] if largest.parts == found[0].parts else largest
        return Need(
            key=found[0].key, parts=chosen.parts, beside_bytes=found[0].beside_bytes, main_bytes=found[0].main_bytes,
            works=works if chosen is found[0] else chosen.works,
        )  # fmt: skip

    def _passes(self, resolved: ResolvedRequest, dtype: str, vae_dtype: str) -> list[Need | None]:
        first = (resolved.width, resolved.height, "sample")
        hires, refiner = resolved.hires, resolved.refiner
        sizes = [first] if hires is None else [first, (hires.width, hires.height, "hires")]
        found = [self._one(resolved, resolved.checkpoint, resolved.vae, resolved.parts, sizes, dtype, vae_dtype)]
        if hires is not None and hires.checkpoint is not None:
            found.append(self._one(resolved, hires.checkpoint, hires.vae, hires.parts, sizes[1:], dtype, vae_dtype))
        if refiner is not None:
            last = (*sizes[-1][:2], "refiner")
            found.append(self._one(resolved, refiner.checkpoint, refiner.vae, refiner.parts, [last], dtype, vae_dtype))
        return found

    def _one(
        self, resolved: ResolvedRequest, checkpoint: Checkpoint, vae: SideFile | None, parts: Mapping[str, SideFile],
        sizes: Sequence[tuple[int, int, str]], dtype: str, vae_dtype: str,
    ) -> Need | None:  # fmt: skip
        """What a model needs for passes of these sizes (width, height, stage)."""
        family = FAMILIES.get(checkpoint.family)
        files = {name: file.path for name, file in parts.items()} | ({"vae": vae.path} if vae else {})
        known = self.components(checkpoint, files)
        if known is None:
            return None
        small = quantisers_of(checkpoint, resolved.settings)
        size_of = {name: NUMBER_BYTES[vae_dtype if name == "vae" else dtype] for name in known}
        weights = {name: one.part(size_of[name], small.get(name, "")) for name, one in known.items()}
        prints = {name: self.footprint(one, size_of[name]) for name, one in known.items()}
        if any(one is None for one in prints.values()):
            return None
        acts: dict[str, Footprint] = {name: one for name, one in prints.items() if one is not None}
        call, variant = call_named(family.variant(checkpoint.variant).tasks["txt2img"]), family.variant(checkpoint.variant)
        rows = len(call.rows) if resolved.cfg_scale > 1 else 1
        long_tokens = variant.prompt_tokens or call.text.long_tokens
        lengths = (long_tokens, long_tokens + (CLIP_TOKENS if call.text.words else 0))
        separate = call.rows == ("prompt",) and resolved.cfg_scale > 1
        beside = self._surroundings.of(
            resolved, known[family.denoiser], NUMBER_BYTES[dtype], separate=separate, merges=family.denoiser not in small
        )
        works = _works(resolved, family.denoiser, known, acts, sizes, rows, NUMBER_BYTES[dtype], lengths, beside)
        told = [checkpoint.sha256 or checkpoint.path, files, small, dtype, vae_dtype]
        key = hashlib.sha256(repr(told).encode()).hexdigest()[:20]
        main = beside.main_bytes + beside.nets_bytes
        return Need(key=key, parts=weights, works=works, beside_bytes=beside.always_bytes, main_bytes=main)

    def components(self, checkpoint: Checkpoint, files: Mapping[str, str]) -> dict[str, Known] | None:
        """Name -> component of a model, of those that are there; None when one cannot be read. files: those from elsewhere."""
        family = FAMILIES.get(checkpoint.family)
        found: dict[str, Known] = {}
        published = str(shipped.folder(family.variant(checkpoint.variant).config))
        for name in LAYOUTS[family.layout].parts:
            one = self._component(files.get(name, checkpoint.path), family.layout, name, published)
            if one is not None:
                found[name] = one
            elif name not in family.optional:
                return None
        return found

    def _component(self, path: str, layout: str, name: str, published: str) -> Known | None:
        try:
            at = (path, f"{layout}/{name}", Path(path).stat().st_mtime_ns)
        except OSError:
            return None
        if at not in self._files:
            try:
                self._files[at] = counted(open_component(Path(path), layout, name, Path(published)))
            except (Fault, OSError):  # told in full by whoever loads it
                self._files[at] = None
        return self._files[at]


def _works(
    resolved: ResolvedRequest, network: str, known: Mapping[str, Known], acts: Mapping[str, Footprint],
    sizes: Sequence[tuple[int, int, str]], rows: int, number_bytes: int, lengths: tuple[int, int], beside: Beside,
) -> tuple[Work, ...]:  # fmt: skip
    """rows: of a network call, for one picture; lengths: tokens that a T5 encoder reads, and that the network reads."""
    count, channels = resolved.batch_size, _channels(known)
    largest = max(sizes, key=lambda size: size[0] * size[1])
    text, latents = _text_bytes(known[network], number_bytes, lengths[1]), LATENTS_HELD * channels * _cells(*largest[:2]) * number_bytes
    kept = TEXTS_KEPT * text + count * latents
    found = [_work("text", name, one["read"], None, _tokens(known[name], lengths[0]), 1, 0) for name, one in acts.items() if "read" in one]
    for width, height, stage in sizes:
        held = kept + count * text * TEXTS_HELD[rows > 1]
        plain = _work(stage, network, acts[network]["call"], None, width * height, rows * count, held)
        found += beside.drawn(plain, held, width * height, rows * count)
    area = largest[0] * largest[1]
    found.append(_decoding(acts["vae"], area, count, kept))
    return tuple(found)


def _decoding(vae: Footprint, area: int, count: int, held: int) -> Work:
    work = _work("decode", "vae", vae["decode"], vae["decode spared"], area, count, held)
    there = _work("decode", "vae", vae["decode on CPU"], vae["decode spared on CPU"], area, count, held)
    return replace(work, cpu_bytes=(there.bytes - work.bytes, there.spared_bytes - work.spared_bytes))


def _work(stage: str, component: str, plain: Any, spared: Any, size: int, rows: int, held: int) -> Work:
    whole = held + bytes_at(plain, size, rows)
    careful = whole if spared is None else held + bytes_at(spared, size, rows)
    return Work(stage=stage, component=component, bytes=whole, spared_bytes=careful)


def _tokens(reader: Known, long_tokens: int) -> int:
    return long_tokens if reader.component.part.kind == "t5" else CLIP_TOKENS


def _channels(known: Mapping[str, Known]) -> int:
    return int(known["vae"].component.config.get("latent_channels") or 4) if "vae" in known else 4


def _cells(width: int, height: int, cell_px: int = 8) -> int:
    return width // cell_px * (height // cell_px)


def _text_bytes(network: Known, number_bytes: int, tokens: int) -> int:
    """Of the vectors of one text, as the network reads them."""
    config = network.component.config
    return int(config.get("joint_attention_dim") or config.get("cross_attention_dim") or 0) * tokens * number_bytes
