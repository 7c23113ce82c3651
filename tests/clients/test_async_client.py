"""`darkroom_client.AsyncClient` against the live server: many jobs at once, events, pages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from darkroom_client import AsyncClient, NotFound
from tests.clients.serving import Serving
from tests.clients.test_client import APPLE, png


def run(live: Serving, what: Callable[[AsyncClient], Coroutine[Any, Any, Any]]) -> Any:
    async def inside() -> Any:
        async with AsyncClient(live.url) as client:
            return await what(client)

    return asyncio.run(inside())


def test_many_jobs_at_once(live: Serving) -> None:
    async def many(client: AsyncClient) -> list[str]:
        jobs = await asyncio.gather(*(client.txt2img(**{**APPLE, "seed": n}) for n in range(6)))
        done = await asyncio.gather(*(client.wait(job, 60) for job in jobs))
        assert [job.pictures[0].seed for job in done] == list(range(6))
        return [job.state for job in done]

    assert run(live, many) == ["done"] * 6


def test_events_and_pictures(live: Serving, tmp_path: Any) -> None:
    async def follow(client: AsyncClient) -> None:
        job = await client.img2img("a pear", [png()], steps=2, width=64, height=64)
        told = [event.type async for event in client.events(job)]
        assert (told[0], told[-1]) == ("state", "done")
        picture = (await client.job(job)).pictures[0]
        assert (await client.save(picture, tmp_path / "a.png")).read_bytes() == await client.fetch(picture)
        assert job.id in [found.id async for found in client.jobs(limit=2)]
        with pytest.raises(NotFound):
            await client.job("nothing")

    run(live, follow)
