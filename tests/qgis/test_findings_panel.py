"""The findings panel: all findings of the project, filtered, tied to the map, decided on many at once."""

import numpy as np
import pytest
from qgis.core import QgsProject, QgsSettings, QgsVectorLayerUtils
from qgis.PyQt.QtCore import Qt, QTimer
from qgis.PyQt.QtTest import QTest
from qgis.PyQt.QtWidgets import QInputDialog, QToolBar
from test_results import finding, project, run  # noqa: F401 - fixtures

from fusar_qgis.gui.findings.dock import FindingsDock
from fusar_qgis.gui.findings.reader import LayerReader
from fusar_qgis.gui.findings.rows import Filter, Rows, order_of
from fusar_qgis.gui.review import Review


@pytest.fixture
def dock(qgis_iface, bar):
    QgsSettings().setValue("fusar/review/who", "Ada")
    toolbar = QToolBar()
    dock = FindingsDock(qgis_iface, toolbar, lambda request: None, bar)
    yield dock
    dock.remove()
    toolbar.deleteLater()


@pytest.fixture
def panel(layer, dock, qtbot):
    dock.action.trigger()
    qtbot.waitUntil(lambda: dock.panel.model.rowCount() == layer.featureCount())
    return dock.panel


def shown(panel) -> list[int]:
    return panel.model.rows.key[panel.model.order].tolist()


def many(count: int) -> Rows:
    said = ("", "accepted")
    return Rows.of(
        [
            (
                "layer",
                n,
                "Detect",
                f"class {n * 7 % 13}",
                said[n % 2],
                n * 37 % 101 / 100,
                n % 53,
                f"f{n} ship",
                (1,) * 4,
            )
            for n in range(count)
        ]
    )


def test_it_sorts_and_what_has_no_value_goes_last(panel):
    panel.table.sortByColumn(2, Qt.SortOrder.DescendingOrder)
    assert shown(panel) == [1, 3, 2, 4]
    panel.table.sortByColumn(2, Qt.SortOrder.AscendingOrder)
    assert shown(panel) == [2, 3, 1, 4]


def test_what_a_filter_hides_is_counted(panel, qtbot):
    assert panel.count.text() == "Findings: 4"
    panel.filters.least.setValue(0.5)
    qtbot.waitUntil(lambda: shown(panel) == [1, 3, 4])
    assert "hidden by the filter: 1" in panel.count.text()
    panel.filters.words.setText("F4 ship")
    qtbot.waitUntil(lambda: shown(panel) == [4])
    panel.filters.all.click()
    assert shown(panel) == [1, 2, 3, 4]


def test_rows_and_the_map_select_each_other(panel, layer, qgis_iface):
    panel.table.selectRow(1)
    assert layer.selectedFeatureIds() == [2]
    layer.selectByIds([3, 4])
    assert sorted(index.row() for index in panel.table.selectionModel().selectedRows()) == [2, 3]
    panel.table.sortByColumn(2, Qt.SortOrder.DescendingOrder)
    assert sorted(index.row() for index in panel.table.selectionModel().selectedRows()) == [1, 3]
    assert sorted(layer.selectedFeatureIds()) == [3, 4]
    canvas = qgis_iface.mapCanvas()
    canvas.setDestinationCrs(layer.crs())
    panel.table.clicked.emit(panel.model.index(0, 1))
    assert canvas.extent().contains(layer.getFeature(1).geometry().boundingBox())
    assert canvas.extent().width() < 400


def test_keys_decide_on_many_at_once_and_undo_takes_all_back(panel, layer, qtbot, monkeypatch):
    def decisions():
        return [value or None for value in QgsVectorLayerUtils.getValues(layer, "review")[0]]

    layer.selectByIds([1, 2, 4])
    QTest.keyClick(panel.table, "R")
    assert decisions() == ["rejected", "rejected", None, "rejected"]
    assert layer.getFeature(4)["reviewed_by"] == "Ada"
    qtbot.waitUntil(lambda: panel.model.rows.review.tolist() == ["rejected", "rejected", "", "rejected"])
    monkeypatch.setattr(QInputDialog, "getItem", lambda *_: ("tug", True))
    QTest.keyClick(panel.table, "L")
    assert [one["reviewed_label"] or None for one in layer.getFeatures()] == ["tug", "tug", None, "tug"]
    QTest.keyClick(panel.table, "U")
    QTest.keyClick(panel.table, "U")
    assert decisions() == [None] * 4


@pytest.fixture
def review_bar(layer, qgis_iface, bar):
    toolbar, canvas = QToolBar(), qgis_iface.mapCanvas()
    qgis_iface.setActiveLayer(layer)
    QgsProject.instance().setCrs(layer.crs())
    canvas.setDestinationCrs(layer.crs())
    review = Review(qgis_iface, toolbar, bar)
    review.action.trigger()
    yield review._bar
    review.remove()
    toolbar.deleteLater()


def test_the_review_knows_at_once_what_is_decided_here(panel, layer, review_bar, monkeypatch):
    assert review_bar.session.key == 1
    layer.selectByIds([1, 2])
    QTest.keyClick(panel.table, "R")
    assert review_bar._progress.text() == "2 of 4 reviewed · rejected"
    monkeypatch.setattr(QInputDialog, "getItem", lambda *_: ("tug", True))
    QTest.keyClick(panel.table, "L")
    assert review_bar._progress.text() == "2 of 4 reviewed · relabelled"
    assert review_bar._label.currentText() == "tug"
    review_bar.session.go_on()
    review_bar.session.accept()
    assert review_bar.session.key == 3  # what was decided here is passed over
    QTest.keyClick(panel.table, "U")
    QTest.keyClick(panel.table, "U")
    assert review_bar._progress.text() == "0 of 4 reviewed"
    assert review_bar.session.key == 3


def test_what_the_review_decides_is_in_the_table_at_once(panel, layer, review_bar):
    panel.table.sortByColumn(2, Qt.SortOrder.DescendingOrder)
    review_bar.session.accept()
    review_bar.session.relabel("tug")
    assert panel.model.rows.review.tolist() == ["accepted", "relabelled", "", ""]
    assert panel.model.rows.label.tolist() == ["ship", "tug", "ship", "ship"]
    review_bar.session.undo()
    assert panel.model.rows.review.tolist() == ["accepted", "", "", ""]
    assert shown(panel) == [1, 3, 2, 4]
    assert panel.count.text() == "Findings: 4"


def test_a_box_that_the_review_changes_has_another_picture_and_length(panel, layer, review_bar, qtbot):
    cell = panel.model.index(0, 0)
    panel.model.data(cell, Qt.ItemDataRole.DecorationRole)
    with qtbot.waitSignal(panel.model.pictures.arrived):
        pass
    tool = review_bar.session.tool
    tool.edited.emit(tool._box.with_edge(1, (30, 0)))
    assert panel.model.rows.length[0] == pytest.approx(120, abs=1)
    assert panel.model.rows.box[0].tolist() == pytest.approx([6, 18.2, 30, 20])
    assert panel.model.data(cell, Qt.ItemDataRole.DecorationRole) is None  # it is made anew


def test_a_row_that_is_seen_gets_its_picture(panel, qtbot):
    cell = panel.model.index(0, 0)
    panel.model.data(cell, Qt.ItemDataRole.DecorationRole)
    with qtbot.waitSignal(panel.model.pictures.arrived):
        pass
    assert not panel.model.data(cell, Qt.ItemDataRole.DecorationRole).isNull()


def test_a_layer_that_goes_takes_its_rows_along(panel, layer, qtbot):
    QgsProject.instance().removeMapLayer(layer)
    qtbot.waitUntil(lambda: panel.model.rowCount() == 0)
    assert "No findings yet" in panel.count.text()


def test_a_filter_and_a_sort_together_show_each_chosen_row_once():
    rows, chosen = many(20_000), Filter(label="class 3", least=0.1, words="ship")
    order = order_of(rows, chosen, "confidence", descending=True)
    assert (rows.label[order] == "class 3").all()
    assert (np.diff(rows.confidence[order]) <= 0).all()
    wanted = [n for n in range(20_000) if n * 7 % 13 == 3 and n * 37 % 101 / 100 >= 0.1]
    assert sorted(order.tolist()) == wanted


def test_many_are_read_bit_by_bit_and_the_gui_goes_on_between(layer, bar, qtbot):
    rows = [next(layer.getFeatures())] * 5000
    for row in rows:
        row.setFields(layer.fields(), False)
        row["fid"] = None
    layer.dataProvider().addFeatures(rows)
    reader, bits = LayerReader(bar), []
    reader.findChild(QTimer).timeout.connect(lambda: bits.append(1))
    with qtbot.waitSignal(reader.done, timeout=20_000) as done:
        reader.read(layer, "Detect ship")
    assert len(done.args[1]) == 5004
    assert len(bits) > 5
