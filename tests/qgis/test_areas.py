"""Every way to an area leads to the question about it; where there is none, one line says what to do."""

import pytest
from conftest import write_tiff
from qgis.core import QgsFeature, QgsGeometry, QgsProject, QgsRasterLayer, QgsRectangle, QgsVectorLayer
from qgis.PyQt.QtCore import QPoint, Qt
from qgis.PyQt.QtTest import QTest
from qgis.PyQt.QtWidgets import QMenu, QToolBar

from fusar_qgis.gui.area_tool import PolygonTool
from fusar_qgis.gui.areas import Area, AreaError, ground_m2, selected_area, view_area
from fusar_qgis.gui.request_dialog import RequestDialog

LEFT, RIGHT = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton


@pytest.fixture
def asked(standin, scene_layer, action, qgis_iface):
    """Press an entry of the menu; what the question is about: name of the scene, outline, CRS."""

    def asked(name=""):
        if name:
            entry(qgis_iface, name).trigger()
        dialog = qgis_iface.mainWindow().findChild(RequestDialog)
        if dialog is None or not dialog.isVisible():
            return None
        return dialog.scene.name, dialog._area, dialog._area_crs

    yield asked
    qgis_iface.mapCanvas().setRotation(0)


def entry(iface, name):
    return next(each for each in entries(iface) if each.objectName() == name)


def entries(iface):
    return iface.mainWindow().findChild(QMenu, "FusarAreaMenu").actions()


def ring(area):
    return area["coordinates"][0]


def polygon_layer(*boxes, crs="EPSG:32650", name="boxes"):
    layer = QgsVectorLayer(f"Polygon?crs={crs}", name, "memory")
    for box in boxes:
        feature = QgsFeature()
        feature.setGeometry(QgsGeometry.fromRect(QgsRectangle(*box)))
        layer.dataProvider().addFeature(feature)
    QgsProject.instance().addMapLayer(layer)
    return layer


def test_the_button_has_a_menu_with_every_way(action, qgis_iface):
    texts = [each.text().replace("&", "") for each in entries(qgis_iface)]
    assert texts == ["Draw a Rectangle", "Draw a Polygon", "Current View", "Selected Features", "Whole Layer"]
    button = qgis_iface.mainWindow().findChild(QToolBar, "FusarToolBar").widgetForAction(action)
    assert button.menu().actions() == entries(qgis_iface)
    assert all("&" in each.text() for each in entries(qgis_iface))
    assert not any(each.icon().isNull() for each in entries(qgis_iface))


def test_the_whole_layer(asked, scene_layer):
    name, area, crs = asked("FusarInterpretLayer")
    assert (name, crs) == ("harbour", "EPSG:32650")
    outline = {(round(x, 6), round(y, 6)) for x, y in ring(area)}
    assert outline == {(500000, 4000000), (501000, 4000000), (501000, 3999200), (500000, 3999200)}


def test_the_view_is_turned_as_the_map_is(asked, qgis_iface):
    canvas = qgis_iface.mapCanvas()
    canvas.setRotation(30)
    _, area, _ = asked("FusarInterpretView")
    assert len({round(x) for x, _ in ring(area)[:4]}) == 4
    seen = view_area(canvas).outline
    size = canvas.mapSettings().outputSize()
    assert seen.area() == pytest.approx(
        size.width() * size.height() * canvas.mapUnitsPerPixel() ** 2, rel=0.01
    )


def test_selected_features_of_another_crs(asked, qgis_iface, bar):
    layer = polygon_layer(
        (117.001, 36.143, 117.002, 36.144), (117.003, 36.143, 117.004, 36.144), crs="EPSG:4326"
    )
    layer.selectAll()
    qgis_iface.setActiveLayer(layer)
    name, area, crs = asked("FusarInterpretSelected")
    assert (name, crs, area["type"]) == ("harbour", "EPSG:4326", "MultiPolygon")
    assert "“boxes” is not a SAR layer, so “harbour” is interpreted." in [item.text() for item in bar.items()]


def test_the_scene_used_last_is_meant_when_a_vector_layer_is_active(asked, qgis_iface, scene_layer, tmp_path):
    assert asked("FusarInterpretLayer")[0] == "harbour"
    other = QgsRasterLayer(str(write_tiff(tmp_path / "other.tif")), "other")
    QgsProject.instance().addMapLayer(other)  # above it
    qgis_iface.setActiveLayer(polygon_layer())
    assert asked("FusarInterpretLayer")[0] == "harbour"
    QgsProject.instance().layerTreeRoot().findLayer(scene_layer).setItemVisibilityChecked(False)
    assert asked("FusarInterpretLayer")[0] == "other"


def test_without_a_selection_there_is_no_area(asked, bar, qgis_iface):
    assert asked("FusarInterpretSelected") is None
    assert "No polygon is selected" in bar.currentItem().text()
    layer = polygon_layer((0, 0, 1, 1), crs="")
    layer.selectAll()
    with pytest.raises(AreaError, match="has no CRS"):
        selected_area(layer)


def click(canvas, x, y, button=LEFT):
    QTest.mouseClick(canvas.viewport(), button, pos=QPoint(x, y))


CORNERS = (40, 5), (60, 8), (55, 20), (42, 18)


@pytest.mark.parametrize("end", ["right click", "Enter"])
def test_a_polygon_is_clicked_corner_by_corner(asked, qgis_iface, end):
    canvas = qgis_iface.mapCanvas()
    entry(qgis_iface, "FusarInterpretPolygon").trigger()
    assert isinstance(canvas.mapTool(), PolygonTool)
    assert entry(qgis_iface, "FusarInterpretPolygon").isChecked()
    for corner in (*CORNERS, (5, 5)):
        click(canvas, *corner)
    QTest.keyClick(canvas, Qt.Key.Key_Backspace)
    if end == "Enter":
        QTest.keyClick(canvas, Qt.Key.Key_Return)
    else:
        click(canvas, 70, 25, RIGHT)
    _, area, _ = asked()
    assert len(ring(area)) == len(CORNERS) + 1
    expected = canvas.getCoordinateTransform().toMapCoordinates(*CORNERS[2])
    assert ring(area)[2] == pytest.approx([expected.x(), expected.y()])


def test_what_is_no_polygon_yet_does_not_end(asked, qgis_iface):
    canvas = qgis_iface.mapCanvas()
    entry(qgis_iface, "FusarInterpretPolygon").trigger()
    messages = []
    canvas.mapTool().messageEmitted.connect(lambda text, _: messages.append(text))
    click(canvas, 40, 5)
    click(canvas, 60, 8)
    click(canvas, 70, 25, RIGHT)
    assert asked() is None
    QTest.keyClick(canvas, Qt.Key.Key_Escape)
    for corner in ((40, 5), (60, 20), (60, 5), (40, 20)):
        click(canvas, *corner)
    click(canvas, 70, 25, RIGHT)
    assert asked() is None
    assert "crosses itself" in messages[-1]
    QTest.keyClick(canvas, Qt.Key.Key_Backspace)
    click(canvas, 70, 25, RIGHT)
    assert len(ring(asked()[1])) == 4


def test_ground_is_measured_whatever_the_crs(scene_layer):
    square = QgsGeometry.fromRect(QgsRectangle(500000, 4000000, 501000, 4001000))
    assert ground_m2(Area(square, scene_layer.crs())) == pytest.approx(1e6, rel=2e-3)
