"""QT_QPA_PLATFORM=offscreen .venv-qgis/bin/python bench/panel.py: the findings panel with 20,000 findings.

First its table beside QGIS's own, both in memory: sort by confidence, then filter by class, least confidence and a
word. The peer is the attribute table of QGIS with the same sort and the same filter as an expression.

Then the whole panel over a GeoPackage of 20,000 boxes of two runs, a window of 500 x 900: each filter, a brush of the
histogram move by move, and decisions on all of them at once. A timer of 2 ms in the GUI thread notes how late it comes:
that is how long QGIS could not answer.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from qgis.core import (
    QgsApplication,
    QgsFeature,
    QgsFeatureRequest,
    QgsGeometry,
    QgsProject,
    QgsRectangle,
    QgsVectorLayer,
    QgsVectorLayerCache,
)
from qgis.gui import (
    QgsAttributeTableFilterModel,
    QgsAttributeTableModel,
    QgsAttributeTableView,
    QgsMapCanvas,
    QgsMessageBar,
)
from qgis.PyQt.QtCore import QDate, QEvent, QEventLoop, QPoint, QPointF, Qt, QTimer
from qgis.PyQt.QtGui import QMouseEvent
from qgis.PyQt.QtWidgets import QTableView, QWidget

from fusar_qgis.contract import FINDING_COLUMNS
from fusar_qgis.core import review
from fusar_qgis.gui.findings.panel import FindingsPanel
from fusar_qgis.gui.findings.rows import Filter, Rows
from fusar_qgis.gui.findings.table_model import COLUMNS, FindingsModel
from fusar_qgis.layers import findings_layer, storage, styles
from fusar_qgis.layers.features import BOX, feature_of, fields_of
from fusar_qgis.layers.project_runs import ProjectRuns
from fusar_qgis.layers.scene import crs_of

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


class Stalls:
    """How late a timer of 2 ms comes, at the most, in the event loop."""

    def __init__(self) -> None:
        self._timer, self._last, self.longest_ms = QTimer(), time.perf_counter(), 0.0
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._note)
        self._timer.start(2)

    def _note(self) -> None:
        now = time.perf_counter()
        self.longest_ms = max(self.longest_ms, 1000 * (now - self._last) - 2)
        self._last = now

    def until(self, done: Callable[[], bool], limit_s: float = 120) -> str:
        """Let events happen until ``done``; how long it took, and the longest stall."""
        began = self._last = time.perf_counter()
        self.longest_ms = 0.0
        while time.perf_counter() < began + limit_s:
            QgsApplication.processEvents(QEventLoop.ProcessEventsFlag.WaitForMoreEvents)
            if done():
                break
        self._note()
        return f"{time.perf_counter() - began:.2f} s, longest stall {self.longest_ms:.0f} ms"

    def during(self, do: Callable[[], object], rest_s: float = 0.4) -> str:
        """The longest stall from a call of ``do`` in the event loop until a while later."""
        QTimer.singleShot(0, do)
        end = time.perf_counter() + rest_s
        return self.until(lambda: time.perf_counter() > end).partition(", ")[2]


def table() -> None:
    """The panel's model under a view."""
    rows = Rows.of(
        [
            ("layer", n, "run", "scene", 0.0, label, "", sure, 20.0, 200.0, "none", text, (1,) * 4)
            for n in range(FINDINGS)
            for label, sure, text in [values(n)]
        ]
    )
    model, view = FindingsModel(None), QTableView()
    view.setModel(model)
    model.show(rows, {}, Filter())
    view.show()
    column = COLUMNS.index("confidence")
    orders = iter([Qt.SortOrder.AscendingOrder, Qt.SortOrder.DescendingOrder] * REPEATS)
    print("panel, sort:", timed(lambda: model.sort(column, next(orders))))
    narrow = Filter(label="class 3", ranges={"confidence": (0.1, 1.0)}, words=WORDS)
    filters = iter([narrow, Filter()] * REPEATS)
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


def geopackage_layer(folder: Path, run: int, count: int) -> QgsVectorLayer:
    """A layer of ``count`` boxes of a run, as a run leaves it."""
    about = {
        "id": f"run-{run}", "task": "detect", "targets": "ship", "scene": f"scene{run}.tif",
        "started": f"2026-01-0{run}T0{run}:04:05Z", "model": "tiny", "prior": "none", "scene_crs": "EPSG:32650",
    }  # fmt: skip
    columns = {**FINDING_COLUMNS["detections"], **dict.fromkeys(BOX, float), **review.FIELDS}
    fields = fields_of(columns)
    path = folder / "findings.gpkg"
    name = storage.make_table(path, "detections", about, fields, crs_of("EPSG:32650"))
    rows = []
    for n in range(count):
        label, sure, _ = values(n)
        x, y = 500_000 + 30 * (n % 200), 4_000_000 - 30 * (n // 200)
        row = {"id": f"{run}-{n}", "label": label, "confidence": sure, "run": about["id"], "prior": "none"}
        row |= {"length_m": 10.0 + n * 53 % 211, "width_m": 8.0, **dict.fromkeys(BOX, 10.0)}
        shape = QgsGeometry.fromRect(QgsRectangle(x, y - 9, x + 20, y))
        shape.convertToMultiType()
        rows.append(feature_of(fields, row, shape))
    storage.fill_table(path, name, fields, rows)
    layer = storage.open_table(str(path), name, f"run {run}")
    for key, value in (
        (findings_layer.RUN_PROPERTY, json.dumps(about)),
        (findings_layer.KIND_PROPERTY, "detections"),
        (findings_layer.SCENE_PROPERTY, "/nowhere.tif"),
    ):
        layer.setCustomProperty(key, value)
    styles.style(layer, "detections", [f"class {n}" for n in range(13)])
    return layer


def whole_panel(folder: Path) -> None:
    """The panel as a widget, with two layers of 10,000 in a project."""
    layers = [geopackage_layer(folder, run, FINDINGS // 2) for run in (1, 2)]
    QgsProject.instance().addMapLayers(layers)
    window = QWidget()
    canvas, bar = QgsMapCanvas(), QgsMessageBar()
    iface = SimpleNamespace(mapCanvas=lambda: canvas, messageBar=lambda: bar)
    runs = ProjectRuns(window)
    stalls = Stalls()
    panel = FindingsPanel(iface, runs, window)
    window.resize(500, 900)
    panel.resize(500, 900)
    window.show()
    print("read:", stalls.until(lambda: panel.model.rowCount() == FINDINGS))
    print("settle:", stalls.during(lambda: None, 2.0))
    filters = panel.filters
    filters.ranges.quantity.setCurrentIndex(1)
    for name, do in {
        "run": lambda: filters.run.setCurrentIndex(1),
        "scene": lambda: filters.scene.setCurrentIndex(2),
        "class": lambda: filters.label.setCurrentIndex(3),
        "review": lambda: filters.review.setCurrentIndex(1),
        "time": lambda: filters.since.setDate(QDate(2026, 1, 2)),
        "length": lambda: filters.ranges._on_brushed(40, 90),
        "words": lambda: filters.words.setText("class 3"),
    }.items():
        print(f"filter by {name}:", stalls.during(do), f"({panel.model.rowCount()} shown)")
        filters.clear()
        stalls.during(lambda: None)
    for name, do in {
        "sort by length": lambda: panel.table.sortByColumn(
            COLUMNS.index("length"), Qt.SortOrder.DescendingOrder
        ),
        "sort by class": lambda: panel.table.sortByColumn(
            COLUMNS.index("label"), Qt.SortOrder.AscendingOrder
        ),
        "select all": panel.table.selectAll,
        "sort, all selected": lambda: panel.table.sortByColumn(2, Qt.SortOrder.AscendingOrder),
        "select none": panel.table.clearSelection,
    }.items():
        print(f"{name}:", stalls.during(do))
    print("brush:", brush(panel, stalls))
    filters.clear()
    decide(panel, stalls, layers)
    for layer in layers:
        layer.startEditing()
    decide(panel, stalls, layers)
    panel.remove()
    runs.remove()


def brush(panel: FindingsPanel, stalls: Stalls) -> str:
    """Drag over the histogram of lengths in 40 moves, 60 a second."""
    widget = panel.filters.ranges.histogram
    panel.filters.ranges.quantity.setCurrentIndex(1)
    left = Qt.MouseButton.LeftButton

    def send(kind: QEvent.Type, share: float) -> None:
        at = QPoint(int(share * widget.width()), 20)
        event = QMouseEvent(kind, QPointF(at), left, left, Qt.KeyboardModifier.NoModifier)
        QgsApplication.sendEvent(widget, event)

    send(QEvent.Type.MouseButtonPress, 0.1)
    moves = iter(range(1, 41))
    timer = QTimer()
    timer.timeout.connect(lambda: send(QEvent.Type.MouseMove, 0.1 + 0.02 * next(moves, 40)))
    timer.start(16)
    said = stalls.during(lambda: None, 1.2)
    timer.stop()
    send(QEvent.Type.MouseButtonRelease, 0.9)
    return f"{said} ({panel.model.rowCount()} shown, {panel.filters.ranges.histogram.words})"


def decide(panel: FindingsPanel, stalls: Stalls, layers: list[QgsVectorLayer]) -> None:
    """Reject all, then take it back."""
    how = "in the edit buffer" if layers[0].isEditable() else "in the file"
    panel.table.selectAll()
    QgsApplication.processEvents()
    QTimer.singleShot(0, lambda: panel._decide(review.REJECTED))
    said = stalls.until(lambda: panel.bulk.can_undo and not panel.bulk.is_busy)
    print(f"reject all {how}:", said, f"({sum(map(rejected, layers))} rejected)")
    print("read again:", stalls.during(lambda: None, 5.0))
    QTimer.singleShot(0, panel.bulk.undo)
    said = stalls.until(lambda: not panel.bulk.can_undo and not panel.bulk.is_busy)
    print(f"undo {how}:", said, f"({sum(map(rejected, layers))} rejected)")
    stalls.during(lambda: None, 5.0)


def rejected(layer: QgsVectorLayer) -> int:
    """How many findings of a layer are rejected."""
    wanted = QgsFeatureRequest().setFilterExpression("\"review\" = 'rejected'")
    return sum(1 for _ in layer.getFeatures(wanted))


if __name__ == "__main__":
    application = QgsApplication([], True)
    application.initQgis()
    table()
    attribute_table()
    with tempfile.TemporaryDirectory(prefix="fusar-bench-") as folder:
        whole_panel(Path(folder))
        QgsProject.instance().clear()
