"""The line to a post far away: calls over Ray with a limit of time, and a new actor where there is none. The only file that calls Ray's
actors.

Start reading at `connect`, then `tie`.
"""

from __future__ import annotations

import logging
import os
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from modules.cluster.hosts import RESOURCE, Place
from modules.cluster.post import Post
from modules.faults import Fault, SetupFault, WorkerDied

NAMESPACE = "darkroom"
CALLS_AT_ONCE = 8


class Tie:
    """Calls of one post. A call that takes too long, or a post that is gone, raises WorkerDied; the post's own faults come through."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def call(self, method: str, *values: Any, timeout_s: float = 10.0) -> Any:
        try:
            return ray.get(getattr(self._actor, method).remote(*values), timeout=timeout_s)
        except RayTaskError as error:
            cause = error.cause
            raise cause if isinstance(cause, Fault) else WorkerDied(f"{type(cause).__name__} in {method}: {cause}") from error
        except GetTimeoutError as error:
            raise WorkerDied(f"The other machine did not answer within {timeout_s:.0f} s.") from error
        except RayError as error:
            raise WorkerDied(f"The other machine is gone: {str(error).splitlines()[0][:200]}") from error

    def forget(self) -> None:
        """Give its place in the cluster back."""
        ray.kill(self._actor)


def connect(address: str) -> None:
    """Join the cluster as one that gives work. Raises SetupFault."""
    try:
        ray.init(address=address, namespace=NAMESPACE, log_to_driver=False, configure_logging=False, logging_level=logging.ERROR)
    except (ConnectionError, RayError, ValueError, RuntimeError) as error:
        raise SetupFault(
            f"There is no cluster at {address}: {str(error).splitlines()[0][:200]}. Start one, see docs/cluster.md."
        ) from error


def tie(place: Place) -> Tie:
    """The post of a place, the one that is there or a new one."""
    kind: Any = ray.remote(_Actor)
    options: dict[str, Any] = {
        "name": place.actor,
        "get_if_exists": True,
        "lifetime": "detached",
        "num_cpus": 0,
        "num_gpus": 1 if place.gpu else 0,
        "resources": {RESOURCE: 1},
        "max_concurrency": CALLS_AT_ONCE,
        "scheduling_strategy": NodeAffinitySchedulingStrategy(place.node, soft=False),
    }
    return Tie(kind.options(**options).remote(place.home, place.budget_bytes))


def found(place: Place) -> Tie | None:
    """The post of a place if there is one."""
    try:
        return Tie(ray.get_actor(place.actor))
    except ValueError:
        return None


class _Actor(Post):
    """A post whose end is the end of its process."""

    def __init__(self, home: str, budget_bytes: int) -> None:
        super().__init__(home, budget_bytes, ended=lambda: os._exit(0))
