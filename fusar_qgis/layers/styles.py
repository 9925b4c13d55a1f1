"""How findings look on a grey radar image: colour-blind-safe outlines on a dark halo, readable labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from qgis.core import (
    QgsCategorizedSymbolRenderer,
    QgsCentroidFillSymbolLayer,
    QgsExpression,
    QgsExpressionContextUtils,
    QgsFeatureRequest,
    QgsFillSymbol,
    QgsMarkerSymbol,
    QgsPalLayerSettings,
    QgsProject,
    QgsProperty,
    QgsRendererCategory,
    QgsSimpleLineSymbolLayer,
    QgsSingleSymbolRenderer,
    QgsTextBufferSettings,
    QgsTextFormat,
    QgsVectorLayer,
    QgsVectorLayerSimpleLabeling,
)
from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtGui import QColor

from .. import compat
from ..contract import PLACES
from ..translation import translate
from . import labels as said
from .findings_layer import FILTER_KEPT_PROPERTY, run_of

# Okabe and Ito's palette (2008), the colours that stand out on grey first.
_PALETTE = ("#e69f00", "#56b4e9", "#f0e442", "#009e73", "#d55e00", "#cc79a7", "#0072b2")
_HALO = "0,0,0,150"
_HIT, _MISS, _ANSWER, _UNCLEAR, _PLACE = "#e69f00", "#ffffff", "#56b4e9", "#d55e00", "#f0e442"
_PLACE_BAND = "240,228,66,170"
_LABEL_SIZE = 9.0
_SIDE = '"side_m"'  # of a place in metres
_LENGTH = '"length_m"'  # the longer side of a box in metres; null where a person drew it

# Where a label stands: above what it names; in a lower corner of it, be it turned or not.
_ABOVE = "make_point(x_min($geometry), y_max($geometry))"
_LOWER_LEFT = "closest_point(nodes_to_points($geometry), make_point(x_min($geometry), y_min($geometry)))"

DOT_MM = 2.0
"""Boxes that are smaller than this on the map are drawn as a dot of this size."""

_NAMED_MM = 5.0
"""Boxes that are smaller have no label, which would hide their neighbours."""
_MEASURED_MM = 12.0
"""Labels of boxes that are as large as this say their length."""

_TOLD = "fusar/told_hidden"  # of a node of the Layers panel: the name that says what is hidden

_FAINT = f"if({said.REJECTED}, 30, 100)"


def style(layer: QgsVectorLayer, kind: str, labels: Sequence[str] = ()) -> None:
    """Style ``layer``, which holds findings of ``kind``; ``labels`` are the detections' labels so far."""
    if kind == "detections":
        _style_detections(layer, labels)
    elif kind == "grid":
        _style_grid(layer)
    elif kind == PLACES:
        _style_places(layer)
    else:
        _style_answers(layer)
    layer.setMapTipTemplate(said.map_tip(layer))
    said.set_up_form(layer)


def _style_detections(layer: QgsVectorLayer, labels: Sequence[str]) -> None:
    categories = [
        QgsRendererCategory(label, _detection(_PALETTE[place % len(_PALETTE)]), label)
        for place, label in enumerate(labels)
    ]
    layer.setRenderer(QgsCategorizedSymbolRenderer(said.SHOWN, categories))
    is_large = f"{_on_screen(_LENGTH)} >= {_MEASURED_MM} and not {said.REJECTED}"
    length = f"if({is_large}, coalesce(' · ' || {said.metres(_LENGTH)}, ''), '')"
    _label(layer, f"concat({said.DETECTION}, {length})", at=_ABOVE, side=_LENGTH, least_mm=_NAMED_MM)
    layer.setDisplayExpression(said.DETECTION)
    said.sort_by(layer, 'coalesce("confidence", "objectness")', Qt.SortOrder.DescendingOrder)


def _style_grid(layer: QgsVectorLayer) -> None:
    side = _chip_side(layer, 3)
    hit = _outline(_HIT, fill="230,159,0,70", width=0.5, side=side)
    miss = _outline(_MISS, width=0.2, side=side)
    layer.setRenderer(
        QgsCategorizedSymbolRenderer(
            "hit",
            [
                QgsRendererCategory(True, hit, translate("Styles", "found")),
                QgsRendererCategory(False, miss, translate("Styles", "nothing found")),
            ],
        )
    )
    named = 'concat("cell", if("hit", \' \' || "target", \'\'))'
    _label(layer, named, side=side, least_mm=7)
    layer.setDisplayExpression(named)


def _style_places(layer: QgsVectorLayer) -> None:
    """Outline each place, the better the wider; a fill, as QGIS shows a selection, would hide what is there."""
    symbol = _outline(_PLACE, side=_SIDE)
    band = QgsSimpleLineSymbolLayer.create({"line_color": _PLACE_BAND})
    width = f'clamp(0, 3 - ln("rank"), 3) * coalesce(clamp(0.3, {_on_screen(_SIDE)} / 20, 1), 1)'
    band.setDataDefinedProperty(compat.STROKE_WIDTH, QgsProperty.fromExpression(width))
    symbol.insertSymbolLayer(0, band)
    fading = f'if({said.REJECTED}, 30, clamp(60, 100 - 20 * ln("rank"), 100))'
    symbol.setDataDefinedProperty(compat.OPACITY, QgsProperty.fromExpression(fading))
    layer.setRenderer(QgsSingleSymbolRenderer(symbol))
    _label(
        layer,
        said.PLACE,
        at=_LOWER_LEFT,
        side=_SIDE,
        least_mm=_NAMED_MM,
        plate=_PLACE,
        priority='10 - ln("rank")',
    )
    layer.setDisplayExpression(said.PLACE)
    said.sort_by(layer, '"rank"', Qt.SortOrder.AscendingOrder)


def _style_answers(layer: QgsVectorLayer) -> None:
    side = _chip_side(layer)
    clear = _outline(_ANSWER, width=0.5, line="dash", side=side)
    unclear = _outline(_UNCLEAR, width=0.3, line="dot", side=side)
    layer.setRenderer(
        QgsCategorizedSymbolRenderer(
            "complete",
            [
                QgsRendererCategory(True, clear, translate("Styles", "answered")),
                QgsRendererCategory(False, unclear, translate("Styles", "not understood, or no data")),
            ],
        )
    )
    answered = said.answer(one_run=bool(run_of(layer)))
    _label(layer, f"wordwrap({answered}, 50)", total='"chip" is null', side=side, least_mm=10)
    layer.setDisplayExpression(answered)


def labels_of(layer: QgsVectorLayer) -> list[str]:
    """Return the classes that the layer's style knows."""
    renderer = layer.renderer()
    if not isinstance(renderer, QgsCategorizedSymbolRenderer):
        return []
    return [category.value() for category in renderer.categories() if isinstance(category.value(), str)]


def add_label(layer: QgsVectorLayer, label: str) -> None:
    """Give a class that detections did not have so far a style of its own; an analyst's own style stays."""
    known, renderer = labels_of(layer), layer.renderer()
    if not isinstance(renderer, QgsCategorizedSymbolRenderer) or label in known:
        return
    changed = renderer.clone()
    symbol = _detection(_PALETTE[len(known) % len(_PALETTE)])
    changed.addCategory(QgsRendererCategory(label, symbol, label))
    layer.setRenderer(changed)


def set_least_score(layer: QgsVectorLayer, least: float, ranking: str) -> None:
    """Show only detections that have ``least`` or more of ``ranking``, a column, and those without; 0 shows all."""
    QgsExpressionContextUtils.setLayerVariable(layer, said.RANKING, ranking)
    QgsExpressionContextUtils.setLayerVariable(layer, said.LEAST_SCORE, str(least))
    layer.triggerRepaint()
    tell_hidden(layer)


def keep_filter(layer: QgsVectorLayer, kept: bool) -> None:
    """Have the filter stay, or not, when the project or the table is opened again."""
    layer.setCustomProperty(FILTER_KEPT_PROPERTY, kept)


def is_filter_kept(layer: QgsVectorLayer) -> bool:
    """Return what :func:`keep_filter` has set; false as long as nobody has."""
    return str(layer.customProperty(FILTER_KEPT_PROPERTY)).lower() == "true"


@contextmanager
def without_passing_filter(layer: QgsVectorLayer) -> Iterator[None]:
    """Take a filter that is not kept off the layer's style, while that is saved."""
    least = 0.0 if is_filter_kept(layer) else least_score(layer)
    if least:
        QgsExpressionContextUtils.setLayerVariable(layer, said.LEAST_SCORE, "0")
    yield
    if least:
        QgsExpressionContextUtils.setLayerVariable(layer, said.LEAST_SCORE, str(least))


def open_filter(layer: QgsVectorLayer) -> None:
    """Do what is right for the filter of a layer that has just been opened: drop it, or say what it hides."""
    if least_score(layer) and not is_filter_kept(layer):
        set_least_score(layer, 0, "")
    else:
        tell_hidden(layer)


def tell_hidden(layer: QgsVectorLayer) -> None:
    """Say in the Layers panel, after the layer's name, how many detections its filter hides; the name itself stays."""
    node = QgsProject.instance().layerTreeRoot().findLayer(layer.id())
    if node is None:
        return
    count, told = hidden_count(layer), node.customProperty(_TOLD)
    if told and node.name() != told:
        layer.setName(node.name())  # the analyst has renamed it since
    if count:
        node.setUseLayerName(False)
        node.setName(translate("Styles", "{name} ({n} hidden)").format(name=layer.name(), n=count))
        node.setCustomProperty(_TOLD, node.name())
    elif not node.useLayerName():
        node.setName(layer.name())
        node.setUseLayerName(True)
        node.removeCustomProperty(_TOLD)


def least_score(layer: QgsVectorLayer) -> float:
    """Return what :func:`set_least_score` has set."""
    try:
        return float(QgsExpressionContextUtils.layerScope(layer).variable(said.LEAST_SCORE) or 0.0)
    except (TypeError, ValueError):
        return 0.0


def hidden_count(layer: QgsVectorLayer) -> int:
    """Return how many detections the filter of :func:`set_least_score` hides."""
    least = least_score(layer)
    ranking = str(QgsExpressionContextUtils.layerScope(layer).variable(said.RANKING) or "")
    if least <= 0 or ranking not in layer.fields().names():
        return 0
    request = QgsFeatureRequest(QgsExpression(f'"{ranking}" < {least}'))
    request.setFlags(QgsFeatureRequest.Flag.NoGeometry).setNoAttributes()
    return sum(1 for _ in layer.getFeatures(request))


def _chip_side(layer: QgsVectorLayer, parts: int = 1) -> str:
    """Return the side of a chip, or of one of its ``parts``, in metres; NULL if the run does not say."""
    try:
        return str(float(run_of(layer)["chip_ground_m"]) / parts)
    except (KeyError, TypeError, ValueError):
        return "NULL"


def _on_screen(side: str) -> str:
    """Return an expression for the millimetres on the map of ``side``, an expression for metres."""
    return f"({side} * 1000 / @map_scale)"


def _detection(colour: str) -> QgsFillSymbol:
    """Return the outline of a detection, with a dot in its place where the map is too small for the outline."""
    symbol = _outline(colour, side=_LENGTH)
    centre = QgsCentroidFillSymbolLayer()
    look = {"name": "circle", "color": colour, "outline_color": _HALO, "outline_width": "0.3"}
    centre.setSubSymbol(QgsMarkerSymbol.createSimple({**look, "size": str(DOT_MM)}))
    is_small = f"coalesce({_on_screen(_LENGTH)} < {DOT_MM}, FALSE)"
    for number in range(symbol.symbolLayerCount()):
        line = symbol.symbolLayer(number)
        line.setDataDefinedProperty(compat.LAYER_ENABLED, QgsProperty.fromExpression(f"not {is_small}"))
    centre.setDataDefinedProperty(compat.LAYER_ENABLED, QgsProperty.fromExpression(is_small))
    symbol.appendSymbolLayer(centre)
    return symbol


def _outline(
    colour: str, *, fill: str = "", width: float = 0.6, line: str = "solid", side: str = "NULL"
) -> QgsFillSymbol:
    """Return a polygon symbol: a dark halo under a line of ``colour``; widths in millimetres.

    Lines get thinner where ``side``, an expression for metres, is small on the map; what is rejected is faint. They are
    line layers: QGIS shows a selection by filling a fill layer, which would hide what was found.
    """
    symbol = QgsFillSymbol.createSimple({"color": fill, "outline_style": "no"})
    for paint, full, kind in ((_HALO, width + 0.5, "solid"), (colour, width, line)):
        stroke = QgsSimpleLineSymbolLayer.create(
            {"line_color": paint, "line_width": str(full), "line_style": kind}
        )
        thinner = f"{full} * coalesce(clamp(0.3, {_on_screen(side)} / 8, 1), 1)"
        stroke.setDataDefinedProperty(compat.STROKE_WIDTH, QgsProperty.fromExpression(thinner))
        symbol.appendSymbolLayer(stroke.clone())
    if not fill:
        symbol.deleteSymbolLayer(0)
    symbol.setDataDefinedProperty(compat.OPACITY, QgsProperty.fromExpression(_FAINT))
    return symbol


def _label(
    layer: QgsVectorLayer,
    expression: str,
    *,
    at: str = "",
    total: str = "FALSE",
    side: str = "NULL",
    least_mm: float = 0,
    plate: str = "",
    priority: str = "5",
) -> None:
    """Label each feature in its middle, or to the upper right of ``at``, an expression for a point.

    ``total`` is an expression for the features whose label comes first, and larger. Others lose their label where
    ``side``, an expression for metres, is less than ``least_mm`` on the map.
    """
    settings = QgsPalLayerSettings()
    settings.setFormat(_text_on(plate))
    settings.fieldName = expression
    settings.isExpression = True
    settings.placement = QgsPalLayerSettings.Placement.OverPoint
    data_defined = settings.dataDefinedProperties()
    for what, value in (
        (QgsPalLayerSettings.Property.Size, f"if({total}, {2 * _LABEL_SIZE}, {_LABEL_SIZE})"),
        (QgsPalLayerSettings.Property.Priority, f"if({total}, 10, {priority})"),
        (QgsPalLayerSettings.Property.Show, f"{total} or coalesce({_on_screen(side)} >= {least_mm}, TRUE)"),
    ):
        data_defined.setProperty(what, QgsProperty.fromExpression(value))
    if at:
        # OutsidePolygons would say it more simply, but QGIS 3.22 then shows no label at all.
        settings.geometryGeneratorEnabled = True
        settings.geometryGenerator = at
        settings.geometryGeneratorType = compat.POINT
        settings.quadOffset = compat.ABOVE_RIGHT
    layer.setLabeling(QgsVectorLayerSimpleLabeling(settings))
    layer.setLabelsEnabled(True)


def _text_on(plate: str) -> QgsTextFormat:
    """Return white text on a dark halo, or dark text on a plate of a colour."""
    buffer = QgsTextBufferSettings()
    buffer.setEnabled(True)
    buffer.setColor(QColor(plate) if plate else QColor(0, 0, 0, 190))
    buffer.setSize(1.1 if plate else 0.8)
    text = QgsTextFormat()
    text.setSize(_LABEL_SIZE)
    text.setColor(QColor("black" if plate else "white"))
    text.setBuffer(buffer)
    return text
