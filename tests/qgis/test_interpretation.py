"""The button's whole story: a layer, a drag, a question, findings; each mistake in one clear message."""

import gc
import json
import sqlite3
import threading
import zipfile
from contextlib import closing

import pytest
from conftest import shows, write_tiff
from osgeo import gdal
from qgis.core import (
    Qgis,
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsExpression,
    QgsExpressionContext,
    QgsExpressionContextUtils,
    QgsGeometry,
    QgsProject,
    QgsRasterLayer,
    QgsRectangle,
    QgsTask,
    QgsVectorLayer,
)
from qgis.gui import QgsMessageViewer
from qgis.PyQt.QtCore import QPoint, Qt
from qgis.PyQt.QtTest import QTest
from qgis.PyQt.QtWidgets import QAction, QPushButton, QTextEdit
from standin import CHIPS, GUESSED, IN_CACHE, REFUSAL, UNSEEN

from fusar_qgis import compat
from fusar_qgis.connection.backend import Backend
from fusar_qgis.contract import Task
from fusar_qgis.core.endpoint import Endpoint
from fusar_qgis.core.request import LayerRequest
from fusar_qgis.gui.area_tool import AreaTool
from fusar_qgis.gui.interpretation import Interpretation
from fusar_qgis.gui.messages import show_message, take_away
from fusar_qgis.gui.request_dialog import RequestDialog
from fusar_qgis.gui.run_progress import RunProgress, RunTask
from fusar_qgis.layers import clipping, model_grey
from fusar_qgis.layers.findings_layer import SCENE_PROPERTY, request_of, run_of
from fusar_qgis.layers.project_runs import runs_in
from fusar_qgis.layers.storage import source_of

LEFT = Qt.MouseButton.LeftButton
ON_SCENE = (40, 8), (60, 20)  # a hidden canvas takes its size much later


def drag(canvas, start=ON_SCENE[0], end=ON_SCENE[1]):
    viewport = canvas.viewport()
    QTest.mousePress(viewport, LEFT, pos=QPoint(*start))
    QTest.mouseMove(viewport, QPoint(*end))
    QTest.mouseRelease(viewport, LEFT, pos=QPoint(*end))


@pytest.fixture
def canvas(qgis_iface):
    canvas = qgis_iface.mapCanvas()
    canvas.resize(600, 500)
    yield canvas
    canvas.setRotation(0)


@pytest.fixture
def ask(standin, scene_layer, action, canvas, qgis_iface, qtbot):
    """Press the button, drag, choose, press Enter."""

    def ask(task="detect", targets=("ship",), corners=ON_SCENE, question=""):
        action.trigger()
        drag(canvas, *corners)
        dialog = qgis_iface.mainWindow().findChild(RequestDialog)
        qtbot.waitUntil(lambda: dialog._model.count() == 1 and dialog.isVisible())
        dialog._task.setCurrentIndex(dialog._task.findData(task))
        dialog._targets.deselectAllOptions()
        dialog._targets.setCheckedItems(list(targets))
        dialog._question.setText(question)
        QTest.keyClick(dialog, Qt.Key.Key_Return)
        assert not dialog.isVisible(), dialog.obstacle()

    return ask


def layers() -> dict[str, QgsVectorLayer]:
    return {
        layer.name(): layer
        for layer in QgsProject.instance().mapLayers().values()
        if isinstance(layer, QgsVectorLayer)
    }


def texts(bar) -> list[str]:
    return [item.text() for item in bar.items()]


def tasks() -> list:
    return [task for task in QgsApplication.taskManager().tasks() if isinstance(task, RunTask)]


def button(bar, words) -> QPushButton:
    return next(b for item in bar.items() for b in item.findChildren(QPushButton) if b.text() == words)


@pytest.fixture
def desktop_messages(bar):
    """Messages as the desktop makes them for tasks, whose library is not loaded here."""

    def tell(task_id, status):
        task = QgsApplication.taskManager().task(task_id)
        words = {QgsTask.TaskStatus.Complete: "Task complete", QgsTask.TaskStatus.Terminated: "Task failed"}
        if isinstance(task, RunTask) and status in words:
            told.append(words[status])
            bar.pushMessage(words[status], task.description(), Qgis.MessageLevel.Info, 5)

    told = []
    QgsApplication.taskManager().statusChanged.connect(tell)
    yield told
    QgsApplication.taskManager().statusChanged.disconnect(tell)


def finished(bar, words) -> bool:
    return any(words in text for text in texts(bar))


def test_detections_arrive_styled_and_with_their_provenance(ask, bar, qtbot, standin, scene_path):
    ask(targets=("ship", "storage tank"))
    qtbot.waitUntil(lambda: finished(bar, "5 detections"))

    (sent,) = standin.orders
    assert sent["scene"] == str(scene_path)
    assert (sent["task"], sent["area_crs"], sent["prior"]) == ("detect", "EPSG:32650", "auto")
    layer = layers()["Detections"]
    assert layer.featureCount() == CHIPS - 1  # chip 3 replaced what chip 2 had found
    assert layer.crs().authid() == "EPSG:32650"
    feature = next(feature for feature in layer.getFeatures() if feature["id"] == "d1")
    assert (feature["label"], feature["confidence"], feature["length_m"]) == ("storage tank", 0.85, 80.0)
    assert feature["objectness"] == pytest.approx(0.98)
    assert (feature["run"], feature["model"], feature["prior"], feature["demonstration"]) == (
        "run-1", "tiny", "none", True,
    )  # fmt: skip
    assert feature.geometry().isGeosValid()
    assert [category.value() for category in layer.renderer().categories()] == ["ship", "storage tank"]
    assert layer.renderer().categories()[0].symbol().symbolLayer(1).color().name() == "#e69f00"
    assert layer.labelsEnabled()
    assert "score_meaning: token probability" in layer.metadata().abstract()
    assert layer.metadata().rights() == ["Simulated, no radar ever saw it"]
    assert json.loads(layer.customProperty("fusar/run"))["id"] == "run-1"


def test_group_name_hides_nothing(ask, bar, qtbot):
    ask()
    qtbot.waitUntil(lambda: finished(bar, "5 detections"))
    (group,) = QgsProject.instance().layerTreeRoot().findGroups()
    assert group.name().endswith(" · Detect ship (demonstration model, no prior, simulated scene)")
    assert [node.name() for node in group.findLayers()] == ["Detections"]
    assert tasks() == [] or all(not task.isActive() for task in tasks())


def test_a_run_that_ends_before_its_task_begins_leaves_no_task(bar, qtbot):
    """Else the task would wait for ever: in QGIS's list of tasks, and for QGIS itself when it is closed."""
    pool, begun = compat.task_pool(), threading.Event()
    pool.waitForDone()
    most = pool.maxThreadCount()
    pool.setMaxThreadCount(1)
    pool.start(begun.wait)
    progress = RunProgress(bar, "Detect ship", bar)
    try:
        (task,) = (one for one in tasks() if one.description() == "Detect ship")
        qtbot.wait(100)  # time enough to begin, were there a thread for it
        assert task.status() == QgsTask.TaskStatus.Queued
        ended = []
        task.taskCompleted.connect(lambda: ended.append(True))
    finally:
        progress.finish(True)
        begun.set()
        pool.setMaxThreadCount(most)
    qtbot.waitUntil(lambda: ended == [True])


def test_a_run_lends_its_thread_to_other_tasks(bar, qtbot):
    """Else a run or two would hold up every other task of QGIS."""
    pool = compat.task_pool()
    most = pool.maxThreadCount()
    pool.setMaxThreadCount(1)
    progress = RunProgress(bar, "Detect ship", bar)
    try:
        (task,) = (one for one in tasks() if one.description() == "Detect ship")
        qtbot.waitUntil(lambda: task.status() == QgsTask.TaskStatus.Running)
        done = threading.Event()
        other = QgsTask.fromFunction("other", lambda task: done.set())
        QgsApplication.taskManager().addTask(other)
        qtbot.waitUntil(done.is_set)
    finally:
        progress.finish(True)
        pool.setMaxThreadCount(most)
    qtbot.waitUntil(lambda: not tasks())


def test_a_rectangle_follows_the_rotated_map(ask, bar, qtbot, standin, canvas):
    middle = canvas.mapSettings().outputSize() / 2  # a turned map keeps its middle
    canvas.setRotation(30)
    x, y = middle.width(), middle.height()
    ask("count", corners=((x - 5, y - 5), (x + 5, y + 5)))
    qtbot.waitUntil(lambda: finished(bar, "ship: 7"))
    ring = standin.orders[0]["area"]["coordinates"][0]
    assert len(ring) == 5
    assert len({x for x, _ in ring[:4]}) == 4  # tilted against the map's axes


def test_grid_and_answers(ask, bar, qtbot):
    ask("locate")
    qtbot.waitUntil(lambda: finished(bar, "ship in 2 of 9 cells"))
    grid = layers()["Grid: ship in 2 of 9 cells"]
    assert {feature["cell"] for feature in grid.getFeatures() if feature["hit"]} == {2, 5}
    hit, miss = grid.renderer().categories()
    assert (hit.value(), miss.value()) == (True, False)

    ask("describe")
    qtbot.waitUntil(lambda: finished(bar, "1 answer"))
    answers = layers()["Answers"]
    (feature,) = answers.getFeatures()
    assert feature["text"].startswith("A harbour")
    assert feature["count"] is None or feature["count"].isNull()
    assert len(QgsProject.instance().layerTreeRoot().findGroups()) == 2


def kept_warnings(layer: QgsVectorLayer) -> str:
    with closing(sqlite3.connect(source_of(layer)[0])) as database:
        return database.execute("SELECT warnings FROM runs").fetchone()[0]


def test_no_data_is_told_and_is_no_empty_sea(ask, bar, qtbot):
    ask("count", ["unseen"])
    qtbot.waitUntil(lambda: finished(bar, "1 chip without enough data"))
    said = " ".join(texts(bar))
    assert said.count(GUESSED) == 1
    assert said.count(UNSEEN) == 1
    answers = layers()["Answers"]
    context = QgsExpressionContext(QgsExpressionContextUtils.globalProjectLayerScopes(answers))
    context.setFeature(next(answers.getFeatures()))
    assert QgsExpression(answers.displayExpression()).evaluate(context) == "unseen: no data"
    assert run_of(answers)["warnings"] == f"{GUESSED}\n{UNSEEN}"
    qtbot.waitUntil(lambda: kept_warnings(answers) == f"{GUESSED}\n{UNSEEN}", timeout=20_000)


def said_of(layer: QgsVectorLayer, where: str) -> str:
    """What the layer's label says of the feature."""
    context = QgsExpressionContext(QgsExpressionContextUtils.globalProjectLayerScopes(layer))
    context.setFields(layer.fields())
    context.setFeature(next(layer.getFeatures(where)))
    return QgsExpression(layer.labeling().settings().fieldName).evaluate(context)


def tip_of(layer: QgsVectorLayer, where: str) -> str:
    context = QgsExpressionContext(QgsExpressionContextUtils.globalProjectLayerScopes(layer))
    context.setFeature(next(layer.getFeatures(where)))
    return QgsExpression.replaceExpressionText(layer.mapTipTemplate(), context)


def test_a_count_over_chips_says_what_it_was_made_from(ask, bar, qtbot):
    ask("count", ["counted"])
    summary = "counted: 5 (from detections; chips that agree: 5 of 6)"
    qtbot.waitUntil(lambda: finished(bar, summary))
    answers = layers()["Answers"]
    assert said_of(answers, '"chip" is null') == "counted: 5\nfrom detections\nchips that agree: 5 of 6"
    assert said_of(answers, '"chip" = 2') == "counted: 2"
    assert "<td>from detections</td>" in tip_of(answers, '"chip" is null')
    assert "<td>chips that agree: 5 of 6</td>" in tip_of(answers, '"chip" is null')
    method = answers.fields().indexOf("method")
    words = answers.editorWidgetSetup(method).config()["map"]
    assert {"from detections": "detections"} in words
    assert layers()["Detections"].featureCount() == 5
    (group,) = QgsProject.instance().layerTreeRoot().findGroups()
    assert [node.name() for node in group.findLayers()] == ["Detections", "Answers"]


def test_a_count_of_one_chip_is_the_models_own(ask, bar, qtbot):
    ask("count", ["ship"])
    qtbot.waitUntil(lambda: finished(bar, "ship: 7 (the model's own count)"))
    assert said_of(layers()["Answers"], "TRUE") == "ship: 7"


def test_the_picture_of_complex_numbers_stands_for_their_file(
    ask, bar, standin, scene_layer, qgis_iface, tmp_path, qtbot
):
    path = write_tiff(tmp_path / "slc.tif", stored_as=gdal.GDT_CInt16)
    layer = QgsRasterLayer(str(path), "slc")
    QgsProject.instance().addMapLayer(layer)
    model_grey.show(layer, model_grey.grey_scale(str(path), None))
    picture = model_grey.picture_of(layer)
    qgis_iface.setActiveLayer(picture)
    ask()
    qtbot.waitUntil(lambda: "Detections" in layers())
    (order,) = standin.orders
    assert order["scene"] == str(path)
    assert layers()["Detections"].customProperty(SCENE_PROPERTY) == str(path)
    assert request_of(layers()["Detections"]).layer_id == layer.id()
    assert not any("is not a SAR layer" in text for text in texts(bar))


def test_what_a_free_question_was_taken_for_is_shown(ask, bar, qtbot):
    ask("ask", question="How many ships are here?")
    qtbot.waitUntil(lambda: finished(bar, "understood as: Count ship. 1 answer"))


def test_a_refused_question_is_one_sentence_and_no_zero(ask, bar, qtbot):
    ask("ask", question="Are they moored?")
    qtbot.waitUntil(lambda: finished(bar, REFUSAL))
    assert "Answers" not in layers()


def test_a_message_that_is_too_long_for_the_bar_is_there_whole_behind_a_button(bar):
    reason = "it can be asked to count <ships> & " + "planes, " * 40
    show_message(bar, "Ask", reason, Qgis.MessageLevel.Critical)
    (item,) = bar.items()
    assert item.text().startswith("it can be asked to count &lt;ships&gt; &amp; planes")
    assert item.text().endswith("…")
    button(bar, "Details").click()
    viewer = bar.window().findChild(QgsMessageViewer)
    assert not viewer.isModal() or viewer.isVisible()
    assert viewer.findChild(QTextEdit).toPlainText() == reason
    viewer.close()


def test_a_long_message_with_offers_is_there_whole_too(bar):
    text = "Without a prior: " + "no tile of it covers this place, " * 10
    show_message(bar, "Detect", text, Qgis.MessageLevel.Warning, offers={"With prior": lambda: None})
    button(bar, "Details").click()
    viewer = bar.window().findChild(QgsMessageViewer)
    assert viewer.findChild(QTextEdit).toPlainText() == text
    assert bar.items(), "reading the details takes no offer away"
    viewer.close()
    bar.clearWidgets()
    show_message(bar, "Detect", "5 detections", Qgis.MessageLevel.Success)
    assert bar.items()[0].text() == "5 detections"
    assert not bar.items()[0].findChildren(QPushButton)


def test_what_is_taken_away_leaves_no_countdown_to_the_message_below(bar, qtbot):
    show_message(bar, "Detect", "failed", Qgis.MessageLevel.Critical)
    bar.pushMessage("Task failed", "Detect", Qgis.MessageLevel.Warning, 1)
    take_away(bar, bar.items()[0])
    qtbot.wait(1500)
    assert texts(bar) == ["failed"]


def test_words_of_a_program_are_behind_details_only(bar):
    show_message(bar, "Detect", "It stopped.\n\nKilled: signal 9", Qgis.MessageLevel.Critical)
    assert texts(bar) == ["It stopped."]
    button(bar, "Details").click()
    viewer = bar.window().findChild(QgsMessageViewer)
    assert viewer.findChild(QTextEdit).toPlainText().endswith("signal 9")
    viewer.close()


def test_what_must_be_known_of_a_run_does_not_hide_its_progress(ask, bar, qtbot, standin):
    standin.pause_s = 0.3
    ask("count", ["unseen"])
    qtbot.waitUntil(lambda: finished(bar, "chip "))
    assert button(bar, "Notices").isVisibleTo(bar.currentItem())
    assert len(bar.items()) == 1
    button(bar, "Notices").click()
    viewer = bar.window().findChild(QgsMessageViewer)
    assert viewer.findChild(QTextEdit).toPlainText() == GUESSED
    viewer.close()
    qtbot.waitUntil(lambda: finished(bar, "1 chip without enough data"))
    assert [text[:9] for text in texts(bar)] == ["1 chip wi", GUESSED[:9]]


def test_a_models_words_are_no_html_in_the_map_tip(ask, bar, qtbot):
    ask("describe")
    qtbot.waitUntil(lambda: finished(bar, "1 answer"))
    answers = layers()["Answers"]
    context = QgsExpressionContext(QgsExpressionContextUtils.globalProjectLayerScopes(answers))
    context.setFeature(next(answers.getFeatures()))
    tip = QgsExpression.replaceExpressionText(answers.mapTipTemplate(), context)
    assert "<script>" not in tip
    assert "&lt;script&gt;alert(1)&lt;/script&gt; with seven ships &amp; 港口" in tip


@pytest.mark.parametrize("where", ["message bar", "task manager", "project closed"])
def test_cancel_at_once_and_keep_what_was_found(ask, bar, qtbot, standin, where, desktop_messages):
    ask(targets=("endless",))
    qtbot.waitUntil(lambda: "Detections" in layers())
    (task,) = [task for task in tasks() if task.isActive()]
    if where == "message bar":
        button(bar, "Cancel").click()
    elif where == "task manager":
        task.cancel()
    else:
        QgsProject.instance().clear()
    assert finished(bar, "Cancelled")
    qtbot.waitUntil(standin.dismissed.is_set)
    assert ("Detections" in layers()) == (where != "project closed")
    statuses = [one.status for one in runs_in(QgsProject.instance())]
    assert statuses == ([] if where == "project closed" else ["dismissed"])
    qtbot.waitUntil(lambda: bool(desktop_messages))
    assert desktop_messages == ["Task complete"], "a cancelled run did not fail"
    qtbot.waitUntil(lambda: [item.title() for item in bar.items()] == ["Detect endless"])
    qtbot.waitUntil(lambda: not any(task.isActive() for task in tasks()))


@pytest.mark.parametrize(("target", "told"), [("ship", "Task complete"), ("refused", "Task failed")])
def test_the_last_message_of_a_run_is_its_own(ask, bar, qtbot, standin, desktop_messages, target, told):
    standin.info["models"][0]["targets"] = ["ship", "storage tank", "endless", "refused", "failing"]
    ask(targets=(target,))
    qtbot.waitUntil(lambda: bool(desktop_messages))
    qtbot.waitUntil(lambda: finished(bar, {"ship": "detections;", "refused": "outside the scene"}[target]))
    assert desktop_messages == [told]
    qtbot.waitUntil(lambda: not any("Task" in item.title() for item in bar.items()))


def test_the_progress_tells_how_much_is_found(ask, bar, qtbot):
    ask(targets=("endless",))
    qtbot.waitUntil(lambda: finished(bar, "detections so far: "))
    assert finished(bar, "chip ")
    button(bar, "Cancel").click()


def test_layers_taken_off_in_mid_run_stay_off(ask, bar, qtbot):
    ask(targets=("endless",))
    qtbot.waitUntil(lambda: "Detections" in layers())
    QgsProject.instance().removeMapLayer(layers()["Detections"])
    qtbot.wait(500)
    assert layers() == {}
    assert sum("was removed while the run goes on" in text for text in texts(bar)) == 1
    button(bar, "Cancel").click()
    assert "Cancelled." in texts(bar)


@pytest.mark.parametrize(
    ("target", "reason"), [("refused", "the area is outside the scene"), ("failing", "内存不足")]
)
def test_a_failed_run_gives_the_servers_reason(ask, bar, qtbot, standin, target, reason):
    standin.info["models"][0]["targets"] = ["ship", "storage tank", "endless", "refused", "failing"]
    ask(targets=(target,))
    qtbot.waitUntil(lambda: finished(bar, reason))


def test_not_without_a_target(ask, bar, qtbot, standin, qgis_iface):
    with pytest.raises(AssertionError):
        ask(targets=())
    assert standin.orders == []
    qgis_iface.mainWindow().findChild(RequestDialog).reject()


def test_no_layer(action, bar, qgis_iface):
    assert qgis_iface.activeLayer() is None
    action.trigger()
    assert "No layer is active" in bar.currentItem().text()
    assert not action.isChecked()


@pytest.mark.parametrize("kind", ["vector", "no georeferencing"])
def test_layers_that_are_no_scene(action, bar, qgis_iface, tmp_path, kind):
    if kind == "vector":
        layer, words = QgsVectorLayer("Point", "x", "memory"), "is not a raster"
    else:
        layer, words = (
            QgsRasterLayer(str(write_tiff(tmp_path / "x.tif", epsg=None)), "x"),
            "has no georeferencing",
        )
    QgsProject.instance().addMapLayer(layer)
    qgis_iface.setActiveLayer(layer)
    action.trigger()
    assert words in bar.currentItem().text()
    assert not action.isChecked()


@pytest.fixture
def archived(scene_layer, scene_path, tmp_path, qgis_iface):
    """The scene within an archive, which no backend opens."""
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.write(scene_path, "x.tif")
    layer = QgsRasterLayer(f"/vsizip/{tmp_path}/x.zip/x.tif", "zipped")
    QgsProject.instance().addMapLayer(layer)
    qgis_iface.setActiveLayer(layer)
    return layer


def test_what_the_backend_cannot_open_is_sent_once_for_preview_and_run(archived, ask, bar, qtbot, standin):
    ask("count", corners=ON_SCENE)
    qtbot.waitUntil(lambda: finished(bar, "ship: 7"))
    ((name, content),) = standin.scenes.items()
    assert content[:2] == b"II"
    assert standin.scene_names == ["zipped.tif"]
    assert standin.orders[0]["scene"] == name
    assert all(asked["scene"] == name for asked in standin.previews)


def test_nothing_goes_to_a_far_server_before_the_analyst_says_so(
    scene_layer, action, canvas, bar, qtbot, standin, qgis_iface, monkeypatch
):
    monkeypatch.setattr(Endpoint, "is_loopback", property(lambda _: False))
    action.trigger()
    drag(canvas, *ON_SCENE)
    dialog = qgis_iface.mainWindow().findChild(RequestDialog)
    qtbot.waitUntil(lambda: dialog.preview._show_now.isVisible())
    assert dialog._prior.source.findData("file") == -1
    assert all("/info" in path for _, path, _ in standin.seen)
    dialog.preview._show_now.click()
    qtbot.waitUntil(lambda: bool(standin.previews))
    qtbot.waitUntil(lambda: shows(dialog.preview._chip))
    dialog.reject()
    action.trigger()
    drag(canvas, *ON_SCENE)
    qtbot.waitUntil(lambda: dialog._start.isEnabled())
    dialog.accept()
    qtbot.waitUntil(lambda: bool(standin.orders))
    assert standin.orders[0]["scene"] in standin.scenes


def test_a_scene_that_cannot_be_sent_is_said_and_nothing_is_ordered(
    archived, ask, bar, qtbot, standin, monkeypatch
):
    monkeypatch.setattr(clipping, "LIMIT_BYTES", 10)
    ask(corners=ON_SCENE)
    qtbot.waitUntil(lambda: finished(bar, "Draw a smaller one"))
    assert standin.orders == []
    qtbot.waitUntil(lambda: not any(task.isActive() for task in tasks()))


def test_the_preview_is_of_what_is_chosen(ask, scene_layer, action, canvas, qtbot, standin, qgis_iface, bar):
    action.trigger()
    drag(canvas)
    dialog = qgis_iface.mainWindow().findChild(RequestDialog)
    qtbot.waitUntil(lambda: bool(standin.previews))
    qtbot.waitUntil(lambda: "6" in dialog._estimate.text())
    assert shows(dialog.preview._chip)
    assert dialog.preview._prior.text() == "No prior"
    standin.prior = IN_CACHE
    dialog._prior.source.setCurrentIndex(dialog._prior.source.findData("cog"))
    qtbot.waitUntil(lambda: standin.previews[-1]["prior"] == "cog")
    qtbot.waitUntil(lambda: shows(dialog.preview._prior))
    assert standin.previews[-1]["scene"] == scene_layer.source()
    assert standin.orders == []
    before = len(standin.previews)
    dialog._task.setCurrentIndex(dialog._task.findData("ask"))
    qtbot.waitUntil(lambda: len(standin.previews) > before)
    dialog._question.setText("Which ships?")
    qtbot.wait(600)
    assert len(standin.previews) == before + 1  # words change nothing that is shown
    dialog.reject()


def test_a_backend_without_previews_and_an_area_beside_the_scene(
    scene_layer, action, canvas, qtbot, standin, qgis_iface, bar
):
    standin.preview = None
    action.trigger()
    drag(canvas)
    dialog = qgis_iface.mainWindow().findChild(RequestDialog)
    qtbot.waitUntil(lambda: "Not Found" in dialog.preview._told.toPlainText())
    assert dialog._start.isEnabled()
    dialog.reject()


def test_a_backend_that_fails_is_said_in_the_open_question_and_tried_again_from_there(
    scene_layer, action, canvas, qtbot, standin, qgis_iface, bar, plugin, monkeypatch
):
    action.trigger()
    drag(canvas)
    dialog = qgis_iface.mainWindow().findChild(RequestDialog)
    qtbot.waitUntil(lambda: dialog._start.isEnabled())
    backends = [one for one in gc.get_objects() if isinstance(one, Backend)]
    (backend,) = (one for one in backends if Endpoint(standin.url, standin.token) in one._clients)
    monkeypatch.setenv("FUSAR_TOKEN", "wrong")
    backend.open()
    qtbot.waitUntil(lambda: "does not accept the token" in dialog._why_not.text.toPlainText())
    assert dialog.isVisible()
    assert not dialog._start.isEnabled()
    assert texts(bar) == []
    monkeypatch.setenv("FUSAR_TOKEN", standin.token)
    backend.reset()  # as the options do
    qtbot.waitUntil(lambda: dialog._start.isEnabled())
    assert not dialog._why_not.isVisible()
    dialog.reject()


@pytest.fixture
def interpretation(standin, bar, qgis_iface):
    backend, action = Backend(), QAction(qgis_iface.mainWindow())
    part = Interpretation(qgis_iface, backend, action)
    yield part
    part.remove()
    backend.close()
    action.deleteLater()


def test_look_closer_runs_the_grid_on_a_cell(interpretation, bar, qtbot, standin, scene_layer, scene_path):
    order = LayerRequest(
        scene=str(scene_path),
        area_crs="EPSG:32650",
        task=Task.LOCATE,
        targets=("ship",),
        layer_id=scene_layer.id(),
    )
    cell = QgsGeometry.fromRect(QgsRectangle(500100, 3999700, 500190, 3999800))
    interpretation.runs.look_closer(order, cell, scene_layer.crs())
    qtbot.waitUntil(lambda: len(standin.orders) == 1)
    closer = standin.orders[0]
    assert (closer["task"], closer["targets"], closer["area_crs"]) == ("locate", ["ship"], "EPSG:32650")
    assert closer["ground_m"] == pytest.approx(95, abs=1)
    QgsProject.instance().removeMapLayer(scene_layer)
    interpretation.runs.look_closer(order, cell, QgsCoordinateReferenceSystem("EPSG:32650"), "storage tank")
    qtbot.waitUntil(lambda: len(standin.orders) == 2)
    assert (standin.orders[1]["scene"], standin.orders[1]["targets"]) == (order.scene, ["storage tank"])


def test_no_backend_is_said_once(action, bar, qgis_iface, scene_layer, canvas):
    action.trigger()
    assert [text for text in texts(bar) if "No FUSAR-GPT backend" in text] == texts(bar)
    assert len(texts(bar)) == 1
    assert not action.isChecked()


def test_a_click_is_no_rectangle(standin, action, canvas, scene_layer, qgis_iface):
    action.trigger()
    drag(canvas, (100, 100), (101, 101))
    assert qgis_iface.mainWindow().findChild(RequestDialog) is None
    assert isinstance(canvas.mapTool(), AreaTool)
