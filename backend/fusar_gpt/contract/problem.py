"""How the server says what went wrong (RFC 7807), in words for people and a code for programs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

API = 1
"""Version of the HTTP API; both sides name theirs in the handshake."""
API_MISMATCH = "api-mismatch"


@dataclass(frozen=True)
class Problem:
    """An error: ``detail`` is one line for the user, ``code`` says to programs which one it is.

    ``type`` and ``title`` are RFC 7807's. ``served_api`` is the version a server speaks, where that is the problem.
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    served_api: int | None = None

    def to_json(self) -> dict[str, Any]:
        """What is sent; what is None is left out."""
        return {name: value for name, value in vars(self).items() if value is not None}


def read_problem(body: bytes) -> Problem | None:
    """The problem in an error answer; None where something else than this server answered."""
    try:
        data = json.loads(body)
        detail = data["detail"]
        served = data.get("served_api")
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    if not isinstance(detail, str):
        return None
    return Problem(
        type=str(data.get("type") or "about:blank"),
        title=str(data.get("title") or ""),
        status=data["status"] if isinstance(data.get("status"), int) else 0,
        detail=detail,
        code=str(data.get("code") or ""),
        served_api=served if isinstance(served, int) else None,
    )
