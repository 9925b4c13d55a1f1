"""Fitting a calibration on predictions: what comes back, what is refused, and figures against plain loops."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from evaluation_samples import ORACLE, all_kinds, count, detect
from hypothesis import given
from hypothesis import strategies as st

from fusar_gpt.frames import ChipBox
from fusar_gpt.model import Card
from fusar_gpt.model.calibration import Inputs
from fusar_gpt.model.folder import CARD_FILE, digest
from fusar_gpt.model.store import find_folder
from fusar_gpt.tasks import Task
from fusar_train.cli import main
from fusar_train.evaluation.calibration import calibrate, fit
from fusar_train.evaluation.confidence import auroc, expected_calibration_error, precision_of_sure
from fusar_train.evaluation.metrics import ALL, MetricKey
from fusar_train.evaluation.predictions import (
    Condition,
    PredictedBox,
    Prediction,
    PredictionsError,
    TrueBox,
    write_predictions,
)
from fusar_train.evaluation.report import render
from fusar_train.evaluation.results import evaluate_predictions

TRUE = ChipBox(10, 10, 30, 30)
FALSE = ChipBox(60, 50, 80, 70)


def answers(n: int = 400, seed: int = 0, condition: Condition = ORACLE) -> list[Prediction]:
    """Counts and boxes that are right as often as the square of their probability."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(n):
        share = float(rng.uniform(0.05, 0.95))
        right = rng.random() < share**2
        box = PredictedBox(TRUE if right else FALSE, "ship", share, share, share)
        one = detect(f"i{number}", [box], [TrueBox(TRUE, "ship")])
        other = count(f"i{number}", 1 if right else 2, 1)
        found += [
            each.model_copy(
                update={
                    "score": share, "prior": condition.prior, "data": condition.data,
                    "model": each.model.__class__(condition.model, condition.hash), "confidence": share,
                }
            )
            for each in (one, other)
        ]  # fmt: skip
    return found


def test_the_confidence_is_the_share_that_is_right():
    calibration, notices = calibrate(answers(1500), ORACLE.hash)
    found = calibration.tasks["detect"]
    for share in (0.3, 0.6, 0.9):
        assert found.confidence(Inputs(share, share, 20 / np.sqrt(8000))) == pytest.approx(share**2, abs=0.06)
    assert found.ece < 0.05
    assert found.auroc == pytest.approx(0.85, abs=0.05)
    assert "size" not in found.inputs, "what is the same everywhere tells nothing"
    assert found.inputs[0] == "probability"
    assert calibration.tasks["count"].inputs == ["probability"]
    assert [notice.split(":")[0] for notice in notices] == [
        "no calibration of locate",
        "no calibration of classify",
    ]


def test_answers_under_another_prior_are_measured_and_not_fitted_on():
    worse = [
        p.model_copy(update={"answer": 7}) if p.task is Task.COUNT else p
        for p in answers(condition=Condition("oracle", ORACLE.hash, "none", "toy test"))
    ]
    alone = calibrate(answers(), ORACLE.hash)[0].tasks["count"]
    both = calibrate(answers() + worse, ORACLE.hash)[0].tasks["count"]
    assert both.coefficients == alone.coefficients
    assert both.n == alone.n
    assert [(one.prior, one.right) for one in both.sets] == [("own", alone.sets[0].right), ("none", 0.0)]


def test_predictions_of_another_checkpoint_or_too_few_are_refused():
    with pytest.raises(PredictionsError, match="of another checkpoint"):
        calibrate(answers(), "0" * 64)
    with pytest.raises(PredictionsError, match="too little to fit on"):
        calibrate(answers(20), ORACLE.hash)


def test_the_coefficient_of_probability_is_never_negative():
    rng = np.random.default_rng(1)
    rank = rng.normal(size=(500, 1))
    coefficients, _ = fit(rank, rng.random(500) < 1 / (1 + np.exp(2 * rank[:, 0])), ["probability"])
    assert coefficients[0] == 0
    assert fit(rank, rng.random(500) < 1 / (1 + np.exp(2 * rank[:, 0])), ["size"])[0][0] < -1


some = st.lists(st.tuples(st.integers(0, 10), st.booleans(), st.integers(0, 3)), min_size=1, max_size=30)


@given(some, st.lists(st.integers(0, 3), min_size=4, max_size=4))
def test_the_figures_are_those_of_plain_loops(rows, times):
    share = np.array([n / 10 for n, _, _ in rows])
    right = np.array([mark for _, mark, _ in rows])
    image = np.array([number for _, _, number in rows])
    weights = np.array([times], dtype=float)
    drawn = [i for i in range(len(rows)) for _ in range(times[image[i]])]
    pairs = [
        (share[i] > share[j]) + (share[i] == share[j]) / 2
        for i in drawn
        for j in drawn
        if right[i] and not right[j]
    ]
    error = sum(
        abs(sum(share[i] - right[i] for i in drawn if min(int(share[i] * 10), 9) == b)) for b in range(10)
    )
    sure = [right[i] for i in drawn if share[i] >= 0.8]
    expected = {
        "auroc": np.mean(pairs) if pairs else np.nan,
        "ece": error / len(drawn) if drawn else np.nan,
        "sure": np.mean(sure) if sure else np.nan,
    }
    got = {
        "auroc": auroc(share, right, image).of(weights)[0],
        "ece": expected_calibration_error(share, right, image, 4).of(weights)[0],
        "sure": precision_of_sure(share, right, image, 4).of(weights)[0],
    }
    for name, value in expected.items():
        assert got[name] == pytest.approx(value, nan_ok=True), name


def test_the_evaluation_has_the_figures_and_the_diagrams():
    predictions = answers(200)
    results = evaluate_predictions(predictions, java=False)
    figures = results[0].figures
    assert figures[MetricKey(Task.DETECT, ALL, "ECE")].value == pytest.approx(0.2, abs=0.08)
    assert figures[MetricKey(Task.DETECT, ALL, "P at confidence >= 0.8")].value > 0.6
    assert figures[MetricKey(Task.COUNT, ALL, "AUROC of confidence")].value > 0.75
    page = render(results, predictions, lambda _: None, 0)
    assert "Does the confidence hold?" in page
    assert page.count("<svg") == 1
    assert page.count("share right") == 2
    without = [p.model_copy(update={"confidence": None}) for p in predictions if p.task is Task.COUNT]
    results = evaluate_predictions(without, java=False)
    assert MetricKey(Task.COUNT, ALL, "ECE") not in results[0].figures
    assert MetricKey(Task.COUNT, ALL, "AUROC of token probability") in results[0].figures
    assert "Does the confidence hold?" not in render(results, without, lambda _: None, 0)


def test_texts_have_no_confidence_figures():
    tasks = {
        key.task for key in evaluate_predictions(all_kinds(), java=False)[0].figures if "AUROC" in key.metric
    }
    assert tasks <= {Task.DETECT, Task.COUNT, Task.LOCATE, Task.CLASSIFY}


def test_the_command_puts_a_calibration_on_the_card_of_the_same_checkpoint(tmp_path, capsys):
    folder = shutil.copytree(find_folder("tiny"), tmp_path / "mine")
    card = Card.read(folder)
    hashed = digest(folder, card)
    made = answers(condition=Condition("tiny", hashed, "own", "toy test"))
    with (tmp_path / "predictions.jsonl").open("w") as file:
        write_predictions(file, made)
    out = tmp_path / "out"
    assert main(["calibrate", str(folder), str(tmp_path / "predictions.jsonl"), "--out", str(out)]) == 0
    assert Card.read(folder) == card
    assert (out / "reliability.svg").read_text().startswith("<svg")
    assert json.loads((out / "calibration.json").read_text())["model_hash"] == hashed
    arguments = ["calibrate", str(folder), str(tmp_path / "predictions.jsonl"), "--out", str(out), "--write"]
    assert main(arguments) == 0
    written = Card.read(folder)
    assert written.calibration is not None
    assert written.calibration.data == "toy test"
    assert digest(folder, written) == hashed
    assert (folder / CARD_FILE).read_text() == written.to_json()
    assert "detect: 400 on 400 images" in capsys.readouterr().out
