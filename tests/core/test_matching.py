"""The plugin's comparison with the truth gives the figures of fusar-train evaluate."""

import numpy as np
import pytest

from fusar_gpt.contract.matching import Score, pair, score
from fusar_gpt.frames import ChipBox
from fusar_train.evaluation.matching import iou_matrix, match_boxes


def test_a_case_worked_by_hand():
    # Two detections of one object, the closer wins; one is off; one object is missed, one is doubtful.
    shared = [(0, 0, 0.6), (1, 0, 0.8), (1, 1, 0.55), (2, 1, 0.3), (3, 2, 0.9)]
    pairing = pair(shared, 0.5, {2})
    assert pairing.partner == {1: 0}
    assert pairing.ignored == {3}
    made = score(pairing, said=4, true=3, difficult=1)
    assert made == Score(found=1, false=2, missed=1)
    assert (made.precision, made.recall) == (1 / 3, 1 / 2)
    assert made.f1 == pytest.approx(0.4)


def test_nothing_is_no_figure():
    nothing = score(pair([], 0.5), 0, 0)
    assert (nothing.precision, nothing.recall, nothing.f1) == (None, None, None)
    assert score(pair([], 0.5), 2, 0).precision == 0


@pytest.mark.parametrize("threshold", [0.25, 0.5, 0.75])
@pytest.mark.parametrize("seed", range(20))
def test_pairs_are_those_of_the_evaluation(seed, threshold):
    generator = np.random.default_rng(seed)

    def boxes(count):
        # Few places, so that many overlap and some exactly alike.
        corners = generator.integers(0, 6, (count, 2))
        return [
            ChipBox(x, y, x + w, y + h)
            for (x, y), (w, h) in zip(corners, generator.integers(2, 5, (count, 2)), strict=True)
        ]

    said, true = boxes(12), boxes(9)
    hard = [bool(one) for one in generator.random(9) < 0.2]
    theirs = match_boxes(said, true, threshold, hard)
    shared = [(i, j, iou) for (i, j), iou in np.ndenumerate(iou_matrix(said, true)) if iou > 0]
    ours = pair(shared, threshold, {number for number, one in enumerate(hard) if one})
    assert ours.partner == {i: j for i, j in enumerate(theirs.partner) if j >= 0}
    assert ours.ignored == {i for i, one in enumerate(theirs.ignored) if one}
    made = score(ours, len(said), len(true), sum(hard))
    assert made.found + made.false == theirs.predicted
