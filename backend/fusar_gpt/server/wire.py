"""How events and errors are sent: lines of JSON, server-sent events, problems (RFC 7807)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.responses import JSONResponse

from fusar_gpt.contract import Problem

PING = b": ping\n\n"
EVENT_STREAM_HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}


def problem(
    status: int,
    detail: str,
    *,
    code: str | None = None,
    kind: str = "about:blank",
    headers: Mapping[str, str] | None = None,
    served_api: int | None = None,
) -> JSONResponse:
    """An error; ``code`` defaults to the name of the status, such as ``not-found``."""
    title = HTTPStatus(status).phrase
    code = code or title.lower().replace(" ", "-")
    content = Problem(kind, title, status, detail, code, served_api).to_json()
    return JSONResponse(content, status, headers, media_type="application/problem+json")


def encode(data: Mapping[str, Any]) -> str:
    """One line of JSON, ASCII: no line separator or lone surrogate inside a text can break a stream."""
    return json.dumps(data, allow_nan=False, separators=(",", ":"))


def sse(number: int, name: str, data: str) -> bytes:
    """One server-sent event; ``data`` is a single line."""
    return f"id: {number}\nevent: {name}\ndata: {data}\n\n".encode("ascii")
