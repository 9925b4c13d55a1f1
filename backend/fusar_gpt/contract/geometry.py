"""Shapes as they cross the HTTP API: GeoJSON polygons, x (east) before y (north), and boxes in pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Union

from .limits import MAX_BOXES, Limits, Number, TaggedBy

Position = Annotated[tuple[Number, ...], Limits(min_length=2, max_length=4)]
Ring = Annotated[tuple[Position, ...], Limits(min_length=4)]
Rings = Annotated[tuple[Ring, ...], Limits(min_length=1)]
"""The outer ring, then the holes."""


class _GeoJson:
    """Members that GeoJSON allows and nobody here reads are let through."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "ignore"}


class _Shape(_GeoJson):
    type: str
    coordinates: Any

    @property
    def __geo_interface__(self) -> dict[str, Any]:
        """The shape for shapely and other readers of GeoJSON."""
        return {"type": self.type, "coordinates": self.coordinates}


@dataclass(frozen=True)
class Polygon(_Shape):
    """A GeoJSON Polygon."""

    type: Literal["Polygon"]
    coordinates: Rings

    @property
    def polygons(self) -> tuple[Rings, ...]:
        """Itself, as the parts of a MultiPolygon."""
        return (self.coordinates,)


@dataclass(frozen=True)
class MultiPolygon(_Shape):
    """A GeoJSON MultiPolygon."""

    type: Literal["MultiPolygon"]
    coordinates: Annotated[tuple[Rings, ...], Limits(min_length=1)]

    @property
    def polygons(self) -> tuple[Rings, ...]:
        """Its parts."""
        return self.coordinates


@dataclass(frozen=True)
class MapPoint(_Shape):
    """A GeoJSON Point."""

    type: Literal["Point"]
    coordinates: Position


Outline = Annotated[Union[Polygon, MultiPolygon], TaggedBy("type", "Polygon", "MultiPolygon")]


Example = Annotated[
    Union[MapPoint, Polygon, MultiPolygon], TaggedBy("type", "Point", "Polygon", "MultiPolygon")
]
"""A place on the ground that a search is to find more, or less, of the like of."""


@dataclass(frozen=True)
class Feature(_GeoJson):
    """One object to classify; its properties are not read."""

    type: Literal["Feature"]
    geometry: Outline


@dataclass(frozen=True)
class FeatureCollection(_GeoJson):
    """The objects to classify."""

    type: Literal["FeatureCollection"]
    features: Annotated[tuple[Feature, ...], Limits(min_length=1, max_length=MAX_BOXES)]

    @classmethod
    def of(cls, outlines: tuple[Outline, ...]) -> FeatureCollection:
        """One feature an outline."""
        return cls("FeatureCollection", tuple(Feature("Feature", outline) for outline in outlines))


@dataclass(frozen=True)
class Box:
    """An axis-aligned box of one pixel frame, ``left <= right`` and ``top <= bottom``. Use a subclass, never this."""

    left: float
    top: float
    right: float
    bottom: float

    def __post_init__(self) -> None:
        if not (self.left <= self.right and self.top <= self.bottom):
            raise ValueError(f"box corners are swapped or not numbers: {self}")

    @property
    def area(self) -> float:
        """Area in square pixels."""
        return (self.right - self.left) * (self.bottom - self.top)


class SceneBox(Box):
    """A box in scene pixels: x right along columns, y down along rows, (0, 0) the corner of the first pixel."""


def read_outline(data: Mapping[str, Any]) -> Outline:
    """A polygon or multi-polygon from GeoJSON. Raises ValueError, TypeError or KeyError where it is neither."""
    kind, coordinates = data["type"], data["coordinates"]
    if kind == "Polygon":
        return Polygon("Polygon", _rings(coordinates))
    if kind == "MultiPolygon":
        return MultiPolygon("MultiPolygon", tuple(_rings(part) for part in coordinates))
    raise ValueError(f"a geometry of type {kind!r} where a Polygon or MultiPolygon is wanted")


def read_example(data: Mapping[str, Any]) -> Example:
    """A point, polygon or multi-polygon from GeoJSON. Raises as :func:`read_outline`."""
    if data["type"] == "Point":
        return MapPoint("Point", tuple(float(number) for number in data["coordinates"]))
    return read_outline(data)


def read_boxes(data: Mapping[str, Any]) -> FeatureCollection:
    """The objects to classify from a GeoJSON FeatureCollection. Raises as :func:`read_outline`."""
    return FeatureCollection.of(tuple(read_outline(feature["geometry"]) for feature in data["features"]))


def _rings(rings: Any) -> Rings:
    return tuple(tuple(tuple(float(number) for number in position) for position in ring) for ring in rings)
