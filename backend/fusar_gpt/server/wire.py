"""What passes the door as JSON: problems (RFC 7807), server-sent events, results, orders; and back again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, fields
from http import HTTPStatus
from typing import Any

import shapely.geometry
from starlette.responses import JSONResponse

from fusar_gpt.errors import AreaError
from fusar_gpt.findings import Added, Change, Finding, Replaced, Run, crs_text, to_geojson
from fusar_gpt.frames import SceneBox
from fusar_gpt.imagery import Area
from fusar_gpt.inquiries import Order
from fusar_gpt.interpret import ChipDone, Event, Finished, Started

PING = b": ping\n\n"
EVENT_STREAM_HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}

_ALIKE = ("allow_no_prior", "question", "year", "band", "ground_m", "overlap", "aspect")
"""What an order and the inputs of a job call by the same name."""


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
            yield "started", _run(run) | {"chips": event.chips}
        elif isinstance(event, Finished):
            yield "results", _run(event.run) | {"findings": collection(event.findings, event.run)}
        elif isinstance(event, ChipDone) and run is not None:
            if event.changes:
                yield "findings", _changes(event.changes, run)
            message = f"{event.done} of {event.chips} chips"
            yield "progress", {"done": event.done, "total": event.chips, "message": message}


def collection(findings: Iterable[Finding], run: Run) -> dict[str, Any]:
    """As :func:`to_geojson`; each feature also has its ``scene_box`` in pixels: left, top, right, bottom."""
    findings = list(findings)
    made = to_geojson(findings, run)
    for feature, finding in zip(made["features"], findings, strict=True):
        feature["scene_box"] = astuple(finding.box)
    return made


def _run(run: Run) -> dict[str, Any]:
    """The flat row, and as lists what is joined in it."""
    return {"run": run.record(), "targets": run.targets, "prompts": run.prompts}


def _changes(changes: Sequence[Change], run: Run) -> dict[str, Any]:
    """What a client does, in this order: drop ``replaced``, then put ``added``. ``replaces``: new id to old."""
    added: dict[str, Finding] = {}
    replaces: dict[str, str] = {}
    for change in changes:
        if isinstance(change, Replaced):
            # A finding that came and went within this very event was never on the client's map.
            unseen = added.pop(change.old_id, None) is not None
            old = replaces.pop(change.old_id, None) if unseen else change.old_id
            if old is not None:
                replaces[change.finding.id] = old
        added[change.finding.id] = change.finding
    features = collection(added.values(), run)
    del features["run"]  # the client has it from ``started``; an area's outline is long
    return {"added": features, "replaced": list(replaces.values()), "replaces": replaces}


def read_started(data: Mapping[str, Any]) -> Started:
    """The event from the data of ``started``."""
    return Started(_read_run(data), data["chips"])


def read_changes(data: Mapping[str, Any]) -> tuple[Change, ...]:
    """The changes from the data of ``findings``."""
    replaces = data["replaces"]
    return tuple(
        Replaced(replaces[finding.id], finding) if finding.id in replaces else Added(finding)
        for finding in map(_read_finding, data["added"]["features"])
    )


def read_results(data: Mapping[str, Any]) -> Finished:
    """The event from a job's results."""
    return Finished(_read_run(data), tuple(map(_read_finding, data["findings"]["features"])))


def _read_run(data: Mapping[str, Any]) -> Run:
    row = data["run"] | {name: tuple(data[name]) for name in ("targets", "prompts")}
    return Run(**{field.name: row[field.name] for field in fields(Run) if field.name in row})


def _read_finding(feature: Mapping[str, Any]) -> Finding:
    columns = dict(feature["properties"])
    return Finding(
        id=feature["id"],
        layer=columns.pop("layer"),
        geometry=shapely.geometry.shape(feature["scene_geometry"]),
        lonlat=shapely.geometry.shape(feature["geometry"]),
        box=SceneBox(*feature["scene_box"]),
        properties=columns,
    )


def inputs_of(order: Order, scene: str, prior: str) -> dict[str, Any]:
    """The inputs of a job for an order.

    Args:
        order: What the analyst asked for.
        scene: What the server calls the scene.
        prior: What it calls the prior.

    Raises:
        AreaError: The area and the boxes are in different CRSs.
    """
    inputs = {name: value for name in _ALIKE if (value := getattr(order, name)) is not None}
    inputs |= {"scene": scene, "task": order.task.value, "targets": list(order.targets), "prior": prior}
    if order.area is not None:
        inputs |= place(order.area)
    if order.boxes:
        if len({crs_text(area.crs) for area in (order.area, *order.boxes) if area}) > 1:
            raise AreaError(
                "the area and the boxes are in different CRSs: leave the area out, or save it in theirs"
            )
        features = [{"type": "Feature", "geometry": place(box)["area"]} for box in order.boxes]
        inputs["boxes"] = {"type": "FeatureCollection", "features": features}
        inputs["area_crs"] = crs_text(order.boxes[0].crs)
    return inputs


def place(area: Area) -> dict[str, Any]:
    """An area as the inputs ``area`` and ``area_crs``."""
    return {"area": shapely.geometry.mapping(area.geometry), "area_crs": crs_text(area.crs)}
