"""How much memory a run will need under each memory policy, and which policy to take: the fastest that fits.

Sums and comparisons over what others measured; no torch, so the web process shows it before the run. Start reading at `Need`, then
`peak` and `choose`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from modules.hardware.policies import POLICIES, Part, is_on_cpu

GIB = 2**30


@dataclass(frozen=True, kw_only=True)
class Work:
    """A stretch of a run in which one component works. bytes: beside all weights; spared_bytes: where the policy spares the VAE.
    beside_bytes: of weights that are on the device for this stretch, whatever the policy: control networks. cpu_bytes: what is added
    to (bytes, spared_bytes) where the CPU is the device, for its kernels.

    stage: "text", "sample", "hires", "refiner" or "decode".
    """

    stage: str
    component: str
    bytes: int
    spared_bytes: int
    beside_bytes: int = 0
    cpu_bytes: tuple[int, int] = (0, 0)

    def on_cpu(self) -> Work:
        """The same where the CPU is the device."""
        plain, spared = self.cpu_bytes
        return replace(self, bytes=self.bytes + plain, spared_bytes=self.spared_bytes + spared, beside_bytes=0, cpu_bytes=(0, 0))


@dataclass(frozen=True, kw_only=True)
class Need:
    """What a run asks of a device. parts: the weights; works: in any order; beside_bytes: of LoRAs, always there.

    key: of the model and of how it is kept, for what is learnt of it. on_cpu: what a person wants to work on the CPU, under any policy.
    main_bytes: what lies in main memory besides, and so counts where that is the device's: files of LoRAs, control networks.
    """

    key: str
    parts: Mapping[str, Part]
    works: tuple[Work, ...]
    beside_bytes: int = 0
    main_bytes: int = 0
    on_cpu: tuple[str, ...] = ()

    def on(self, kind: str, on_cpu: tuple[str, ...] = ()) -> Need:
        """The same on a device of that kind, with components of these names (beginnings of them) on the CPU."""
        found = self if on_cpu == self.on_cpu else replace(self, on_cpu=on_cpu, key=" ".join([self.key, *on_cpu]))
        if kind != "cpu":
            return found
        works = tuple(work.on_cpu() for work in self.works)
        return replace(found, works=works, beside_bytes=self.beside_bytes + self.main_bytes, main_bytes=0)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """policy: the one to take; peaks: what each policy of the device would need, in bytes; room_bytes: what there is, 0: not known.

    fits: the policy's peak is within it. why: a sentence where it is not the fastest, else "". on_cpu: as in `Need`.
    """

    policy: str
    peaks: Mapping[str, int] = field(default_factory=dict[str, int])
    room_bytes: int = 0
    fits: bool = True
    why: str = ""
    on_cpu: tuple[str, ...] = ()

    @property
    def peak_bytes(self) -> int:
        return self.peaks.get(self.policy, 0)


def peak(need: Need, policy: str) -> int:
    """The most bytes that lie on the device at once under a policy. What works on the CPU holds nothing there, nor does its work."""
    row = POLICIES.get(policy)
    parts = {name: part for name, part in need.parts.items() if not is_on_cpu(name, policy, need.on_cpu)}
    works = [work for work in need.works if work.component in parts]
    held = [row.held(parts, work.component) + (work.spared_bytes if row.spares_vae else work.bytes) + work.beside_bytes for work in works]
    return max(held, default=0) + need.beside_bytes


def choose(
    need: Need,
    rungs: Sequence[str],
    room_bytes: int,
    *,
    more: Mapping[str, int] | None = None,
    at_least: str = "",
    barred: Sequence[str] = (),
) -> Choice:
    """The first of the policies that fits the room, else the most careful one. room_bytes: 0 where nobody knows it: the first then.

    rungs: from the fastest on. more: policy -> bytes that earlier runs needed beyond the sum (negative: less). at_least: the policy to
    begin with, since memory ran out under a faster one. barred: those that this model does not survive.
    """
    peaks = {name: max(0, peak(need, name) + (more or {}).get(name, 0)) for name in rungs}
    usable = [name for name in rungs if name not in barred] or list(rungs)
    begun = usable[usable.index(at_least) :] if at_least in usable else usable
    fitting = [name for name in begun if not room_bytes or peaks[name] <= room_bytes]
    policy = fitting[0] if fitting else begun[-1]
    return Choice(
        policy=policy, peaks=peaks, room_bytes=room_bytes, fits=bool(fitting), why=_why(policy, peaks, room_bytes, usable, at_least)
    )  # fmt: skip


def _why(policy: str, peaks: Mapping[str, int], room_bytes: int, usable: Sequence[str], at_least: str) -> str:
    if policy == usable[0]:
        return ""
    if at_least == policy:
        return f"Memory policy {policy}: with a faster one memory ran out before, for this model and size."
    return (
        f"Memory policy {policy}: about {words(peaks[policy])} are needed so, {words(peaks[usable[0]])} with {usable[0]}, "
        f"and {words(room_bytes)} are there."
    )


def words(count: int) -> str:
    """Bytes for people."""
    return f"{count / GIB:.1f} GiB" if count >= GIB else f"{max(1, round(count / 2**20))} MiB"
