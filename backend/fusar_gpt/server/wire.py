"""What leaves by the door: problems (RFC 7807), server-sent events and results, as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from starlette.responses import JSONResponse

from fusar_gpt.findings import Change, Finding, Replaced, Run, to_geojson
from fusar_gpt.interpret import ChipDone, Event, Finished, Started

PING = b": ping\n\n"
EVENT_STREAM_HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}


def problem(
    status: int, detail: str, *, kind: str = "about:blank", headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """An error in RFC 7807's shape; ``detail`` is the one line for the user."""
    content = {"type": kind, "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return JSONResponse(content, status, headers, media_type="application/problem+json")


def encode(data: Mapping[str, Any]) -> str:
    """One line of JSON, ASCII: no line separator or lone surrogate inside a text can break a stream."""
    return json.dumps(data, allow_nan=False, separators=(",", ":"))


def sse(number: int, name: str, data: str) -> bytes:
    """One server-sent event; ``data`` is a single line."""
    return f"id: {number}\nevent: {name}\ndata: {data}\n\n".encode("ascii")


def transcribe(events: Iterator[Event]) -> Iterator[tuple[str, dict[str, Any]]]:
    """An interpretation as (name, data) pairs: ``started``, ``findings``, ``progress`` and last ``results``.

    All but ``results`` go to the job's event log.
    """
    run: Run | None = None
    for event in events:
        if isinstance(event, Started):
            run = event.run
            yield "started", {"run": run.record(), "chips": event.chips}
        elif isinstance(event, Finished):
            yield "results", {"run": event.run.record(), "findings": to_geojson(event.findings, event.run)}
        elif isinstance(event, ChipDone) and run is not None:
            if event.changes:
                yield "findings", _changes(event.changes, run)
            message = f"{event.done} of {event.chips} chips"
            yield "progress", {"done": event.done, "total": event.chips, "message": message}


def _changes(changes: Sequence[Change], run: Run) -> dict[str, Any]:
    """What a client does, in this order: drop ``replaced``, then put ``added``."""
    added: dict[str, Finding] = {}
    replaced: list[str] = []
    for change in changes:
        # A finding that came and went within this very event was never on the client's map.
        if isinstance(change, Replaced) and added.pop(change.old_id, None) is None:
            replaced.append(change.old_id)
        added[change.finding.id] = change.finding
    collection = to_geojson(added.values(), run)
    del collection["run"]  # the client has it from ``started``; an area's outline is long
    return {"added": collection, "replaced": replaced}
