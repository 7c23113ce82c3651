"""Reading a JSON body: the limits on its size, depth and numbers, and what a broken one answers.

Knows JSON; knows nothing about fields. Start reading at `json_body`, used by routes as `Body`.
"""

from __future__ import annotations

import asyncio
import copy
import json
import math
import re
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from modules.faults import RequestFault
from modules.server.examples import EXAMPLES

DEPTH_LIMIT = 32
ITEM_LIMIT = 1_000_000
INTEGER_LIMIT = 2**64
THREAD_BYTES = 256 * 1024
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")

Path = tuple[str | int, ...]


async def json_body(request: Request) -> dict[str, Any]:
    """The body as an object. Raises RequestFault naming the place; the guard limits the size.

    Any content type is read, as clients forget to say that it is JSON.
    """
    raw = await request.body()
    if len(raw) > THREAD_BYTES:  # the event loop must not wait for a large body
        return await asyncio.to_thread(parse, raw)
    return parse(raw)


Body = Annotated[dict[str, Any], Depends(json_body)]
_OBJECT: dict[str, Any] = {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}


def describe_bodies(routes: Iterable[BaseRoute]) -> None:
    """Say in the API's description that a route reads an object, where the route has not said what is in it, and add an example."""
    for route in routes:
        if isinstance(route, APIRoute) and any(found.call is json_body for found in route.dependant.dependencies):
            extra: dict[str, Any] = {"requestBody": copy.deepcopy(_OBJECT), **copy.deepcopy(route.openapi_extra or {})}
            if route.path in EXAMPLES:
                extra["requestBody"]["content"]["application/json"]["example"] = EXAMPLES[route.path]
            route.openapi_extra = extra


def parse(raw: bytes) -> dict[str, Any]:
    """An object from JSON text: at most DEPTH_LIMIT deep, no NaN or Infinity, no lone surrogates. Raises RequestFault."""
    if not raw.strip():
        raise RequestFault("body", "a JSON object is needed")
    try:
        value = json.loads(raw)
    except RecursionError:
        raise RequestFault("body", f"must not be nested deeper than {DEPTH_LIMIT}") from None
    except ValueError as error:  # also text that is not UTF-8, and integers of thousands of digits
        raise RequestFault("body", f"is not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise RequestFault("body", "must be a JSON object", got=type(value).__name__)
    _check(value)
    return _without_surrogates(value) if _ESCAPED_SURROGATE.search(raw) else value


def _check(value: dict[str, Any]) -> None:
    """Depth, number of values, and every number; without recursion."""
    open_values: list[tuple[Path, Any]] = [((), value)]
    seen = 0
    while open_values:
        path, container = open_values.pop()
        if len(path) >= DEPTH_LIMIT:
            raise RequestFault(_dotted(path[:1]), f"must not be nested deeper than {DEPTH_LIMIT}")
        for key, item in _items(container):
            seen += 1
            if isinstance(item, dict | list):
                open_values.append(((*path, key), item))
            elif isinstance(item, float) and not math.isfinite(item):
                raise RequestFault(_dotted((*path, key)), "must be a finite number", got=str(item))
            elif isinstance(item, int) and abs(item) >= INTEGER_LIMIT:
                raise RequestFault(_dotted((*path, key)), "is too large a number", allowed=f"below {INTEGER_LIMIT}")
        if seen > ITEM_LIMIT:
            raise RequestFault("body", f"holds more than {ITEM_LIMIT} values")


def _items(container: dict[str, Any] | list[Any]) -> Iterator[tuple[str | int, Any]]:
    return iter(container.items()) if isinstance(container, dict) else enumerate(container)


def _dotted(path: Path) -> str:
    return ".".join(str(part)[:80] for part in path)


def _without_surrogates(value: Any) -> Any:
    """Half a surrogate pair cannot be written as UTF-8 anywhere; it becomes the replacement character. Depth is checked before."""
    if isinstance(value, str):
        return _LONE_SURROGATE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    return value
