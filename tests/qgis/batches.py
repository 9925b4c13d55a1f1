"""Running the plugin's Processing algorithms in a test."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from qgis.core import (
    QgsApplication,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProject,
    QgsVectorLayer,
)

SQUARE_M = 100


class Log(QgsProcessingFeedback):
    """Keeps what is said; ``stop_after`` cancels once that many jobs have been told of."""

    def __init__(self, stop_after: int | None = None) -> None:
        super().__init__(False)
        self.lines: list[str] = []
        self.errors: list[str] = []
        self.steps: list[float] = []
        self.texts: list[str] = []
        self._stop_after = stop_after

    def pushInfo(self, info):  # noqa: N802
        self.lines.append(info)
        if (
            self._stop_after is not None
            and sum(": 5 detections" in line for line in self.lines) >= self._stop_after
        ):
            self.cancel()

    def pushWarning(self, warning):  # noqa: N802
        self.lines.append(warning)

    def reportError(self, error, fatalError=False):  # noqa: N802, N803
        self.errors.append(error)

    def setProgressText(self, text):  # noqa: N802
        self.texts.append(text)

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


def run(name: str, log: Log | None = None, context: QgsProcessingContext | None = None, **parameters):
    """Run ``fusar:name`` here; return its results, or None where it failed."""
    if context is None:
        context = QgsProcessingContext()
        context.setProject(QgsProject.instance())
    algorithm = QgsApplication.processingRegistry().createAlgorithmById(f"fusar:{name}")
    log = log or Log()
    fine, reason = algorithm.checkParameterValues(parameters, context)
    if not fine:
        log.errors.append(reason)
        return None
    results, fine = algorithm.run(parameters, context, log)
    return results if fine else None


def write_areas(
    path: Path, corners: Sequence[tuple[float, float]], crs: str = "EPSG:32650", side_m: float = SQUARE_M
) -> Path:
    """Write squares by their lower left corners as GeoJSON in ``crs``."""
    features = []
    for number, (x, y) in enumerate(corners):
        ring = [[x, y], [x + side_m, y], [x + side_m, y + side_m], [x, y + side_m], [x, y]]
        shape = {"type": "Polygon", "coordinates": [ring]}
        properties = {"name": f"area {number}", "label": "mine"}
        features.append({"type": "Feature", "properties": properties, "geometry": shape})
    collection = {"type": "FeatureCollection", "features": features}
    collection["crs"] = {"type": "name", "properties": {"name": f"urn:ogc:def:crs:{crs.replace(':', '::')}"}}
    path.write_text(json.dumps(collection))
    return path


def rows(path: Path | str) -> list[dict]:
    """Return the attributes of a vector file's features; ``wkt`` is the geometry."""
    layer = QgsVectorLayer(str(path), "results")
    assert layer.isValid(), path
    names = [field.name() for field in layer.fields()]
    found = []
    for feature in layer.getFeatures():
        row = dict(zip(names, feature.attributes(), strict=True))
        found.append({**row, "wkt": feature.geometry().asWkt(3)})
    return found
