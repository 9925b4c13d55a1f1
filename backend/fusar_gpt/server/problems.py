"""Every error leaves as a problem (RFC 7807) with one line for the user."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from fusar_gpt.contract import API_MISMATCH
from fusar_gpt.errors import Cancelled, CheckpointError, FusarError, TooLarge
from fusar_gpt.server import jobs, wire
from fusar_gpt.server.chat.images import PictureError
from fusar_gpt.server.jobs import Busy
from fusar_gpt.server.journal import JournalError
from fusar_gpt.server.security import PathRefused

_OGC = "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0/"
_STATUS = {
    PathRefused: 403, TooLarge: 413, PictureError: 422, Busy: 429, CheckpointError: 503, Cancelled: 503,
    JournalError: 507,
}  # fmt: skip


class Missing(HTTPException):
    """A 404 with OGC's own name for what is missing."""

    def __init__(self, status: int, kind: str, detail: str) -> None:
        super().__init__(status, detail)
        self.kind = _OGC + kind


class OtherApi(HTTPException):
    """A refusal of a client that speaks another version of the API."""

    def __init__(self, status: int, detail: str, served: int) -> None:
        super().__init__(status, detail)
        self.served = served


def add_problems(app: FastAPI) -> None:
    """Have an application answer every error as a problem."""

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> Response:
        if isinstance(error, OtherApi):
            return wire.problem(error.status_code, error.detail, code=API_MISMATCH, served_api=error.served)
        kind = error.kind if isinstance(error, Missing) else "about:blank"
        code = kind.rsplit("/", 1)[-1] if isinstance(error, Missing) else None
        return wire.problem(error.status_code, error.detail, code=code, kind=kind, headers=error.headers)

    @app.exception_handler(RequestValidationError)
    async def malformed(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part != "body")
        reason = str(first["msg"]).removeprefix("Value error, ")  # pydantic's words before ours
        detail = f"{where}: {reason}" if where else reason
        return wire.problem(422, detail, code="invalid-request")

    @app.exception_handler(FusarError)
    async def refused(_: Request, error: FusarError) -> Response:
        status = next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 400)
        return wire.problem(status, str(error), code=error.code)

    @app.exception_handler(Exception)
    async def unexpected(_: Request, error: Exception) -> Response:
        return wire.problem(500, jobs.unexpected(error))
