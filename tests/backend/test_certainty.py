"""Objectness and confidence: what decides, what a card's calibration makes of it, and those of other checkpoints."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from task_samples import FRAME, one, patient, read
from test_interpret import CARD, ThresholdEngine, run, scene_file

from fusar_gpt.certainty import calibration_of, certainty, objectness
from fusar_gpt.engine import Reply
from fusar_gpt.errors import CheckpointError
from fusar_gpt.model import Card
from fusar_gpt.model.calibration import (
    INPUTS,
    Calibration,
    Inputs,
    MeasuredSet,
    ReliabilityBin,
    TaskCalibration,
)
from fusar_gpt.model.folder import CARD_FILE, digest
from fusar_gpt.model.store import find_folder
from fusar_gpt.planning import request_for
from fusar_gpt.tasks import Task

PLATT = TaskCalibration(
    method="logistic", inputs=["probability"], coefficients=[0.5], intercept=1.0, right="a box is right", n=200,
    images=90, ece=0.04, auroc=0.85, reliability=[ReliabilityBin(200, 0.7, 0.72)],
    sets=[MeasuredSet("simulated chips", "none", 50, 0.9, 0.6, 0.3, 0.7, 40, 0.6)],
)  # fmt: skip
OURS = Calibration(ThresholdEngine.hash, "held-out images", {"detect": PLATT, "count": PLATT})

shares = st.floats(0, 1)
numbers = st.floats(-1e6, 1e6)


@given(st.lists(numbers, min_size=3, max_size=3), numbers, shares, shares, shares, st.floats(1e-9, 1e3))
@patient
def test_a_confidence_is_a_probability_and_never_falls_as_objectness_rises(
    coefficients, intercept, one_share, other_share, spelling, size
):
    rising = [abs(coefficients[0]), *coefficients[1:]]
    found = replace(PLATT, inputs=list(INPUTS), coefficients=rising, intercept=intercept)
    low, high = (found.confidence(Inputs(p, spelling, size)) for p in sorted([one_share, other_share]))
    assert 0 <= low <= high <= 1


def test_platt_scaling_is_what_it_says():
    odds = 1.0 + 0.5 * math.log(0.8 / 0.2)
    assert PLATT.confidence(Inputs(0.8)) == pytest.approx(1 / (1 + math.exp(-odds)))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"method": "isotonic"}, "only logistic is known"),
        ({"inputs": ["colour"]}, "inputs must be some of"),
        ({"inputs": ["probability", "probability"], "coefficients": [1.0, 1.0]}, "inputs must be some of"),
        ({"coefficients": []}, "one coefficient an input"),
        ({"coefficients": [-0.1, 1.0, 1.0]}, "must not be negative"),
        ({"coefficients": ["steep", 1.0, 1.0]}, "coefficients"),
        ({"intercept": math.inf}, "finite"),
        ({"n": 0}, "measured on nothing"),
        ({"ece": 1.5}, "ece must be a share"),
        ({"ece": math.nan}, "ece must be a share"),
        ({"reliability": [{"n": 3, "confidence": 2.0, "right": 0.5}]}, "confidence must be a share"),
        ({"right": None}, "right"),
    ],
)
def test_a_malformed_calibration_is_one_clear_line(tmp_path, change, said):
    content = json.loads((find_folder("tiny") / CARD_FILE).read_text("utf-8"))
    content["calibration"]["tasks"]["detect"] |= change
    (tmp_path / CARD_FILE).write_text(json.dumps(content), "utf-8")
    with pytest.raises(CheckpointError, match=said) as caught:
        Card.read(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_calibration_does_not_change_what_a_checkpoint_is(tmp_path):
    folder = shutil.copytree(find_folder("tiny"), tmp_path / "tiny")
    card = Card.read(folder)
    assert card.calibration is not None
    assert digest(folder, replace(card, calibration=None)) == digest(folder, card)
    assert digest(folder, replace(card, aspect="stretched")) != digest(folder, card)


def test_the_bundled_calibration_is_of_the_bundled_model_and_reaches_what_was_aimed_at():
    folder = find_folder("tiny")
    card = Card.read(folder)
    calibration, other = calibration_of(card, digest(folder, card))
    assert other is None
    assert calibration is not None
    found = calibration.tasks["detect"]
    own = [one for one in found.sets if one.prior == "own"]
    sure = sum(one.sure for one in own)
    assert found.ece < 0.08
    assert found.auroc is not None
    assert found.auroc > 0.8
    assert sum(one.sure * (one.sure_right or 0) for one in own) >= 0.9 * sure > 0
    assert found.n == sum(one.n for one in own) == sum(one.n for one in found.reliability)


class Calibrated(ThresholdEngine):
    card = replace(CARD, calibration=OURS)


class Borrowed(ThresholdEngine):
    card = replace(CARD, calibration=replace(OURS, model_hash="f" * 64))


def detections(folder: Path, engine: ThresholdEngine):
    *_, last = run(request_for(scene_file(folder), Task.DETECT, prior="none"), engine)
    return last.run, [finding.properties for finding in last.findings if finding.layer == "detections"]


def test_a_run_has_the_confidences_of_its_checkpoints_calibration(tmp_path):
    done, rows = detections(tmp_path, Calibrated())
    assert [row["confidence"] for row in rows] == [
        pytest.approx(PLATT.confidence(Inputs(row["objectness"]))) for row in rows
    ]
    assert done.confidence_meaning is not None
    assert "200 answers about 90 images" in done.confidence_meaning
    assert "expected calibration error 0.04" in done.confidence_meaning
    assert any("without a prior" in said and "0.90" in said and "0.60" in said for said in done.warnings)


def test_a_count_from_detections_says_what_the_confidences_of_both_mean(tmp_path):
    exact = replace(PLATT, right="a count is exact")
    engine = Calibrated()
    engine.card = replace(CARD, calibration=replace(OURS, tasks={"detect": PLATT, "count": exact}))
    *_, last = run(request_for(scene_file(tmp_path), Task.COUNT, prior="none"), engine)
    assert last.run.confidence_meaning.count("calibrated on") == 2
    assert "that a count is exact" in last.run.confidence_meaning
    assert "that a box is right" in last.run.confidence_meaning


@pytest.mark.parametrize("engine", [ThresholdEngine, Borrowed])
def test_without_a_calibration_of_its_own_no_number_is_called_confidence(tmp_path, engine):
    done, rows = detections(tmp_path, engine())
    assert [row["confidence"] for row in rows] == [None] * len(rows)
    assert all(isinstance(row["objectness"], float) for row in rows)
    assert done.confidence_meaning is None
    assert any("of another checkpoint" in said for said in done.warnings) is (engine is Borrowed)


def test_an_answer_that_was_not_understood_or_is_no_calibrated_task_has_no_confidence():
    def always(*_: tuple[int, int]) -> float:
        return 0.9

    def sure(task: Task, text: str, *, finished: bool = True):
        return certainty(task, read("compact", task, text, finished=finished), always, OURS, FRAME)

    assert sure(Task.COUNT, "17: 3").confidence == pytest.approx(PLATT.confidence(Inputs(0.9)))
    assert sure(Task.COUNT, "17 90", finished=False).confidence is None
    assert sure(Task.COUNT, "").probability is None
    assert sure(Task.DESCRIBE, "one ship at sea").confidence is None
    assert sure(Task.LOCATE, "1 5").confidence is None


def deciding(name: str, text: str) -> list[list[str]]:
    return [[text[a:b] for a, b in box.deciding] for box in read(name, Task.DETECT, text).boxes]


def test_the_prompt_set_says_which_characters_decide():
    compact = "90 ship l12 u22 r24 d14; 92 ship l14 u22 r22 d12"
    assert deciding("compact", compact) == [["90"], [";", "92"]]
    answer = f'[{one("128, -4, 150, 9")}, {{"label": "ship", "bbox_2d": [7, 8, 9, 10]}}, {{"bbox_2d": [1, 2, 3, 4]}}]'
    assert deciding("release", answer) == [["128", '"plane"'], ["7", '"ship"'], ["1"]]
    twice = '[{"bbox_2d": [1, 2, 3, 4], "bbox_2d": [5, 6, 7, 8], "label": "ship"}]'
    assert deciding("release", twice) == [["5", '"ship"']]


def test_objectness_is_that_of_the_deciding_tokens_whatever_else_the_object_says():
    text = "90 ship l12; 92 ship l14 u22 r22 d12"
    tokens = ["90", " ship l12", ";", " 92", " ship l14 u22 r22 d12"]
    ends = tuple(np.cumsum([len(token) for token in tokens]).tolist())
    reply = Reply(text, ends, np.log([0.2, 0.3, 0.9, 0.5, 0.1]), finished=True)
    (second,) = read("compact", Task.DETECT, text).boxes
    assert objectness(second, reply.probability) == pytest.approx(0.9 * 0.5)


@given(st.lists(st.floats(-5, 0), min_size=1, max_size=9), st.integers(1, 9))
@patient
def test_token_probabilities_are_shares(logprobs, spans):
    reply = Reply("x" * len(logprobs), tuple(range(1, len(logprobs) + 1)), np.array(logprobs) + 1e-9, True)
    assert 0 <= reply.probability((0, spans)) <= 1
