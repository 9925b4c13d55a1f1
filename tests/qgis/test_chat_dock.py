"""The chat dock: ask about an area, hear the words as they are made, follow them to the map, keep them."""

import json
import time

import pytest
from chatting import ENTER, answer_of, last, say, settle, views
from conftest import write_tiff
from layout_flaws import flaws_of
from layout_flaws import settle as layout_settle
from osgeo import gdal
from qgis.core import QgsFeature, QgsGeometry, QgsProject, QgsRasterLayer, QgsRectangle, QgsVectorLayer
from qgis.gui import QgsDockWidget, QgsRubberBand
from qgis.PyQt.QtCore import QObject, QPoint, Qt, QUrl
from qgis.PyQt.QtTest import QTest
from qgis.PyQt.QtWidgets import QAction, QToolBar, QToolButton
from standin import INFO, REFUSAL
from standin_chat import WORDS

from fusar_qgis.gui.area_tool import AreaTool
from fusar_qgis.gui.chat.dock import ChatDock


def test_an_answer_arrives_with_chip_and_caveats(ask, panel, standin, scene_path):
    turn = ask("is it busy?")
    assert turn.state == "answered"
    assert turn.answer.startswith(WORDS)
    assert answer_of(panel).toPlainText().startswith(WORDS)
    (body,) = standin.questions
    assert body["messages"] == [{"role": "user", "content": "is it busy?"}]
    assert (body["model"], body["fusar"]["scene"], body["fusar"]["prior"]) == (
        "tiny",
        str(scene_path),
        "auto",
    )
    assert body["fusar"]["area_crs"] == "EPSG:32650"
    assert body["fusar"]["area"]["type"] == "Polygon"
    assert standin.previews[0]["area"] == body["fusar"]["area"]
    assert turn.picture[:2] == turn.chip[:2] == b"\xff\xd8"
    caption = views(panel)[-1]._caption.toPlainText()
    assert "no prior" in caption
    assert "demonstration model" in caption
    assert turn.first_word_s < 10
    assert panel._question.toPlainText() == ""


def test_words_stream_and_stop_at_once(panel, standin, qtbot):
    standin.pause_s = 0.05  # a piece comes sooner than the last one is shown
    say(panel, "endless")
    qtbot.waitUntil(lambda: "港口" in answer_of(panel).toPlainText())
    assert panel._button.text() == "S&top"
    started = time.perf_counter()
    QTest.keyClick(panel._question, Qt.Key.Key_Escape)
    assert time.perf_counter() - started < 0.1
    assert (last(panel).state, panel._asking) == ("stopped", None)
    assert "Stopped" in views(panel)[-1]._problem.toPlainText()
    said = last(panel).answer
    qtbot.wait(100)
    assert last(panel).answer == said


def test_a_models_html_links_and_pictures_stay_text(ask, panel, qgis_iface):
    ask("hostile")
    block = answer_of(panel)
    text, html = block.toPlainText(), block.toHtml()
    assert "<script>alert(1)</script>" in text
    assert "![spy](http://127.0.0.1:9/x.png)" in text
    assert "<script" not in html
    assert "<img" not in html
    assert "<a " not in html
    extent = qgis_iface.mapCanvas().extent()
    block.anchorClicked.emit(QUrl("http://127.0.0.1:9/"))
    assert qgis_iface.mapCanvas().extent() == extent
    assert block.loadResource(2, QUrl("file:///etc/passwd")) is None


def test_a_link_zooms_to_its_finding_and_flashes_it(ask, panel, qgis_iface, monkeypatch):
    turn = ask("where are the ships?")
    canvas = qgis_iface.mapCanvas()
    flashed = []
    monkeypatch.setattr(
        canvas, "flashGeometries", lambda shapes, crs, *_: flashed.append((shapes, crs.authid()))
    )
    _, (second, _) = turn.places()
    assert turn.answer[second.start : second.end] == "2. ship 船 at place 1, 90 %"
    answer_of(panel).anchorClicked.emit(QUrl(second.target))
    (((shape,), crs),) = flashed
    assert crs == "EPSG:32650"
    assert shape.boundingBox().center().x() == pytest.approx(canvas.extent().center().x(), abs=1)
    assert canvas.extent().contains(shape.boundingBox())
    assert canvas.extent().width() < 10 * max(shape.boundingBox().width(), shape.boundingBox().height())
    views(panel)[-1]._picture.click()  # the whole area
    assert canvas.extent().contains(QgsGeometry(flashed[1][0][0]).boundingBox())


def test_links_by_keyboard(ask, panel, qgis_iface):
    ask("where are the ships?")
    panel.window().show()
    block = answer_of(panel)
    block.setFocus()
    extent = qgis_iface.mapCanvas().extent()
    QTest.keyClick(block, Qt.Key.Key_Tab)
    QTest.keyClick(block, ENTER)
    assert qgis_iface.mapCanvas().extent() != extent


def vectors() -> list[QgsVectorLayer]:
    return [one for one in QgsProject.instance().mapLayers().values() if isinstance(one, QgsVectorLayer)]


def test_add_to_map(ask, panel, bar, qtbot):
    ask("where are the ships?")
    views(panel)[-1]._add.click()
    qtbot.waitUntil(lambda: [layer.featureCount() for layer in vectors()] == [2])
    (layer,) = vectors()
    assert (layer.featureCount(), layer.crs().authid()) == (2, "EPSG:32650")
    assert json.loads(layer.customProperty("fusar/run"))["id"] == "run-1"
    assert "2 findings of the answer" in bar.currentItem().text()
    ask("is it busy?")
    assert not views(panel)[-1]._add.isVisibleTo(panel)


def test_a_selected_feature_is_what_this_means(ask, panel, standin, qgis_iface):
    layer = QgsVectorLayer("Polygon?crs=EPSG:32650", "Detections", "memory")
    ship = QgsFeature()
    ship.setGeometry(QgsGeometry.fromRect(QgsRectangle(500100, 3999500, 500120, 3999510)))
    layer.dataProvider().addFeatures([ship])
    QgsProject.instance().addMapLayer(layer)
    qgis_iface.mapCanvas().setLayers([layer])
    qgis_iface.setActiveLayer(layer)
    layer.selectAll()
    assert panel._area._selection.isChecked()
    assert panel._area._selection.text() == "Se&lection (1)"
    ask("what is this?")
    fusar = standin.questions[0]["fusar"]
    (box,) = fusar["boxes"]["features"]
    assert [500100, 3999500] in box["geometry"]["coordinates"][0]
    xs = [x for x, _ in fusar["area"]["coordinates"][0]]
    assert (min(xs), max(xs)) == pytest.approx((500080, 500140))  # with what lies around it
    assert fusar["scene"].endswith("harbour.tif")
    layer.removeSelection()
    assert panel._area._view.isChecked()
    assert not panel._area._selection.isEnabled()


def test_draw_an_area(ask, panel, standin, qgis_iface):
    canvas = qgis_iface.mapCanvas()
    panel._area._draw.click()
    assert isinstance(canvas.mapTool(), AreaTool)
    viewport = canvas.viewport()
    QTest.mousePress(viewport, Qt.MouseButton.LeftButton, pos=QPoint(100, 100))
    QTest.mouseMove(viewport, QPoint(300, 250))
    QTest.mouseRelease(viewport, Qt.MouseButton.LeftButton, pos=QPoint(300, 250))
    assert not isinstance(canvas.mapTool(), AreaTool)
    assert panel._area._draw.isChecked()
    ask("is it busy?")
    (ring,) = standin.questions[0]["fusar"]["area"]["coordinates"]
    corner = canvas.getCoordinateTransform().toMapCoordinates(100, 100)
    assert ring[0] == pytest.approx([corner.x(), corner.y()])


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        ("refused", "the area lies outside the scene"),
        ("failing", "内存不足: use a smaller area"),
        ("dropped", "broke in mid-answer"),
        ("garbled", "cannot be read"),
    ],
)
def test_what_goes_wrong_is_said_and_can_be_retried(ask, panel, question, reason, qtbot, monkeypatch):
    turn = ask(question)
    assert turn.state == "failed"
    assert reason in views(panel)[-1]._problem.toPlainText()
    assert panel._button.text() == "&Ask"
    turn.question = "is it busy?"
    views(panel)[-1]._retry.click()
    qtbot.waitUntil(lambda: not panel._late)
    assert last(panel).state == "answered"
    assert len(panel._store.open.turns) == len(views(panel)) == 1


def test_what_the_question_was_taken_for_is_left_to_the_answer(ask, panel):
    turn = ask("where are the ships?")
    assert turn.rests_on.understood == "detect ship"
    assert "understood" not in views(panel)[-1]._about.toPlainText()


def test_the_pictures_are_folded_below_the_answer(ask, panel):
    panel.window().show()
    ask("where are the ships?")
    view = views(panel)[-1]
    assert view._fold.text() == "Chips seen: 2"
    assert not view._picture.isVisibleTo(view)
    view._fold.click()
    assert view._picture.isVisibleTo(view)
    assert view._chip.isVisibleTo(view)
    settle()
    assert view._answer.y() < view._fold.y() < view._picture.y() < view._chip.y()
    view.show_turn("")  # what comes late unfolds and folds nothing
    assert view._chip.isVisibleTo(view)


def test_a_chip_that_was_seen_is_shown_on_the_map(ask, panel, qgis_iface, monkeypatch):
    turn = ask("where are the ships?")
    flashed = []
    monkeypatch.setattr(qgis_iface.mapCanvas(), "flashGeometries", lambda shapes, *_: flashed.extend(shapes))
    views(panel)[-1]._chip.click()
    (ring,) = turn.chip_area["coordinates"]
    xs, ys = [x for x, _ in ring], [y for _, y in ring]
    box = flashed[0].boundingBox()
    assert (box.xMinimum(), box.xMaximum()) == pytest.approx((min(xs), max(xs)))
    assert (box.yMinimum(), box.yMaximum()) == pytest.approx((min(ys), max(ys)))


def test_each_chip_that_was_seen_is_a_link_to_the_map(ask, panel, qgis_iface, monkeypatch):
    turn = ask("where are the ships?")
    flashed = []
    monkeypatch.setattr(qgis_iface.mapCanvas(), "flashGeometries", lambda shapes, *_: flashed.extend(shapes))
    view = views(panel)[-1]
    assert not view._seen.isVisibleTo(view)
    view._fold.click()
    assert view._seen.isVisibleTo(view)
    assert view._seen.toPlainText() == "Show a chip on the map: 1 2"
    for number, chip in enumerate(turn.rests_on.chips):
        view._seen.anchorClicked.emit(QUrl(f"#{number}"))
        (ring,) = chip.footprint["coordinates"]
        assert flashed[-1].boundingBox().xMinimum() == pytest.approx(min(x for x, _ in ring))
    assert len(flashed) == 2


def test_to_follow_a_link_does_not_change_what_is_asked_about(ask, panel, standin, qgis_iface):
    first = ask("where are the ships?")
    answer_of(panel).anchorClicked.emit(QUrl("#0"))
    assert panel._area._draw.isChecked()
    assert "still about the area framed on the map" in panel._warning.toPlainText()
    second = ask("is it busy?")
    assert second.target.area == first.target.area
    assert panel._warning.toPlainText() == ""
    panel._area._view.click()
    assert ask("is it busy?").target.area != first.target.area


def test_a_demonstration_model_is_told_before_its_first_answer(panel, standin, qtbot):
    assert not panel._notice.isVisibleTo(panel)
    standin.answer_submit.clear()
    say(panel, "is it busy?")
    qtbot.waitUntil(lambda: bool(standin.questions))
    assert panel._notice.isVisibleTo(panel)
    assert last(panel).answer == ""
    standin.answer_submit.set()
    qtbot.waitUntil(lambda: not panel._late)


@pytest.mark.parametrize("width", [180, 230, 380])
def test_no_width_cuts_anything_off(ask, panel, dock, language, width):
    panel.window().show()
    dock._dock.setFloating(True)
    dock._dock.show()
    panel.setFixedWidth(width)
    layout_settle()
    assert "\n".join(flaws_of(panel)) == ""  # the welcome
    ask("where are the ships?")
    views(panel)[-1]._fold.click()
    ask("failing")
    layout_settle()
    assert panel.width() == width
    assert panel.minimumSizeHint().width() <= 180
    assert "\n".join(flaws_of(panel)) == ""


def test_a_refusal_is_one_sentence_in_the_place_of_the_answer(ask, panel):
    turn = ask("are they moored?")
    assert (turn.state, turn.answer) == ("failed", "")
    assert views(panel)[-1]._problem.toPlainText() == REFUSAL


def test_a_model_that_answers_no_free_question_says_what_it_can_be_asked(ask, panel, standin):
    assert panel._question.placeholderText() == "Ask about the area, in your own words"
    narrow = {**INFO["models"][0], "tasks": ["detect", "count"], "free_questions": False}
    standin.info = {**INFO, "models": [narrow]}
    ask("where are the ships?")  # connects
    assert panel._question.placeholderText() == "Ask what the model was taught"
    assert "one of its tasks: Count, Detect." in panel._question.toolTip()
    ideas = [idea.data() for idea in panel._ideas.menu().actions() if idea.isVisible()]
    assert ideas == ["How many ships are here?", "Where are the ships?"]


def test_no_backend_and_a_wrong_token(ask, panel, monkeypatch, standin):
    monkeypatch.setenv("FUSAR_TOKEN", "wrong")
    assert "token" in ask("is it busy?").problem
    monkeypatch.delenv("FUSAR_URL")
    turn = ask("is it busy?")
    assert turn.problem
    assert standin.questions == []


def test_no_scene_is_said_before_anything_is_asked(panel, standin):
    QgsProject.instance().removeAllMapLayers()
    say(panel, "is it busy?")
    assert "No layer is active" in panel._warning.toPlainText()
    assert panel._question.toPlainText() == "is it busy?"
    assert panel._store.open.turns == []


def test_a_view_beside_the_scene(panel, qgis_iface):
    qgis_iface.mapCanvas().setExtent(QgsRectangle(600000, 4100000, 600100, 4100100))
    say(panel, "is it busy?")
    assert "does not show “harbour”" in panel._warning.toPlainText()


def test_nothing_is_there_before_and_nothing_stays(qgis_iface, bar, backend, standin, scene_layer, qtbot):
    window, canvas, project = qgis_iface.mainWindow(), qgis_iface.mapCanvas(), QgsProject.instance()

    def traces():
        settle()
        bands = sum(isinstance(item, QgsRubberBand) for item in canvas.scene().items())
        signals = project.receivers(project.cleared) + project.receivers(project.readProject)
        return len(window.findChildren(QObject)), bands, signals, canvas.receivers(canvas.selectionChanged)

    toolbar = QToolBar(window)
    before = traces()
    for opened in (False, True):
        dock = ChatDock(qgis_iface, backend, toolbar)
        assert window.findChild(QgsDockWidget, "FusarChatDock") is None
        if opened:
            window.findChild(QAction, "FusarChat").trigger()
            say(dock._panel, "endless")
            qtbot.waitUntil(lambda panel=dock._panel: "quiet" in last(panel).answer)
        assert standin.seen == [] or opened
        dock.remove()
        assert traces() == before
    toolbar.deleteLater()


def test_the_scene_follows_the_active_layer(panel, qgis_iface, tmp_path):
    other = QgsRasterLayer(str(write_tiff(tmp_path / "other.tif")), "other")
    QgsProject.instance().addMapLayer(other)
    qgis_iface.setActiveLayer(other)
    qgis_iface.currentLayerChanged.emit(other)
    assert panel._area.target()[1].name == "other"


def test_a_scene_that_the_backend_cannot_open_is_sent_once(ask, panel, qgis_iface, standin, scene_path):
    gdal.Translate(str(scene_path.with_suffix(".vrt")), str(scene_path), format="VRT")
    virtual = QgsRasterLayer(str(scene_path.with_suffix(".vrt")), "virtual")
    QgsProject.instance().addMapLayer(virtual)
    panel._area._scenes.setLayer(virtual)
    assert ask("is it busy?").state == ask("why?").state == "answered"
    (sent,) = standin.scenes
    assert [body["fusar"]["scene"] for body in standin.questions] == [sent, sent]
    assert standin.scene_names == ["virtual.tif"]
    ask("refused")  # perhaps it was forgotten: the next try sends it again
    ask("is it busy?")
    assert standin.scene_names == ["virtual.tif"] * 2


def test_names_for_screen_readers(panel):
    for button in panel.findChildren(QToolButton):
        assert button.text() or button.accessibleName() or not button.isVisibleTo(panel)
