"""What stands beside the model in a run and asks for memory too: control networks with what they hand over, IP-Adapters and LoRAs.

Counted from headers and footprints, as the model itself is. No torch. Start reading at `Surroundings.of`, then `Beside.drawn`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from modules.faults import Fault
from modules.hardware.footprint import Footprint, Point, bytes_at
from modules.hardware.plan import Work
from modules.processing.memory_known import NUMBER_BYTES, Known, counted
from modules.request import ResolvedRequest, ResolvedUnit
from modules.request.control import HIGH, LOW
from modules.weights.header import BITS, read
from modules.weights.layouts.controls import open_control
from modules.weights.lora.file import LoraFile, open_file

PIXEL_BYTES = 3 * 4  # what a unit sees: red, green and blue in float32
FULL = NUMBER_BYTES["float32"]
WHOLE = frozenset({"dora", "magnitude"})  # with these a low-rank change is added to the weight itself


@dataclass(frozen=True, kw_only=True)
class Steering:
    """A unit of a run, counted. weights_bytes: on the device while pictures are drawn, or only while it is asked (brief).

    call, gives: what it needs while it is asked, and hands over, () where nobody knows; copies: of that, for a transformer's blocks.
    inner: asked once, it goes into the levels of a UNet, else behind them.
    """

    hr_option: str
    weights_bytes: int
    brief: bool = False
    call: Sequence[Point] = ()
    gives: Sequence[Point] = ()
    copies: int = 1
    inner: bool = False

    def given(self, area: int, rows: int) -> int:
        """Bytes that it hands over in one call of the network."""
        return self.copies * bytes_at(self.gives, area, rows) if self.gives else 0


@dataclass(frozen=True, kw_only=True)
class Beside:
    """units: those of a run. always_bytes: on the device all the time; main_bytes: what only main memory holds of LoRAs.

    separate: prompt and negative prompt have calls of their own.
    """

    units: tuple[Steering, ...] = ()
    always_bytes: int = 0
    main_bytes: int = 0
    two_passes: bool = False
    separate: bool = False

    @property
    def nets_bytes(self) -> int:
        """Of all units, which lie in main memory between the runs."""
        return sum(unit.weights_bytes for unit in self.units)

    def drawn(self, plain: Work, held: int, area: int, rows: int) -> list[Work]:
        """The stretches that drawing becomes with the units of its pass. plain: the network's own call; held: bytes beside it, counted in
        plain; area: pixels; rows: of the call.

        They are asked one after another; of each the weighted answer waits; then these are added up, and the sum lies there while the
        network works. Source: `modules.control.controlling`.
        """
        units = [unit for unit in self.units if not self.two_passes or unit.hr_option != (LOW if plain.stage == "hires" else HIGH)]
        if not units:
            return [plain]
        staying = sum(unit.weights_bytes for unit in units if not unit.brief)
        shown = len(units) * PIXEL_BYTES * area
        given = [unit.given(area, rows) for unit in units]
        total = sum(max((g for unit, g in zip(units, given, strict=True) if unit.inner == inner), default=0) for inner in (True, False))
        kept = sum((2 if unit.inner else int(self.separate and len(units) > 1)) * g for unit, g in zip(units, given, strict=True))
        held += shown
        adding = held + sum(given) + (total if len(units) > 1 else 0)
        found = [_more(plain, max(adding, plain.bytes + shown + total + kept), staying)]
        for n, unit in enumerate(units):
            asked = max(bytes_at(unit.call, area, 1 if unit.inner else rows) if unit.call else 0, 2 * given[n])
            found.append(_more(plain, held + sum(given[:n]) + asked, staying + (unit.weights_bytes if unit.brief else 0)))
        return found


def _more(plain: Work, total_bytes: int, beside_bytes: int) -> Work:
    return replace(plain, bytes=total_bytes, spared_bytes=total_bytes, beside_bytes=beside_bytes)


@dataclass(kw_only=True)
class Surroundings:
    """footprint: as `memory_need.Counting` has it. Keeps what it read of files."""

    footprint: Callable[[Known, int], Footprint | None]
    _nets: dict[tuple[str, int, str], Known | None] = field(default_factory=dict[tuple[str, int, str], "Known | None"])
    _loras: dict[tuple[str, int], LoraFile] = field(default_factory=dict[tuple[str, int], LoraFile])

    def of(self, resolved: ResolvedRequest, host: Known, number_bytes: int, *, separate: bool, merges: bool) -> Beside:
        """For a model. host: its UNet or transformer; number_bytes: of the numbers it computes in; merges: its weights can be written to,
        as quantised ones cannot."""
        loras = [self._lora(network.path, number_bytes, merges=merges) for network in resolved.networks]
        return Beside(
            units=tuple(found for one in resolved.control if (found := self._unit(one, host, number_bytes)) is not None),
            always_bytes=sum(device for device, _ in loras),
            main_bytes=sum(main for _, main in loras),
            two_passes=resolved.hires is not None,
            separate=separate,
        )

    def _lora(self, path: str, number_bytes: int, *, merges: bool) -> tuple[int, int]:
        """(bytes on the device, bytes that main memory holds besides). What is added to weights takes nothing on the device."""
        try:
            at = (path, Path(path).stat().st_mtime_ns)
            if at not in self._loras:
                self._loras[at] = open_file(Path(path))
        except (Fault, OSError):  # told in full by whoever puts it on
            return 0, 0
        file = self._loras[at]
        device = main = 0
        for entry in file.entries:
            beside = entry.kind == "lora" and not WHOLE & entry.parts.keys()
            whole = 0 if beside else file.changed(entry) * number_bytes
            main += whole if merges else 0  # the weight as it was
            device += 0 if merges else whole
            for part, name in entry.parts.items():
                info = file.header.tensors[name]
                numbers, own = math.prod(info.shape), BITS[info.dtype] // 8
                device += numbers * number_bytes if beside and part in ("down", "up", "mid") else 0
                shared = beside and part in ("down", "mid") and own == number_bytes == FULL
                main += 0 if shared else numbers * own
        return device, main

    def _unit(self, one: ResolvedUnit, host: Known, number_bytes: int) -> Steering | None:
        """None for a unit without a file of its own."""
        if one.file is None:
            return None
        option = one.unit.hr_option
        known = None if one.kind == "ip_adapter" else self._net(one.file.path, host)
        if known is None:
            files = [one.file, *([one.encoder] if one.encoder is not None else [])]
            return Steering(hr_option=option, weights_bytes=sum(_weights_bytes(Path(file.path), number_bytes) for file in files))
        made = self.footprint(known, number_bytes) or {}
        return Steering(
            hr_option=option, weights_bytes=known.part(number_bytes).whole_bytes, brief=one.unit.low_vram, call=made.get("call", ()),
            gives=made.get("gives", ()), copies=_copies(known, host), inner=one.kind == "t2i_adapter",
        )  # fmt: skip

    def _net(self, path: str, host: Known) -> Known | None:
        try:
            at = (path, Path(path).stat().st_mtime_ns, host.key(FULL))
        except OSError:
            return None
        if at not in self._nets:
            try:
                self._nets[at] = counted(open_control(Path(path), host.component.config, lambda: host.component)[1])
            except (Fault, OSError):  # told in full by whoever loads it
                self._nets[at] = None
        return self._nets[at]


def _copies(known: Known, host: Known) -> int:
    """How many tensors a transformer is handed for each that its control network answers with."""
    wanted, own = host.component.config, known.component.config
    if known.component.part.model == "SD3ControlNetModel":
        return int(wanted.get("num_layers") or 1)
    if known.component.part.model == "FluxControlNetModel":
        return sum(int(wanted.get(name) or 0) for name in ("num_layers", "num_single_layers") if own.get(name)) or 1
    return 1


def _weights_bytes(path: Path, number_bytes: int) -> int:
    """Of all tensors of a file, or of a folder with its pieces, in numbers of that size; 0 for what cannot be read."""
    try:
        headers = [read(file) for file in (sorted(path.glob("*.safetensors")) if path.is_dir() else [path])]
    except (Fault, OSError):
        return 0
    return sum(math.prod(info.shape) * number_bytes for header in headers for info in header.tensors.values())
