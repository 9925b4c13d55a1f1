"""Reliability diagrams: how often answers of like confidence are right, one panel a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from fusar_gpt.findings.report import load_template
from fusar_gpt.model.calibration import ReliabilityBin
from fusar_train.evaluation.confidence import RIGHT, judged, reliability
from fusar_train.evaluation.metrics import classes_of
from fusar_train.evaluation.predictions import Prediction

RELIABILITY_FILE = "reliability.svg"
"""Beside a card and a calibration."""


def draw_reliability(tasks: Mapping[str, Sequence[ReliabilityBin]]) -> str:
    """The picture as SVG; the area of a dot grows with the number of answers in its bin."""
    panels = [
        {"title": f"{task}, n = {sum(b.n for b in bins)}", "bins": bins, "most": max(b.n for b in bins)}
        for task, bins in tasks.items()
    ]
    return load_template("fusar_train.evaluation", "reliability.svg").render(panels=panels)


def reliability_of(predictions: Sequence[Prediction]) -> dict[str, list[ReliabilityBin]]:
    """The bins of each task whose answers all have a confidence."""
    found = {}
    classes = classes_of(predictions)
    for task in RIGHT:
        rows = [one for p in predictions if p.task is task for one in judged(p, classes)]
        sure = [one.confidence for one in rows if one.confidence is not None]
        if sure and len(sure) == len(rows):
            found[task.value] = reliability(np.array(sure), np.array([one.right for one in rows]))
    return found
