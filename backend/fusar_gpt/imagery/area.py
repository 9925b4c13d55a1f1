"""The area an analyst drew: polygons in any CRS, and their outline in a scene's pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError, ProjError
from shapely.geometry.base import BaseGeometry

from fusar_gpt import lonlat
from fusar_gpt.contract import Outline, read_outline
from fusar_gpt.errors import AreaError
from fusar_gpt.frames import GroundPoints, SceneBox, ScenePoints, scene_corners
from fusar_gpt.imagery.scene import Scene

POLYGONS = ("Polygon", "MultiPolygon")
_PARTS = 128
"""Pieces that an edge as long as the scene is cut into before it is transformed (error within 0.1 m in 250 km)."""
_BEND_PX = 0.05
"""How far such a piece may still bend; it is cut further."""
_LEAST_AREA_PX = 1e-3
_NOT_GEOJSON = (shapely.errors.ShapelyError, AttributeError, KeyError, TypeError, ValueError, IndexError)
"""What shapely raises on a mapping that is not GeoJSON."""


@dataclass(frozen=True)
class Area:
    """Polygons in one CRS, coordinates in (x, y) order (longitude first) whatever the CRS's axis order.

    Longitudes may be counted from -180 or from 0. An edge between half a turn and a whole one goes the shorter way,
    across the antimeridian, and a ring that goes round a pole holds it; ``geometry`` is then counted past 180.

    Raises:
        AreaError: On construction, if the geometry is empty, not polygons, crosses itself, or is not on the globe.
    """

    geometry: shapely.Polygon | shapely.MultiPolygon
    crs: CRS

    def __post_init__(self) -> None:
        object.__setattr__(self, "crs", known_crs(self.crs))
        turn = lonlat.turn_of(self.crs)
        if turn is not None:
            _check_angles(self.geometry, turn)
            object.__setattr__(self, "geometry", lonlat.continuous(self.geometry, turn, world=True))
        check_polygon(self.geometry)

    @classmethod
    def union(cls, areas: Sequence[Area]) -> Area:
        """Areas in one CRS as one."""
        return cls(shapely.union_all([area.geometry for area in areas]), areas[0].crs)

    @classmethod
    def from_bbox(
        cls, west: float, south: float, east: float, north: float, crs: CRS | str = "EPSG:4326"
    ) -> Area:
        """A rectangle from its least and greatest x and y; in longitudes west > east is across the antimeridian.

        Raises:
            AreaError: The limits are swapped or not finite, or the CRS is unknown.
        """
        known = known_crs(crs)
        turn = lonlat.turn_of(known)
        if turn is not None and turn / 2 <= west - east < turn:
            east += turn  # as RFC 7946 writes it (5.2); wider than half the globe it is a mistake
        if not (np.isfinite([west, south, east, north]).all() and west < east and south < north):
            raise AreaError(
                f"Invalid bounding box {west},{south},{east},{north}: expected west,south,east,north with west < east "
                "and south < north; only longitudes may have west > east, across 180."
            )
        box = shapely.box(west, south, east, north)
        return cls(box if turn is None else shapely.segmentize(box, turn / 4), known)

    @classmethod
    def from_geojson(cls, mapping: Mapping[str, Any] | Outline, crs: CRS | str = "EPSG:4326") -> Area:
        """A GeoJSON Polygon or MultiPolygon whose coordinates are in ``crs``, x first.

        Raises:
            AreaError: It is not such a geometry, or the CRS is unknown.
        """
        try:
            geometry = shapely.force_2d(shapely.geometry.shape(mapping))
        except _NOT_GEOJSON as error:
            raise AreaError("the area is not a GeoJSON geometry: give a Polygon or MultiPolygon") from error
        return cls(geometry, known_crs(crs))

    @classmethod
    def whole(cls, scene: Scene) -> Area:
        """The ground of a whole scene, in the scene's CRS."""
        outline = shapely.box(0, 0, scene.width, scene.height)
        outline = shapely.segmentize(outline, max(scene.width, scene.height) / _PARTS)
        ground = scene.to_ground(ScenePoints.of(shapely.get_coordinates(outline)))
        return cls(shapely.Polygon(ground.xy()), scene.crs)

    def outline(self) -> Outline:
        """The polygons as they cross the HTTP API; the CRS is :meth:`crs_text`."""
        return outline_of(self.geometry)

    def crs_text(self) -> str:
        """As :func:`crs_text`."""
        return crs_text(self.crs)

    def on_scene(self, scene: Scene) -> BaseGeometry:
        """The area in scene pixels, cut to the scene: a valid, non-empty Polygon or MultiPolygon.

        Edges follow the area's own CRS: they are cut into short pieces before they are transformed.

        Raises:
            AreaError: No part of it lies on the scene.
        """
        near = self._near(scene)
        if near.is_empty:
            raise AreaError(_outside(scene))
        left, top, right, bottom = near.bounds
        near = shapely.segmentize(near, max(right - left, bottom - top) / _PARTS)
        placed = [_on_pixels(part, self.crs, scene) for part in shapely.get_parts(near)]
        on_scene = shapely.union_all(placed).intersection(shapely.box(0, 0, scene.width, scene.height))
        parts = shapely.get_parts(on_scene)
        whole = shapely.union_all([part for part in parts if part.geom_type in POLYGONS])
        if whole.area < _LEAST_AREA_PX:
            raise AreaError(_outside(scene))
        return whole

    def _near(self, scene: Scene) -> BaseGeometry:
        """What lies on the scene or a little beside it: from farther away it often cannot be transformed."""
        x, y = np.meshgrid(np.linspace(0, scene.width, 33), np.linspace(0, scene.height, 33))
        ground = scene.to_ground(ScenePoints(x, y))
        try:
            outwards = _transformer(scene.crs, self.crs)
        except ProjError as error:
            raise AreaError(
                f"the area's CRS '{self.crs.name}' cannot be transformed to the scene's: save the area in another CRS"
            ) from error
        xy = np.stack(outwards.transform(ground.x, ground.y), axis=1)
        xy = xy[np.isfinite(xy).all(axis=1)]
        if not len(xy):
            raise AreaError(_outside(scene))
        turn = lonlat.turn_of(self.crs)
        if turn is None:
            beside = 0.05 * np.ptp(xy, axis=0).max()
            return shapely.intersection(self.geometry, shapely.MultiPoint(xy).convex_hull.buffer(beside))
        xy[:, 0] = lonlat.around(xy[:, 0], xy[len(xy) // 2, 0], turn)
        beside = 0.05 * np.ptp(xy, axis=0).max()
        window: BaseGeometry = shapely.MultiPoint(xy).convex_hull.buffer(beside)
        if np.ptp(xy[:, 0]) + 2 * beside > turn / 2:
            # The scene holds a pole, or nearly: all longitudes are near.
            south, north = xy[:, 1].min() - beside, xy[:, 1].max() + beside
            window = shapely.box(-turn / 2, max(south, -turn / 4), turn / 2, min(north, turn / 4))
        return lonlat.shifted_onto(self.geometry, window, turn)


def outline_of(geometry: BaseGeometry) -> Outline:
    """A polygon or multi-polygon as it crosses the HTTP API."""
    return read_outline(shapely.geometry.mapping(geometry))


def _on_pixels(part: BaseGeometry, crs: CRS, scene: Scene) -> BaseGeometry:
    """A polygon in a CRS as pixels, its edges bent as they must be; empty for what is no polygon."""
    inwards = _transformer(crs, scene.crs)

    def to_pixels(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        return scene.to_scene(GroundPoints(*inwards.transform(xy[:, 0], xy[:, 1]))).xy()

    def bend(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        pixels, middles = to_pixels(xy), to_pixels((xy[1:] + xy[:-1]) / 2)
        off = middles - (pixels[1:] + pixels[:-1]) / 2
        return np.hypot(off[:, 0], off[:, 1])

    if part.geom_type != "Polygon":
        return shapely.Polygon()
    rings = [shapely.get_coordinates(ring) for ring in (part.exterior, *part.interiors)]
    placed = [to_pixels(lonlat.refine(ring, bend, _BEND_PX)) for ring in rings]
    if not all(np.isfinite(ring).all() for ring in placed):
        raise AreaError("the area leaves the extent of the scene's CRS: draw it closer to the scene")
    return shapely.make_valid(shapely.Polygon(placed[0], placed[1:]))


@lru_cache(maxsize=64)  # to look for the code of a CRS without one takes PROJ up to a second
def crs_text(crs: CRS) -> str:
    """The CRS as ``AUTHORITY:CODE`` when it is exactly that one, else as WKT2 without any code for the whole."""
    code = None if crs.is_bound else crs.to_authority(min_confidence=100)
    if code and _is_exactly(crs, code):
        return ":".join(code)
    return _without_code(crs).to_wkt()


def _is_exactly(crs: CRS, code: tuple[str, str]) -> bool:
    named = CRS.from_authority(*code)
    factors = [[axis.unit_conversion_factor for axis in each.axis_info[:2]] for each in (crs, named)]
    return bool(named == crs) and factors[0] == factors[1]


def _without_code(crs: CRS) -> CRS:
    """A code that does not say all of it would be believed by the next reader."""
    content = crs.to_json_dict()
    inner = [content[name] for name in ("source_crs",) if name in content]
    if not any(each.pop("id", None) for each in (content, *inner)):
        return crs
    return CRS.from_json_dict(content)


def _check_angles(geometry: BaseGeometry, turn: float) -> None:
    """Raises AreaError where the coordinates cannot be longitudes, counted from -180 or from 0, and latitudes."""
    xy = np.abs(shapely.get_coordinates(geometry))
    if xy.size and not (xy.max(axis=0) <= [1.5 * turn, turn / 4 * (1 + 1e-12)]).all():
        raise AreaError(
            f"the area's coordinates, up to {xy.max():.10g}, are no longitudes and latitudes: give the CRS that they "
            "are in (--bbox-crs, or in the file), longitude before latitude"
        )


def check_polygon(geometry: BaseGeometry) -> None:
    """Raises AreaError unless it is a Polygon or MultiPolygon that is valid and not empty."""
    if geometry.is_empty:
        raise AreaError("the area is empty: draw a polygon")
    if geometry.geom_type not in POLYGONS:
        raise AreaError(
            f"the area holds a {geometry.geom_type}, not polygons: draw or choose a polygon layer"
        )
    if not geometry.is_valid:
        raise AreaError(
            f"the area is not a valid polygon ({shapely.is_valid_reason(geometry)}): draw it again"
        )


def known_crs(crs: CRS | str) -> CRS:
    """A CRS without heights, from an authority code or WKT. Raises AreaError where it is not known, or no map's."""
    try:
        known = CRS.from_user_input(crs).to_2d()
    except CRSError as error:
        raise AreaError(f"the area's CRS '{crs}' is unknown: give one such as EPSG:4326") from error
    if known.is_geocentric or known.is_vertical:
        raise AreaError(
            f"the area's CRS '{known.name}' is none that maps are drawn in: give one such as EPSG:4326"
        )
    return known


def _transformer(source: CRS, target: CRS) -> Transformer:
    """Between two CRSs in (x, y) order. From the pixels of a plain image PROJ knows no way, not even to themselves."""
    if source == target and CRS.from_user_input(source).is_engineering:
        return Transformer.from_pipeline("+proj=noop")
    return lonlat.transformer(source, target)


def _outside(scene: Scene) -> str:
    corners = scene.to_lonlat(scene_corners(SceneBox(0, 0, scene.width, scene.height)))
    west, east = lonlat.extent(corners.x)
    return (
        f"the area lies outside the scene, which covers longitude {west:.4f} to {east:.4f}, "
        f"latitude {corners.y.min():.4f} to {corners.y.max():.4f}: draw it there, or check its CRS"
    )
