"""A batch in pieces: one scene and one area, or one scene and some boxes; each is a job of the backend's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsCoordinateTransformContext,
    QgsCsException,
    QgsGeometry,
)

from ..core.journal import key_of
from ..layers.scene import crs_text
from .rasters import OpenScene

BOXES_AT_ONCE = 100
_DECIMALS = 17


@dataclass(frozen=True)
class Place:
    """A feature of the layer of areas, or of boxes; ``geometry`` is in the layer's CRS."""

    id: int
    geometry: QgsGeometry


@dataclass(frozen=True)
class Piece:
    """One job.

    Attributes:
        scene: The scene.
        places: The area; or the boxes to classify; nothing means the whole scene.
        crs: CRS of the places.
        asked: The job's inputs but for ``scene``, ``area`` and ``boxes``.
    """

    scene: OpenScene
    places: tuple[Place, ...]
    crs: QgsCoordinateReferenceSystem
    asked: dict[str, Any]

    @property
    def name(self) -> str:
        """How the log calls it."""
        if not self.places:
            return self.scene.name
        ids = f"{self.places[0].id}" + (f" to {self.places[-1].id}" if len(self.places) > 1 else "")
        return f"{self.scene.name}, {ids}"

    @property
    def weight(self) -> int:
        """How much of the batch it is."""
        return max(len(self.places), 1)

    @property
    def area(self) -> int | None:
        """The id of the area's feature; None for a whole scene."""
        return self.places[0].id if self.places else None

    def inputs(self) -> dict[str, Any]:
        """Return the job's inputs but for ``scene``."""
        if not self.places:
            return dict(self.asked)
        inputs = {**self.asked, "area_crs": crs_text(self.crs)}
        shapes = [_geojson(place.geometry) for place in self.places]
        if self.asked["task"] == "classify":
            features = [{"type": "Feature", "geometry": shape} for shape in shapes]
            return {**inputs, "boxes": {"type": "FeatureCollection", "features": features}}
        return {**inputs, "area": shapes[0]}

    def key(self, backend: Sequence[str]) -> str:
        """Return what names this piece in the journal, for answers of ``backend``: its version and model."""
        return key_of([list(backend), self.scene.identity, self.inputs()])

    def halves(self) -> tuple[Piece, Piece]:
        """Return two pieces with half of the boxes each."""
        middle = len(self.places) // 2
        return replace(self, places=self.places[:middle]), replace(self, places=self.places[middle:])


def pieces_of(
    scenes: Sequence[OpenScene],
    places: Sequence[Place],
    crs: QgsCoordinateReferenceSystem,
    asked: dict[str, Any],
    transforms: QgsCoordinateTransformContext,
) -> list[Piece]:
    """Return the pieces of the places that touch the bounds of each scene.

    Without ``crs`` every scene is one piece. An area is looked at on every scene, a box on the first that has it.
    """
    if not crs.isValid():
        return [Piece(scene, (), crs, asked) for scene in scenes]
    found = []
    size, left = 1, list(places)
    for scene in scenes:
        transform = QgsCoordinateTransform(crs, scene.crs, transforms)
        near = [place for place in left if _touches(place.geometry, transform, scene.outline)]
        if asked["task"] == "classify":
            size, taken = BOXES_AT_ONCE, {place.id for place in near}
            left = [place for place in left if place.id not in taken]
        for start in range(0, len(near), size):
            found.append(Piece(scene, tuple(near[start : start + size]), crs, asked))
    return found


def _touches(geometry: QgsGeometry, transform: QgsCoordinateTransform, outline: QgsGeometry) -> bool:
    moved = QgsGeometry(geometry)
    try:
        moved.transform(transform)
    except QgsCsException:
        return False  # it lies where the scene's CRS does not reach
    return bool(moved.intersects(outline))


def _geojson(geometry: QgsGeometry) -> dict[str, Any]:
    flat = QgsGeometry(geometry)
    flat.get().dropZValue()
    flat.get().dropMValue()
    return dict(json.loads(flat.asJson(_DECIMALS)))
