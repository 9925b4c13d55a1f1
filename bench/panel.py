"""QT_QPA_PLATFORM=offscreen .venv-qgis/bin/python bench/panel.py: the findings panel's table beside QGIS's own.

20,000 findings of one run in memory, shown in a table of 20 rows each: sort by confidence, then filter by class, least
confidence and a word. The peer is the attribute table of QGIS with the same sort and the same filter as an expression.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from qgis.core import QgsApplication, QgsFeature, QgsFeatureRequest, QgsVectorLayer, QgsVectorLayerCache
from qgis.gui import QgsAttributeTableFilterModel, QgsAttributeTableModel, QgsAttributeTableView, QgsMapCanvas
from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtWidgets import QTableView

from fusar_qgis.gui.findings.rows import Filter, Rows
from fusar_qgis.gui.findings.table_model import COLUMNS, FindingsModel

FINDINGS, REPEATS = 20_000, 5
WORDS = "class 3"


def values(n: int) -> tuple[str, float, str]:
    """Class, confidence and text of finding ``n``."""
    return f"class {n * 7 % 13}", n * 37 % 101 / 100, f"f{n} class {n * 7 % 13}"


def timed(do: Callable[[], object]) -> str:
    """Median and longest time of what is done, drawn events included."""
    took = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        do()
        QgsApplication.processEvents()
        took.append(1000 * (time.perf_counter() - began))
    return f"median {median(took):.0f} ms, longest {max(took):.0f} ms"


def panel() -> None:
    """The panel's model under a view."""
    rows = Rows.of(
        [
            ("layer", n, "run", label, "", sure, 20.0, text, (1,) * 4)
            for n in range(FINDINGS)
            for label, sure, text in [values(n)]
        ]
    )
    model, view = FindingsModel(None), QTableView()
    view.setModel(model)
    model.show(rows, {})
    view.show()
    column = COLUMNS.index("confidence")
    orders = iter([Qt.SortOrder.AscendingOrder, Qt.SortOrder.DescendingOrder] * REPEATS)
    print("panel, sort:", timed(lambda: model.sort(column, next(orders))))
    filters = iter([Filter(label="class 3", least=0.1, words=WORDS), Filter()] * REPEATS)
    print("panel, filter and sort:", timed(lambda: model.filter_by(next(filters))))


def attribute_table() -> None:
    """QGIS's own table."""
    layer = QgsVectorLayer(
        "Point?field=label:string&field=confidence:double&field=text:string", "findings", "memory"
    )
    features = []
    for n in range(FINDINGS):
        feature = QgsFeature(layer.fields())
        feature.setAttributes(list(values(n)))
        features.append(feature)
    layer.dataProvider().addFeatures(features)
    cache = QgsVectorLayerCache(layer, FINDINGS)
    source = QgsAttributeTableModel(cache)
    source.loadLayer()
    canvas = QgsMapCanvas()
    model, view = QgsAttributeTableFilterModel(canvas, source), QgsAttributeTableView()
    view.setModel(model)
    view.show()
    orders = iter([Qt.SortOrder.AscendingOrder, Qt.SortOrder.DescendingOrder] * REPEATS)
    print("attribute table, sort:", timed(lambda: model.sort('"confidence"', next(orders))))
    wanted = '"label" = \'class 3\' and "confidence" >= 0.1 and "text" like \'%class 3%\''

    def narrow() -> None:
        found = layer.getFeatures(QgsFeatureRequest().setFilterExpression(wanted))
        model.setFilteredFeatures([feature.id() for feature in found])

    print("attribute table, filter and sort:", timed(narrow))


if __name__ == "__main__":
    application = QgsApplication([], True)
    application.initQgis()
    panel()
    attribute_table()
