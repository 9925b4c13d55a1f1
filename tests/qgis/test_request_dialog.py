"""The question's fields become the order, nothing incomplete can be started, and choices are remembered."""

import dataclasses
import json

import pytest
from conftest import shows, write_tiff
from layout_flaws import flaws_of, settle
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsFeature,
    QgsGeometry,
    QgsProject,
    QgsRasterLayer,
    QgsRectangle,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QPoint, QRect, Qt
from qgis.PyQt.QtTest import QTest
from qgis.PyQt.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget
from standin import preview_of

from fusar_qgis.contract import Info, Model, Preview, PriorStatus, read
from fusar_qgis.core.endpoint import Endpoint
from fusar_qgis.gui import boxes_choice
from fusar_qgis.gui.request_dialog import RequestDialog
from fusar_qgis.gui.scrolling_dialog import ScrollingDialog
from fusar_qgis.layers.scene import scene_of

TINY = Model("tiny", "FUSAR tiny", True, ("ship", "tank"), (2017, 2024))
LARGE = Model("large", "FUSAR 7B", False, ("ship", "aircraft"), None)
FREE = Model("free", "Any target", False, (), None)
SOURCES = ("none", "auto", "cog", "earth-engine", "file")
UTM = QgsCoordinateReferenceSystem("EPSG:32650")
AREA = QgsGeometry.fromRect(QgsRectangle(500100.5, 3999600, 500300, 3999800))


def info(*models):
    return Info("0.1.0", "cpu", models, prior_sources=SOURCES)


@pytest.fixture
def make(qtbot, tmp_path, qgis_new_project):
    """Make dialogs for a scene; each is a new start of QGIS for the choices."""
    parent = QWidget()
    qtbot.addWidget(parent)

    def make(name="two_20200102.tif", offer=(TINY, LARGE)):
        dialog = RequestDialog(parent)
        layer = QgsRasterLayer(str(write_tiff(tmp_path / name, bands=2)), "two")
        QgsProject.instance().addMapLayer(layer)
        dialog.ask(scene_of(layer), AREA, UTM)
        if offer:
            dialog.offer(info(*offer))
        return dialog

    yield make
    for dialog in parent.findChildren(RequestDialog):
        dialog.close()


def why_not(dialog) -> str:
    """What stands beside the buttons while Start is disabled."""
    note = dialog._why_not
    assert dialog._start.isEnabled() == (not note.isVisible())
    return note.text.toPlainText() if note.isVisible() else ""


def choose(box, data):
    box.setCurrentIndex(box.findData(data))


def test_it_waits_for_the_backend(make):
    dialog = make(offer=())
    assert dialog.request() is None
    assert not dialog._start.isEnabled()
    assert why_not(dialog) == "Connecting to the backend…"
    dialog.offer(info(TINY))
    assert dialog._start.isEnabled()
    assert why_not(dialog) == ""
    assert dialog._caution.isVisible()


def test_the_order_is_what_was_chosen(make, tmp_path):
    dialog = make()
    choose(dialog._prior.source, "file")
    assert dialog.request() is None  # which file?
    dialog._prior.file.setFilePath(str(tmp_path / "aef.tif"))
    dialog._prior.year.setValue(2021)
    dialog._band.setBand(2)
    request = dialog.request()
    assert (request.task, request.targets, request.model) == ("detect", ("ship",), "tiny")
    assert (request.prior, request.year, request.band) == (str(tmp_path / "aef.tif"), 2021, 2)
    assert list(request.area.coordinates[0][0]) == pytest.approx([500100.5, 3999600.0], abs=1e-9)
    assert (request.scene, request.area_crs) == (str(tmp_path / "two_20200102.tif"), "EPSG:32650")
    assert request.layer_id == dialog.scene.layer_id
    assert json.loads(json.dumps(request.to_json()))["allow_no_prior"] is False


def test_the_numbers_are_as_judged_until_the_analyst_says_otherwise(make):
    dialog = make()
    asked = []
    dialog.changed.connect(lambda: asked.append(dialog.preview_request()))
    assert (dialog.request().quantity, dialog.request().scale) == (None, None)
    dialog.show_preview(read(Preview, json.dumps(preview_of({"prior": "none"})).encode()))
    combo = dialog._quantity._quantity
    assert combo.currentText() == "As judged: power"
    assert "Taken for power, as float32 numbers usually are." in dialog.preview._told.toPlainText()
    choose(combo, "db")
    dialog._quantity._scale.setText("0,01")
    request = dialog.request()
    assert (request.quantity, request.scale) == ("db", 0.01)
    assert asked[-1].quantity == "db"
    assert type(request).from_json(request.to_json()).scale == 0.01
    for typed in ("-1", "x", "1e999"):
        dialog._quantity._scale.setText(typed)
        assert dialog.request() is None
    dialog.ask(dialog.scene, AREA, UTM)
    assert (dialog.request().quantity, dialog.request().scale) == (None, None)


def test_a_year_without_a_prior_and_a_target_without_need_are_not_sent(make):
    dialog = make()
    choose(dialog._prior.source, "none")
    assert dialog._prior.year.isHidden()
    choose(dialog._task, "describe")
    request = dialog.request()
    assert (request.targets, request.prior, request.year) == ((), "none", None)
    assert dialog._targets.isHidden()


@pytest.mark.parametrize(
    ("name", "year", "words"),
    [
        ("x_20200102.tif", 2020, "taken on 2020-01-02"),
        ("x_20150102.tif", 2017, "2015"),
        ("x.tif", None, "does not say"),
    ],
)
def test_the_year_is_that_of_the_scene_as_far_as_there_are_priors(make, name, year, words):
    dialog = make(name)
    assert dialog.request().prior == "auto"
    assert dialog.request().year == year
    assert dialog._prior.go_on.isHidden()  # what is automatic goes on in any case
    choose(dialog._prior.source, "cog")
    assert words in dialog._prior.year.toolTip()
    assert dialog._prior.go_on.isVisible()
    dialog._prior.go_on.setChecked(True)
    assert dialog.request().allow_no_prior
    choose(dialog._prior.source, "none")
    assert not dialog.request().allow_no_prior


def test_only_priors_that_the_backend_offers(make):
    dialog = make(offer=())
    dialog.offer(dataclasses.replace(info(TINY), prior_sources=("none", "cog", "from-the-future")))
    assert [dialog._prior.source.itemData(i) for i in range(dialog._prior.source.count())] == ["none", "cog"]
    dialog.offer(info(TINY), local=False)
    assert dialog._prior.source.findData("file") == -1


def test_another_model_keeps_the_targets_it_knows(make):
    dialog = make()
    dialog._targets.setCheckedItems(["ship", "tank"])
    dialog._model.setCurrentIndex(1)
    assert dialog.request().targets == ("ship",)
    assert not dialog._caution.isVisible()
    dialog.offer(info(TINY, LARGE))
    assert dialog.request().model == "large"


def test_a_model_that_takes_any_target_is_told_which(make):
    dialog = make(offer=(FREE,))
    assert dialog._targets.isHidden()
    dialog._any_targets.clear()
    assert dialog.request() is None
    dialog._any_targets.setText("ship, oil tank ,")
    assert dialog.request().targets == ("ship", "oil tank")


def test_a_question_is_asked_in_the_analysts_words(make):
    dialog = make()
    choose(dialog._task, "ask")
    assert dialog.request() is None
    assert dialog.preview_request() is not None
    dialog._question.setText("  这里有什么?  ")
    request = dialog.request()
    assert (request.question, request.targets) == ("这里有什么?", ())


def polygons(*boxes):
    """A layer in degrees of boxes in the area's CRS."""
    layer = QgsVectorLayer("Polygon?crs=EPSG:4326", "boxes", "memory")
    features = []
    for box in boxes:
        outline = QgsGeometry.fromRect(QgsRectangle(*box))
        outline.transform(QgsCoordinateTransform(UTM, layer.crs(), QgsProject.instance()))
        feature = QgsFeature()
        feature.setGeometry(outline)
        features.append(feature)
    layer.dataProvider().addFeatures(features)
    QgsProject.instance().addMapLayer(layer)
    return layer


def test_polygons_on_the_area_are_classified_the_selected_ones_if_any(make, monkeypatch):
    inside, other = (500110, 3999610, 500120, 3999630), (500210, 3999710, 500220, 3999730)
    layer = polygons(inside, other, (510000, 3999610, 510010, 3999630))
    dialog = make()
    choose(dialog._task, "classify")
    dialog._boxes.layers.setLayer(layer)
    request = dialog.request()
    features = request.boxes.features
    assert len(features) == 2
    x, y = features[0].geometry.coordinates[0][0]
    assert AREA.contains(QgsGeometry.fromWkt(f"POINT({x} {y})"))  # in the area's CRS
    layer.selectByIds([2])
    dialog._boxes.refresh()
    assert len(dialog.request().boxes.features) == 1
    assert dialog._boxes._count.text() == "1 selected feature on the area"
    layer.removeSelection()
    monkeypatch.setattr(boxes_choice, "MOST", 1)
    dialog._boxes.refresh()
    assert dialog.request() is None
    assert "More than 1" in dialog._boxes._count.text()


def test_choices_are_remembered(make, tmp_path):
    dialog = make()
    choose(dialog._task, "count")
    choose(dialog._model, LARGE)
    dialog._targets.deselectAllOptions()
    dialog._targets.setCheckedItems(["aircraft"])
    choose(dialog._prior.source, "cog")
    dialog._prior.go_on.setChecked(True)
    QTest.keyClick(dialog, Qt.Key.Key_Return)
    assert not dialog.isVisible()
    request = make("later.tif").request()
    assert (request.task, request.model, request.targets) == ("count", "large", ("aircraft",))
    assert (request.prior, request.allow_no_prior, request.year) == ("cog", True, None)


def test_the_preview_says_what_is_seen_and_how_long_it_takes(make):
    dialog = make()
    answer = preview_of({"prior": "cog", "year": 2021})
    dialog.show_preview(read(Preview, json.dumps(answer).encode()))
    assert shows(dialog.preview._chip)
    assert dialog.preview._chip_text.toPlainText() == (
        "One chip, 640 m wide. VV: -22 to 4 dB from black to white."
    )
    assert dialog.preview._told.toPlainText() == "Taken for power, as float32 numbers usually are."
    assert "cog, 2021, 256 vectors" in dialog.preview._prior_text.toPlainText()
    assert "known after the first run" in dialog._estimate.text()
    nothing = answer["prior"] | {"image": None, "said": ["prior: <b>cog</b> has nothing at some places."]}
    dialog.show_preview(read(Preview, json.dumps(answer | {"seconds": 130, "prior": nothing}).encode()))
    assert dialog.preview._prior.text() == "No prior here"
    assert "<b>" in dialog.preview._prior_text.toPlainText()
    assert "About 2 min." in dialog._estimate.text()


def offered(dialog) -> list[str]:
    return [dialog._task.itemData(place) for place in range(dialog._task.count())]


def test_it_offers_only_what_the_model_was_taught(make):
    narrow = dataclasses.replace(TINY, tasks=("detect", "count"), free_questions=False)
    dialog = make(offer=(narrow, LARGE))
    assert offered(dialog) == ["detect", "count", "ask"]
    choose(dialog._task, "count")
    dialog._model.setCurrentIndex(1)
    assert offered(dialog) == [
        "detect",
        "locate",
        "count",
        "classify",
        "describe",
        "ask",
    ]  # its card does not say
    assert dialog.request().task == "count"
    choose(dialog._task, "locate")
    dialog._model.setCurrentIndex(0)
    assert dialog.request().task == "detect"  # the first that it can


def test_a_model_that_answers_no_free_question_says_which_it_takes(make):
    narrow = dataclasses.replace(TINY, tasks=("detect", "count"), free_questions=False)
    dialog = make(offer=(narrow, LARGE))
    assert dialog._answerable.isHidden()
    choose(dialog._task, "ask")
    assert dialog._answerable.isVisible()
    assert dialog._answerable.text() == (
        "This model answers only questions that are one of its tasks: Count, Detect. It knows: ship, tank."
    )
    assert dialog.preview_request() is None  # the question decides what is looked at, or is refused
    dialog._question.setText("how many ships?")
    assert dialog.request().question == dialog.preview_request().question == "how many ships?"
    dialog._model.setCurrentIndex(1)
    assert dialog._answerable.isHidden()


def test_the_questions_that_it_was_taught_are_named(make):
    taught = dataclasses.replace(
        TINY, tasks=("count",), free_questions=False, taught_questions=("is there water?",)
    )
    dialog = make(offer=(taught,))
    choose(dialog._task, "ask")
    assert "tasks: Count. And: “is there water?” It knows: ship, tank." in dialog._answerable.text()


def test_a_task_that_was_remembered_for_another_model_is_not_offered(make):
    first = make()
    choose(first._task, "describe")
    first.accept()
    dialog = make(offer=(dataclasses.replace(TINY, tasks=("detect",)),))
    assert offered(dialog) == ["detect", "ask"]
    assert dialog.request().task == "detect"


LONG_NAME = "S1A_IW_GRDH_1SDV_20240101T120000_20240101T120025_051914_064573_AE1F_harbour_of_a_long_name"


def full_preview():
    """A preview with much to say: warnings, and a prior whose file has a long name."""
    answer = preview_of({"prior": "cog", "year": 2021})
    warning = "The number -9900 is fill that the file does not declare; it was left out."
    answer["chip"]["warnings"] = [warning] * 3
    answer["prior"]["source"] = f"file:{LONG_NAME}_prior.tif"
    return read(Preview, json.dumps(answer).encode())


@pytest.mark.parametrize("size", [None, (800, 470), (400, 300), (1100, 900)])
def test_nothing_overlaps_and_no_text_is_cut(make, qtbot, language, size):
    dialog = make(
        f"{LONG_NAME}.tif",
        offer=(
            dataclasses.replace(TINY, free_questions=False, title="FUSAR-GPT tiny (demonstration only)"),
            LARGE,
        ),
    )
    dialog.show_preview(full_preview())
    beside = PriorStatus(file=f"/data/{LONG_NAME}_prior.tif", at_hand="file")
    dialog.show_prior(beside, Endpoint("http://127.0.0.1:1", ""))
    if size is not None:
        dialog.resize(*size)
    for index in range(dialog._task.count()):
        dialog._task.setCurrentIndex(index)
        for source in ("cog", "file", "none"):
            choose(dialog._prior.source, source)
            dialog.fail_preview("the area is not a valid polygon (Self-intersection): draw it again", True)
            settle()
            assert "\n".join(flaws_of(dialog)) == ""
    assert dialog.scroll.horizontalScrollBar().maximum() == 0


def test_a_dialog_is_as_high_as_its_content_until_it_is_dragged(qtbot):
    parent = QWidget()
    qtbot.addWidget(parent)
    dialog = ScrollingDialog(parent)
    layout, lines = QVBoxLayout(dialog.content), [QLabel("A line", dialog) for _ in range(40)]
    for line in lines:
        layout.addWidget(line)
        line.setVisible(line in lines[:5])
    dialog.foot.addWidget(QPushButton("Start", dialog))
    dialog.fit()
    dialog.show()

    def shown(count):
        for line in lines:
            line.setVisible(line in lines[:count])
        qtbot.wait(20)
        settle()
        assert flaws_of(dialog) == []
        return dialog.height()

    low, high = shown(5), shown(10)
    assert low < high
    assert shown(5) == low
    assert shown(40) < dialog.screen().availableGeometry().height()
    assert dialog.scroll.verticalScrollBar().maximum() > 0
    dialog.resize(dialog.width() + 40, 200)
    assert shown(10) == shown(5) == 200


@pytest.mark.parametrize("height", [500, 300])
def test_it_keeps_out_of_the_way_of_cancel(make, qtbot, height):
    dialog = make()
    dialog.close()
    window = dialog.parentWidget()
    canvas, bar = QWidget(window), QWidget(window)
    window.setGeometry(0, 0, 800, height + 80)
    canvas.setGeometry(0, 50, 800, height)
    bar.setGeometry(0, 50, 800, 40)
    cancel = QPushButton("Cancel", bar)
    cancel.setGeometry(700, 5, 90, 30)
    window.show()
    dialog.place(canvas, bar)
    dialog.ask(dialog.scene, AREA, UTM)
    dialog.show_preview(full_preview())
    qtbot.wait(50)
    there = dialog.frameGeometry()
    assert not there.intersects(QRect(cancel.mapToGlobal(QPoint()), cancel.size()))
    assert dialog.screen().availableGeometry().contains(there)
    assert there.height() > 300


def test_what_keeps_it_from_starting_is_said_and_goes_away_at_once(make, tmp_path):
    dialog = make(offer=(TINY, FREE))
    assert why_not(dialog) == ""
    dialog._targets.deselectAllOptions()
    assert why_not(dialog) == "Choose at least one target, which is what to look for."
    dialog._targets.setCheckedItems(["ship"])
    assert why_not(dialog) == ""
    choose(dialog._task, "ask")
    assert why_not(dialog) == "Type a question about the area."
    dialog._question.setText("What is here?")
    assert why_not(dialog) == ""
    choose(dialog._task, "classify")
    assert why_not(dialog) == "There is no polygon layer. Detect first, or draw boxes."
    polygons((510000, 3999610, 510010, 3999630))
    assert why_not(dialog).startswith("No polygon of that layer lies on the area.")
    choose(dialog._task, "describe")
    dialog._quantity._scale.setText("-1")
    assert "must be a number above 0" in why_not(dialog)
    dialog._quantity._scale.clear()
    choose(dialog._prior.source, "file")
    assert why_not(dialog) == "Choose the file of the prior, or another prior."
    dialog._prior.file.setFilePath(str(tmp_path / "gone.tif"))
    assert "is not there, or cannot be read" in why_not(dialog)
    (tmp_path / "gone.tif").touch()
    dialog._prior.file.setFilePath(str(tmp_path) + "/./gone.tif")
    assert why_not(dialog) == ""


def test_a_backend_that_fails_lacks_a_model_or_refuses_is_said_where_start_is(make, qtbot):
    dialog = make()
    dialog.fail_backend(
        "The backend at http://127.0.0.1:1 does not answer. Check that it runs, then try again."
    )
    assert why_not(dialog).startswith("The backend at http://127.0.0.1:1")
    with qtbot.waitSignal(dialog.backend_wanted):
        dialog.findChild(QPushButton, "FusarWhyNotRetry").click()
    with qtbot.waitSignal(dialog.options_wanted):
        dialog.findChild(QPushButton, "FusarWhyNotOptions").click()
    dialog.offer(info())
    assert "has no model" in why_not(dialog)
    dialog.offer(info(TINY))
    assert why_not(dialog) == ""
    dialog.fail_preview("The area is empty: draw a polygon.", True)
    assert why_not(dialog) == "The area is empty: draw a polygon."
    dialog.accept()
    assert dialog.isVisible()
    choose(dialog._task, "describe")  # another question, another answer
    assert why_not(dialog) == ""
    dialog.fail_preview("The backend does not answer in time.", False)
    assert why_not(dialog) == ""
    assert "in time" in dialog.preview._told.toPlainText()


def test_an_area_beside_the_scene_and_a_layer_that_is_gone(make):
    dialog = make()
    beside = QgsGeometry.fromRect(QgsRectangle(600000, 3999600, 600100, 3999800))
    dialog.ask(dialog.scene, beside, UTM)
    assert why_not(dialog) == "The area lies outside the scene “two”. Draw one on the scene."
    dialog.ask(dialog.scene, AREA, UTM)
    assert why_not(dialog) == ""
    QgsProject.instance().removeMapLayer(dialog.scene.layer_id)
    assert "is no longer in the project" in why_not(dialog)


def test_no_height_makes_the_scroll_bar_come_and_go_for_ever(make):
    """Beside the bar the pictures are lower, and then there is room without it: QGIS overflowed its stack."""
    dialog = make()
    dialog.show_preview(full_preview())
    settle()
    dialog.resize(600, 400)
    settle()
    whole = dialog._height_for(600)
    for height in range(whole - 40, whole + 4):
        dialog.resize(600, height)
        settle()
        bar = dialog.scroll.verticalScrollBar()
        assert bar.isVisible() == (dialog._height_for(dialog.width()) > dialog.height())
