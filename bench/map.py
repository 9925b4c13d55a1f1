"""QT_QPA_PLATFORM=offscreen .venv-qgis/bin/python bench/map.py: 20,000 findings drawn at three scales, and counted.

Processor time of QGIS's renderer for a map of 1000 x 750 pixels, least of four, beside plain outlines of the boxes;
then how long the GUI thread takes to count what falls together, and what a filter hides.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from qgis.core import (
    QgsApplication,
    QgsExpressionContext,
    QgsExpressionContextUtils,
    QgsFeature,
    QgsFillSymbol,
    QgsGeometry,
    QgsMapRendererSequentialJob,
    QgsMapSettings,
    QgsRectangle,
    QgsSingleSymbolRenderer,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QSize

from fusar_qgis.layers.clusters import PlacesReader, clusters
from fusar_qgis.layers.styles import hidden_count, set_least_score, style

FINDINGS, REPEATS = 20_000, 4
SIDE = 8000.0  # metres of the ground that they lie on
FIELDS = {
    "id": "string", "label": "string", "reviewed_label": "string", "review": "string", "confidence": "double",
    "objectness": "double", "length_m": "double",
}  # fmt: skip


def findings() -> QgsVectorLayer:
    """Boxes of three classes in memory, most of them in thirty crowds."""
    columns = "".join(f"&field={name}:{kind}" for name, kind in FIELDS.items())
    layer = QgsVectorLayer(f"Polygon?crs=EPSG:32650{columns}", "Detections", "memory")
    numbers = np.random.default_rng(0)
    crowds = numbers.random((30, 2)) * SIDE
    features = []
    for n in range(FINDINGS):
        x, y = crowds[n % 30] + numbers.normal(size=2) * 100 if n % 4 else numbers.random(2) * SIDE
        long, share = numbers.uniform(15, 120), numbers.uniform(0.2, 1)
        feature = QgsFeature(layer.fields())
        label = ("ship", "plane", "storage tank")[n % 3]
        feature.setAttributes([f"f{n}", label, None, None, float(numbers.random()), 0.9, float(long)])
        feature.setGeometry(QgsGeometry.fromRect(QgsRectangle(x, y, x + long, y + long * share)))
        features.append(feature)
    layer.dataProvider().addFeatures(features)
    return layer


def least(do: Callable[[], object]) -> str:
    """The least processor time of what is done."""
    took = []
    for _ in range(REPEATS):
        began = time.process_time()
        do()
        took.append(1000 * (time.process_time() - began))
    return f"{min(took):.0f} ms"


def draw(layer: QgsVectorLayer, around: float) -> None:
    """Draw ``around`` times the ground."""
    settings = QgsMapSettings()
    settings.setLayers([layer])
    settings.setDestinationCrs(layer.crs())
    settings.setOutputSize(QSize(1000, 750))
    extent = QgsRectangle(0, 0, SIDE, SIDE)
    extent.scale(around)
    settings.setExtent(extent)
    context = QgsExpressionContext()
    context.appendScope(QgsExpressionContextUtils.mapSettingsScope(settings))
    settings.setExpressionContext(context)
    job = QgsMapRendererSequentialJob(settings)
    job.start()
    job.waitForFinished()


def main() -> None:
    """Print one line for each."""
    layer = findings()
    plain = layer.clone()
    plain.setRenderer(QgsSingleSymbolRenderer(QgsFillSymbol.createSimple({"style": "no"})))
    style(layer, "detections", ["ship", "plane", "storage tank"])
    for around in (16, 4, 1):
        ours, peer = (least(lambda one=one, far=around: draw(one, far)) for one in (layer, plain))
        print(f"drawn, {around} times the ground: {ours}; plain outlines: {peer}")
    places = PlacesReader(layer, layer.crs()).read()
    for metres in (16 * SIDE / 40, SIDE / 40):
        print(
            "counted, squares of", round(metres), "m:", least(lambda m=metres: clusters(places.points, m, 3))
        )
    set_least_score(layer, 0.6, "confidence")
    print("hidden by a filter, counted:", least(lambda: hidden_count(layer)))


if __name__ == "__main__":
    application = QgsApplication([], True)
    application.initQgis()
    main()
    application.exitQgis()
