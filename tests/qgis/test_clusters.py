"""Where findings fall together at a small scale, their number stands over them; filters and decisions count."""

import numpy as np
import pytest
from qgis.core import (
    QgsFeature,
    QgsFillSymbol,
    QgsGeometry,
    QgsProject,
    QgsRectangle,
    QgsSingleSymbolRenderer,
    QgsVectorLayer,
)
from qgis.gui import QgsMapCanvas

from fusar_qgis.gui.cluster_numbers import ClusterNumbers
from fusar_qgis.layers.clusters import clusters
from fusar_qgis.layers.findings_layer import KIND_PROPERTY
from fusar_qgis.layers.styles import set_least_score, style

FAR, CLOSE = 200_000.0, 800.0  # metres across the map
HARBOUR, ANCHORAGE = (0.0, 0.0), (60_000.0, 30_000.0)


@pytest.mark.parametrize("seed", range(5))
def test_every_point_is_told_once_and_those_told_apart_are_apart(seed):
    points = np.random.default_rng(seed).random((400, 2)) * 100
    centres, counts = clusters(points, 5.0, 1)
    assert counts.sum() == len(points)
    assert np.allclose((centres * counts[:, None]).sum(0), points.sum(0))
    assert list(counts) == sorted(counts, reverse=True)
    least, fewer = clusters(points, 5.0, 4)
    assert (len(least), list(fewer)) == (np.count_nonzero(counts >= 4), [n for n in counts if n >= 4])


def test_what_falls_together_stays_so_when_the_map_is_moved():
    points = np.random.default_rng(0).random((50, 2)) * 100
    _, whole = clusters(points, 5.0, 1)
    moved = [clusters(points[points[:, 0] < edge], 5.0, 1)[1].sum() for edge in (50, 75, 100)]
    assert moved == [np.count_nonzero(points[:, 0] < edge) for edge in (50, 75, 100)]
    assert whole.sum() == 50


def test_no_points_are_no_clusters():
    centres, counts = clusters(np.zeros((0, 2)), 5.0, 3)
    assert (centres.shape, counts.shape) == ((0, 2), (0,))


@pytest.fixture
def layer(qgis_new_project) -> QgsVectorLayer:
    """Six ships in the harbour, four at anchor, one at sea."""
    layer = QgsVectorLayer(
        "Polygon?crs=EPSG:3857&field=id:string&field=label:string&field=reviewed_label:string&field=review:string"
        "&field=confidence:double&field=objectness:double&field=length_m:double",
        "Detections",
        "memory",
    )
    layer.setCustomProperty(KIND_PROPERTY, "detections")
    places = [*[HARBOUR] * 6, *[ANCHORAGE] * 4, (-60_000.0, -30_000.0)]
    for number, (x, y) in enumerate(places):
        box = QgsFeature(layer.fields())
        box.setAttributes([f"f{number}", "ship", None, None, number / 10, 0.9, 100.0])
        box.setGeometry(QgsGeometry.fromRect(QgsRectangle(x - 50 + number, y - 30, x + 50 + number, y + 30)))
        layer.dataProvider().addFeatures([box])
    style(layer, "detections", ["ship"])
    QgsProject.instance().addMapLayer(layer)
    return layer


@pytest.fixture
def canvas(layer):
    canvas = QgsMapCanvas()
    canvas.resize(800, 600)
    canvas.setDestinationCrs(layer.crs())
    canvas.setLayers([layer])
    yield canvas
    canvas.deleteLater()


@pytest.fixture
def look(canvas, qtbot):
    numbers = ClusterNumbers(canvas, canvas)

    def look(metres: float = FAR, centre=(0.0, 0.0)) -> list[int]:
        x, y = centre
        canvas.setExtent(QgsRectangle(x - metres / 2, y - metres / 2, x + metres / 2, y + metres / 2))
        qtbot.waitUntil(lambda: not numbers.is_busy)
        return numbers.numbers

    yield look
    numbers.remove()


def test_numbers_stand_where_the_map_is_small_and_go_where_boxes_are_seen(look):
    assert look(FAR) == [6, 4]
    assert look(CLOSE) == []
    assert look(FAR) == [6, 4]


def test_what_a_filter_hides_and_what_is_rejected_is_not_counted(look, layer):
    assert look() == [6, 4]
    set_least_score(layer, 0.25, "confidence")
    assert look() == [4, 3]  # four of ten at anchor are above, and three of the harbour
    review = layer.fields().indexOf("review")
    (last,) = [one.id() for one in layer.getFeatures() if one["id"] == "f5"]
    layer.dataProvider().changeAttributeValues({last: {review: "rejected"}})
    layer.triggerRepaint()
    assert look() == [4]


def test_classes_that_are_switched_off_are_not_counted(look, layer):
    assert look() == [6, 4]
    renderer = layer.renderer().clone()
    renderer.updateCategoryRenderState(0, False)
    layer.setRenderer(renderer)
    assert look() == []


def test_a_style_of_the_analysts_own_gets_no_numbers(look, layer):
    assert look() == [6, 4]
    layer.setRenderer(QgsSingleSymbolRenderer(QgsFillSymbol.createSimple({})))
    assert look() == []


def test_a_layer_that_its_scales_hide_is_not_counted(look, layer):
    layer.setMinimumScale(1000)
    layer.setScaleBasedVisibility(True)
    assert look() == []
    layer.setScaleBasedVisibility(False)
    assert look(FAR * 1.01) == [6, 4]


def test_a_layer_that_is_not_on_the_map_is_not_counted(look, layer, canvas):
    assert look() == [6, 4]
    canvas.setLayers([])
    assert look() == []
    canvas.setLayers([layer])
    assert look() == [6, 4]
    QgsProject.instance().removeMapLayer(layer.id())
    assert look() == []


def test_the_map_may_have_another_crs(look, canvas):
    canvas.setDestinationCrs(canvas.layers()[0].crs().fromEpsgId(4326))
    degrees = FAR / 111_000
    assert look(degrees) == [6, 4]


@pytest.mark.parametrize("turn", [0, 40])
def test_it_is_painted_over_the_map_where_the_findings_are(look, canvas, turn, qtbot):
    def dark(x: int, y: int) -> int:
        image = canvas.grab().toImage()
        pixels = (image.pixelColor(x + dx, y + dy) for dx in range(-12, 12) for dy in range(-12, 12))
        return sum(pixel.lightness() < 60 for pixel in pixels)

    canvas.show()  # a hidden canvas takes its size much later
    qtbot.waitUntil(lambda: canvas.mapSettings().outputSize() == canvas.viewport().size())
    canvas.setRotation(turn)
    assert look(FAR) == [6, 4]
    for x, y in (HARBOUR, ANCHORAGE):
        at = canvas.getCoordinateTransform().transform(x, y)
        assert dark(round(at.x()), round(at.y())) > 100
    look(CLOSE, centre=(0.0, 5000.0))
    assert dark(400, 300) == 0
