"""Ray Train around the training function: TorchTrainer starts a process on each node that was chosen and joins them with torch.

The only file that imports Ray Train, and the process that leads (see `modules.cluster.training`). Start reading at `Trainer.attempt`.
"""

from __future__ import annotations

import json
import secrets
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
import ray.train
from ray.exceptions import RayError
from ray.train.torch import TorchConfig, TorchTrainer
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from modules.cluster.fetching import MARK, goods_to_train
from modules.cluster.goods import Digests
from modules.cluster.hosts import Host, hosts_of
from modules.cluster.rank import Desk, rank
from modules.cluster.ties import connect
from modules.cluster.training import lead
from modules.cluster.version import identity
from modules.faults import Fault, RequestFault, SetupFault
from modules.flags import table
from modules.folders import Folders, write_atomic
from modules.processing.train_voice import Voice, unexpected
from modules.request.train import TrainConfig
from modules.train.data.class_pictures import wanted as wanted_of
from modules.train.sessions import Session

NODE = "ray.io/node-id"  # the label that each node of Ray carries
# A bundle must ask for something, and cards and places are held by the workers for pictures, who give their memory away meanwhile.
ASKS = {"CPU": 0.0, "memory": 1.0}
ASK_S = 120.0  # much longer than a cluster takes to notice that a machine is gone; a busy one may answer late
SILENT_S = 1800  # for one sum of gradients: the first process may be making samples; a lost machine is noticed otherwise


class Trainer:
    """told: the job, as `modules.processing.train_process` gets it; place: its folder, where whoever follows listens."""

    def __init__(self, told: Mapping[str, Any], place: Path, session: Session, mark: str) -> None:
        """mark: what stands in the session's folder under `fetching.MARK`. Raises SetupFault without a cluster there."""
        connect(str(told["flags"]["cluster"]))
        device = {f.name for f in table() if f.metadata["group"] == "Device"}
        flags = told["flags"]
        self._told: dict[str, Any] = {
            **told,
            "flags": {name: value for name, value in flags.items() if name in device},
            "home": flags["cluster_home"],
            "budget_bytes": int(flags["cluster_disk_gb"]) * 2**30,
            "shared": bool(flags["cluster_shared"]),
            "version": identity(),
            "session_folder": str(session.folder),
            "mark": mark,
        }
        self._folders = Folders.from_data(told["folders"])
        self._digests = Digests(self._folders.cache / "cluster-digests.json")
        self._session = session
        self._place = place
        self._tries = 0

    def hosts(self) -> list[Host]:
        """The machines that answer now: for a while a cluster counts those as there that are gone. Raises SetupFault without a cluster."""
        try:
            hosts = hosts_of(ray.nodes())
            asked = {_at(_answer, host.node, max_retries=0).remote(): host for host in hosts}
            done, _ = ray.wait([*asked], num_returns=len(asked), timeout=ASK_S) if asked else ([], [])
        except RayError as error:
            raise SetupFault(f"The cluster does not answer: {str(error).splitlines()[0][:200]}. Start it again.") from error
        there = [asked[reference] for reference in done if _came(reference)]
        return [host for host in hosts if host in there]

    def attempt(self, nodes: Sequence[str], on_cpu: bool) -> str:
        """Train with a process on each of these nodes. Returns "" when it ended by itself, with a result or a fault, else why not."""
        self._tries += 1
        goods = tuple(
            goods_to_train(self._told["resolved"], self._folders, self._session, self._digests, results=first) for first in (False, True)
        )
        kind = _at(Desk, ray.get_runtime_context().get_node_id(), max_concurrency=len(nodes) + 1)
        desk = kind.remote(str(self._place), str(self._session.folder), goods)
        trainer = TorchTrainer(
            rank,
            train_loop_config={"told": {**self._told, "on_cpu": on_cpu}, "desk": desk},
            scaling_config=ray.train.ScalingConfig(
                num_workers=len(nodes), resources_per_worker=ASKS, placement_strategy="SPREAD", label_selector=[{NODE: n} for n in nodes]
            ),
            torch_config=TorchConfig(backend="gloo" if on_cpu else "nccl", timeout_s=SILENT_S),
            run_config=ray.train.RunConfig(
                name=f"try-{self._tries}",
                storage_path=str(self._place / "ray"),
                failure_config=ray.train.FailureConfig(max_failures=0, controller_failure_limit=0),
                worker_runtime_env={"env_vars": _variables(on_cpu=on_cpu)},
            ),
        )
        try:
            trainer.fit()
            return ""
        except ray.train.TrainingFailedError as error:
            if ray.get(desk.ended.remote()):
                return ""
            return str(error).strip().splitlines()[-1][:300]
        finally:
            ray.kill(desk)


def _at(what: Any, node: str, **options: Any) -> Any:
    """A function or class for Ray, to run on that node."""
    kind: Any = ray.remote(what)
    return kind.options(num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False), **options)


def _answer() -> bool:
    return True


def _came(reference: Any) -> bool:
    try:
        return ray.get(reference)
    except RayError:
        return False


def _variables(*, on_cpu: bool) -> dict[str, str]:
    """For the processes."""
    more = {"HF_HUB_OFFLINE": "1"}
    return {**more, "ACCELERATE_USE_CPU": "true"} if on_cpu else more


@contextmanager
def _marked(session: Session) -> Iterator[str]:
    """While inside, the session's folder can be known by a word in it. Raises DiskFault."""
    mark = secrets.token_hex(16)
    place = session.folder / MARK
    write_atomic(place, mark.encode())
    try:
        yield mark
    finally:
        place.unlink(missing_ok=True)


def _check_class(session: Session, told: Mapping[str, Any]) -> None:
    """Raises RequestFault where pictures of the class would be made on one machine and lack on the others."""
    missing = wanted_of(session, TrainConfig.from_data(told["resolved"]["config"])).missing
    if missing and not told["flags"]["cluster_shared"]:
        why = f"{len(missing)} are to be made, which needs a folder that all machines see (--cluster-shared), or a step without the cluster"
        raise RequestFault("num_class_images", why, got=len(missing))


def main(job: Path) -> int:
    """Entry of the process. Returns 0, 1 after a fault."""
    told = json.loads(job.read_text(encoding="utf-8"))
    voice = Voice(job.parent, speaks=True)
    try:
        session = Session.open(Folders.from_data(told["folders"]), told["resolved"]["session"])
        with session.lock(), _marked(session) as mark:
            _check_class(session, told)
            trainer = Trainer(told, job.parent, session, mark)
            wanted = int(told["resolved"]["config"]["num_processes"])
            lead(session, wanted, trainer.hosts, trainer.attempt, lambda text: voice.event("warning", {"text": text}))
    except Fault as fault:
        voice.say("fault", fault.data())
        return 1
    except Exception as error:  # noqa: BLE001 - the one who follows must hear of it, whatever it is
        traceback.print_exc()
        voice.say("fault", unexpected(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
