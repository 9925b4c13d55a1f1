"""Findings are seen at every scale."""

import numpy as np
import pytest
from qgis.core import (
    QgsExpression,
    QgsExpressionContext,
    QgsExpressionContextUtils,
    QgsFeature,
    QgsGeometry,
    QgsMapRendererSequentialJob,
    QgsMapSettings,
    QgsPalLayerSettings,
    QgsRectangle,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QSize
from qgis.PyQt.QtGui import QColor, QImage

from fusar_qgis.layers.styles import style

SIDE = 400


def drawn(layer: QgsVectorLayer, metres: float) -> np.ndarray:
    """Which pixels of a map of this side, around the finding, are in the colour of its class, bool [h, w]."""
    pixels = picture(layer, metres)
    return (pixels[..., 2] > 150) & (pixels[..., 0] < 80)


def green(layer: QgsVectorLayer, metres: float) -> int:
    """The most green of a map's pixels, which yellow has more of than the classes."""
    return int(picture(layer, metres)[..., 1].max())


def picture(layer: QgsVectorLayer, metres: float, ground: str = "black") -> np.ndarray:
    """A map of this side around the finding, int [h, w, blue-green-red-alpha]."""
    settings = map_of(layer, metres, ground)
    context = QgsExpressionContext()
    context.appendScope(
        QgsExpressionContextUtils.mapSettingsScope(settings)
    )  # @map_scale, as a canvas gives it
    settings.setExpressionContext(context)
    job = QgsMapRendererSequentialJob(settings)
    job.start()
    job.waitForFinished()
    image = job.renderedImage().convertToFormat(QImage.Format.Format_RGB32)
    bits = image.constBits()
    bits.setsize(image.sizeInBytes())
    return np.frombuffer(bits, np.uint8).reshape(SIDE, SIDE, 4).astype(int)


def map_of(layer: QgsVectorLayer, metres: float, ground: str = "black") -> QgsMapSettings:
    settings = QgsMapSettings()
    settings.setLayers([layer])
    settings.setDestinationCrs(layer.crs())
    settings.setOutputSize(QSize(SIDE, SIDE))
    settings.setExtent(QgsRectangle(-metres / 2, -metres / 2, metres / 2, metres / 2))
    settings.setBackgroundColor(QColor(ground))
    return settings


@pytest.fixture
def layer(qgis_app) -> QgsVectorLayer:
    layer = QgsVectorLayer(
        "Polygon?crs=EPSG:3857&field=id:string&field=label:string&field=reviewed_label:string&field=review:string"
        "&field=confidence:double&field=objectness:double&field=length_m:double",
        "Detections",
        "memory",
    )
    box = QgsFeature(layer.fields())
    box.setAttributes(["f1", "ship", None, None, 0.9, 0.9, 100.0])
    box.setGeometry(QgsGeometry.fromRect(QgsRectangle(-50, -30, 50, 30)))
    layer.dataProvider().addFeatures([box])
    style(layer, "detections", ["ship"])
    layer.setLabelsEnabled(False)
    return layer


@pytest.mark.parametrize("metres", [20_000, 200_000, 2_000_000])
def test_a_box_too_small_for_the_map_is_a_dot(layer, metres):
    rows, cols = np.nonzero(drawn(layer, metres))
    assert rows.size, "nothing is seen"
    assert 5 <= np.ptp(cols) + 1 <= 12
    assert abs(cols.mean() - SIDE / 2) < 2
    assert abs(rows.mean() - SIDE / 2) < 2


def test_a_box_large_enough_is_an_outline_without_a_dot(layer):
    seen = drawn(layer, 300)
    assert seen.any()
    assert not seen[SIDE // 2 - 20 : SIDE // 2 + 20, SIDE // 2 - 20 : SIDE // 2 + 20].any()


def test_a_box_that_a_person_drew_without_a_length_is_seen(layer):
    (feature,) = layer.getFeatures()
    layer.dataProvider().changeAttributeValues({feature.id(): {6: None}})
    assert drawn(layer, 300).any()


def test_what_is_selected_is_not_hidden_by_its_selection(layer):
    layer.selectAll()
    after = drawn(layer, 300)
    assert after.any()
    assert not after[SIDE // 2 - 20 : SIDE // 2 + 20, SIDE // 2 - 20 : SIDE // 2 + 20].any()
    assert green(layer, 300) > 200, "it does not show that it is selected"


def label(layer: QgsVectorLayer, metres: float) -> str:
    """What is written beside the finding on a map of this side; empty for nothing."""
    settings = map_of(layer, metres)
    context = QgsExpressionContext(QgsExpressionContextUtils.globalProjectLayerScopes(layer))
    context.appendScope(QgsExpressionContextUtils.mapSettingsScope(settings))
    context.setFields(layer.fields())
    context.setFeature(next(layer.getFeatures()))
    labels = layer.labeling().settings()
    show = labels.dataDefinedProperties().property(QgsPalLayerSettings.Property.Show)
    if not show.valueAsBool(context, True)[0]:
        return ""
    return QgsExpression(labels.fieldName).evaluate(context)


def test_a_label_is_where_it_fits_and_says_the_length_where_there_is_room(layer):
    assert label(layer, 20_000) == ""  # a dot
    assert label(layer, 3000) == ""  # a box of 3.5 mm
    assert label(layer, 1500) == "ship 90 %"
    assert label(layer, 500) == "ship 90 % · 100 m"


def test_a_label_without_a_length_is_whole(layer):
    (feature,) = layer.getFeatures()
    layer.dataProvider().changeAttributeValues({feature.id(): {6: None}})
    assert label(layer, 500) == "ship 90 %"


@pytest.mark.parametrize("ground", ["black", "white"])
def test_a_finding_is_told_from_dark_and_from_light_ground(layer, ground):
    seen = picture(layer, 300, ground)[..., :3].sum(2)
    line = seen[:, SIDE // 2]
    assert np.ptp(line) > 300  # colour against the dark, its halo against the light
