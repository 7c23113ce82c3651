"""A job's files go over: only those that are not there, in pieces, from where an earlier try stopped.

Knows goods and the calls of a post; nothing about Ray. Start reading at `send`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any, Protocol

from modules.cluster.goods import Goods
from modules.faults import Cancelled

PIECE_BYTES = 8 * 2**20
PIECE_S = 120.0  # for one piece over a slow line
FINISH_S = 600.0  # for reading a large file again
TOLD_S = 1.0


class Calls(Protocol):
    """How a post is reached."""

    def call(self, method: str, *values: Any, timeout_s: float = 10.0) -> Any: ...


def send(
    goods: Goods,
    post: Calls,
    token: str,
    *,
    say: Callable[[str], None],
    stopped: Callable[[], bool],
    shared: bool = False,
    early: Collection[str] | None = None,
) -> dict[str, str]:
    """Path here -> path there, for every view. say: what is going on, in words; stopped: asked between pieces.

    shared: files that lie there under the same path, and hold the same, are not sent. early: the job has not come yet: only what there is
    room for beside these digests, and nothing takes the place of what has its name there.

    Raises Cancelled when stopped, or when there is no room early, OSError when a file here is gone, and what the post raises.
    """
    seen: list[str] = post.call("sees", token, goods.views, timeout_s=FINISH_S) if shared and goods.views else []
    goods = goods.without(seen)
    there: dict[str, tuple[int, bool]] = post.call("lacking", token, sorted(goods.files))
    missing = {digest: size for digest, (size, whole) in there.items() if not whole}
    if missing:
        wanted = sum(goods.size_bytes(digest) - size for digest, size in missing.items())
        stays = sorted({*goods.files, *(early or ())})
        if early is not None and not post.call("could_hold", token, wanted, stays, timeout_s=FINISH_S):
            raise Cancelled
        post.call("make_room", token, wanted, stays, timeout_s=FINISH_S)
    for number, (digest, size) in enumerate(missing.items(), 1):
        _send_one(goods, digest, size, post, token, lambda text, n=number: say(f"{text} ({n} of {len(missing)})"), stopped)
    placed = goods.placed if early is None else {}
    return {path: path for path in seen} | post.call("lay_out", token, goods.views, placed, timeout_s=FINISH_S)


def _send_one(
    goods: Goods, digest: str, there: int, post: Calls, token: str, say: Callable[[str], None], stopped: Callable[[], bool]
) -> None:
    path, size, told = goods.files[digest], goods.size_bytes(digest), 0.0
    with path.open("rb") as file:
        while there < size:
            if stopped():
                raise Cancelled
            if time.monotonic() - told > TOLD_S:
                told = time.monotonic()
                say(f"Sending {path.name} to the other machine, {100 * there // size} %")
            file.seek(there)
            there = post.call("put", token, digest, there, file.read(PIECE_BYTES), timeout_s=PIECE_S)
    post.call("finish", token, digest, timeout_s=FINISH_S)
