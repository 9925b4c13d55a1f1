"""How findings look on a grey radar image: colour-blind-safe outlines on a dark halo, readable labels."""

from __future__ import annotations

from collections.abc import Sequence

from qgis.core import (
    QgsCategorizedSymbolRenderer,
    QgsFillSymbol,
    QgsPalLayerSettings,
    QgsProperty,
    QgsRendererCategory,
    QgsTextBufferSettings,
    QgsTextFormat,
    QgsVectorLayer,
    QgsVectorLayerSimpleLabeling,
)
from qgis.PyQt.QtCore import QCoreApplication
from qgis.PyQt.QtGui import QColor

from .. import compat

translate = QCoreApplication.translate

# Okabe and Ito's palette (2008), the colours that stand out on grey first.
_PALETTE = ("#e69f00", "#56b4e9", "#f0e442", "#009e73", "#d55e00", "#cc79a7", "#0072b2")
_HALO = "0,0,0,150"
_HIT, _MISS, _ANSWER, _UNCLEAR = "#e69f00", "#ffffff", "#56b4e9", "#d55e00"
_LABEL_SIZE = 9.0

_SCORED = 'concat("label", if("score" is null, \'\', \' \' || format_number("score", 2)))'
# What was not understood is shown as such; the model's own words are in the table.
_ANSWERED = (
    "concat(if(\"chip\" is null, 'Σ ', ''), \"target\", if(\"target\" is null, '', ': '),"
    ' if("complete", coalesce(to_string("count"), "label", "text", \'?\'), \'?\'))'
)


def style(layer: QgsVectorLayer, kind: str, labels: Sequence[str] = ()) -> None:
    """Style ``layer``, which holds findings of ``kind``; ``labels`` are the detections' labels so far."""
    if kind == "detections":
        _style_detections(layer, labels)
    elif kind == "grid":
        _style_grid(layer)
    else:
        _style_answers(layer)


def _style_detections(layer: QgsVectorLayer, labels: Sequence[str]) -> None:
    categories = [
        QgsRendererCategory(label, _outline(_PALETTE[place % len(_PALETTE)]), label)
        for place, label in enumerate(labels)
    ]
    layer.setRenderer(QgsCategorizedSymbolRenderer("label", categories))
    _label(layer, _SCORED, above=True)
    layer.setDisplayExpression(_SCORED)


def _style_grid(layer: QgsVectorLayer) -> None:
    hit = _outline(_HIT, fill="230,159,0,70", width=0.5)
    miss = _outline(_MISS, width=0.2)
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
    _label(layer, named)
    layer.setDisplayExpression(named)


def _style_answers(layer: QgsVectorLayer) -> None:
    clear = _outline(_ANSWER, width=0.5, line="dash")
    unclear = _outline(_UNCLEAR, width=0.3, line="dot")
    layer.setRenderer(
        QgsCategorizedSymbolRenderer(
            "complete",
            [
                QgsRendererCategory(True, clear, translate("Styles", "answered")),
                QgsRendererCategory(False, unclear, translate("Styles", "not understood")),
            ],
        )
    )
    _label(layer, f"wordwrap({_ANSWERED}, 50)", total='"chip" is null')
    layer.setDisplayExpression(_ANSWERED)


def _outline(colour: str, *, fill: str = "0,0,0,0", width: float = 0.6, line: str = "solid") -> QgsFillSymbol:
    """Return a polygon symbol: a dark halo under a line of ``colour``; widths in millimetres."""
    symbol = QgsFillSymbol.createSimple(
        {"color": fill, "outline_color": _HALO, "outline_width": str(width + 0.5), "outline_style": "solid"}
    )
    top = QgsFillSymbol.createSimple(
        {"style": "no", "outline_color": colour, "outline_width": str(width), "outline_style": line}
    )
    symbol.appendSymbolLayer(top.symbolLayer(0).clone())
    return symbol


def _label(layer: QgsVectorLayer, expression: str, *, above: bool = False, total: str = "") -> None:
    """Label each feature in its middle, or ``above`` its upper left corner, where it hides nothing.

    ``total`` is an expression for the features whose label comes first, and larger.
    """
    buffer = QgsTextBufferSettings()
    buffer.setEnabled(True)
    buffer.setColor(QColor(0, 0, 0, 190))
    buffer.setSize(0.8)
    text = QgsTextFormat()
    text.setSize(_LABEL_SIZE)
    text.setColor(QColor("white"))
    text.setBuffer(buffer)
    settings = QgsPalLayerSettings()
    settings.setFormat(text)
    settings.fieldName = expression
    settings.isExpression = True
    settings.placement = QgsPalLayerSettings.Placement.OverPoint
    if total:
        data_defined = settings.dataDefinedProperties()
        for what, if_total, else_ in (
            (QgsPalLayerSettings.Property.Size, 2 * _LABEL_SIZE, _LABEL_SIZE),
            (QgsPalLayerSettings.Property.Priority, 10, 5),
        ):
            data_defined.setProperty(what, QgsProperty.fromExpression(f"if({total}, {if_total}, {else_})"))
    if above:
        # OutsidePolygons would say it more simply, but QGIS 3.22 then shows no label at all.
        settings.geometryGeneratorEnabled = True
        settings.geometryGenerator = "make_point(x_min($geometry), y_max($geometry))"
        settings.geometryGeneratorType = compat.POINT
        settings.quadOffset = compat.ABOVE_RIGHT
    layer.setLabeling(QgsVectorLayerSimpleLabeling(settings))
    layer.setLabelsEnabled(True)


def map_tip(layer: QgsVectorLayer) -> str:
    """Return the HTML template of the map tip: every attribute, escaped, for a model's words are no HTML."""
    rows = "".join(
        f"<tr><td><b>{field.name()}</b></td><td>[% {_escaped(field.name())} %]</td></tr>"
        for field in layer.fields()
    )
    return f"<table>{rows}</table>"


def _escaped(name: str) -> str:
    text = f"coalesce(to_string(\"{name}\"), '')"
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = f"replace({text}, '{character}', '{entity}')"
    return text
