"""How errors look over HTTP: A1111's shape, the status of each kind of fault, and the net under everything else.

Knows statuses and shapes; knows nothing about when a fault is raised. Start reading at `fault_response`.
"""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from modules.faults import Fault, ModelFault, NotAllowed, RequestFault, TooMany, UnknownJob, UnknownScript

log = logging.getLogger(__name__)
STATUSES: dict[type[Fault], int] = {UnknownJob: 404, NotAllowed: 403, TooMany: 429}


class Refused(HTTPException):
    """An answer that A1111 gives as an HTTP error. detail: its words; errors: what it does not say, such as the field."""

    def __init__(self, status: int, detail: str, *, errors: str = "") -> None:
        super().__init__(status, detail)
        self.errors = errors


def shape(error: str, *, detail: Any = "", errors: str = "", **more: Any) -> dict[str, Any]:
    """A1111's error body. error: name of the exception; detail: what an HTTP error says; errors: the exception's text."""
    return {"error": error, "detail": detail, "body": "", "errors": errors, **more}


def fault_response(fault: Fault) -> JSONResponse:
    """The answer to a fault: 422 naming the field for what is wrong with a request, 404 for an unknown job, 403, 429, else 500."""
    name = type(fault).__name__
    if isinstance(fault, UnknownScript):
        return http_error(422, fault.words, errors=fault.message)
    if isinstance(fault, RequestFault):
        return JSONResponse(shape(name, detail=[_detail(fault)], errors=fault.message), 422)
    if isinstance(fault, ModelFault):
        detail = {"loc": ["body", "sd_model_checkpoint"], "msg": fault.message, "type": fault.kind}
        return JSONResponse(shape(name, detail=[detail], errors=fault.message), 422)
    status = next((status for kind, status in STATUSES.items() if isinstance(fault, kind)), 500)
    headers = {"Retry-After": str(fault.extra["retry_after_s"])} if isinstance(fault, TooMany) else None
    return JSONResponse(shape(name, detail=fault.message, errors=fault.message, kind=fault.kind), status, headers)


def job_failed(job_id: str, fault: dict[str, Any] | None) -> JSONResponse:
    """The answer to a request whose job failed. fault: `Fault.data()` as the job keeps it."""
    fault = fault or {"kind": "unexpected", "message": "The job ended without a result."}
    message = str(fault.get("message", ""))
    name = _names_of_kinds().get(fault.get("kind", ""), "RuntimeError")
    return JSONResponse(shape(name, detail=message, errors=message, kind=fault.get("kind"), job=job_id), 500)


def http_error(status: int, detail: str, *, errors: str = "", headers: dict[str, str] | None = None) -> JSONResponse:
    """What A1111 answers where it raises an HTTPException."""
    return JSONResponse(shape("HTTPException", detail=detail, errors=errors), status, headers)


def install(api: FastAPI) -> None:
    """Give the app these answers."""

    async def on_fault(_request: Request, error: Exception) -> Response:
        return fault_response(error if isinstance(error, Fault) else Fault(str(error)))

    async def on_http(_request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        headers = dict(error.headers) if error.headers else None
        errors = error.errors if isinstance(error, Refused) else ""
        return http_error(error.status_code, error.detail or "", errors=errors, headers=headers)

    async def on_validation(_request: Request, error: Exception) -> Response:
        """FastAPI's own 422, for path and query parameters."""
        found = error.errors() if isinstance(error, RequestValidationError) else []
        return JSONResponse({"detail": jsonable_encoder(found)}, 422)

    api.add_exception_handler(Fault, on_fault)
    api.add_exception_handler(HTTPException, on_http)
    api.add_exception_handler(RequestValidationError, on_validation)


class LastNet:
    """Innermost middleware: an exception that nobody foresaw becomes A1111's 500, with its traceback in the log only."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = False

        async def watch(message: Message) -> None:
            nonlocal began
            began = began or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except Exception as error:
            log.exception("%s %s failed", scope.get("method"), scope.get("path"))
            if began:  # half an answer is out; cutting the connection is the only way to say that it is not whole
                raise
            await JSONResponse(shape(type(error).__name__, errors=str(error)), 500)(scope, receive, send)


def _detail(fault: RequestFault) -> dict[str, Any]:
    """FastAPI's form of one wrong field; "body" stands for the body as a whole."""
    place = ["body"] if fault.field == "body" else ["body", fault.field]
    detail: dict[str, Any] = {"loc": place, "msg": fault.why, "type": fault.kind, "input": fault.extra.get("got")}
    if fault.extra.get("allowed") is not None:
        detail["ctx"] = {"allowed": fault.extra["allowed"]}
    return detail


def _names_of_kinds() -> dict[str, str]:
    """Fault kind -> class name, of every fault there is."""
    found: dict[str, str] = {Fault.kind: Fault.__name__}
    open_classes: list[type[Fault]] = [Fault]
    while open_classes:
        for cls in open_classes.pop().__subclasses__():
            found[cls.kind] = cls.__name__
            open_classes.append(cls)
    return found
