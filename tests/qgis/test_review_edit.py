"""Boxes changed under review by mouse and keys: geometry and columns together, signed, undone in place, kept whole."""

import json
import math
import sqlite3

import pytest
from conftest import write_tiff
from osgeo import gdal, osr
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsGeometry,
    QgsPointXY,
    QgsProject,
    QgsRectangle,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QEvent, QPoint, QPointF, Qt
from qgis.PyQt.QtGui import QMouseEvent
from qgis.PyQt.QtTest import QTest
from qgis.PyQt.QtWidgets import QApplication
from test_results import project, run  # noqa: F401 - fixtures
from test_review import canvas, looked, press, review, start  # noqa: F401 - fixtures

from fusar_qgis.core.oriented_box import OrientedBox
from fusar_qgis.layers import exports, findings_layer, report, storage
from fusar_qgis.layers.box_placing import BoxPlacing
from fusar_qgis.layers.features import BOX

FIRST = OrientedBox.upright(6, 18.2, 10, 20)
"""The box of the first finding of ``layer``, in scene pixels of 5 m."""
SHIFT = Qt.KeyboardModifier.ShiftModifier


@pytest.fixture
def bar(bar):
    yield bar
    QApplication.processEvents()


@pytest.fixture
def close_up(canvas, qgis_iface, qtbot):  # noqa: F811
    """Show the first findings at 25 screen pixels to a scene pixel; only a map that is shown has its size."""
    for widget in (qgis_iface.mainWindow(), canvas):
        widget.show()
    qtbot.waitUntil(lambda: canvas.mapSettings().outputSize().width() > 500)
    canvas.setExtent(QgsRectangle(500000, 3999850, 500120, 3999950))
    yield
    qgis_iface.mainWindow().hide()


@pytest.fixture
def mouse(canvas, close_up):  # noqa: F811
    """Drag from one place to another, both in scene pixels and off by screen pixels, and let go unless told not to."""
    viewport, left = canvas.viewport(), Qt.MouseButton.LeftButton

    def move(to, keys):
        event = QMouseEvent(QEvent.Type.MouseMove, QPointF(to), Qt.MouseButton.NoButton, left, keys)
        QApplication.sendEvent(viewport, event)

    def drag(begin, end, keys=Qt.KeyboardModifier.NoModifier, *, off=(0, 0), let_go=True):
        begin, end = on_canvas(canvas, begin) + QPoint(*off), on_canvas(canvas, end)
        QTest.mousePress(viewport, left, keys, begin)
        for part in (0.5, 1.0):
            move(begin + (end - begin) * part, keys)
        if let_go:
            QTest.mouseRelease(viewport, left, keys, end)

    return drag


def on_canvas(canvas, pixel) -> QPoint:  # noqa: F811
    x, y = 500000 + 5 * pixel[0], 4000000 - 5 * pixel[1]
    return canvas.getCoordinateTransform().transform(QgsPointXY(x, y)).toQPointF().toPoint()


def row(layer, key=1) -> dict:
    feature = layer.getFeature(key)
    values = dict(zip(feature.fields().names(), feature.attributes(), strict=True))
    return {name: None if value is None or value == None else value for name, value in values.items()} | {  # noqa: E711 - NULL
        "geometry": feature.geometry().asWkt(3)
    }


def edges(layer, key=1) -> list[float]:
    return [layer.getFeature(key)[name] for name in BOX]


def test_a_corner_is_dragged_and_one_undo_puts_everything_back_where_the_map_is(layer, start, canvas, mouse):  # noqa: F811
    bar = start(layer)
    before, view = row(layer), canvas.extent()
    mouse((10, 20), (13, 22))
    near = canvas.mapUnitsPerPixel() / 5 + 1e-6
    assert edges(layer) == pytest.approx([6, 18.2, 13, 22], abs=near)
    feature = layer.getFeature(1)
    bounds = feature.geometry().boundingBox()
    assert (bounds.xMinimum(), bounds.yMaximum()) == pytest.approx((500030, 3999909), abs=1e-3)
    assert (bounds.xMaximum(), bounds.yMinimum()) == pytest.approx((500065, 3999890), abs=5 * near)
    assert feature["length_m"] == pytest.approx(35, abs=0.2 + 5 * near)
    assert feature["width_m"] == pytest.approx(19, abs=0.2 + 5 * near)
    assert json.loads(feature["model_box"]) == [6, 18.2, 10, 20]
    assert (feature["review"], feature["reviewed_by"], feature["label"]) == ("accepted", "Ada", "ship")
    assert bar._progress.text() == "1 of 4 reviewed · accepted, box changed"
    assert (bar.session.key, canvas.extent()) == (1, view)
    QTest.keyClick(canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert row(layer) == before
    assert (bar.session.key, canvas.extent()) == (1, view)
    assert not bar._undo.isEnabled()


def test_a_second_change_keeps_the_models_own_box(layer, start, canvas, mouse):  # noqa: F811
    start(layer)
    mouse((10, 20), (13, 22))
    once = row(layer)
    mouse((6, 20.1), (5, 20.1))  # the left edge
    assert edges(layer)[0] == pytest.approx(5, abs=0.1)
    assert json.loads(layer.getFeature(1)["model_box"]) == [6, 18.2, 10, 20]
    press(canvas, "U")
    assert row(layer) == once


def test_the_inside_moves_it_and_never_off_the_scene(layer, start, canvas, mouse):  # noqa: F811
    start(layer)
    mouse((8, 19), (11, 20))
    assert edges(layer) == pytest.approx([9, 19.2, 13, 21], abs=0.1)
    mouse((11, 20), (-40, -40))
    assert edges(layer) == pytest.approx([0, 0, 4, 1.8], abs=1e-6)


def test_the_knob_turns_it_and_shift_by_steps(layer, start, canvas, mouse):  # noqa: F811
    start(layer)
    mouse((8, 18.2), (9.4, 16.5), SHIFT, off=(0, -28))
    box = BoxPlacing(layer).box_of(layer.getFeature(1).geometry())
    steps = math.degrees(box.angle) / 15
    assert steps == pytest.approx(round(steps), abs=1e-3)
    assert steps > 1.5
    assert (box.width, box.height) == pytest.approx((4, 1.8), abs=1e-3)
    assert edges(layer) == pytest.approx(box.bounds, abs=1e-3)
    assert layer.getFeature(1)["length_m"] == pytest.approx(20, rel=0.01)
    assert len(layer.getFeature(1).geometry().asMultiPolygon()[0][0]) == 5  # the outline is the turned box


def test_escape_gives_a_drag_up(layer, start, canvas, mouse):  # noqa: F811
    bar = start(layer)
    before = row(layer)
    mouse((10, 20), (13, 22), let_go=False)
    QTest.keyClick(canvas, Qt.Key.Key_Escape)
    mouse((13, 22), (15, 25))  # the button is let go of somewhere
    assert row(layer) == before
    assert not bar._undo.isEnabled()


def test_arrow_keys_move_by_a_pixel_and_are_one_step_together(layer, start, canvas, qtbot):  # noqa: F811
    bar = start(layer)
    before = row(layer)
    for key in (Qt.Key.Key_Right, Qt.Key.Key_Right, Qt.Key.Key_Down):
        QTest.keyClick(canvas, key)
    assert row(layer) == before  # not before the hand rests
    qtbot.waitUntil(bar._undo.isEnabled)
    assert edges(layer) == pytest.approx([8, 19.2, 12, 21])
    press(canvas, "U")
    assert row(layer) == before
    QTest.keyClick(canvas, Qt.Key.Key_Left)
    press(canvas, "A")  # what was moved is kept before it is decided on
    assert edges(layer) == pytest.approx([5, 18.2, 9, 20])
    assert bar.session.key == 2


def test_undo_of_another_findings_box_stays_at_this_one(layer, start, canvas, mouse):  # noqa: F811
    bar = start(layer)
    mouse((10, 20), (13, 22))
    press(canvas, "N")
    view = canvas.extent()
    press(canvas, "U")
    assert edges(layer) == pytest.approx([6, 18.2, 10, 20])
    assert (bar.session.key, canvas.extent()) == (2, view)


def test_a_file_that_takes_no_columns_keeps_the_outline_too(layer, start, canvas, mouse, bar):  # noqa: F811
    review_bar = start(layer)
    before = row(layer)
    file, table = storage.source_of(layer)
    with sqlite3.connect(file, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        mouse((10, 20), (13, 22))
        assert "Another program" in bar.currentItem().text()
        other.execute("ROLLBACK")
        other.execute(
            f"CREATE TRIGGER full BEFORE UPDATE OF model_box ON {table} BEGIN SELECT RAISE(ABORT, 'full'); END"
        )
    other.close()
    mouse((10, 20), (13, 22))
    assert "cannot be saved" in bar.currentItem().text()
    assert row(layer) == before
    assert review_bar.session.tool._shown is None
    assert review_bar.session.tool._box.bounds == pytest.approx(FIRST.bounds, abs=1e-6)  # it jumps back


def test_a_layer_that_is_edited_in_qgis_takes_it_too(layer, start, canvas, mouse):  # noqa: F811
    bar = start(layer)
    before = row(layer)
    layer.startEditing()
    mouse((10, 20), (13, 22))
    assert edges(layer)[2:] == pytest.approx([13, 22], abs=0.1)
    assert layer.undoStack().count() == 1  # columns and outline together
    press(canvas, "U")
    assert row(layer) == before
    layer.changeAttributeValue(2, layer.fields().indexOf("review"), "rejected")
    layer.commitChanges()
    assert bar._progress.text() == "1 of 4 reviewed"


def test_what_was_added_stays_added_and_has_no_box_of_the_model(layer, start, canvas, mouse):  # noqa: F811
    bar = start(layer)
    press(canvas, "+")
    mouse((12, 22), (16, 24))
    (added,) = [one for one in layer.getFeatures() if one["review"] == "added"]
    assert edges(layer, added.id()) == pytest.approx([12, 22, 16, 24], abs=0.1)
    assert canvas.mapTool() is bar.session.tool  # the handles are back
    mouse(edges(layer, added.id())[2:], (18, 24))
    feature = layer.getFeature(added.id())
    assert feature["box_right"] == pytest.approx(18, abs=0.1)
    assert feature["review"] == "added"
    assert not feature["model_box"]


def test_a_click_on_another_finding_goes_there(layer, start, canvas, mouse):  # noqa: F811
    bar = start(layer)
    mouse((14, 19), (14, 19))
    assert bar.session.key == 2


def test_boxes_can_be_changed_after_the_project_is_opened_again(layer, start, canvas, mouse, tmp_path):  # noqa: F811
    start(layer)
    mouse((10, 20), (13, 22))
    changed, layer_id = edges(layer), layer.id()
    project = QgsProject.instance()  # noqa: F811
    assert project.write()
    project.clear()
    assert project.read(str(tmp_path / "survey.qgz"))
    again = project.mapLayer(layer_id)
    bar = start(again)
    assert edges(again) == changed
    while bar.session.key != 1:
        press(canvas, "N")
    mouse((changed[2], changed[3]), (14, 23))
    assert edges(again) == pytest.approx([6, 18.2, 14, 23], abs=0.2)


def test_without_its_scene_the_button_says_why(layer, start, tmp_path):  # noqa: F811
    layer.setCustomProperty(findings_layer.SCENE_PROPERTY, str(tmp_path / "gone.tif"))
    bar = start(layer)
    assert not bar._edit.isEnabled()
    assert "gone.tif" in bar._edit.toolTip()
    assert "scene of the run" in bar._edit.toolTip()


def test_the_map_has_its_tool_back_at_the_end(layer, start, canvas, review):  # noqa: F811
    before = canvas.mapTool()
    start(layer)
    assert canvas.mapTool() is not before
    review.close()
    assert canvas.mapTool() is before


def test_exports_carry_the_changed_box(layer, start, canvas, mouse, bar, tmp_path, qtbot):  # noqa: F811
    review_bar = start(layer)
    mouse((10, 20), (13, 22))
    changed = edges(layer)
    for form, name in (("coco", "x.json"), ("geojson", "x.geojson")):
        bar.clearWidgets()
        review_bar._exporting.export(form, tmp_path / name)
        qtbot.waitUntil(lambda: bar.currentItem() is not None)
    (annotation,) = json.loads((tmp_path / "x.json").read_text())["annotations"]
    x, y, width, height = annotation["bbox"]
    assert (x, y, x + width, y + height) == pytest.approx(changed, abs=0.002)
    (feature,) = json.loads((tmp_path / "x.geojson").read_text())["features"]
    assert feature["properties"]["model_box"] == [6, 18.2, 10, 20]  # GDAL writes it as what it is
    assert feature["properties"]["box_right"] == pytest.approx(changed[2])


def test_a_turned_box_in_coco_and_in_the_report(layer, start, canvas, mouse, tmp_path):  # noqa: F811
    start(layer)
    mouse((8, 18.2), (9.4, 16.5), SHIFT, off=(0, -28))
    taken = exports.snapshot(layer, QgsProject.instance().transformContext(), unreviewed_too=True)
    exports.write(taken, "coco", tmp_path / "x.json")
    turned, upright = json.loads((tmp_path / "x.json").read_text())["annotations"][:2]
    (ring,) = turned["segmentation"]
    xs, ys = ring[::2], ring[1::2]
    assert (min(xs), min(ys), max(xs), max(ys)) == pytest.approx(edges(layer), abs=0.002)
    assert len(ring) == 8
    assert "segmentation" not in upright
    (card,) = [
        lines for _, lines in report.gather(taken, lambda *_: None).cards if "Confidence 0.90" in lines
    ]
    assert "accepted, box changed · Ada" in card


def _placed(path, kind) -> None:
    """Place a raster by a turned geotransform, or by control points of a curved swath."""
    dataset = gdal.Open(str(path), gdal.GA_Update)
    if kind == "turned":
        dataset.SetGeoTransform((500000, 4, 2.5, 4000000, 2.2, -4.4))
        return
    points = []
    for col in range(0, 201, 50):
        for line in range(0, 161, 40):
            lon = 117 + col * 5e-5 + line * 1e-5 + (col * line) * 2e-9 + col**2 * 1e-9
            lat = 36.1 - line * 4e-5 + col * 8e-6 - line**2 * 2e-9
            points.append(gdal.GCP(lon, lat, 0, col, line))
    wgs84 = osr.SpatialReference()
    wgs84.ImportFromEPSG(4326)
    dataset.SetGCPs(points, wgs84.ExportToWkt())


@pytest.mark.parametrize("kind", ["plain", "turned", "control points"])
@pytest.mark.parametrize("crs", ["EPSG:32650", "EPSG:4326", "EPSG:3857"])
@pytest.mark.parametrize("angle", [0, 20, -40])
def test_a_box_comes_back_from_any_scene_in_any_crs(qgis_new_project, tmp_path, kind, crs, angle):
    path = write_tiff(tmp_path / "scene.tif", epsg=None if kind == "control points" else 32650)
    if kind != "plain":
        _placed(path, kind)
    layer = QgsVectorLayer(f"MultiPolygon?crs={crs}", "x", "memory")
    layer.setCustomProperty(findings_layer.SCENE_PROPERTY, str(path))
    placing = BoxPlacing(layer)
    box = OrientedBox(90, 70, 30, 9, math.radians(angle))
    outline = placing.geometry_of(box)
    back = placing.box_of(outline)
    assert (back.x, back.y, back.width, back.height) == pytest.approx((90, 70, 30, 9), abs=0.02)
    assert math.degrees(back.angle) == pytest.approx(angle, abs=0.05)
    columns = placing.columns(box)
    assert [columns[name] for name in BOX] == pytest.approx(box.bounds)
    wgs84 = QgsCoordinateReferenceSystem("EPSG:4326")
    (centre,) = placing.to_map([(90, 70)], wgs84)
    assert (columns["lon"], columns["lat"]) == pytest.approx((centre.x(), centre.y()))
    assert placing.to_pixel(centre, wgs84) == pytest.approx((90, 70), abs=1e-4)


def test_pixels_counted_from_a_part_of_the_scene_stay_so(layer):
    placing, fields = BoxPlacing(layer), layer.fields()
    before = layer.getFeature(1)
    for name in BOX:
        before[fields.indexOf(name)] = before[name] + (100 if name in ("box_left", "box_right") else 50)
    columns = placing.columns(FIRST.moved(2, 3), before)
    assert [columns[name] for name in BOX] == pytest.approx([108, 71.2, 112, 73])


def test_an_outline_across_the_antimeridian_is_in_two_parts(qgis_new_project, tmp_path):
    path = write_tiff(tmp_path / "scene.tif", epsg=3832)  # its middle meridian is 150 degrees east
    dataset = gdal.Open(str(path), gdal.GA_Update)
    dataset.SetGeoTransform((3339000, 5, 0, 1000, 0, -5))  # 30 degrees further
    del dataset
    layer = QgsVectorLayer("MultiPolygon?crs=EPSG:4326", "x", "memory")
    layer.setCustomProperty(findings_layer.SCENE_PROPERTY, str(path))
    placing = BoxPlacing(layer)
    box = OrientedBox.upright(60, 60, 160, 100)
    outline = placing.geometry_of(box)
    assert len(outline.asMultiPolygon()) == 2
    assert outline.area() < 1e-4
    assert isinstance(outline, QgsGeometry)
    assert placing.box_of(outline).bounds == pytest.approx(box.bounds, abs=0.05)


def test_beside_the_box_the_map_is_moved(layer, start, canvas, mouse):  # noqa: F811
    bar = start(layer)
    before, view = row(layer), canvas.extent()
    mouse((2, 26), (5, 24))
    moved = canvas.extent()
    assert moved.xMinimum() == pytest.approx(view.xMinimum() - 15, abs=1)
    assert moved.yMinimum() == pytest.approx(view.yMinimum() - 10, abs=1)
    assert moved.width() == pytest.approx(view.width())
    assert (row(layer), bar.session.key) == (before, 1)
