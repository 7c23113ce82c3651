"""The machines of a cluster as plain data, and the workers that they have places for. Knows nothing of Ray: its rows are given.

Start reading at `hosts_of`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

RESOURCE = "darkroom"  # what a host offers to the cluster: as many workers as it has devices
CARD = "accelerator_type:"  # how Ray names the kind of card among the resources


@dataclass(frozen=True, kw_only=True)
class Host:
    """A machine. node: Ray's id; address: of the machine; workers: how many the program may have there; cards: GPUs, of which kind.

    memory_bytes: what Ray counts as the machine's main memory for work.
    """

    node: str
    name: str
    address: str
    workers: int
    cards: int = 0
    card: str = ""
    cpus: float = 0.0
    memory_bytes: int = 0

    def to_data(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        return cls(**data)


def hosts_of(rows: Iterable[Mapping[str, Any]]) -> list[Host]:
    """The machines that are there and offer workers, by address. rows: as `ray.nodes()` gives them."""
    found: list[Host] = []
    for row in rows:
        offers: Mapping[str, float] = row.get("Resources") or {}
        if not row.get("Alive") or offers.get(RESOURCE, 0) < 1:
            continue
        found.append(
            Host(
                node=row["NodeID"],
                name=row.get("NodeManagerHostname") or row["NodeManagerAddress"],
                address=row["NodeManagerAddress"],
                workers=int(offers[RESOURCE]),
                cards=int(offers.get("GPU", 0)),
                card=next((name.removeprefix(CARD) for name in offers if name.startswith(CARD)), ""),
                cpus=float(offers.get("CPU", 0)),
                memory_bytes=int(offers.get("memory", 0)),
            )
        )
    return sorted(found, key=lambda host: (host.address, host.node))


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a worker is to be. address: of the cluster: "auto", "HOST:PORT" or "ray://HOST:PORT"; node: Ray's id of the host.

    index: which of the host's workers; gpu: it takes one of the cards. home: folder there; budget_bytes: for model files.
    shared: files may lie there under the same paths.
    """

    address: str
    node: str = ""
    index: int = 0
    gpu: bool = False
    home: str = "~/.cache/darkroom-worker"
    budget_bytes: int = 100 * 2**30
    shared: bool = False

    @property
    def actor(self) -> str:
        """Its name in the cluster."""
        return f"post-{self.node[:16]}-{self.index}"


def places_of(hosts: Iterable[Host], pattern: Place) -> list[tuple[Host, Place]]:
    """A place for each worker of each machine. Workers beyond the cards of a machine that has some compute on its CPU.

    pattern: what all places have in common; its node, index and gpu count for nothing.
    """
    return [(host, replace(pattern, node=host.node, index=i, gpu=i < host.cards)) for host in hosts for i in range(host.workers)]
