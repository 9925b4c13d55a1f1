"""Findings that are drawn as dots, and where many of them fall together."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from qgis.core import (
    QgsCategorizedSymbolRenderer,
    QgsCoordinateReferenceSystem,
    QgsCsException,
    QgsExpression,
    QgsFeatureRequest,
    QgsProject,
    QgsVectorLayer,
    QgsVectorLayerFeatureSource,
)

from .findings_layer import KIND_PROPERTY
from .labels import REJECTED, SHOWN

_LENGTH = "length_m"
_ROW = 2**32
_AROUND = [across * _ROW + up for across in (-1, 0, 1) for up in (-1, 0, 1) if (across, up) != (0, 0)]


@dataclass(frozen=True)
class Places:
    """Where the boxes of a layer lie that its style shows.

    Attributes:
        points: Their centres in the map's CRS, float64 [n, 2], x first.
        lengths: Their longer sides in metres, float64 [n].
    """

    points: Any
    lengths: Any


class PlacesReader:
    """What a thread needs to read the places of a layer; made in the layer's own."""

    def __init__(self, layer: QgsVectorLayer, crs: QgsCoordinateReferenceSystem) -> None:
        """``crs`` is the map's."""
        self._source = QgsVectorLayerFeatureSource(layer)
        self._place = layer.fields().indexOf(_LENGTH)
        self._request = QgsFeatureRequest()
        self._request.setExpressionContext(layer.createExpressionContext())
        shown = QgsExpression(_shown(layer))
        self._request.setFilterExpression(shown.expression())
        self._request.setSubsetOfAttributes([_LENGTH, *shown.referencedColumns()], layer.fields())
        self._request.setDestinationCrs(crs, QgsProject.instance().transformContext())

    def read(self) -> Places:
        """Read them, in any thread. Boxes without a length are none that are drawn as dots."""
        points, lengths = [], []
        try:
            for feature in self._source.getFeatures(self._request):
                length = feature.attribute(self._place)
                if isinstance(length, float) and feature.hasGeometry():
                    centre = feature.geometry().boundingBox().center()
                    points.append((centre.x(), centre.y()))
                    lengths.append(length)
        except QgsCsException:  # the map's CRS is not made for that place
            points, lengths = [], []
        return Places(np.array(points, np.float64).reshape(-1, 2), np.array(lengths, np.float64))


def shows_dots(layer: Any) -> bool:
    """Return whether a layer has the style of detections: an analyst's own style has no dots."""
    if not isinstance(layer, QgsVectorLayer) or layer.customProperty(KIND_PROPERTY) != "detections":
        return False
    renderer = layer.renderer()
    is_ours = isinstance(renderer, QgsCategorizedSymbolRenderer) and renderer.classAttribute() == SHOWN
    return is_ours and layer.fields().indexOf(_LENGTH) >= 0


def clusters(points: Any, distance: float, least: int) -> tuple[Any, Any]:
    """Return where ``least`` points or more fall together, and how many.

    Points of one square of a grid of ``distance`` fall together, and with them those of a square beside it if their
    centres are closer than that; the grid does not move with the map, so neither do they.

    Args:
        points: float64 [n, 2].
        distance: In the points' unit.
        least: The fewest points that are told.

    Returns:
        Centres float64 [k, 2] and numbers int64 [k], the largest first.
    """
    if not len(points):
        return np.zeros((0, 2)), np.zeros(0, np.int64)
    columns, rows = np.floor(points / distance).astype(np.int64).T
    squares, of, counted = np.unique(columns * _ROW + rows, return_inverse=True, return_counts=True)
    counts: list[int] = counted.tolist()
    sums = np.stack([np.bincount(of, points[:, axis], len(counts)) for axis in (0, 1)], 1)
    middles: list[list[float]] = (sums / counted[:, None]).tolist()
    places = {square: place for place, square in enumerate(squares.tolist())}
    for place in np.argsort(-counted, kind="stable").tolist():
        square, (x, y) = int(squares[place]), middles[place]
        for step in _AROUND:
            other = places.get(square + step)
            if not counts[place] or other is None or not counts[other]:
                continue
            (left, below), total = middles[other], counts[place] + counts[other]
            if math.hypot(left - x, below - y) < distance:
                share = counts[other] / total
                x, y = x + (left - x) * share, y + (below - y) * share
                middles[place], counts[place], counts[other] = [x, y], total, 0
    numbers = np.array(counts)
    told = np.flatnonzero(numbers >= max(least, 1))
    told = told[np.argsort(-numbers[told], kind="stable")]
    return np.array(middles)[told], numbers[told]


def _shown(layer: QgsVectorLayer) -> str:
    """Return an expression for what the style shows and nobody has rejected."""
    classes = [one.value() for one in layer.renderer().categories() if one.renderState()]
    listed = ", ".join(QgsExpression.quotedValue(value) for value in classes if isinstance(value, str))
    return f"{SHOWN} in ({listed or 'NULL'}) and not {REJECTED}"
