"""The findings panel: all findings of the project, filtered, tied to the map, decided on many at once."""

from math import inf

import numpy as np
import pytest
from qgis.core import QgsProject, QgsSettings, QgsVectorLayer, QgsVectorLayerUtils
from qgis.PyQt.QtCore import QDateTime, Qt, QTimer
from qgis.PyQt.QtTest import QTest
from qgis.PyQt.QtWidgets import QInputDialog, QToolBar
from test_results import finding, project, run  # noqa: F401 - fixtures

from fusar_qgis.contract import UPLOADED, Task
from fusar_qgis.core.request import LayerRequest
from fusar_qgis.gui.findings import bulk as bulk_module
from fusar_qgis.gui.findings import reader as reader_module
from fusar_qgis.gui.findings.bulk import BulkDecisions
from fusar_qgis.gui.findings.dock import FindingsDock
from fusar_qgis.gui.findings.reader import LayerReader
from fusar_qgis.gui.findings.rows import Filter, Rows, order_of
from fusar_qgis.gui.findings.table_model import PRIOR
from fusar_qgis.gui.review import Review
from fusar_qgis.layers import findings_layer
from fusar_qgis.layers.decisions import Decisions
from fusar_qgis.layers.features import BOX
from fusar_qgis.layers.findings_layer import run_of
from fusar_qgis.layers.project_runs import runs_in
from fusar_qgis.layers.styles import set_least_score


@pytest.fixture
def dock(qgis_iface, bar):
    QgsSettings().setValue("fusar/review/who", "Ada")
    toolbar = QToolBar()
    dock = FindingsDock(qgis_iface, toolbar, lambda request, then: None, bar)
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


def more(layer, count: int) -> None:
    row = next(layer.getFeatures())
    row.setFields(layer.fields(), False)
    row["fid"] = None
    layer.dataProvider().addFeatures([row] * count)


def decided(layer) -> int:
    return sum(bool(value) for value in QgsVectorLayerUtils.getValues(layer, "review")[0])


def many(count: int) -> Rows:
    said = ("", "accepted")
    return Rows.of(
        [
            (
                "layer",
                n,
                "Detect",
                "harbour",
                86400.0 * (n % 7),
                f"class {n * 7 % 13}",
                said[n % 2],
                n * 37 % 101 / 100,
                n % 53,
                n % 53 * 10.0,
                "none",
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
    panel.filters.ranges.low.setValue(0.5)
    qtbot.waitUntil(lambda: shown(panel) == [1, 3, 4])
    assert "hidden by the filter: 1" in panel.count.text()
    panel.filters.words.setText("F4 ship")
    qtbot.waitUntil(lambda: shown(panel) == [4])
    panel.filters.all.click()
    assert shown(panel) == [1, 2, 3, 4]


def test_what_the_map_hides_by_its_least_confidence_is_counted_too(panel, layer, qtbot):
    set_least_score(layer, 0.5, "confidence")
    qtbot.waitUntil(lambda: "hidden on the map by its least confidence: 1" in panel.count.text())
    assert panel.model.rowCount() == 4
    set_least_score(layer, 0, "confidence")
    qtbot.waitUntil(lambda: panel.count.text() == "Findings: 4")


def test_filters_count_together_and_all_are_cleared_at_once(panel, layer, qtbot):
    filters = panel.filters
    assert not filters.all.isEnabled()
    assert [filters.scene.itemText(n) for n in range(filters.scene.count())] == ["All scenes", "harbour.tif"]
    filters.scene.setCurrentIndex(1)
    filters.ranges.quantity.setCurrentIndex(1)
    assert filters.ranges.histogram.counts.sum() == 4
    filters.ranges.high.setValue(15)  # all are 20 m long
    qtbot.waitUntil(lambda: not shown(panel))
    assert filters.ranges.quantity.itemText(1) == "Length *"
    assert filters.ranges.histogram.counts.sum() == 4  # its own range is left aside
    filters.ranges.quantity.setCurrentIndex(0)
    assert filters.ranges.histogram.counts.sum() == 0
    filters.all.click()
    assert shown(panel) == [1, 2, 3, 4]
    assert not filters.all.isEnabled()


def test_a_day_chooses_the_runs_that_began_then(panel, layer):
    began = QDateTime.fromString(run_of(layer)["started"], Qt.DateFormat.ISODate).toLocalTime().date()
    panel.filters.until.setDate(began.addDays(-1))
    assert not shown(panel)
    panel.filters.until.setDate(began)
    panel.filters.since.setDate(began)
    assert shown(panel) == [1, 2, 3, 4]
    panel.filters.since.setDate(began.addDays(1))
    assert not shown(panel)
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


@pytest.mark.parametrize("edited", [False, True])
def test_many_are_decided_bit_by_bit_and_can_be_stopped_and_taken_back(
    layer, bar, qtbot, edited, monkeypatch
):
    monkeypatch.setattr(bulk_module, "_SLICE_S", 0)  # one slice, then the event loop
    more(layer, 1200)
    if edited:
        layer.startEditing()
    bulk, told = BulkDecisions(bar), []
    bulk.over.connect(lambda text, _: told.append(text))
    keys = layer.allFeatureIds()
    bulk.decide({layer: keys}, lambda layer: Decisions(layer, "Ada", queued=False), "rejected")
    assert bulk.is_busy
    assert 0 < decided(layer) < len(keys)
    bulk.decide({layer: keys}, lambda layer: Decisions(layer, "Bob", queued=False), "accepted")  # not now
    qtbot.waitUntil(lambda: decided(layer) > 200)
    bulk.cancel()
    assert told == [f"Stopped after {decided(layer)} of {len(keys)}. What is done stays; Undo takes it back."]
    assert 200 < decided(layer) < len(keys)
    with qtbot.waitSignal(bulk.over):
        bulk.undo()
    assert decided(layer) == 0
    assert not bulk.can_undo
    with qtbot.waitSignal(bulk.over, timeout=20_000):
        bulk.decide({layer: keys}, lambda layer: Decisions(layer, "Ada", queued=False), "rejected")
    assert decided(layer) == len(keys)
    bulk.undo()
    bulk.cancel()
    assert 0 < decided(layer) < len(keys)
    with qtbot.waitSignal(bulk.over, timeout=20_000):
        bulk.undo()  # the rest
    assert decided(layer) == 0


def test_a_layer_that_goes_while_it_is_decided_on_ends_that(layer, bar, qtbot, monkeypatch):
    monkeypatch.setattr(bulk_module, "_SLICE_S", 0)
    more(layer, 1200)
    bulk = BulkDecisions(bar)
    bulk.decide({layer: layer.allFeatureIds()}, lambda one: Decisions(one, "Ada", queued=False), "rejected")
    with qtbot.waitSignal(bulk.over):
        QgsProject.instance().removeMapLayer(layer)
    bulk.forget([])
    assert not bulk.can_undo


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
    assert panel.model.data(cell, Qt.ItemDataRole.DisplayRole) == ""
    assert panel.model.data(panel.model.index(0, PRIOR), Qt.ItemDataRole.DisplayRole) == "No prior"


def test_a_row_whose_scene_is_gone_says_so(layer, dock, qtbot):
    layer.setCustomProperty(findings_layer.SCENE_PROPERTY, "/gone/harbour.tif")
    dock.action.trigger()
    model = dock.panel.model
    qtbot.waitUntil(lambda: model.rowCount() == 4)
    cell = model.index(0, 0)
    model.data(cell, Qt.ItemDataRole.DecorationRole)
    qtbot.waitUntil(lambda: model.data(cell, Qt.ItemDataRole.DisplayRole) == "No picture")
    assert "/gone/harbour.tif" in model.data(cell, Qt.ItemDataRole.ToolTipRole)


def test_a_layer_that_goes_takes_its_rows_along(panel, layer, qtbot):
    QgsProject.instance().removeMapLayer(layer)
    qtbot.waitUntil(lambda: panel.model.rowCount() == 0)
    assert "No findings yet" in panel.count.text()


def test_a_filter_and_a_sort_together_show_each_chosen_row_once():
    rows, chosen = many(20_000), Filter(label="class 3", ranges={"confidence": (0.1, inf)}, words="ship")
    order = order_of(rows, chosen, "confidence", descending=True)
    assert (rows.label[order] == "class 3").all()
    assert (np.diff(rows.confidence[order]) <= 0).all()
    wanted = [n for n in range(20_000) if n * 7 % 13 == 3 and n * 37 % 101 / 100 >= 0.1]
    assert sorted(order.tolist()) == wanted


def test_many_are_read_bit_by_bit_and_the_gui_goes_on_between(layer, bar, qtbot):
    more(layer, 5000)
    reader, bits = LayerReader(bar), []
    reader.findChild(QTimer).timeout.connect(lambda: bits.append(1))
    with qtbot.waitSignal(reader.done, timeout=20_000) as done:
        reader.read(layer, runs_in(QgsProject.instance())[0])
    assert len(done.args[1]) == 5004
    assert len(bits) > 5


def test_a_run_that_has_just_ended_or_whose_layer_is_active_is_in_front(dock, layer):
    dock.note_end("other")
    assert dock._focus.current == "other"
    dock._on_layer(layer)
    assert dock._focus.current == "run-7"
    for other in (None, QgsVectorLayer("Point", "towns", "memory")):
        dock._on_layer(other)
        assert dock._focus.current == "run-7"


def test_a_report_is_asked_for_from_the_menu_without_the_dock(dock, layer, bar):
    dock.report()
    assert dock._exporting._dialog.windowTitle().startswith("Report of “")
    dock._exporting._dialog.reject()
    QgsProject.instance().removeMapLayer(layer.id())
    dock.report()
    assert "no run to report on" in bar.currentItem().text()


def test_a_run_that_goes_on_has_only_what_is_new_read_and_what_is_gone_dropped(
    layer, bar, qtbot, monkeypatch
):
    reader, made, read = LayerReader(bar), runs_in(QgsProject.instance())[0], []
    record = reader_module._record
    monkeypatch.setattr(
        reader_module, "_record", lambda one, *rest: read.append(one.id()) or record(one, *rest)
    )

    def keys_read() -> list[int]:
        read.clear()
        with qtbot.waitSignal(reader.done) as done:
            reader.read(layer, made)
        return sorted(done.args[1].key.tolist())

    assert keys_read() == read == [1, 2, 3, 4]
    layer.dataProvider().deleteFeatures([2])
    more(layer, 1)
    assert keys_read() == [1, 3, 4, 5]
    assert read == [5]
    reader.forget(layer.id())
    assert keys_read() == read == [1, 3, 4, 5]


def test_boxes_of_a_part_that_was_sent_are_shown_where_they_lie_in_the_whole_scene(layer):
    """The columns count pixels from the part's corner, while pictures are cut from the whole scene."""
    (made,) = runs_in(QgsProject.instance())
    at = [layer.fields().indexOf(name) for name in BOX]
    whole = reader_module.rows_of(layer, made, [1, 2]).box
    shifted = {key: dict(zip(at, box - 3)) for key, box in zip((1, 2), whole)}  # noqa: B905 - Python 3.9
    assert layer.dataProvider().changeAttributeValues(shifted)
    made.request = LayerRequest(UPLOADED + 64 * "0", Task.DETECT, ("ship",), None, "EPSG:32650")
    assert reader_module.rows_of(layer, made, [1, 2]).box == pytest.approx(whole, abs=0.01)
    layer.setCustomProperty(findings_layer.SCENE_PROPERTY, "/gone.tif")
    assert np.isnan(reader_module.rows_of(layer, made, [1, 2]).box).all()
