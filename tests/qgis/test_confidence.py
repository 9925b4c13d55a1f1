"""Confidence is shown where the run is calibrated, and nothing in its place; tables of older versions still work."""

import json
import sqlite3
from contextlib import closing

import pytest
from qgis.core import (
    QgsCategorizedSymbolRenderer,
    QgsExpression,
    QgsExpressionContext,
    QgsExpressionContextUtils,
    QgsFillSymbol,
    QgsProject,
    QgsRendererCategory,
    QgsVectorLayer,
)
from test_results import RUN, finding, project, run  # noqa: F401 - fixtures
from test_review import canvas, drawn, looked, press, review, start  # noqa: F401 - fixtures

from fusar_qgis.contract import FINDING_COLUMNS, Found
from fusar_qgis.core.review import FIELDS
from fusar_qgis.layers import exports, findings_layer, storage
from fusar_qgis.layers.features import feature_of, fields_of, geometry_of
from fusar_qgis.layers.filter_counts import FilterCounts
from fusar_qgis.layers.run_layers import RunLayers
from fusar_qgis.layers.scene import crs_of
from fusar_qgis.layers.styles import hidden_count, is_filter_kept, least_score, set_least_score


def evaluate(layer, expression, feature):
    context = QgsExpressionContext(QgsExpressionContextUtils.globalProjectLayerScopes(layer))
    context.setFields(layer.fields())
    context.setFeature(feature)
    return QgsExpression(expression).evaluate(context)


def labels(layer) -> list[str]:
    expression = layer.labeling().settings().fieldName
    return [evaluate(layer, expression, one) for one in layer.getFeatures()]


def tip(layer) -> str:
    context = QgsExpressionContext(QgsExpressionContextUtils.globalProjectLayerScopes(layer))
    context.setFeature(next(layer.getFeatures()))
    return QgsExpression.replaceExpressionText(layer.mapTipTemplate(), context)


@pytest.fixture
def uncalibrated(project, run):  # noqa: F811
    layer, _ = run(
        Found(tuple(finding(n, confidence=None, objectness=one) for n, one in enumerate((0.97, 0.4, 0.8), 1)))
    )
    return layer


@pytest.fixture
def old(project, tmp_path):  # noqa: F811
    """A layer as version 0.1.0 made and styled it: a score, and none of the new columns."""
    columns = {name: kind for name, kind in FINDING_COLUMNS["detections"].items() if name not in (
        "objectness", "confidence"
    )}  # fmt: skip
    fields = fields_of({**columns, "score": float, **FIELDS})
    file = tmp_path / "survey_fusar.gpkg"
    table = storage.make_table(file, "detections", {**RUN, "id": "old"}, fields, crs_of("EPSG:32650"))
    with closing(sqlite3.connect(file)) as database, database:
        for column in ("prior_asked", "confidence_meaning"):
            database.execute(f"ALTER TABLE runs DROP COLUMN {column}")
    rows = []
    for number, score in enumerate((0.46, 0.2, 0.31), 1):
        made = finding(number)
        row = {**made.properties, "id": made.id, "score": score}
        rows.append(feature_of(fields, row, geometry_of(made)))
    storage.fill_table(file, table, fields, rows)
    layer = QgsVectorLayer(f"{file}|layername={table}", "Detections", "ogr")
    layer.setCustomProperty(findings_layer.RUN_PROPERTY, json.dumps(RUN))
    layer.setCustomProperty(findings_layer.KIND_PROPERTY, "detections")
    shown = (
        'if("score" is null or "score" >= coalesce(to_real(@fusar_least_score), 0),'
        ' coalesce("reviewed_label", "label"), NULL)'
    )
    symbol = QgsFillSymbol.createSimple({})
    layer.setRenderer(QgsCategorizedSymbolRenderer(shown, [QgsRendererCategory("ship", symbol, "ship")]))
    QgsProject.instance().addMapLayer(layer)
    return layer


def test_a_calibrated_detection_says_its_confidence_in_percent(project, run):  # noqa: F811
    layer, _ = run(Found((finding(1, confidence=0.874), finding(2, confidence=0.05))))
    assert labels(layer) == ["ship 87 %", "ship 5 %"]
    assert evaluate(layer, layer.displayExpression(), next(layer.getFeatures())) == "ship 87 %"
    assert "<td>87 %</td>" in tip(layer)
    assert layer.attributeTableConfig().sortExpression() == 'coalesce("confidence", "objectness")'


def test_no_number_stands_in_for_a_confidence_that_is_not_there(uncalibrated):
    assert labels(uncalibrated) == ["ship"] * 3
    assert "this model has no calibration" in tip(uncalibrated)
    assert "%" not in tip(uncalibrated)


def test_the_slider_ranks_by_objectness_and_says_so(uncalibrated, start, qtbot):  # noqa: F811
    bar = start(uncalibrated)
    assert bar._confidence._name.text().replace("&", "") == "Objectness (ranks only)"
    assert "not a probability of being right" in bar._confidence._slider.toolTip()
    bar._confidence._slider.setValue(70)
    qtbot.waitUntil(lambda: least_score(uncalibrated) == 0.7)
    assert bar._confidence._text.text() == "≥ 0.70: 2 of 3"
    assert drawn(uncalibrated) == ["f1", "f3"]


def test_where_some_have_a_confidence_objectness_does_not_stand_in_for_the_rest(
    project, run, start, qtbot  # noqa: F811
):  # fmt: skip
    layer, _ = run(Found((finding(1, confidence=0.3), finding(2, confidence=None, objectness=0.1))))
    bar = start(layer)
    bar._confidence._slider.setValue(50)
    qtbot.waitUntil(lambda: least_score(layer) == 0.5)
    assert drawn(layer) == ["f2"]
    assert hidden_count(layer) == 1
    node = QgsProject.instance().layerTreeRoot().findLayer(layer.id())
    name = layer.name()
    assert node.name() == f"{name} (1 hidden)"
    assert "≥ 50 %: 1 of 2 (incl. 1 unscored)" in bar._confidence._text.text()
    bar._confidence._slider.setValue(0)
    qtbot.waitUntil(lambda: least_score(layer) == 0)
    assert (hidden_count(layer), node.name(), layer.name()) == (0, name, name)
    assert node.useLayerName()


@pytest.fixture
def counts(qgis_app):
    counts = FilterCounts(qgis_app)
    yield counts
    counts.remove()


def tree_name(layer) -> str:
    return QgsProject.instance().layerTreeRoot().findLayer(layer.id()).name()


def reopened(project):  # noqa: F811
    assert project.write()
    file = project.fileName()
    project.clear()
    assert project.read(file)
    (layer,) = findings_layer.findings_layers(project)
    return layer


@pytest.fixture
def filtered(project, run, counts):  # noqa: F811
    layer, _ = run(Found((finding(1, confidence=0.3), finding(2, confidence=0.9))))
    set_least_score(layer, 0.5, "confidence")
    return layer


def test_a_project_that_is_opened_again_shows_everything(filtered, project):  # noqa: F811
    assert tree_name(filtered) == "Detections (1 hidden)"
    layer = reopened(project)
    assert (hidden_count(layer), least_score(layer), tree_name(layer)) == (0, 0, "Detections")
    assert not project.isDirty()
    assert drawn(layer) == ["f1", "f2"]


def test_a_filter_that_is_kept_says_at_once_what_it_hides(filtered, project, start):  # noqa: F811
    bar = start(filtered)
    bar._confidence._keep.click()
    assert is_filter_kept(filtered)
    layer = reopened(project)
    assert (hidden_count(layer), least_score(layer), tree_name(layer)) == (1, 0.5, "Detections (1 hidden)")
    assert drawn(layer) == ["f2"]


def test_the_count_is_right_while_findings_arrive(project, counts, qtbot):  # noqa: F811
    layers = RunLayers(RUN, project)
    layers.add(Found((finding(1, confidence=0.3),)))
    qtbot.waitUntil(lambda: not layers._waiting)
    (layer,) = findings_layer.findings_layers(project)
    set_least_score(layer, 0.5, "confidence")
    assert tree_name(layer) == "Detections (1 hidden)"
    layers.add(Found((finding(2, confidence=0.2), finding(3, confidence=0.8))))
    qtbot.waitUntil(lambda: tree_name(layer) == "Detections (2 hidden)")
    layers.add(Found((), {"f4": "f1", "f5": "f2"}))
    qtbot.waitUntil(lambda: tree_name(layer) == "Detections")
    layers.finish()
    qtbot.waitUntil(lambda: layers.is_settled)


def test_a_filter_set_during_the_run_does_not_hide_in_other_projects(project, counts, qtbot):  # noqa: F811
    layers, gone = RunLayers(RUN, project), []
    layers.destroyed.connect(lambda: gone.append(True))
    layers.add(Found((finding(1, confidence=0.3),)))
    qtbot.waitUntil(lambda: not layers._waiting)
    (layer,) = findings_layer.findings_layers(project)
    set_least_score(layer, 0.5, "confidence")
    layers.finish()
    qtbot.waitUntil(lambda: bool(gone))
    assert least_score(layer) == 0.5
    file, table = storage.source_of(layer)
    elsewhere = QgsVectorLayer(f"{file}|layername={table}", "elsewhere", "ogr")
    assert (least_score(elsewhere), hidden_count(elsewhere)) == (0, 0)


def test_a_layer_renamed_while_it_is_filtered_keeps_the_new_name(filtered, qtbot):
    node = QgsProject.instance().layerTreeRoot().findLayer(filtered.id())
    node.setName("Ships of May")
    set_least_score(filtered, 0.95, "confidence")
    assert tree_name(filtered) == "Ships of May (2 hidden)"
    set_least_score(filtered, 0, "confidence")
    assert (tree_name(filtered), filtered.name()) == ("Ships of May", "Ships of May")


def test_a_layer_without_any_number_says_why_there_is_no_slider(project, run, start):  # noqa: F811
    layer, _ = run(Found((finding(1, confidence=None, objectness=None),)))
    bar = start(layer)
    assert not bar._confidence._slider.isEnabled()
    assert "No detection of this layer" in bar._confidence._slider.toolTip()


def test_a_relabelled_detection_loses_the_models_confidence(project, run, start, canvas):  # noqa: F811
    layer, _ = run(Found((finding(1), finding(2))))
    bar = start(layer)
    bar._label.setEditText("tug")
    bar._relabelled()
    press(canvas, "A")
    assert labels(layer) == ["tug ✓", "ship 50 % ✓"]


def test_a_table_of_an_older_version_is_reviewed_by_its_score(old, start, canvas, qtbot, tmp_path):  # noqa: F811
    bar = start(old)
    assert bar._confidence._name.text().replace("&", "") == "Score (ranks only)"
    bar._confidence._slider.setValue(30)
    qtbot.waitUntil(lambda: least_score(old) == 0.3)
    assert drawn(old) == ["f1", "f3"]
    assert hidden_count(old) == 1
    press(canvas, "AA")
    context = QgsProject.instance().transformContext()
    taken = exports.snapshot(old, context, unreviewed_too=False)
    assert (taken.ranking, len(taken.features)) == ("score", 2)
    exports.write(taken, "geojson", tmp_path / "old.geojson")
    kept = json.loads((tmp_path / "old.geojson").read_text())["features"]
    assert [one["properties"]["score"] for one in kept] == [0.46, 0.31]


def test_a_table_of_an_older_version_can_be_styled_anew(old):
    from fusar_qgis.layers.styles import style

    style(old, "detections", ["ship"])
    assert labels(old) == ["ship"] * 3
    assert drawn(old) == ["f1", "f2", "f3"]


def test_a_new_run_goes_into_an_old_file_and_nothing_is_lost(old, run, tmp_path):  # noqa: F811
    file = tmp_path / "survey_fusar.gpkg"
    QgsProject.instance().removeMapLayer(old)
    layer, warnings = run(Found((finding(7),)))
    assert (storage.source_of(layer)[0], warnings) == (file, [])
    with closing(sqlite3.connect(file)) as database:
        runs = database.execute("SELECT id, model, prior_asked FROM runs ORDER BY fid").fetchall()
        tables = {name for (name,) in database.execute("SELECT table_name FROM gpkg_contents")}
    assert [row[:2] for row in runs] == [("old", "tiny"), ("run-7", "tiny")]
    assert {"detections_20260102030405", "detections_20260102030405_2"} <= tables
    names = layer.fields().names()
    assert [name for name in ("objectness", "confidence", "score") if name in names] == [
        "objectness",
        "confidence",
    ]
    again = QgsVectorLayer(f"{file}|layername=detections_20260102030405", "old", "ogr")
    assert [one["score"] for one in again.getFeatures()] == [0.46, 0.2, 0.31]
