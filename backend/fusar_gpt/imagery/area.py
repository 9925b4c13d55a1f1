"""The area an analyst drew: polygons in any CRS, and their outline in a scene's pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError, ProjError
from shapely.geometry.base import BaseGeometry

from fusar_gpt.contract import Outline, read_outline
from fusar_gpt.errors import AreaError
from fusar_gpt.frames import GroundPoints, SceneBox, ScenePoints, scene_corners
from fusar_gpt.imagery.scene import Scene, local_path

_PARTS = 128
"""Pieces that an edge as long as the scene is cut into before it is transformed (error within 0.1 m in 250 km)."""
_LEAST_AREA_PX = 1e-3
_POLYGONS = ("Polygon", "MultiPolygon")
_NOT_GEOJSON = (shapely.errors.ShapelyError, AttributeError, KeyError, TypeError, ValueError, IndexError)
"""What shapely raises on a mapping that is not GeoJSON."""


@dataclass(frozen=True)
class Area:
    """Polygons in one CRS, coordinates in (x, y) order (longitude first) whatever the CRS's axis order.

    Raises:
        AreaError: On construction, if the geometry is empty, not polygons, or crosses itself.
    """

    geometry: shapely.Polygon | shapely.MultiPolygon
    crs: CRS

    def __post_init__(self) -> None:
        _check(self.geometry)

    @classmethod
    def from_file(cls, path: str | Path) -> Area:
        """All polygons of the first layer of a vector file (GeoPackage, Shapefile, GeoJSON, ...) as one area.

        Raises:
            AreaError: The file is missing or no vector file, names no CRS, or holds no valid polygons.
        """
        areas = read_polygons(path)
        return cls(shapely.union_all([area.geometry for area in areas]), areas[0].crs)

    @classmethod
    def from_bbox(
        cls, west: float, south: float, east: float, north: float, crs: CRS | str = "EPSG:4326"
    ) -> Area:
        """A rectangle from its least and greatest x and y.

        Raises:
            AreaError: The limits are swapped or not finite, or the CRS is unknown.
        """
        if not (np.isfinite([west, south, east, north]).all() and west < east and south < north):
            raise AreaError(
                f"Invalid bounding box {west},{south},{east},{north}: expected west,south,east,north with west < east "
                "and south < north."
            )
        return cls(shapely.box(west, south, east, north), _crs(crs))

    @classmethod
    def from_geojson(cls, mapping: Mapping[str, Any] | Outline, crs: CRS | str = "EPSG:4326") -> Area:
        """A GeoJSON Polygon or MultiPolygon whose coordinates are in ``crs``, x first.

        Raises:
            AreaError: It is not such a geometry, or the CRS is unknown.
        """
        try:
            geometry = shapely.geometry.shape(mapping)
        except _NOT_GEOJSON as error:
            raise AreaError("the area is not a GeoJSON geometry: give a Polygon or MultiPolygon") from error
        return cls(shapely.force_2d(geometry), _crs(crs))

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
        return crs_text(_crs(self.crs))

    def on_scene(self, scene: Scene) -> BaseGeometry:
        """The area in scene pixels, cut to the scene: a valid, non-empty Polygon or MultiPolygon.

        Edges follow the area's own CRS: they are cut into short pieces before they are transformed.

        Raises:
            AreaError: No part of it lies on the scene.
        """
        near = shapely.intersection(self.geometry, self._neighbourhood(scene))
        if near.is_empty:
            raise AreaError(_outside(scene))
        left, top, right, bottom = near.bounds
        near = shapely.segmentize(near, max(right - left, bottom - top) / _PARTS)
        inwards = _transformer(self.crs, scene.crs)

        def to_pixels(xy: NDArray[np.float64]) -> NDArray[np.float64]:
            return scene.to_scene(GroundPoints(*inwards.transform(xy[:, 0], xy[:, 1]))).xy()

        pixels = shapely.transform(near, to_pixels)
        if not np.isfinite(shapely.get_coordinates(pixels)).all():
            raise AreaError("the area leaves the extent of the scene's CRS: draw it closer to the scene")
        on_scene = shapely.make_valid(pixels).intersection(shapely.box(0, 0, scene.width, scene.height))
        parts = shapely.get_parts(on_scene)
        whole = shapely.union_all([part for part in parts if part.geom_type in _POLYGONS])
        if whole.area < _LEAST_AREA_PX:
            raise AreaError(_outside(scene))
        return whole

    def _neighbourhood(self, scene: Scene) -> BaseGeometry:
        """The scene and a margin, in the area's CRS: what lies beyond often cannot be transformed."""
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
        return shapely.MultiPoint(xy).convex_hull.buffer(0.05 * np.ptp(xy, axis=0).max())


def outline_of(geometry: BaseGeometry) -> Outline:
    """A polygon or multi-polygon as it crosses the HTTP API."""
    return read_outline(shapely.geometry.mapping(geometry))


def crs_text(crs: CRS) -> str:
    """The CRS as ``AUTHORITY:CODE`` when it is exactly that one, else as WKT."""
    authority = crs.to_authority(min_confidence=100)
    return ":".join(authority) if authority else crs.to_wkt()


def read_polygons(path: str | Path) -> list[Area]:
    """The polygons of the first layer of a vector file, each feature an area of its own.

    Raises:
        AreaError: As :meth:`Area.from_file`.
    """
    file = local_path(path, "area", AreaError)
    try:
        meta, _, wkb, _ = pyogrio.raw.read(file, columns=[], force_2d=True)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
        raise AreaError(
            f"the area '{file.name}' is not a vector file: give a GeoPackage or GeoJSON"
        ) from error
    shapes = [shape for shape in shapely.from_wkb([] if wkb is None else wkb) if shape is not None]
    if not shapes:
        raise AreaError(f"the area '{file.name}' is empty: draw a polygon")
    for shape in shapes:
        _check(shape)
    if meta["crs"] is None:
        raise AreaError(f"the area '{file.name}' has no CRS: save it again with one")
    crs = _crs(meta["crs"])
    return [Area(shape, crs) for shape in shapes]


def _check(geometry: BaseGeometry) -> None:
    if geometry.is_empty:
        raise AreaError("the area is empty: draw a polygon")
    if geometry.geom_type not in _POLYGONS:
        raise AreaError(
            f"the area holds a {geometry.geom_type}, not polygons: draw or choose a polygon layer"
        )
    if not geometry.is_valid:
        raise AreaError(
            f"the area is not a valid polygon ({shapely.is_valid_reason(geometry)}): draw it again"
        )


def _crs(crs: CRS | str) -> CRS:
    try:
        return CRS.from_user_input(crs).to_2d()
    except CRSError as error:
        raise AreaError(f"the area's CRS '{crs}' is unknown: give one such as EPSG:4326") from error


def _transformer(source: CRS, target: CRS) -> Transformer:
    """Between two CRSs in (x, y) order. From the pixels of a plain image PROJ knows no way, not even to themselves."""
    if source == target and CRS.from_user_input(source).is_engineering:
        return Transformer.from_pipeline("+proj=noop")
    return Transformer.from_crs(source, target, always_xy=True)


def _outside(scene: Scene) -> str:
    corners = scene.to_lonlat(scene_corners(SceneBox(0, 0, scene.width, scene.height)))
    west, south, east, north = corners.x.min(), corners.y.min(), corners.x.max(), corners.y.max()
    return (
        f"the area lies outside the scene, which covers longitude {west:.4f} to {east:.4f}, "
        f"latitude {south:.4f} to {north:.4f}: draw it there, or check its CRS"
    )
