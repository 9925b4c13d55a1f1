"""The question's fields become the order, nothing incomplete can be started, and choices are remembered."""

import dataclasses
import json

import pytest
from conftest import shows, write_tiff
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
from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtTest import QTest
from qgis.PyQt.QtWidgets import QWidget
from standin import preview_of

from fusar_qgis.contract import Info, Model, Preview, read
from fusar_qgis.gui import boxes_choice
from fusar_qgis.gui.request_dialog import RequestDialog
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


def choose(box, data):
    box.setCurrentIndex(box.findData(data))


def test_it_waits_for_the_backend(make):
    dialog = make(offer=())
    assert dialog.request() is None
    assert not dialog._start.isEnabled()
    assert dialog._waiting.isVisible()
    dialog.offer(info(TINY))
    assert dialog._start.isEnabled()
    assert not dialog._waiting.isVisible()
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
    assert "Taken for power, as float32 numbers usually are." in dialog.preview._told.text()
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


def test_what_is_told_covers_no_picture_however_much_it_is(make, qtbot):
    dialog = make()
    dialog.show()
    answer = preview_of({"prior": "cog"})
    answer["chip"]["warnings"] = [
        "The number -9900 is fill that the file does not declare; it was left out."
    ] * 4
    dialog.show_preview(read(Preview, json.dumps(answer).encode()))
    panel = dialog.preview

    def is_laid_out():
        below = panel._chip.geometry().bottom() < panel._chip_text.geometry().top()
        texts = (panel._chip_text, panel._prior_text, panel._told)
        return below and all(text.height() >= text.heightForWidth(text.width()) for text in texts)

    qtbot.waitUntil(is_laid_out)
    assert panel.geometry().bottom() < dialog.height()


def test_the_preview_says_what_is_seen_and_how_long_it_takes(make):
    dialog = make()
    answer = preview_of({"prior": "cog", "year": 2021})
    dialog.show_preview(read(Preview, json.dumps(answer).encode()))
    assert shows(dialog.preview._chip)
    assert dialog.preview._chip_text.text() == ("One chip, 640 m wide. VV: -22 to 4 dB from black to white.")
    assert dialog.preview._told.text() == "Taken for power, as float32 numbers usually are."
    assert "cog, 2021, 256 vectors" in dialog.preview._prior_text.text()
    assert "known after the first run" in dialog._estimate.text()
    nothing = answer["prior"] | {"image": None, "said": ["prior: <b>cog</b> has nothing at some places."]}
    dialog.show_preview(read(Preview, json.dumps(answer | {"seconds": 130, "prior": nothing}).encode()))
    assert dialog.preview._prior.text() == "No prior here"
    assert "&lt;b&gt;" in dialog.preview._prior_text.text()
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
