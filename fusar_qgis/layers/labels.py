"""What labels, map tips, forms and tables say of a finding, as expressions of QGIS.

A column that a table of an older version lacks counts as null in them.
"""

from __future__ import annotations

from collections.abc import Mapping

from qgis.core import QgsAttributeTableConfig, QgsEditorWidgetSetup, QgsExpression, QgsVectorLayer
from qgis.PyQt.QtCore import Qt

from ..contract import ENOUGH_DATA
from ..core.review import RANKINGS
from ..translation import translate
from .wording import chips_agree, method_names, share_agrees, task_names, understood_as

# What a reviewer says goes before what the model says.
NAMED = 'coalesce("reviewed_label", "label")'
REJECTED = "coalesce(\"review\", '') = 'rejected'"
LEAST_SCORE = "fusar_least_score"
"""The variable of a layer that holds the least that detections must have to be shown."""
RANKING = "fusar_ranking"
"""The variable of a layer that holds the column which that is about, one of ``RANKINGS``."""

_OF_THE_MODEL = "if(\"reviewed_label\" is null, ' ' || round(100 * \"confidence\") || ' %', '')"
DETECTION = f"if({REJECTED}, '', concat({NAMED}, {_OF_THE_MODEL}, if(\"review\" is null, '', ' ✓')))"
"""A detection's class with the model's confidence in it; no other number, which would be taken for one."""
PLACE = f"if({REJECTED}, '', concat(\"rank\", if(\"review\" is null, '', ' ✓')))"
"""A place's rank."""

_RANK = " ".join(f"when @{RANKING} = '{name}' then \"{name}\"" for name in RANKINGS)
# Without a class nothing is drawn, labelled or identified. What has no score is always shown.
SHOWN = f"if(coalesce(case {_RANK} end >= to_real(@{LEAST_SCORE}), TRUE), {NAMED}, NULL)"
"""A detection's class, or null for one that is hidden."""

_LACKS_DATA = f'coalesce("data_share", 1) < {ENOUGH_DATA}'
_OF_AREA = '"chip" is null and "count" is not null'
_ADDED_UP = f"{_OF_AREA} and coalesce(\"method\", 'sum of chips') = 'sum of chips'"
_SUM = "concat(if(\"complete\", '', '≥ '), to_string(\"count\"))"
_SAID = 'if("complete", coalesce(to_string("count"), "label", "text"), NULL)'
_CHIPS = (
    'count("id", group_by:=concat("run", \' \', "target"), filter:="chip" is not null and "task" = \'count\' and not '
    f"{_LACKS_DATA})"
)


def answer(*, one_run: bool) -> str:
    """Return the words of an answer: the model's own are in the table where they were not understood.

    An incomplete sum is the least that it can be. Below an area's number stands what it was made from. What a free
    question was taken for is not repeated on the counts of the chips. How many chips agree is counted in a table of
    ``one_run``; in one of many that would take long for each label, and their share has to do.
    """
    no_data = _quoted(translate("Labels", "no data"))
    agreement = _agreement() if one_run else _agreeing_share()
    parts = (
        f'if("chip" is null or "count" is null, {_understood()}, \'\')',
        f"if({_ADDED_UP}, 'Σ ', '')",
        "\"target\" || ': '",
        f"coalesce(\"reviewed_label\", if({_OF_AREA}, {_SUM}, {_SAID}), if({_LACKS_DATA}, {no_data}, '?'))",
        f"if(\"chip\" is null, concat('\\n' || {_method()}, '\\n' || {agreement}), '')",
    )
    return f"concat({', '.join(parts)})"


def map_tip(layer: QgsVectorLayer) -> str:
    """Return the HTML template of the map tip: every attribute, escaped, for a model's words are no HTML."""
    words = {
        "confidence": f"coalesce(round(100 * \"confidence\") || ' %', {_quoted(_not_calibrated())})",
        "objectness": 'round("objectness", 3)',
        "length_m": metres('"length_m"'),
        "width_m": metres('"width_m"'),
        "side_m": metres('"side_m"'),
        "percentile": "round(\"percentile\", 1) || ' %'",
        "similarity": 'round("similarity", 3)',
        "method": _method(),
        "agreement": _agreement(),
    }
    rows = "".join(
        f"<tr><td><b>{name}</b></td><td>[% {_escaped(words.get(name, _column(name)))} %]</td></tr>"
        for name in layer.fields().names()
    )
    return f"<table>{rows}</table>"


def metres(side: str) -> str:
    """Return an expression for the words of ``side``, one for metres; null where it is not known."""
    return f"round({side}) || ' m'"


def set_up_form(layer: QgsVectorLayer) -> None:
    """Have the form and the table say in words what a number was made from, and show long texts whole."""
    words = [{name: method} for method, name in method_names().items()]
    for column, widget in (
        ("method", QgsEditorWidgetSetup("ValueMap", {"map": words})),
        ("text", QgsEditorWidgetSetup("TextEdit", {"IsMultiline": True})),
    ):
        place = layer.fields().indexOf(column)
        if place >= 0:
            layer.setEditorWidgetSetup(place, widget)


def sort_by(layer: QgsVectorLayer, expression: str, order: Qt.SortOrder) -> None:
    """Have the table show the best findings first."""
    config: QgsAttributeTableConfig = layer.attributeTableConfig()
    config.setSortExpression(expression)
    config.setSortOrder(order)
    layer.setAttributeTableConfig(config)


def _understood() -> str:
    """Return what a free question was taken for, on a line of its own, or an empty text."""
    task, rest = "regexp_substr(\"understood\", '^(\\\\S+)')", "regexp_replace(\"understood\", '^\\\\S+', '')"
    named = f"{_in_words(task, task_names())} || {rest}"
    return f"coalesce(replace({_quoted(understood_as())}, '{{task}}', {named}) || '\\n', '')"


def _method() -> str:
    return _in_words('"method"', method_names())


def _agreement() -> str:
    """Return the expression of how many chips agree; of their share, where that is no whole number of chips."""
    agreeing, text = f'"agreement" * {_CHIPS}', _quoted(chips_agree())
    exact = f"abs({agreeing} - round({agreeing})) < 0.005 * {_CHIPS}"
    in_chips = f"replace(replace({text}, '{{n}}', round({agreeing})), '{{chips}}', {_CHIPS})"
    return f'if("agreement" is null, NULL, if({exact}, {in_chips}, {_agreeing_share()}))'


def _agreeing_share() -> str:
    return f"replace({_quoted(share_agrees())}, '{{n}}', round(100 * \"agreement\"))"


def _in_words(value: str, names: Mapping[str, str]) -> str:
    """Return an expression that translates the value of another by a table."""
    pairs = ", ".join(f"{_quoted(key)}, {_quoted(name)}" for key, name in names.items())
    return f"coalesce(map_get(map({pairs}), {value}), {value})"


def _not_calibrated() -> str:
    return str(translate("Labels", "none: this model has no calibration"))


def _column(name: str) -> str:
    return str(QgsExpression.quotedColumnRef(name))


def _quoted(text: str) -> str:
    return str(QgsExpression.quotedString(text))


def _escaped(expression: str) -> str:
    text = f"coalesce(to_string({expression}), '')"
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = f"replace({text}, '{character}', '{entity}')"
    return text
