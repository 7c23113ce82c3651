"""Bodies of /api/v2: the same limits on JSON as everywhere else, and unknown fields told with those that are nearest.

Knows how a route reads its body; knows nothing about fields. Start reading at `CheckedRoute`.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from modules.faults import RequestFault
from modules.server.body import json_body
from modules.server.errors import Refused
from modules.server.v2.job_bodies import with_close_matches


class CheckedRequest(Request):
    """A request whose JSON is read within the limits of `modules.server.body`."""

    async def json(self) -> Any:
        """The body as an object. Raises Refused(400)."""
        try:
            return await json_body(self)
        except RequestFault as fault:
            raise Refused(400, "Bad Request", errors=fault.message) from fault


class CheckedRoute(APIRoute):
    """A route of FastAPI's whose body is read that way."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler that the framework calls."""
        inner = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                return await inner(CheckedRequest(request.scope, request.receive))
            except RequestValidationError as error:
                raise with_close_matches(error) from error

        return handler
