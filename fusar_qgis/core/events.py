"""What a backend tells about itself and about a job, typed; anything unexpected raises ProtocolError."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
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


class ApiMismatch(ProtocolError):  # noqa: N818 - a finding, not a fault
    """The backend speaks another version of the HTTP door: ``served``."""

    def __init__(self, served: int) -> None:
        super().__init__(f"API {served} instead of {API}")
        self.served = served


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
    memory: dict[str, int] = field(default_factory=dict)  # bytes: used, free, gpu_used, gpu_free
    prior_sources: tuple[str, ...] = ("none", "file")


@dataclass(frozen=True)
class Finding:
    """One georeferenced finding; ``polygons`` are in ``crs``, the scene's own, exact."""

    id: str
    layer: str
    polygons: tuple[Polygon, ...]
    crs: str
    properties: dict[str, Value]
    scene_box: tuple[float, float, float, float] | None = None  # scene pixels: left, top, right, bottom


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


def read_findings(collection: Json) -> tuple[Finding, ...]:
    """Read a GeoJSON FeatureCollection of findings; raises ProtocolError."""
    try:
        return tuple(_finding(feature) for feature in collection["features"])
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise ProtocolError(str(error)) from error


def read_problem(body: bytes) -> str:
    """Return the one-line reason in an error answer, or an empty text when there is none."""
    try:
        detail = json.loads(body)["detail"]
    except (ValueError, KeyError, TypeError):
        return ""
    return detail if isinstance(detail, str) else ""


def read_served_api(problem: str) -> int | None:
    """Return the API version that a backend names when it refuses ours; None in any other problem."""
    found = re.search(r"\bspeaks API (\d+)", problem)
    return int(found[1]) if found else None


def _typed(reader: Callable[[Json], _Read], data: bytes | str) -> _Read:
    try:
        return reader(json.loads(data))
    except ApiMismatch:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise ProtocolError(str(error)) from error


def _info(data: Json) -> Info:
    if data["api"] != API:
        raise ApiMismatch(int(data["api"]))
    return Info(
        version=data["version"],
        device=data["device"],
        models=tuple(_model(card) for card in data["models"]),
        memory={str(name): int(size) for name, size in dict(data.get("memory") or {}).items()},
        prior_sources=tuple(str(source) for source in data.get("prior_sources") or ("none", "file")),
    )


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
        scene_box=_box(feature.get("scene_box")),
    )


def _box(edges: Json) -> tuple[float, float, float, float] | None:
    if edges is None:
        return None
    left, top, right, bottom = (float(edge) for edge in edges)
    return left, top, right, bottom


def _polygons(geometry: Json) -> tuple[Polygon, ...]:
    kind, coordinates = geometry["type"], geometry["coordinates"]
    if kind not in ("Polygon", "MultiPolygon"):
        raise ProtocolError(f"geometry {kind}")
    return tuple(_polygon(part) for part in (coordinates if kind == "MultiPolygon" else [coordinates]))


def _polygon(rings: Json) -> Polygon:
    return tuple(tuple((float(point[0]), float(point[1])) for point in ring) for ring in rings)
