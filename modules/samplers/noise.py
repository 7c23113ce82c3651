"""`PictureNoise`: all noise of a batch, drawn for each picture from its own seed, so that a batch equals its singles.

Noise is float32 from the chosen source, whatever the model's precision. Knows nothing about samplers. Start reading at
`PictureNoise.first` (before the first step), then `normal` and `along` (during steps).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Protocol

import torch

from modules.faults import RequestFault
from modules.samplers.brownian import BrownianPath
from modules.samplers.options import SOURCES
from modules.samplers.philox import PhiloxNormal

Shape = tuple[int, ...]
_ASIDE = 0x5851F42D4C957F2D  # so that a stand-in does not repeat the first noise


class Stream(Protocol):
    """Normal numbers of one seed, one draw after another."""

    def draw(self, shape: Shape) -> torch.Tensor: ...


class _TorchStream:
    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def draw(self, shape: Shape) -> torch.Tensor:
        return torch.randn(shape, generator=self.generator, device=self.generator.device, dtype=torch.float32)


class _PhiloxStream:
    def __init__(self, seed: int) -> None:
        self._numbers = PhiloxNormal(seed)

    def draw(self, shape: Shape) -> torch.Tensor:
        return torch.from_numpy(self._numbers.draw(shape))


def stream(seed: int, source: str = "CPU", device: torch.device | str = "cpu") -> Stream:
    """A stream of that seed. source: one of SOURCES; "GPU" draws on `device`. Raises RequestFault for another source."""
    if source not in SOURCES:
        raise RequestFault("randn_source", f"noise cannot be drawn from {source!r}; choose {', '.join(SOURCES)}", allowed=list(SOURCES))
    if source == "NV":
        return _PhiloxStream(seed)
    return _TorchStream(torch.Generator(device if source == "GPU" else "cpu").manual_seed(seed))


class PictureNoise:
    """Noise of a batch. seeds: one a picture. source, device: as in `stream`. ensd: added to the seeds after the first noise."""

    def __init__(self, seeds: Sequence[int], *, source: str = "CPU", device: torch.device | str = "cpu", ensd: int = 0) -> None:
        self._seeds = list(seeds)
        self._start = functools.partial(stream, source=source, device=device)
        self._ensd = ensd
        self._streams = [self._start(seed) for seed in self._seeds]
        self._paths: dict[int, BrownianPath] = {}
        self._stand_ins: list[torch.Generator] = []

    @classmethod
    def of_generators(cls, generators: Sequence[torch.Generator]) -> PictureNoise:
        """Noise that goes on with these generators, one a picture; Brownian paths are of the seeds they began with."""
        noise = cls([g.initial_seed() for g in generators])
        noise._streams = [_TorchStream(g) for g in generators]
        return noise

    @property
    def generators(self) -> list[torch.Generator]:
        """torch's generators that the noise goes on with, one a picture. For "NV", which has none: others of the same seeds."""
        own = [s.generator for s in self._streams if isinstance(s, _TorchStream)]
        if own or not self._seeds:
            return own
        if not self._stand_ins:
            self._stand_ins = [torch.Generator("cpu").manual_seed((seed + self._ensd) ^ _ASIDE) for seed in self._seeds]
        return self._stand_ins

    def first(
        self,
        shape: tuple[int, int, int],
        *,
        subseeds: Sequence[int] = (),
        subseed_strength: float = 0.0,
        resize_from: tuple[int, int] | None = None,
    ) -> torch.Tensor:
        """Standard normal noise (B, C, h, w), float32, that pictures start from.

        shape: (C, h, w) of a latent. subseeds, subseed_strength (0 to 1): noise of other seeds that is turned towards.
        resize_from: (h, w) of the latent that the seeds are known from; its noise is put in the middle. Source: A1111's rules.
        """
        rows: list[torch.Tensor] = []
        for i, (seed, own) in enumerate(zip(self._seeds, self._streams, strict=True)):
            known = shape if resize_from is None else (shape[0], *resize_from)
            row = own.draw(shape) if known == shape else self._start(seed).draw(known)
            if subseeds and subseed_strength:
                row = turned(subseed_strength, row, self._start(subseeds[i]).draw(known))
            rows.append(row if known == shape else centred(row, own.draw(shape)))
        if self._ensd:
            self._streams = [self._start(seed + self._ensd) for seed in self._seeds]
        return torch.stack(rows)

    def normal(self, x: torch.Tensor) -> torch.Tensor:
        """Standard normal noise shaped like x (B, ...), on its device; row i is the next of picture i."""
        self._check(x)
        return torch.stack([own.draw(x.shape[1:]) for own in self._streams]).to(x)

    def along(self, x: torch.Tensor, start: float, end: float) -> torch.Tensor:
        """What each picture's Brownian path gains from level start to level end, scaled to variance 1; shaped like x."""
        self._check(x)
        shape = tuple(x.shape[1:])
        for i, seed in enumerate(self._seeds):
            if i not in self._paths:
                self._paths[i] = BrownianPath(seed, lambda place: self._start(place).draw(shape))
        return torch.stack([self._paths[i].gain(start, end) for i in range(len(self._seeds))]).to(x)

    def _check(self, x: torch.Tensor) -> None:
        if len(x) != len(self._seeds):
            raise ValueError(f"there are {len(self._seeds)} seeds for a batch of {len(x)} pictures")


class SharedNoise:
    """Noise of a batch from one generator, as diffusers draws it when it was given only one; None: torch's own."""

    def __init__(self, generator: torch.Generator | None) -> None:
        self._generator = generator if generator is not None else torch.default_generator
        self._paths: PictureNoise | None = None

    def normal(self, x: torch.Tensor) -> torch.Tensor:
        """As `PictureNoise.normal`, all pictures in one draw."""
        return _TorchStream(self._generator).draw(tuple(x.shape)).to(x)

    def along(self, x: torch.Tensor, start: float, end: float) -> torch.Tensor:
        """As `PictureNoise.along`, with seeds that count up from the generator's."""
        if self._paths is None:
            self._paths = PictureNoise([self._generator.initial_seed() + i for i in range(len(x))])
        return self._paths.along(x, start, end)


def turned(strength: float, noise: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Noise turned by that share (0 to 1) of the angle towards the other, (C, h, w).

    The angle is taken along h, for each channel and column: A1111's pictures come out the same that way.
    """
    one, two = (n / n.norm(dim=1, keepdim=True) for n in (noise, other))
    cosine = (one * two).sum(1)
    if cosine.mean() > 0.9995:
        return noise * strength + other * (1 - strength)
    angle = torch.acos(cosine)
    whole = torch.sin(angle)
    near, far = torch.sin((1 - strength) * angle) / whole, torch.sin(strength * angle) / whole
    return near.unsqueeze(1) * noise + far.unsqueeze(1) * other


def centred(inner: torch.Tensor, outer: torch.Tensor) -> torch.Tensor:
    """outer (C, h, w) with inner (C, h', w') laid on its middle; what sticks out is cut off."""
    placed = outer.clone()
    spans: list[tuple[slice, slice]] = []
    for have, want in zip(inner.shape[1:], outer.shape[1:], strict=True):
        gap = (want - have) // 2
        side = have + 2 * min(gap, 0)
        spans.append((slice(max(gap, 0), max(gap, 0) + side), slice(max(-gap, 0), max(-gap, 0) + side)))
    (to_y, from_y), (to_x, from_x) = spans
    placed[:, to_y, to_x] = inner[:, from_y, from_x]
    return placed
