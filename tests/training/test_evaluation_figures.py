"""Figures from predictions, by hand, and those of blind guessers."""

import json
from dataclasses import replace

import pytest
from evaluation_samples import ORACLE, all_kinds, classify, count, detect, figures

from fusar_gpt.frames import ChipBox
from fusar_gpt.tasks import Task
from fusar_train.evaluation import baselines
from fusar_train.evaluation.metrics import ALL, OTHER, UNREADABLE, WITH_ANY, MetricKey
from fusar_train.evaluation.predictions import (
    LabelledQuestion,
    PredictedBox,
    TrueBox,
    TrueClass,
)
from fusar_train.evaluation.report import overall
from fusar_train.evaluation.results import evaluate_predictions, to_json

pytestmark = pytest.mark.usefixtures("no_java")


def test_counting():
    found = figures(
        [
            count("a", 1, 1),
            count("b", 3, 1),
            count("c", None, 2),
            count("d", 0, 0),
            count("a", 0, 0, target="plane"),
        ]
    )
    assert found[MetricKey(Task.COUNT, "ship", "accuracy")].value == 0.5
    assert found[MetricKey(Task.COUNT, "ship", "MAE")].value == pytest.approx(2 / 3, abs=1e-6)
    assert found[MetricKey(Task.COUNT, "ship", "MAE")].n == 3
    assert found[MetricKey(Task.COUNT, "ship", "accuracy", WITH_ANY)].value == pytest.approx(1 / 3, abs=1e-6)
    assert found[MetricKey(Task.COUNT, ALL, "accuracy")].value == 0.6
    assert overall(MetricKey(Task.COUNT, ALL, "accuracy"), figures([count("a", 1, 1)])).value == 1


def test_detection_sums_over_images_and_classes():
    a, b = ChipBox(0, 0, 10, 10), ChipBox(50, 0, 60, 10)
    ship, plane = TrueBox(a, "ship"), TrueBox(b, "plane")
    found = figures(
        [
            detect("1", [PredictedBox(a, "ship", 0.9), PredictedBox(b, "ship", 0.8)], [ship]),
            detect("1", [PredictedBox(b, "plane", 0.5), PredictedBox(a, "Ship", 0.9)], [plane], "plane"),
            detect("2", [], [ship, replace(ship, box=b, difficult=True)]),
        ]
    )
    assert found[MetricKey(Task.DETECT, "ship", "P@0.5")].value == 0.5
    assert found[MetricKey(Task.DETECT, "ship", "R@0.5")].value == 0.5
    assert found[MetricKey(Task.DETECT, "plane", "P@0.5")].value == 1  # the one called a ship is no plane
    assert found[MetricKey(Task.DETECT, ALL, "F1@0.5")].value == pytest.approx(4 / 6, abs=1e-6)
    assert found[MetricKey(Task.DETECT, ALL, "R@0.5")].n == 3
    assert found[MetricKey(Task.DETECT, "ship", "AP@0.5")].value == pytest.approx(51 / 101, abs=1e-6)
    both = (51 / 101 + 1) / 2
    assert found[MetricKey(Task.DETECT, ALL, "AP@0.5")].value == pytest.approx(both, abs=1e-6)


def test_without_scores_there_is_no_average_precision():
    box = ChipBox(0, 0, 10, 10)
    found = figures([detect("1", [PredictedBox(box, "ship")], [TrueBox(box, "ship")])])
    assert found[MetricKey(Task.DETECT, "ship", "F1@0.75")].value == 1
    assert {key.metric for key in found} == {
        f"{name}@{iou}" for name in ("P", "R", "F1") for iou in (0.25, 0.5, 0.75)
    }


def test_boxes_are_compared_inside_the_frame():
    said, true = ChipBox(90, 0, 140, 10), ChipBox(90, 0, 100, 10)
    found = figures([detect("1", [PredictedBox(said, "ship", 0.5)], [TrueBox(true, "ship")])])
    assert found[MetricKey(Task.DETECT, "ship", "F1@0.75")].value == 1


def test_nothing_said_has_no_precision():
    found = figures([detect("1", [], [TrueBox(ChipBox(0, 0, 10, 10), "ship")])])
    assert found[MetricKey(Task.DETECT, "ship", "P@0.5")].value is None
    assert found[MetricKey(Task.DETECT, "ship", "F1@0.5")].value == 0


def test_classes_and_their_confusion():
    rows = [
        classify("1", "Ship", TrueClass("ship", "S-1")),
        classify("1", "s-1", TrueClass("ship", "S-1")),
        classify("2", "plane", TrueClass("ship")),
        classify("2", "truck", TrueClass("plane", "P-2")),
        classify("3", None, TrueClass("plane", "P-2")),
    ]
    [measured] = evaluate_predictions(rows)
    found = measured.figures
    assert found[MetricKey(Task.CLASSIFY, ALL, "accuracy")].value == 0.4
    assert found[MetricKey(Task.CLASSIFY, "ship", "accuracy")].value == pytest.approx(2 / 3, abs=1e-6)
    assert found[MetricKey(Task.CLASSIFY, ALL, "mean class accuracy")].value == pytest.approx(1 / 3, abs=1e-6)
    assert found[MetricKey(Task.CLASSIFY, "S-1", "fine accuracy")].value == 0.5
    assert found[MetricKey(Task.CLASSIFY, ALL, "fine accuracy")].n == 4
    table = measured.confusion["coarse"]
    assert (table.rows, table.columns) == (("plane", "ship"), ("plane", "ship", OTHER, UNREADABLE))
    assert table.counts.tolist() == [[0, 0, 1, 1], [1, 2, 0, 0]]
    assert measured.confusion["fine"].counts.tolist() == [[0, 0, 1, 1], [0, 1, 1, 0]]


def test_the_gain_of_a_prior_is_paired():
    bare = replace(ORACLE, prior="none")
    own = [count(str(i), 1, 1) for i in range(20)]
    none = [count(str(i), int(i > 4), 1, condition=bare) for i in range(20)]
    with_prior, without = evaluate_predictions([*own, *none])
    gain = with_prior.gains[MetricKey(Task.COUNT, "ship", "accuracy")]
    assert gain.value == 0.25
    assert 0 < gain.low < 0.25 < gain.high < 0.6
    assert without.gains == {}
    assert evaluate_predictions([*own, *none[1:]])[0].gains == {}  # not the same images


def test_blind_guessers():
    asked = [
        count("a", 2, 2),
        count("b", 5, 1),
        count("c", 5, 1),
        detect("a", [], [TrueBox(ChipBox(0, 0, 9, 9), "ship")]),
    ]
    one = baselines.always_one(asked)
    assert figures(one)[MetricKey(Task.COUNT, "ship", "accuracy")].value == pytest.approx(2 / 3, abs=1e-6)
    train = [LabelledQuestion(Task.COUNT, 2, "ship")] * 2 + [LabelledQuestion(Task.COUNT, 1, "ship")]
    common = baselines.commonest(asked, train, "of train")
    assert [p.answer for p in common] == [2, 2, 2, ()]
    assert common[0].condition.model == "commonest answer (of train)"
    assert [p.answer for p in baselines.neighbour(asked)][:3] == [1, 1, 2]


def test_figures_are_plain_json():
    rows = to_json(evaluate_predictions(all_kinds()))
    assert json.loads(json.dumps(rows, allow_nan=False))[0]["model"] == {"name": "oracle", "hash": "ab" * 32}
