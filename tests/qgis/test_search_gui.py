"""The search page: words, Enter, an index that is announced, ranked places; what goes wrong is said in place."""

from collections.abc import Iterator

import pytest
from layout_flaws import flaws_of, settle
from qgis.core import QgsCoordinateReferenceSystem, QgsProject, QgsRectangle
from qgis.PyQt.QtCore import QCoreApplication, Qt
from qgis.PyQt.QtTest import QTest
from qgis.PyQt.QtWidgets import QAction
from standin_search import SLICES, UNKNOWN

from fusar_qgis.contract import SEARCH_NOW, SEARCH_PLAN
from fusar_qgis.gui.request_dialog import RequestDialog
from fusar_qgis.gui.search.panel import SearchPanel
from fusar_qgis.gui.search.places import percent_text
from fusar_qgis.gui.search.query import ShownExample
from fusar_qgis.gui.search.scene_search import about


@pytest.fixture
def page(plugin, standin, scene_layer, qgis_iface, qtbot) -> Iterator[SearchPanel]:
    """The page, opened by its action beside a scene."""
    qgis_iface.mainWindow().findChild(QAction, "FusarSearch").trigger()
    page = qgis_iface.mainWindow().findChild(SearchPanel)
    page.resize(300, 700)
    yield page
    qtbot.waitUntil(lambda: not page._arriving)  # layers that arrive as QGIS ends crash it


@pytest.fixture
def find(page, qtbot):
    """Type words, press Enter, and wait for the places."""

    def find(text):
        type_words(page, text)
        qtbot.waitUntil(lambda: not page._search.is_busy)
        return page.model.rowCount()

    return find


def type_words(page, text):
    page.field.setText(text)
    QTest.keyClick(page.field, Qt.Key.Key_Return)


def says(page) -> str:
    return page.status.toPlainText()


def groups() -> list[str]:
    return [group.name() for group in QgsProject.instance().layerTreeRoot().findGroups()]


def asked(standin, path=SEARCH_NOW) -> list[dict]:
    return [order for where, order in standin.searches if where == path]


def test_words_and_enter_bring_ranked_places(page, find, standin, scene_path):
    assert "press Enter" in says(page)
    assert find("ships at a dock") == 20
    (order,) = asked(standin)
    assert (order["texts"], order["scene"], order["top"]) == (["ships at a dock"], str(scene_path), 20)
    assert "area" not in order
    assert says(page) == "20 places, the best first. Scene: “harbour”"
    first = page.model.data(page.model.index(0), Qt.ItemDataRole.DisplayRole)
    assert first == "Place 1\nmore like it than 99.96 % of the scene"
    assert page.interpret.text() == "Interpret these 20 places…"


def test_pictures_come_of_the_places_that_are_seen(page, find, qtbot):
    find("ships")
    first = page.model.index(0)
    with qtbot.waitSignal(page.model.pictures.arrived):
        assert page.model.data(first, Qt.ItemDataRole.DecorationRole) is page.model._blank
    picture = page.model.data(first, Qt.ItemDataRole.DecorationRole)
    assert max(picture.width(), picture.height()) == 64


def test_the_places_are_a_group_of_the_project_and_each_search_has_its_own(page, find, qtbot):
    find("ships")
    qtbot.waitUntil(lambda: any(name.startswith("ships") for name in groups()))
    find("farmland")
    qtbot.waitUntil(lambda: any(name.startswith("farmland") for name in groups()))
    assert len(groups()) == 2


def test_a_click_shows_the_place_on_the_map(page, find, qgis_iface):
    find("ships")
    canvas = qgis_iface.mapCanvas()
    before = canvas.extent()
    page.view.clicked.emit(page.model.index(3))
    place = QgsRectangle(500060, 3999900, 500160, 4000000)
    assert canvas.extent().contains(place)
    assert canvas.extent().height() == 3 * place.height() < before.height()


def test_a_short_index_begins_at_once_and_says_how_much_it_is(page, standin, qtbot):
    standin.pause_s = 0.05
    told = []
    page._search.told.connect(told.append)
    type_words(page, "ships")
    qtbot.waitUntil(lambda: page.model.rowCount() == 20)
    first = "This scene is indexed first: 12,300 slices, about 3 seconds. It is kept for the next time."
    assert first in told
    assert any(text.startswith("Indexing: ") and "of 12,300 slices" in text for text in told)


def test_a_long_index_waits_for_the_analyst(page, standin, qtbot):
    type_words(page, "a large scene")
    qtbot.waitUntil(lambda: page._start.isVisibleTo(page))
    assert says(page).startswith(f"This scene is indexed first: {SLICES:,} slices, about 2 minutes.")
    assert asked(standin) == []
    page._start.click()
    qtbot.waitUntil(lambda: page.model.rowCount() == 20)
    assert len(asked(standin)) == 1


def test_enter_says_yes_too_but_other_words_are_another_search(page, standin, qtbot):
    type_words(page, "a large scene")
    qtbot.waitUntil(lambda: page._start.isVisibleTo(page))
    type_words(page, "large ships")
    qtbot.waitUntil(lambda: len(asked(standin, SEARCH_PLAN)) == 2)
    assert asked(standin) == []
    qtbot.waitUntil(lambda: page._start.isVisibleTo(page))
    QTest.keyClick(page.field, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: page.model.rowCount() == 20)
    assert asked(standin)[0]["texts"] == ["large ships"]


def test_a_question_is_not_answered_for_another_place(page, standin, qtbot):
    type_words(page, "a large scene")
    qtbot.waitUntil(lambda: page._is_asking)
    page.scope._look_in("view")
    assert not page._is_asking
    assert says(page) == "Press Enter to search like this."
    assert asked(standin) == []


def test_a_scene_that_leaves_the_project_meanwhile_is_told(page, standin, scene_layer, qtbot):
    standin.pause_s = 0.05
    type_words(page, "ships")
    qtbot.waitUntil(lambda: "Indexing" in says(page))
    QgsProject.instance().removeMapLayer(scene_layer.id())
    qtbot.waitUntil(lambda: not page._search.is_busy)
    assert says(page) == "The layer “harbour” is no longer in the project. Add it, then search again."


def test_the_second_search_of_a_scene_is_answered_at_once(page, find, standin):
    find("ships")
    find("farmland")
    assert [order["texts"] for order in asked(standin)] == [["ships"], ["farmland"]]
    assert len(standin.orders) == 1  # jobs


def test_a_scene_that_must_be_sent_is_sent_once(page, find, standin, scene_layer, qtbot):
    scene_layer.setCrs(QgsCoordinateReferenceSystem("EPSG:32651"))  # which its file does not say
    find("ships")
    find("farmland")
    first, second = asked(standin)
    assert first["scene"] == second["scene"]
    assert first["scene"].startswith("scene:")
    assert len(standin.scene_names) == 1
    with qtbot.waitSignal(
        page.model.pictures.arrived
    ):  # by where the places are: their pixels are of the part sent
        page.model.data(page.model.index(1), Qt.ItemDataRole.DecorationRole)
    assert page.model._boxes[1].left == pytest.approx(4, abs=0.1)


def test_stop_ends_the_job_and_says_what_is_kept(page, standin, qtbot):
    type_words(page, "endless")
    qtbot.waitUntil(lambda: "Indexing" in says(page))
    page._stop.click()
    qtbot.waitUntil(standin.dismissed.is_set)
    assert says(page) == "Stopped. What is indexed by now is kept; press Enter to go on."
    assert page.model.rowCount() == 0
    assert page._stop.isHidden()


def test_a_new_search_takes_the_place_of_the_one_under_way(page, find, standin, qtbot):
    type_words(page, "endless")
    qtbot.waitUntil(lambda: "Indexing" in says(page))
    page.field.setText("ships")
    page.search()
    qtbot.waitUntil(standin.dismissed.is_set)
    standin.dismissed.clear()
    qtbot.waitUntil(lambda: page.model.rowCount() == 20)
    assert page._query.text == "ships"


def test_nothing_is_cut_off_in_a_narrow_panel(page, find, qtbot):
    find("ships at a refinery")
    page.add_examples([ShownExample(f"place {n}", page.model.ground(n), n % 2 == 0) for n in range(5)])
    qtbot.waitUntil(lambda: not page._search.is_busy)
    page.setParent(None)
    page.resize(300, 600)
    page.show()
    settle()
    assert page.width() == 300
    assert flaws_of(page) == []


def test_notes_stand_above_the_places(page, find):
    find("ships at a refinery")
    notes = page.notes.toPlainText()
    assert UNKNOWN in notes
    assert "demonstration" in notes
    assert not page.notes.isHidden()


def test_the_field_says_what_the_encoder_knows(page, find):
    find("ships")
    assert "ships, dock, river, 港, 口" in page.field.toolTip()
    assert "demonstration" in page.field.toolTip()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("  ", "Type what to find and press Enter."),
        ("refused", "None of these words"),
        ("failing", "The disk is full: free some space on it."),
        ("nowhere", "No place was found."),
    ],
)
def test_what_goes_wrong_is_said_in_place(page, find, bar, text, said):
    assert find(text) == 0
    assert said.lower() in says(page).lower()
    assert page._stop.isHidden()
    assert bar.items() == []


def test_without_a_scene_it_says_what_to_open(page, find, qgis_iface, monkeypatch):
    monkeypatch.setattr(qgis_iface, "activeLayer", lambda: None)
    QgsProject.instance().removeAllMapLayers()
    find("ships")
    assert says(page) == "No layer is active. Select a SAR layer in the Layers panel, then try again."


def test_a_backend_that_does_not_search_says_so(page, find, standin):
    del standin.info["encoders"]
    find("ships")
    assert says(page) == "This backend cannot search yet. Update it in the FUSAR-GPT options."


def test_no_backend_at_all_is_said_in_the_page(page, find, standin, bar):
    standin.token = "another"
    find("ships")
    assert "does not accept the token" in says(page)
    assert bar.items() == []


def test_only_the_view_is_searched_where_the_menu_says_so(page, find, standin, qgis_iface):
    canvas = qgis_iface.mapCanvas()
    canvas.setExtent(QgsRectangle(500200, 3999500, 500400, 3999700))
    page.field.setText("ships")
    page.scope._look_in("view")
    assert says(page) == "Press Enter to search like this."
    find("ships")
    (order,) = asked(standin)
    assert order["area_crs"] == "EPSG:32650"
    assert order["area"]["type"] == "Polygon"
    assert "% of the area" in page.model.data(page.model.index(0), Qt.ItemDataRole.DisplayRole)
    assert "A part of the scene" in says(page)
    canvas.setExtent(QgsRectangle(0, 0, 10, 10))
    find("ships")
    assert "lies outside the scene" in says(page)


def test_interpret_these_places_asks_about_the_places_alone(page, find, qgis_iface, qtbot, standin):
    find("ships")
    page.view.selectionModel().select(page.model.index(0), page.view.selectionModel().SelectionFlag.Select)
    page.view.selectionModel().select(page.model.index(12), page.view.selectionModel().SelectionFlag.Select)
    assert page.interpret.text() == "Interpret 2 selected places…"
    page.interpret.click()
    dialog = qgis_iface.mainWindow().findChild(RequestDialog)
    qtbot.waitUntil(lambda: dialog.isVisible() and dialog._model.count() == 1)
    QTest.keyClick(dialog, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: any("task" in order for order in standin.orders))
    (order,) = [order for order in standin.orders if "task" in order]
    assert order["area"]["type"] == "MultiPolygon"
    assert len(order["area"]["coordinates"]) == 2


def test_another_project_forgets_the_places(page, find):
    find("ships")
    QgsProject.instance().clear()
    QCoreApplication.processEvents()
    assert page.model.rowCount() == 0
    assert "press Enter" in says(page)


def test_a_share_is_never_rounded_up():
    assert [percent_text(one) for one in (99.4, 99.9999, 99.999, 12.34, 100.0)] == [
        "99.4", "99.99", "99.99", "12.3", "100.00",
    ]  # fmt: skip


def test_times_are_round():
    said = [about(seconds) for seconds in (0.2, 44, 125, 7400)]
    assert said == ["about 1 second", "about 44 seconds", "about 2 minutes", "about 2 hours"]
