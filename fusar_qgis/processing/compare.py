"""Compare with truth: precision, recall and F1 of detections, and a layer of found, false and missed ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from qgis.core import (
    QgsCategorizedSymbolRenderer,
    QgsCoordinateReferenceSystem,
    QgsFeature,
    QgsFeatureRequest,
    QgsFillSymbol,
    QgsGeometry,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingOutputNumber,
    QgsRendererCategory,
    QgsSpatialIndex,
    QgsVectorLayer,
)

from .. import compat
from ..contract.matching import Overlap, Pairing, Score, pair, score
from ..layers.features import feature_of, fields_of, value_of
from ..layers.findings_layer import run_of
from ..translation import QT_TRANSLATE_NOOP, translate
from .base import TRAINING, FusarAlgorithm
from .compare_parameters import (
    CLASSES,
    DETECTION_LABEL,
    DETECTIONS,
    DIFFICULT,
    IOU,
    LEAST,
    MARKED,
    SCORE,
    TABLE,
    TRUE_LABEL,
    TRUTH,
    detection_parameters,
    sinks,
    truth_parameters,
)
from .results import LayerPostProcessor, write

ALL = "all"

_MARKED: dict[str, type] = {
    "status": str,
    "label": str,
    "score": float,
    "iou": float,
    "source_id": int,
    "partner_id": int,
}
_TABLE: dict[str, type] = {
    "label": str,
    "precision": float,
    "recall": float,
    "f1": float,
    "found": int,
    "false": int,
    "missed": int,
    "iou": float,
    "scored": bool,
    "detected": int,
    "true": int,
}
# Blue, vermilion, orange (Okabe and Ito, 2008): told apart by everybody.
_COLOURS = {
    "found": "#0072b2",
    "false": "#d55e00",
    "missed": "#e69f00",
    "ignored": "#999999",
    "not scored": "#999999",
}
_APART = "not scored"


@dataclass(frozen=True)
class _Box:
    """A detection or a true object; ``geometry`` is in the detections' CRS."""

    id: int
    label: str
    geometry: QgsGeometry
    score: float | None = None
    difficult: bool = False


class CompareWithTruth(FusarAlgorithm):
    """Detections and truth in, figures and a marked layer out."""

    NAME = "comparewithtruth"
    TITLE = QT_TRANSLATE_NOOP("Processing", "Compare with truth")
    HELP = QT_TRANSLATE_NOOP(
        "Processing",
        "Matches detections with known objects of the same class, one to one, from the largest overlap "
        "(intersection over union) down, and gives precision, recall and F1, as “fusar-train evaluate” "
        "does. The marked layer shows what was found, falsely reported and missed. Both layers must cover "
        "the same ground: what nobody labelled counts as a false report. Only the classes that were asked for are "
        "scored; others are counted in the table and marked as not scored.",
    )
    GROUP = TRAINING
    TAGS = ("precision", "recall", "F1", "IoU", "accuracy", "evaluation", "validation")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:  # noqa: N802 - QGIS's name
        """Declare the parameters and outputs."""
        for parameter in (*detection_parameters(), *truth_parameters(), *sinks()):
            self.addParameter(parameter)
        for name, words in (
            ("PRECISION", translate("Processing", "Precision")),
            ("RECALL", translate("Processing", "Recall")),
            ("F1", translate("Processing", "F1")),
        ):
            self.addOutput(QgsProcessingOutputNumber(name, words))

    def prepareAlgorithm(  # noqa: N802 - QGIS calls it by this name
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> bool:
        """Read which classes were asked for: as given, else as the run of the layer of detections says."""
        given = self.parameterAsString(parameters, CLASSES, context)
        self._is_of_run = not given.strip()
        if self._is_of_run:
            layer = self.parameterAsVectorLayer(parameters, DETECTIONS, context)
            given = "" if layer is None else str(run_of(layer).get("targets") or "")
        self._targets = frozenset(word.strip().casefold() for word in given.split(",") if word.strip())
        return True

    def processAlgorithm(  # noqa: N802 - QGIS calls it by this name
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        """Match class by class, and write what came of it."""
        detected, true, crs = self._read(parameters, context)
        threshold = self.parameterAsDouble(parameters, IOU, context)
        marked, marked_layer = self.parameterAsSink(
            parameters, MARKED, context, fields_of(_MARKED), compat.MULTIPOLYGON, crs
        )
        table, table_layer = self.parameterAsSink(
            parameters, TABLE, context, fields_of(_TABLE), compat.NO_GEOMETRY, QgsCoordinateReferenceSystem()
        )
        labels = sorted({box.label for box in (*detected, *true)})
        is_scored = self._asked(feedback, detected, labels)
        total = Score(0, 0, 0)
        for done, label in enumerate(labels):
            if feedback.isCanceled():
                return {}
            mine, theirs = (
                [one for one in detected if one.label == label],
                [one for one in true if one.label == label],
            )
            if label and not is_scored(label):
                _list_apart(marked, table, feedback, mine, theirs)
                continue
            overlaps = _overlaps(mine, theirs, feedback)
            hard = {number for number, one in enumerate(theirs) if one.difficult}
            pairing = pair(overlaps, threshold, hard)
            of_label = score(pairing, len(mine), len(theirs), len(hard))
            total += of_label
            _mark(marked, mine, theirs, pairing, overlaps)
            if label:
                _write_figures(table, feedback, label, of_label, threshold, (len(mine), len(theirs)))
            feedback.setProgress(100 * (done + 1) / len(labels))
        sizes = [sum(not box.label or is_scored(box.label) for box in boxes) for boxes in (detected, true)]
        _write_figures(table, feedback, ALL, total, threshold, (sizes[0], sizes[1]))
        LayerPostProcessor.plan(marked_layer, context, _style_marked)
        figures = {"PRECISION": total.precision, "RECALL": total.recall, "F1": total.f1}
        return {MARKED: marked_layer, TABLE: table_layer, **figures}

    def _asked(
        self, feedback: QgsProcessingFeedback, detected: list[_Box], labels: list[str]
    ) -> Callable[[str], bool]:
        """Return what says whether a class is scored; without targets, all are."""
        classes = {label.casefold() for label in labels if label}
        for target in sorted(self._targets - classes) if classes else ():
            feedback.pushWarning(
                translate("Processing", "“{target}” is a class of neither layer.").replace("{target}", target)
            )
        targets = set(self._targets)
        if self._is_of_run and targets:
            # A target may be another word for a class; what the run reported it stands for.
            targets |= {box.label.casefold() for box in detected}
        return lambda label: not targets or label.casefold() in targets

    def _read(
        self, parameters: dict[str, Any], context: QgsProcessingContext
    ) -> tuple[list[_Box], list[_Box], QgsCoordinateReferenceSystem]:
        """Return detections, true objects and the CRS of both."""
        source = self.parameterAsSource(parameters, DETECTIONS, context)
        label, scored = (
            self.parameterAsString(parameters, name, context) for name in (DETECTION_LABEL, SCORE)
        )
        least = self.parameterAsDouble(parameters, LEAST, context)
        detected = []
        for feature in source.getFeatures():
            value = value_of(feature, scored)
            if feature.hasGeometry() and (value is None or float(value) >= least):
                made = None if value is None else float(value)
                detected.append(_Box(feature.id(), _label(feature, label), feature.geometry(), made))
        truth = self.parameterAsSource(parameters, TRUTH, context)
        label, hard = (self.parameterAsString(parameters, name, context) for name in (TRUE_LABEL, DIFFICULT))
        crs = source.sourceCrs()
        request = QgsFeatureRequest().setDestinationCrs(crs, context.transformContext())
        true = [
            _Box(one.id(), _label(one, label), one.geometry(), difficult=bool(value_of(one, hard)))
            for one in truth.getFeatures(request)
            if one.hasGeometry()
        ]
        if not label or not self.parameterAsString(parameters, DETECTION_LABEL, context):
            # Without a class on both sides there is only one.
            detected = [_Box(one.id, "", one.geometry, one.score) for one in detected]
            true = [_Box(one.id, "", one.geometry, difficult=one.difficult) for one in true]
        return detected, true, crs


def _overlaps(detected: list[_Box], true: list[_Box], feedback: QgsProcessingFeedback) -> list[Overlap]:
    """Return all pairs that share ground, with their intersection over union."""
    index = QgsSpatialIndex()
    for number, one in enumerate(true):
        entry = QgsFeature(number)
        entry.setGeometry(one.geometry)
        index.addFeature(entry)
    found = []
    for number, one in enumerate(detected):
        if feedback.isCanceled():
            break
        for other in index.intersects(one.geometry.boundingBox()):
            shared = one.geometry.intersection(true[other].geometry).area()
            if shared > 0:
                whole = one.geometry.area() + true[other].geometry.area() - shared
                found.append((number, other, shared / whole))
    return found


def _mark(
    sink: Any, detected: list[_Box], true: list[_Box], pairing: Pairing, overlaps: list[Overlap]
) -> None:
    """Write every detection and every missed object with what became of it."""
    ious = {(one, other): iou for one, other, iou in overlaps}
    for number, box in enumerate(detected):
        partner = pairing.partner.get(number)
        status = "ignored" if number in pairing.ignored else "false" if partner is None else "found"
        found = {} if partner is None else {"iou": ious[number, partner], "partner_id": true[partner].id}
        _write_box(sink, box, {"status": status, **found})
    taken = set(pairing.partner.values())
    for number, box in enumerate(true):
        if number not in taken:
            _write_box(sink, box, {"status": "ignored" if box.difficult else "missed"})


def _list_apart(
    marked: Any, table: Any, feedback: QgsProcessingFeedback, detected: list[_Box], true: list[_Box]
) -> None:
    """Write the boxes of a class that nobody asked for, without a judgement."""
    label = (*detected, *true)[0].label
    for box in (*detected, *true):
        _write_box(marked, box, {"status": _APART})
    known = {"label": label, "scored": False, "detected": len(detected), "true": len(true)}
    write(table, feature_of(fields_of(_TABLE), known))
    feedback.pushInfo(
        translate(
            "Processing", "{label}: not asked for, not scored ({detected} detected, {true} true)"
        ).format(label=label, detected=len(detected), true=len(true))
    )


def _write_box(sink: Any, box: _Box, known: dict[str, Any]) -> None:
    known = {"label": box.label, "score": box.score, "source_id": box.id, **known}
    geometry = QgsGeometry(box.geometry)
    geometry.convertToMultiType()
    write(sink, feature_of(fields_of(_MARKED), known, geometry))


def _write_figures(
    sink: Any,
    feedback: QgsProcessingFeedback,
    label: str,
    of_label: Score,
    iou: float,
    sizes: tuple[int, int],
) -> None:
    """Write a row of figures and log it; ``sizes`` is how many were detected and how many are true."""
    figures = {"precision": of_label.precision, "recall": of_label.recall, "f1": of_label.f1}
    counts = {"found": of_label.found, "false": of_label.false, "missed": of_label.missed}
    known = {"label": label, **figures, **counts, "iou": iou, "scored": True}
    known |= {"detected": sizes[0], "true": sizes[1]}
    write(sink, feature_of(fields_of(_TABLE), known))
    shares = [f"{name} {'-' if value is None else format(value, '.3f')}" for name, value in figures.items()]
    feedback.pushInfo(", ".join([label, *shares, *(f"{count} {name}" for name, count in counts.items())]))


def _label(feature: QgsFeature, field: str) -> str:
    value = value_of(feature, field)
    return "" if value is None else str(value)


def _style_marked(layer: QgsVectorLayer) -> None:
    """Colour the marked layer by status."""
    words = {
        "found": translate("Processing", "found"),
        "false": translate("Processing", "false"),
        "missed": translate("Processing", "missed"),
        "ignored": translate("Processing", "ignored"),
        _APART: translate("Processing", "not scored"),
    }
    categories = []
    for status, colour in _COLOURS.items():
        line = {"outline_width": "0.7", "outline_style": "dash" if status == "missed" else "solid"}
        symbol = QgsFillSymbol.createSimple({"style": "no", "outline_color": colour, **line})
        categories.append(QgsRendererCategory(status, symbol, words[status]))
    layer.setRenderer(QgsCategorizedSymbolRenderer("status", categories))
