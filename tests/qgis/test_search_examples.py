# ruff: noqa: F811 - fixtures of another file
"""More like this, less like this: from the list, the table of findings and the map; the search that they refine."""

import os

import pytest
from conftest import ROOT, write_tiff
from osgeo import gdal
from qgis.core import QgsGeometry, QgsPointXY, QgsProject, QgsRasterLayer, QgsRectangle
from qgis.gui import QgsMapMouseEvent
from qgis.PyQt.QtCore import QEvent
from qgis.PyQt.QtWidgets import QAction, QMenu, QToolButton
from test_search_gui import asked, find, groups, page, says  # noqa: F401

from fusar_qgis.gui.areas import Area
from fusar_qgis.gui.search.panel import SearchPanel
from fusar_qgis.gui.search.query import Query, ShownExample
from fusar_qgis.layers.scene import crs_of, scene_of

BACKEND = os.environ.get("FUSAR_EXECUTABLE")  # read before a fixture hides it
LIKE, UNLIKE = "More like this", "Less like this"


def entry(menu, text):
    return next(action for action in menu.actions() if action.text() == text)


def select(page, row):
    page.view.selectionModel().select(
        page.model.index(row), page.view.selectionModel().SelectionFlag.ClearAndSelect
    )


def on_list(page, row, text, qtbot):
    """Choose an entry of the list's context menu, and wait for the places."""
    select(page, row)
    menu = QMenu()
    page.fill_menu(menu)
    entry(menu, text).trigger()
    qtbot.waitUntil(lambda: not page._search.is_busy)


def on_map(canvas, x, y) -> QMenu:
    """The map's context menu at a point."""
    canvas.setExtent(QgsRectangle(x - 250, y - 250, x + 250, y + 250))
    at = canvas.getCoordinateTransform().transform(x, y).toQPointF().toPoint()
    menu = QMenu()
    canvas.contextMenuAboutToShow.emit(menu, QgsMapMouseEvent(canvas, QEvent.Type.MouseButtonPress, at))
    return menu


def test_a_place_of_the_list_refines_the_search_and_its_group(page, find, standin, qtbot):
    find("ships")
    qtbot.waitUntil(lambda: page._shown_layer != "")
    on_list(page, 2, LIKE, qtbot)
    on_list(page, 5, UNLIKE, qtbot)
    order = asked(standin)[-1]
    assert order["texts"] == ["ships"]
    assert order["examples_crs"] == "EPSG:32650"
    assert [one["type"] for one in order["like"] + order["unlike"]] == ["MultiPolygon"] * 2
    assert order["like"][0]["coordinates"][0][0][0] == pytest.approx([500040, 3999900])
    assert page.labels.isVisibleTo(page)
    assert [one.label for one in page.labels.examples] == ["+ place 3", "- place 6"]
    qtbot.waitUntil(
        lambda: len(QgsProject.instance().mapLayers()) <= 3
    )  # the scene, the places, their heat map
    assert len(groups()) == 1


def test_a_refinement_waits_for_the_layers_that_it_replaces(page, find, standin, qtbot):
    find("ships")
    for row in (1, 2, 3):  # each before the layers of the one before are written
        on_list(page, row, LIKE, qtbot)
    last = page._waiting[0].run.id if page._waiting else page._shown_run
    qtbot.waitUntil(lambda: not page._arriving and page._waiting is None and page._shown_layer != "")
    assert page._shown_run == last
    qtbot.waitUntil(lambda: len(QgsProject.instance().mapLayers()) == 3)
    assert len(groups()) == 1


def test_a_label_that_is_taken_away_searches_again(page, find, standin, qtbot):
    find("ships")
    on_list(page, 0, LIKE, qtbot)
    (button,) = page.labels.findChildren(QToolButton)
    button.click()
    qtbot.waitUntil(lambda: len(asked(standin)) == 3 and not page._search.is_busy)
    assert "like" not in asked(standin)[-1] or not asked(standin)[-1]["like"]
    assert not page.labels.isVisibleTo(page)


def test_a_point_of_the_map_is_enough_for_a_search(plugin, page, standin, scene_layer, qgis_iface, qtbot):
    menu = on_map(qgis_iface.mapCanvas(), 500300.4, 3999700)
    entry(menu, LIKE).trigger()
    qtbot.waitUntil(lambda: page.model.rowCount() == 20)
    (order,) = asked(standin)
    assert order.get("texts", []) == []
    (like,) = order["like"]
    assert (like["type"], like["coordinates"]) == ("Point", pytest.approx([500300.4, 3999700]))
    assert [one.label for one in page.labels.examples] == ["+ point 500300, 3999700"]


def test_the_map_opens_the_page_that_was_never_open(plugin, standin, scene_layer, qgis_iface, qtbot):
    assert qgis_iface.mainWindow().findChild(SearchPanel) is None
    menu = on_map(qgis_iface.mapCanvas(), 500300, 3999700)
    entry(menu, LIKE).trigger()
    page = qgis_iface.mainWindow().findChild(SearchPanel)
    qtbot.waitUntil(lambda: page._shown_layer != "")
    assert page.model.rowCount() == 20


def test_a_map_without_a_radar_image_offers_nothing(plugin, qgis_iface, monkeypatch):
    monkeypatch.setattr(qgis_iface, "activeLayer", lambda: None)
    assert on_map(qgis_iface.mapCanvas(), 0, 0).actions() == []


def test_less_like_this_alone_is_no_search(plugin, page, standin, scene_layer, qgis_iface, qtbot):
    menu = on_map(qgis_iface.mapCanvas(), 500300, 3999700)
    entry(menu, UNLIKE).trigger()
    assert "Type what to find" in says(page)
    assert [one.label for one in page.labels.examples] == ["- point 500300, 3999700"]
    assert standin.searches == []


def test_the_same_example_changes_sides(page, find, qtbot):
    find("ships")
    on_list(page, 0, LIKE, qtbot)
    on_list(page, 0, UNLIKE, qtbot)
    assert [one.label for one in page.labels.examples] == ["- place 1"]


def test_an_example_of_another_scene_begins_a_search_of_that(
    page, find, standin, qgis_iface, tmp_path, qtbot
):
    find("ships")
    path = write_tiff(tmp_path / "elsewhere.tif")
    gdal.Open(str(path), gdal.GA_Update).SetGeoTransform((600000, 5, 0, 4000000, 0, -5))
    other = QgsRasterLayer(str(path), "elsewhere")
    QgsProject.instance().addMapLayer(other)
    qgis_iface.setActiveLayer(other)
    page.add_examples(
        [ShownExample("point", Area(QgsGeometry.fromPointXY(QgsPointXY(600100, 3999900)), other.crs()), True)]
    )
    qtbot.waitUntil(lambda: len(asked(standin)) == 2 and not page._search.is_busy)
    assert asked(standin)[-1]["scene"] == str(path)
    qtbot.waitUntil(lambda: len(groups()) == 2)


def test_what_is_listed_is_never_that_of_another_search(page, find, standin, qtbot):
    find("ships")
    assert find("refused") == 0
    assert page.interpret.isHidden()


def test_a_refinement_that_fails_leaves_the_places(page, find, standin, qtbot):
    find("ships")
    page.field.setText("refused")
    on_list(page, 0, LIKE, qtbot)
    assert page.model.rowCount() == 20
    assert page.notes.toPlainText() != ""


def test_a_refined_search_stays_in_its_area(page, find, standin, qgis_iface, qtbot):
    page.scope._look_in("view")
    find("ships")
    area = asked(standin)[0]["area"]
    page.view.clicked.emit(page.model.index(0))  # the map is elsewhere
    on_list(page, 0, LIKE, qtbot)
    assert asked(standin)[1]["area"] == area


def test_an_example_of_the_table_of_findings(plugin, page, find, standin, qgis_iface, qtbot):
    find("ships")
    qtbot.waitUntil(lambda: page._shown_layer != "")
    layer = QgsProject.instance().mapLayer(page._shown_layer)
    layer.selectByIds([next(layer.getFeatures()).id()])
    menu = QMenu()
    plugin._search._menus.fill(menu)
    entry(menu, LIKE).trigger()
    qtbot.waitUntil(lambda: len(asked(standin)) == 2 and not page._search.is_busy)
    assert len(asked(standin)[-1]["like"]) == 1


def test_examples_are_told_in_the_scene_s_crs(scene_layer):
    scene = scene_of(scene_layer)
    lonlat = Area(QgsGeometry.fromPointXY(QgsPointXY(117.005, 36.1375)), crs_of("EPSG:4326"))
    request = Query("", (ShownExample("point", lonlat, True),)).request(scene, "scene.tif")
    assert request.examples_crs == "EPSG:32650"
    assert request.like[0].coordinates == pytest.approx((500449.85, 3999199.4), abs=1)


def test_a_query_needs_something_to_find():
    place = ShownExample("place 1", Area(QgsGeometry(), crs_of("EPSG:4326")), False)
    assert Query("", (place,)).says_nothing
    assert not Query("ships", (place,)).says_nothing
    assert Query("", (place,)).title == "- place 1"


@pytest.mark.skipif(not BACKEND, reason="FUSAR_EXECUTABLE names no backend (make test-qgis does)")
def test_the_real_backend_finds_ships_and_what_is_like_a_place(
    plugin, bar, qgis_iface, qtbot, monkeypatch, tmp_path
):
    monkeypatch.setenv("FUSAR_EXECUTABLE", BACKEND)
    monkeypatch.setenv("FUSAR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", os.defpath)
    scene = QgsRasterLayer(str(ROOT / "backend/fusar_gpt/samples/harbour_simulated.tif"), "harbour")
    QgsProject.instance().addMapLayer(scene)
    qgis_iface.setActiveLayer(scene)
    qgis_iface.mainWindow().findChild(QAction, "FusarSearch").trigger()
    page = qgis_iface.mainWindow().findChild(SearchPanel)
    page.field.setText("ships at a dock")
    page.search()
    qtbot.waitUntil(lambda: not page._search.is_busy, timeout=120_000)
    assert page.model.rowCount() > 5, says(page)
    assert "demonstration" in page.notes.toPlainText()
    first = page.model.ground(0).outline
    page.field.clear()
    page.add_examples([ShownExample("place 1", page.model.ground(0), True)])
    qtbot.waitUntil(lambda: not page._search.is_busy, timeout=60_000)
    assert page.model.ground(0).outline.intersection(first).area() > 0.5 * first.area(), says(page)
    qtbot.waitUntil(lambda: not page._arriving)
