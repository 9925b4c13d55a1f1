"""What a backend tells about itself and about a job, typed; anything unexpected raises ProtocolError."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from .endpoint import API
from .sse import ServerEvent

if TYPE_CHECKING:  # QGIS 3.22 for Windows brings Python 3.9, which cannot evaluate a union
    Value = str | int | float | bool | None

Json = Any  # whatever json.loads returned: what is read from it is checked by reading it
_Read = TypeVar("_Read")
Ring = tuple[tuple[float, float], ...]
Polygon = tuple[Ring, ...]


class ProtocolError(ValueError):
    """The backend sent something that the HTTP door does not allow."""


@dataclass(frozen=True)
class Model:
    """A checkpoint the backend offers."""

    name: str
    title: str
    demonstration: bool
    targets: tuple[str, ...]
    prior_years: tuple[int, int] | None


@dataclass(frozen=True)
class Info:
    """The answer of ``GET /info``."""

    version: str
    device: str
    models: tuple[Model, ...]


@dataclass(frozen=True)
class Finding:
    """One georeferenced finding; ``polygons`` are in ``crs``, the scene's own, exact."""

    id: str
    layer: str
    polygons: tuple[Polygon, ...]
    crs: str
    properties: dict[str, Value]


@dataclass(frozen=True)
class Started:
    """The job runs; ``run`` is its provenance."""

    run: dict[str, Any]
    chips: int


@dataclass(frozen=True)
class Progress:
    """``done`` of ``total`` chips are answered."""

    done: int
    total: int
    message: str


@dataclass(frozen=True)
class Found:
    """Findings to add, and the ids of those that they replace."""

    added: tuple[Finding, ...]
    replaced: tuple[str, ...]


@dataclass(frozen=True)
class Ended:
    """The job is over: successful, failed or dismissed."""

    status: str
    message: str


if TYPE_CHECKING:
    Event = Started | Progress | Found | Ended


def read_info(body: bytes) -> Info:
    """Read the answer of ``GET /info``."""
    return _typed(_info, body)


def read_event(event: ServerEvent) -> Event | None:
    """Read one event of a job's stream; None for a kind that a newer backend may have added."""
    reader = _READERS.get(event.kind)
    return None if reader is None else _typed(reader, event.data)


def read_problem(body: bytes) -> str:
    """Return the one-line reason in an error answer, or an empty text when there is none."""
    try:
        detail = json.loads(body)["detail"]
    except (ValueError, KeyError, TypeError):
        return ""
    return detail if isinstance(detail, str) else ""


def _typed(reader: Callable[[Json], _Read], data: bytes | str) -> _Read:
    try:
        return reader(json.loads(data))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise ProtocolError(str(error)) from error


def _info(data: Json) -> Info:
    if data["api"] != API:
        raise ProtocolError(f"API {data['api']} instead of {API}")
    return Info(data["version"], data["device"], tuple(_model(card) for card in data["models"]))


def _model(card: Json) -> Model:
    years = card.get("prior_years")
    return Model(
        name=card["name"],
        title=card.get("title") or card["name"],
        demonstration=bool(card.get("demonstration")),
        targets=tuple(card.get("targets") or ()),
        prior_years=(int(years[0]), int(years[1])) if years else None,
    )


def _started(data: Json) -> Started:
    return Started(dict(data["run"]), int(data["chips"]))


def _progress(data: Json) -> Progress:
    return Progress(int(data["done"]), int(data["total"]), str(data.get("message") or ""))


def _found(data: Json) -> Found:
    added = tuple(_finding(feature) for feature in data["added"]["features"])
    return Found(added, tuple(str(old) for old in data.get("replaced") or ()))


def _ended(data: Json) -> Ended:
    return Ended(str(data["status"]), str(data.get("message") or ""))


_READERS: dict[str, Callable[[Json], Event]] = {
    "started": _started,
    "progress": _progress,
    "findings": _found,
    "end": _ended,
}


def _finding(feature: Json) -> Finding:
    properties = dict(feature["properties"])
    return Finding(
        id=str(feature["id"]),
        layer=str(properties.pop("layer")),
        polygons=_polygons(feature["scene_geometry"]),
        crs=str(feature["scene_crs"]),
        properties=properties,
    )


def _polygons(geometry: Json) -> tuple[Polygon, ...]:
    kind, coordinates = geometry["type"], geometry["coordinates"]
    if kind not in ("Polygon", "MultiPolygon"):
        raise ProtocolError(f"geometry {kind}")
    return tuple(_polygon(part) for part in (coordinates if kind == "MultiPolygon" else [coordinates]))


def _polygon(rings: Json) -> Polygon:
    return tuple(tuple((float(point[0]), float(point[1])) for point in ring) for ring in rings)
