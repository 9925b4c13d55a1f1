"""The review: decisions by key, in the file at once, signed, undone, shown, and still there tomorrow."""

import json
import sqlite3
import threading
import time
from contextlib import closing

import pytest
from osgeo import ogr
from qgis.core import QgsProject, QgsRectangle, QgsSettings
from qgis.gui import QgsMapMouseEvent
from qgis.PyQt.QtCore import QDateTime, QEvent, QPoint, Qt, QVariantAnimation
from qgis.PyQt.QtTest import QTest
from qgis.PyQt.QtWidgets import QAction, QMenu, QToolBar
from test_results import RUN, finding, found, project, run  # noqa: F401 - fixtures

from fusar_qgis.contract import Found, Task
from fusar_qgis.core.request import LayerRequest
from fusar_qgis.gui.look_closer import LookCloser
from fusar_qgis.gui.review import Review
from fusar_qgis.gui.review_bar import ReviewBar
from fusar_qgis.layers import findings_layer, storage
from fusar_qgis.layers.run_layers import RunLayers
from fusar_qgis.layers.styles import least_score

AREA = "POLYGON((500000 3999800, 500300 3999800, 500300 4000000, 500000 4000000, 500000 3999800))"


@pytest.fixture
def canvas(qgis_iface):
    canvas = qgis_iface.mapCanvas()
    canvas.resize(600, 500)
    canvas.setExtent(QgsRectangle(500000, 3999800, 500400, 4000200))
    return canvas


@pytest.fixture
def looked():
    return []


@pytest.fixture
def review(qgis_iface, bar, canvas, looked, qtbot):
    QgsSettings().setValue("fusar/review/who", "Ada")
    toolbar = QToolBar()
    part = Review(qgis_iface, toolbar, bar, lambda *cell: looked.append(cell))
    yield part
    part.remove()
    toolbar.deleteLater()


@pytest.fixture
def start(review, qgis_iface):
    def start(layer) -> ReviewBar:
        qgis_iface.setActiveLayer(layer)
        QgsProject.instance().setCrs(layer.crs())
        qgis_iface.mapCanvas().setDestinationCrs(layer.crs())
        review.action.trigger()
        return qgis_iface.mainWindow().findChild(ReviewBar)

    return start


def press(canvas, keys):
    for key in keys:
        QTest.keyClick(canvas, key)


def decisions(layer) -> list:
    return [feature["review"] or None for feature in layer.getFeatures()]


def test_by_key(layer, start, canvas):
    bar = start(layer)
    assert "0 of 4 reviewed" in bar._progress.text()
    press(canvas, "A")
    press(canvas, "r")
    assert decisions(layer) == ["accepted", "rejected", None, None]
    assert bar.session.key == 3
    press(canvas, "P")
    assert bar._progress.text() == "2 of 4 reviewed · rejected"
    press(canvas, "N")
    assert bar.session.key == 3
    feature = layer.getFeature(1)
    assert feature["reviewed_by"] == "Ada"
    assert isinstance(feature["reviewed_at"], QDateTime)
    assert abs(feature["reviewed_at"].secsTo(QDateTime.currentDateTimeUtc())) < 60


def test_relabel_and_undo(layer, start, canvas):
    bar = start(layer)
    press(canvas, "L")
    bar._label.setEditText("tug")
    QTest.keyClick(bar._label, Qt.Key.Key_Return)
    assert (layer.getFeature(1)["review"], layer.getFeature(1)["reviewed_label"]) == ("relabelled", "tug")
    assert layer.getFeature(1)["label"] == "ship"
    assert [category.value() for category in layer.renderer().categories()] == ["ship", "tug"]
    press(canvas, "A")
    press(canvas, "UU")
    assert decisions(layer) == [None] * 4
    assert bar.session.key == 1
    assert not bar._undo.isEnabled()


def test_a_style_that_is_being_saved_does_not_refuse_a_decision(layer, start, canvas):
    start(layer)
    begun = threading.Event()

    def write() -> None:
        with storage._one_writer, closing(sqlite3.connect(storage.source_of(layer)[0])) as database:
            database.isolation_level = None
            database.execute("BEGIN IMMEDIATE")
            begun.set()
            time.sleep(0.1)
            database.execute("ROLLBACK")

    writer = threading.Thread(target=write)
    writer.start()
    assert begun.wait(5)
    press(canvas, "A")
    writer.join()
    assert decisions(layer)[0] == "accepted"


def test_keys_with_ctrl_and_keys_elsewhere_are_qgis_own(layer, start, canvas, qgis_iface):
    bar = start(layer)
    QTest.keyClick(canvas, "A", Qt.KeyboardModifier.ControlModifier)
    QTest.keyClick(qgis_iface.mainWindow(), "A")
    QTest.keyClick(bar._label, "R")
    assert decisions(layer) == [None] * 4


def test_add_what_was_missed(layer, start, canvas, qgis_iface):
    bar = start(layer)
    canvas.setExtent(QgsRectangle(500000, 3999800, 500400, 4000200))
    QTest.keyClick(canvas, Qt.Key.Key_Plus, Qt.KeyboardModifier.ShiftModifier)
    viewport = canvas.viewport()
    QTest.mousePress(viewport, Qt.MouseButton.LeftButton, pos=QPoint(100, 100))
    QTest.mouseMove(viewport, QPoint(200, 180))
    QTest.mouseRelease(viewport, Qt.MouseButton.LeftButton, pos=QPoint(200, 180))
    assert decisions(layer)[-1] == "added"
    added = layer.getFeature(5)
    assert (added["label"], added["reviewed_by"], added["run"]) == ("ship", "Ada", RUN["id"])
    assert added.geometry().isGeosValid()
    assert bar.session.key == 5
    assert "1 of 5" in bar._progress.text()
    press(canvas, "U")
    assert layer.featureCount() == 4


def test_the_filter_hides_and_never_what_has_no_confidence(layer, start, canvas, qtbot):
    bar = start(layer)
    assert "Confid" in bar._confidence._name.text()
    bar._confidence._slider.setValue(50)
    qtbot.waitUntil(lambda: least_score(layer) == 0.5)
    assert bar._confidence._text.text() == "≥ 50 %: 3 of 4 (incl. 1 unscored)"
    assert drawn(layer) == ["f1", "f3", "f4"]
    press(canvas, "AA")
    assert decisions(layer) == ["accepted", None, "accepted", None]
    assert layer.featureCount() == 4  # the table is not filtered: nothing is lost


def drawn(layer) -> list[str]:
    from qgis.core import QgsExpressionContext, QgsExpressionContextUtils, QgsRenderContext

    context = QgsRenderContext()
    scopes = QgsExpressionContextUtils.globalProjectLayerScopes(layer)
    context.setExpressionContext(QgsExpressionContext(scopes))
    renderer = layer.renderer().clone()
    renderer.startRender(context, layer.fields())
    shown = []
    for feature in layer.getFeatures():
        context.expressionContext().setFeature(feature)
        if renderer.willRenderFeature(feature, context):
            shown.append(feature["id"])
    renderer.stopRender(context)
    return shown


def test_it_goes_on_after_the_project_is_opened_again(layer, start, canvas, review, tmp_path):
    start(layer)
    press(canvas, "AR")
    project = QgsProject.instance()  # noqa: F811
    layer_id = layer.id()
    assert project.write()
    project.clear()
    assert not review.action.isChecked()
    assert project.read(str(tmp_path / "survey.qgz"))
    again = project.mapLayer(layer_id)
    bar = start(again)
    assert "2 of 4 reviewed" in bar._progress.text()
    assert bar.session.key == 3


def test_a_file_that_is_locked_or_full(layer, start, canvas, bar):
    import sqlite3

    review_bar = start(layer)
    file, table = storage.source_of(layer)
    with sqlite3.connect(file, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        press(canvas, "A")
        assert "Another program" in bar.currentItem().text()
        other.execute("ROLLBACK")
        other.execute(f"CREATE TRIGGER full BEFORE UPDATE ON {table} BEGIN SELECT RAISE(ABORT, 'full'); END")
    other.close()
    press(canvas, "R")
    assert "cannot be saved" in bar.currentItem().text()
    assert decisions(layer) == [None] * 4
    assert review_bar.session.key == 1


def test_a_narrow_bar_has_icons_and_hides_nothing(layer, start):
    bar = start(layer)
    bar.parentWidget().removeToolBar(bar)  # whose layout gives it the window's width
    button = bar.widgetForAction(bar._accept)
    bar.resize(3000, bar.height())
    bar._fit()
    needed = bar.sizeHint().width()
    for width, style in (
        (needed, Qt.ToolButtonStyle.ToolButtonTextBesideIcon),
        (needed - 1, Qt.ToolButtonStyle.ToolButtonIconOnly),
        (needed, Qt.ToolButtonStyle.ToolButtonTextBesideIcon),
    ):
        bar.resize(width, bar.height())
        bar._fit()
        assert button.toolButtonStyle() == style
        assert bar.sizeHint().width() <= width
    assert "Accept" in bar._accept.toolTip()


def test_no_button_moves_when_the_progress_is_told(layer, start, canvas):
    bar = start(layer)
    needed = bar.sizeHint().width()
    bar.resize(needed, bar.height())
    for key in "ALU":
        press(canvas, key)
        bar.layout().invalidate()
        assert bar.sizeHint().width() == needed


def test_nothing_to_review(review, bar, qgis_new_project):
    review.action.trigger()
    assert not review.action.isChecked()
    assert "no findings" in bar.currentItem().text()


def test_it_leaves_nothing_behind(layer, start, canvas, review, qgis_iface, qtbot):
    qtbot.waitUntil(
        lambda: not canvas.findChildren(QVariantAnimation), timeout=30_000
    )  # a flash of the test before
    items = len(canvas.scene().items())
    start(layer)
    review.action.trigger()
    qtbot.waitUntil(lambda: qgis_iface.mainWindow().findChild(ReviewBar) is None)
    qtbot.waitUntil(lambda: len(canvas.scene().items()) == items)  # a flash takes its time
    press(canvas, "A")
    assert decisions(layer) == [None] * 4


def test_a_layer_taken_off_the_map_ends_its_review(layer, start, canvas):
    bar = start(layer)
    QgsProject.instance().removeMapLayer(layer)
    assert bar._progress.text() == "No findings"
    press(canvas, "AN")


@pytest.fixture
def export(layer, start, canvas, bar, qtbot):
    def export(form, path, keys="AR"):
        review_bar = start(layer)
        press(canvas, keys)
        review_bar._exporting.export(form, path)
        qtbot.waitUntil(lambda: any("exported" in item.text().lower() for item in bar.items()))
        return bar.currentItem().text()

    return export


def test_export_says_what_it_leaves_out(export, tmp_path):
    text = export("geojson", tmp_path / "out.geojson")
    assert "1 finding exported" in text
    assert "1 rejected, 2 not reviewed" in text
    collection = json.loads((tmp_path / "out.geojson").read_text())
    (feature,) = collection["features"]
    assert feature["properties"]["reviewed_by"] == "Ada"
    assert "crs" not in collection  # RFC 7946
    # A polygon, or with a newer GDAL a multipolygon.
    assert 116 < ogr.CreateGeometryFromJson(json.dumps(feature["geometry"])).Centroid().GetX() < 118


def test_export_to_geopackage_with_the_run(export, tmp_path):
    from qgis.core import QgsVectorLayer

    export("gpkg", tmp_path / "out.gpkg")
    exported = QgsVectorLayer(f"{tmp_path}/out.gpkg|layername=findings", "x", "ogr")
    assert [feature["review"] for feature in exported.getFeatures()] == ["accepted"]
    assert QgsVectorLayer(f"{tmp_path}/out.gpkg|layername=runs", "runs", "ogr").featureCount() == 1


def test_export_to_coco_and_training_records(export, layer, bar, tmp_path, qtbot):
    export("coco", tmp_path / "out.json", "AA")
    coco = json.loads((tmp_path / "out.json").read_text())
    assert coco["images"] == [{"id": 1, "file_name": "harbour.tif", "width": 200, "height": 160}]
    boxes = [annotation["bbox"] for annotation in coco["annotations"]]
    assert boxes == [[6.0, 18.2, 4.0, 1.8], [12.0, 18.2, 4.0, 1.8]]

    layer.setCustomProperty(findings_layer.RUN_PROPERTY, json.dumps({**RUN, "area": AREA}))
    layer.repaintRequested.emit()
    bar.clearWidgets()
    exporting = next(child for child in bar.parent().findChildren(ReviewBar))._exporting
    exporting.export("training", tmp_path / "records")
    qtbot.waitUntil(lambda: bar.currentItem() is not None)
    assert "1 image. " in bar.currentItem().text()
    (line,) = (tmp_path / "records" / "records.jsonl").read_text().splitlines()
    record = json.loads(line)
    assert (tmp_path / "records" / record["image"]).is_file()


def test_an_export_that_fails_leaves_nothing(layer, start, canvas, bar, tmp_path, qtbot):
    layer.setCustomProperty(findings_layer.SCENE_PROPERTY, str(tmp_path / "gone.tif"))
    review_bar = start(layer)
    press(canvas, "A")
    review_bar._exporting.export("coco", tmp_path / "out.json")
    qtbot.waitUntil(lambda: bar.currentItem() is not None)
    assert "Not exported" in bar.currentItem().text()
    assert "gone.tif" in bar.currentItem().text()
    assert not (tmp_path / "out.json").exists()


def visible(layer) -> bool:
    return QgsProject.instance().layerTreeRoot().findLayer(layer.id()).itemVisibilityChecked()


@pytest.fixture
def three_runs(project, qtbot):  # noqa: F811
    made = []
    for number in range(3):
        layers = RunLayers({**RUN, "id": f"run-{number}", "targets": f"ship {number}"}, project, "")
        layers.add(Found((finding(number + 1, run=f"run-{number}"),)))
        with qtbot.waitSignal(layers.destroyed, timeout=20_000):
            layers.finish()
        made += [one for one in findings_layer.findings_layers(project) if one not in made]
    return made


def test_a_review_shows_its_run_alone_and_the_others_again_when_it_ends(three_runs, review, start):
    first, second, hidden = three_runs
    tree = QgsProject.instance().layerTreeRoot()
    tree.findLayer(hidden.id()).setItemVisibilityChecked(False)
    bar = start(first)
    assert "Detect ship 0" in bar._layers.currentText()
    assert "Detect ship 0" in bar._layers.toolTip()
    assert [visible(one) for one in three_runs] == [True, False, False]
    bar._layers.setCurrentIndex(bar._layers.findData(second.id()))
    bar._layers.activated.emit(bar._layers.currentIndex())
    assert [visible(one) for one in three_runs] == [False, True, False]
    review.close()
    assert [visible(one) for one in three_runs] == [True, True, False]  # what was hidden before stays so


def test_a_run_that_begins_during_a_review_is_shown_when_it_ends(three_runs, review, start, project, qtbot):  # noqa: F811
    start(three_runs[0])
    layers = RunLayers({**RUN, "id": "run-late"}, project, "")
    layers.add(Found((finding(9, run="run-late"),)))
    with qtbot.waitSignal(layers.destroyed, timeout=20_000):
        layers.finish()
    (late,) = (one for one in findings_layer.findings_layers(project) if one not in three_runs)
    assert not visible(late)
    review.close()
    assert visible(late)


def test_a_project_saved_in_mid_review_opens_with_all_its_runs(three_runs, review, start, project):  # noqa: F811
    start(three_runs[0])
    assert project.write()
    path = project.fileName()
    project.clear()
    assert project.read(path)
    assert [visible(one) for one in findings_layer.findings_layers(project)] == [True] * 3


@pytest.mark.parametrize(
    ("form", "name"), [("geojson", "x.json"), ("csv", "x.csv"), ("kml", "x.kml"), ("csv", "x.txt")]
)
def test_an_export_has_the_name_that_was_chosen(export, tmp_path, form, name):
    assert name in export(form, tmp_path / name)
    opened = ogr.Open(str(tmp_path / name)) if name != "x.txt" else None
    if opened is not None:
        assert opened.GetLayer(0).GetFeatureCount() == 1
    assert "Ada" in (tmp_path / name).read_text(encoding="utf-8-sig")
    assert not list(tmp_path.glob(".fusar-*"))


def test_the_next_export_begins_in_the_folder_of_the_last(export, tmp_path, qgis_iface):
    (tmp_path / "there").mkdir()
    export("csv", tmp_path / "there" / "x.csv")
    newest = qgis_iface.mainWindow().findChildren(ReviewBar)[-1]  # an older one may wait to be deleted
    exporting = newest._exporting
    exporting._actions["kml"].trigger()
    assert exporting._dialog.directory().absolutePath() == str(tmp_path / "there")
    exporting._drop_dialog()


def test_an_unwritable_target_says_why_and_replaces_nothing(layer, start, canvas, bar, tmp_path, qtbot):
    exporting = start(layer)._exporting
    press(canvas, "A")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    own = storage.source_of(layer)[0]
    for form, path, why in (
        ("csv", tmp_path / "none" / "x.csv", "does not exist"),
        ("csv", tmp_path / "full", "is a folder"),
        ("training", tmp_path / "full", "not an empty folder"),
        ("gpkg", own, "of this project is in"),
    ):
        bar.clearWidgets()
        exporting.export(form, path)
        assert why in bar.currentItem().text()
    assert (tmp_path / "full" / "mine.txt").read_text() == "mine"
    assert layer.featureCount() == 4


def test_look_closer_in_the_context_menu(project, qtbot, canvas, qgis_iface, looked):  # noqa: F811
    order = LayerRequest("harbour.tif", Task.LOCATE, ("ship",), area_crs="EPSG:32650")
    layers = RunLayers({**RUN, "task": "locate"}, project, "", order.to_json())
    layers.add(Found((finding(1, layer="grid", cell=4, hit=True, target="ship"),)))
    with qtbot.waitSignal(layers.destroyed):
        layers.finish()
    (grid,) = findings_layer.findings_layers(project)
    canvas.setDestinationCrs(grid.crs())
    canvas.setLayers([grid])
    canvas.setExtent(QgsRectangle(500000, 3999900, 500100, 4000100))
    closer = LookCloser(qgis_iface, lambda *asked: looked.append(asked), canvas)
    pixel = canvas.getCoordinateTransform().transform(500040, 3999904).toQPointF().toPoint()
    menu = QMenu()
    event = QgsMapMouseEvent(canvas, QEvent.Type.MouseButtonPress, pixel, Qt.MouseButton.RightButton)
    canvas.contextMenuAboutToShow.emit(menu, event)
    (action,) = [one for one in menu.actions() if "Look closer at cell 4" in one.text()]
    action.trigger()
    ((again, area, crs, target),) = looked
    assert (again, crs.authid(), target) == (order, "EPSG:32650", "ship")
    assert area.equals(next(grid.getFeatures()).geometry())
    closer.remove()
    assert isinstance(action, QAction)
