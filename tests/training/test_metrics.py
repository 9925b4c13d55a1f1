"""The metrics on cases worked out by hand."""

import pytest

from fusar_gpt.frames import ChipBox
from fusar_train.evaluation.measure import chance, with_wrong_prior, without_prior
from fusar_train.evaluation.metrics import accuracy, detection, iou, localisation, matches
from fusar_train.simulation import simulate_chip

A, B = ChipBox(0, 0, 10, 10), ChipBox(20, 0, 30, 10)


def test_iou():
    assert iou(A, A) == 1
    assert iou(A, B) == 0
    assert iou(A, ChipBox(5, 0, 15, 10)) == pytest.approx(1 / 3)
    assert iou(ChipBox(1, 1, 1, 1), ChipBox(1, 1, 1, 1)) == 0


def test_a_true_box_is_found_only_once():
    near = ChipBox(1, 0, 11, 10)
    assert matches([A, near], [A], 0.5) == 1
    assert matches([near, A], [A, B], 0.5) == 1
    assert matches([], [A], 0.5) == 0


def test_the_best_overlap_is_taken_first():
    """Taking the first pair that fits would leave one of the two boxes without a partner."""
    between, left = ChipBox(3, 0, 13, 10), ChipBox(0, 0, 10, 10)
    assert matches([between, left], [left, ChipBox(6, 0, 16, 10)], 0.5) == 2


def test_detection_sums_over_chips_without_crossing_them():
    sums = detection([[A], [B]], [[A, B], [A]], 0.5)
    assert (sums.said, sums.there, sums.paired) == (2, 3, 1)
    assert (sums.precision, sums.recall, sums.f1) == (0.5, pytest.approx(1 / 3), 0.4)
    nothing = detection([[]], [[]], 0.5)
    assert (nothing.precision, nothing.recall, nothing.f1) == (1, 1, 1)


def test_accuracy_counts_an_unreadable_answer_as_wrong():
    assert accuracy([1, None, 3], [1, 2, 4]) == pytest.approx(1 / 3)
    assert accuracy([None], [None]) == 0
    assert accuracy([], []) == 0


def test_localisation():
    said = [frozenset({1, 2}), frozenset({1}), frozenset(), frozenset({9}), frozenset()]
    truth = [frozenset({1, 2}), frozenset({1, 2}), frozenset(), frozenset(), frozenset({5})]
    got = localisation(said, truth)
    assert (got.acc100, got.acc50, got.top1) == (0.4, pytest.approx(0.6), pytest.approx(0.6))


def test_blind_guessers_and_spoilt_priors():
    records = [simulate_chip(number) for number in range(12)]
    assert all(len(record.values) == 0 for record in without_prior(records))
    for record, wrong in zip(records, with_wrong_prior(records), strict=True):
        assert wrong.image is record.image
        assert wrong.values is not record.values
    guess = chance(records)
    assert set(guess) == {"commonest answer", "next chip's truth"}
    assert guess["commonest answer"]["detect ship @0.5 F1"] == 0
    assert 0 < guess["commonest answer"]["count plane"] < 1
