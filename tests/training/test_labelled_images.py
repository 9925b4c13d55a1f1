"""What a model is asked about a data set, and its answers beside the truth."""

from dataclasses import replace

import numpy as np
import pytest
from evaluation_samples import CARD, ORACLE, Oracle, figures

from fusar_gpt.engine import Reply
from fusar_gpt.tasks import Task, cell_of
from fusar_train.evaluation.inference import ask
from fusar_train.evaluation.labelled_images import open_images, simulated_images
from fusar_train.evaluation.metrics import ALL, MetricKey
from fusar_train.evaluation.predictions import (
    TrueClass,
)

pytestmark = pytest.mark.usefixtures("no_java")


def test_a_stored_record_is_asked_what_its_objects_tell(toy):
    examples = open_images(str(toy), "test", CARD)
    assert (len(examples), examples.name) == (4, "toy test")
    first = examples[0]
    assert first.pixels.shape == (112, 112)
    truths = {(a.task, a.target): a.truth for a in first.questions if a.task is not Task.CLASSIFY}
    assert truths[Task.COUNT, "ship"] == 1
    assert truths[Task.LOCATE, "ship"] == {1}
    [ship] = truths[Task.DETECT, "ship"]
    assert (ship.box.left, ship.box.top) == (10 + 6, 10 + 16)  # 100 x 80 px lie in the middle of 112 x 112
    assert [a.truth for a in first.questions if a.task is Task.CLASSIFY] == [
        TrueClass("ship", "S-1"),
        TrueClass("plane"),
    ]
    assert [a.truth for a in examples[1].questions if a.task is Task.DESCRIBE] == [("one ship at sea",)]
    assert [a.truth for a in examples[2].questions if a.task is Task.ASK] == [("yes",)]
    doubtful = {(a.task, a.target) for a in examples[3].questions}
    assert (Task.COUNT, "ship") not in doubtful
    assert (Task.COUNT, "plane") in doubtful
    assert (Task.DETECT, "ship") in doubtful


def test_an_oracle_is_right_about_everything(toy):
    examples = open_images(str(toy), "test", CARD)
    condition = replace(ORACLE, data=examples.name)
    tasks = [task for task in Task if task is not Task.ASK]
    predictions = [p for batch in ask(Oracle(examples), examples, condition, tasks) for p in batch]
    found = figures(predictions)
    whole_pixels = ("F1@0.75", "AP@[.5:.95]")  # answers are rounded to them
    judged = {
        key: figure.value
        for key, figure in found.items()
        if key.metric not in ("MAE", "CIDEr", *whole_pixels)
        and "fine" not in key.metric
        and figure.value is not None
    }
    assert set(judged.values()) == {1.0}
    assert {key.task for key in judged} == set(tasks)
    assert found[MetricKey(Task.COUNT, ALL, "MAE")].value == 0
    scores = [f.score for p in predictions if p.task is Task.DETECT for f in p.answer]
    assert scores == pytest.approx([np.exp(-0.1)] * len(scores))


def test_unreadable_answers_are_wrong(toy):
    examples = open_images(str(toy), "test", CARD)
    engine = Oracle(examples, count="many", locate="[", detect="7 ship l1 u2", classify="{}")
    tasks = (Task.COUNT, Task.LOCATE, Task.CLASSIFY, Task.DETECT)
    predictions = [p for batch in ask(engine, examples, ORACLE, tasks) for p in batch]
    assert {p.answer for p in predictions} == {None}
    found = figures(predictions)
    assert found[MetricKey(Task.COUNT, ALL, "accuracy")].value == 0
    assert found[MetricKey(Task.LOCATE, ALL, "acc100")].value == 0
    assert found[MetricKey(Task.COUNT, ALL, "MAE")].value is None


def test_simulated_chips_fit_the_card_and_priors_can_be_spoilt():
    examples = simulated_images(4, "test", CARD)
    assert examples[0].pixels.shape == (112, 112)
    bare, own, wrong = (
        next(ask(Recorder(), examples, replace(ORACLE, prior=prior), [Task.COUNT]))
        for prior in ("none", "own", "wrong")
    )
    assert {p.nodes for p in bare} == {0}
    nodes = {examples.id_of(i): len(examples[i].values) for i in range(4)}
    assert all(p.nodes == nodes[p.image] for p in own)
    given = [Recorder.seen[-4 * 2 + 2 * i] for i in range(4)]
    for i, values in enumerate(given):
        other = [examples[j] for j in range(4) if np.array_equal(examples[j].values, values)]
        assert len(other) == 1
        assert other[0].place != examples[i].place
    assert len(wrong) == 8


@pytest.mark.parametrize(("card", "side"), [({}, 224), ({"aspect": "stretched"}, 448)])
def test_a_simulated_chip_is_magnified_only_by_a_card_that_stretches(card, side):
    """A larger frame shows it in its middle, with its objects, cells and prior where they are then."""
    larger = replace(CARD, width=448, height=448, **card)
    own, shown = (simulated_images(4, "test", one) for one in (replace(CARD, width=224, height=224), larger))
    left = (448 - side) // 2
    for before, after in ((own[i], shown[i]) for i in range(4)):
        assert after.frame == (448, 448)
        bright = np.flatnonzero(after.pixels.any(axis=0))
        assert (bright[0], bright[-1] + 1) == (left, left + side)
        np.testing.assert_allclose(after.positions, (before.positions * side + left) / 448, atol=1e-6)
        for one, other in zip(before.questions, after.questions, strict=True):
            if one.task is Task.DETECT:
                boxes = [[t.box.left for t in asked.truth] for asked in (one, other)]
                np.testing.assert_allclose(boxes[1], np.array(boxes[0]) * side / 224 + left)
                cells = {cell_of(t.box, after.frame) for t in other.truth}
                [located] = [
                    q.truth for q in after.questions if (q.task, q.target) == (Task.LOCATE, other.target)
                ]
                assert located == cells


class Recorder:
    """Says 1 and remembers the priors it was given."""

    card, hash, seen = CARD, ORACLE.hash, []

    def answer(self, requests, cancelled):
        self.seen.extend(request.values for request in requests)
        return [Reply("1", (1,), np.zeros(1), finished=True) for _ in requests]
