"""Which of two sets of polygons share ground, and how much."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qgis.core import QgsFeature, QgsGeometry, QgsSpatialIndex

from ..contract.matching import Overlap


def overlaps_of(
    ours: Sequence[QgsGeometry], theirs: Sequence[QgsGeometry], is_canceled: Callable[[], bool] = bool
) -> list[Overlap]:
    """Return all pairs that share ground, with their intersection over union; both sets are in one CRS."""
    index = QgsSpatialIndex()
    for number, geometry in enumerate(theirs):
        entry = QgsFeature(number)
        entry.setGeometry(geometry)
        index.addFeature(entry)
    found = []
    for number, geometry in enumerate(ours):
        if is_canceled():
            break
        for other in index.intersects(geometry.boundingBox()):
            shared = geometry.intersection(theirs[other]).area()
            if shared > 0:
                whole = geometry.area() + theirs[other].area() - shared
                found.append((number, other, shared / whole))
    return found
