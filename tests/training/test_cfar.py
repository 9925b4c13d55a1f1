"""CA-CFAR keeps its false alarm rate on clutter of any strength, and finds planted targets."""

import math

import numpy as np
import pytest

from fusar_gpt.frames import ChipBox
from fusar_train.evaluation.cfar import Cfar, box_sums, content, factor, false_alarm_rate, label_targets
from fusar_train.evaluation.matching import match_boxes


def sea(looks, shape=(500, 500), seed=0):
    """Independent gamma clutter of mean 1."""
    return np.random.default_rng(seed).gamma(looks, 1 / looks, shape)


def test_the_rate_of_one_look_is_the_textbook_one():
    assert false_alarm_rate(9.0, 40, 1) == pytest.approx((1 + 9 / 40) ** -40)
    factors = factor(1e-6, np.array([0, 40, 10**7]), 1)
    assert factors[0] == math.inf
    assert factors[1:] == pytest.approx([40 * (1e-6 ** (-1 / 40) - 1), -math.log(1e-6)], rel=1e-4)
    assert factor(1e-4, np.array([40]), 1) == pytest.approx(40 * (1e-4 ** (-1 / 40) - 1))


@pytest.mark.parametrize("looks", [1, 3, 8])
@pytest.mark.parametrize("cells", [1, 40, 6000])
def test_the_rate_is_the_sum_of_poisson_terms(looks, cells):
    """Given S = s, the chance of X > t s / N is a Poisson sum of L terms; its mean over S is this sum."""
    t, shape = 2.5, cells * looks
    q = t / cells
    logs = [
        math.lgamma(shape + k) - math.lgamma(shape) - math.lgamma(k + 1)
        + k * math.log(q) - (shape + k) * math.log1p(q)
        for k in range(looks)
    ]  # fmt: skip
    rate = math.fsum(map(math.exp, logs))
    assert false_alarm_rate(t, cells, looks) == pytest.approx(rate, rel=1e-11)
    assert factor(rate, np.array([cells]), looks) == pytest.approx(t, rel=1e-11)


def test_with_much_background_the_rate_is_that_of_gamma_clutter():
    """P(gamma(3) > 3 * 2) = exp(-6) (1 + 6 + 18)."""
    assert false_alarm_rate(2.0, 10**6, 3) == pytest.approx(25 * math.exp(-6), rel=1e-4)


@pytest.mark.parametrize("looks", [1, 4])
@pytest.mark.parametrize("pfa", [1e-2, 1e-3])
def test_the_false_alarm_rate_is_the_designed_one(looks, pfa):
    """Within 15 % for some 250 to 2,500 alarms, at the image's edge too, and whatever the sea's strength."""
    cfar = Cfar(guard=2, background=4, pfa=pfa, looks=looks, amplitude=False)
    rates = [
        (cfar.excess(sea(looks, seed=seed) * strength) > 1).mean() for seed, strength in enumerate((1, 900))
    ]
    assert np.mean(rates) == pytest.approx(pfa, rel=0.15)
    edge = np.concatenate([(cfar.excess(sea(looks, seed=s)) > 1)[:4].ravel() for s in range(20)])
    assert edge.mean() == pytest.approx(pfa, rel=0.4)


def test_planted_targets_are_found_and_nothing_else():
    image = np.sqrt(sea(4, (300, 400))) * 30
    truth = [
        ChipBox(40, 50, 60, 58),
        ChipBox(200, 20, 212, 44),
        ChipBox(300, 250, 330, 262),
        ChipBox(380, 0, 400, 9),
    ]
    for box in truth:
        image[int(box.top) : int(box.bottom), int(box.left) : int(box.right)] *= 6
    found = Cfar(pfa=1e-6, looks=4).detect(image.clip(0, 255).astype(np.uint8))
    assert match_boxes([box for box, _ in found], truth, 0.7).true_positives == len(truth) == len(found)
    assert all(score > 1 for _, score in found)


def test_a_black_border_is_not_background():
    image = np.zeros((200, 200), np.uint8)
    image[50:150, 20:180] = (np.sqrt(sea(4, (100, 160))) * 60).clip(1, 255)
    assert content(image) == (20, 50, 180, 150)
    assert Cfar(guard=2, background=4, pfa=1e-7, looks=4, least=1).detect(image) == []
    assert Cfar().detect(np.zeros((20, 20), np.uint8)) == []


def test_colour_is_averaged():
    image = np.full((80, 80), 20, np.uint8)
    image[30:42, 30:42] = 200
    cfar = Cfar(guard=10, background=10)
    assert cfar.detect(np.stack([image] * 3, axis=-1)) == cfar.detect(image) != []


def test_box_sums_are_cut_at_the_edge():
    values = np.arange(20.0).reshape(4, 5)
    sums = box_sums(values, 1)
    assert sums[0, 0] == values[:2, :2].sum()
    assert sums[2, 2] == values[1:4, 1:4].sum()
    assert box_sums(values, 9) == pytest.approx(np.full((4, 5), values.sum()))


def flood(mask):
    """Numbers the parts by walking to all eight neighbours."""
    labels, number = np.zeros(mask.shape, int), 0
    for start in np.argwhere(mask):
        if labels[tuple(start)]:
            continue
        number += 1
        todo = [tuple(start)]
        while todo:
            y, x = todo.pop()
            if 0 <= y < mask.shape[0] and 0 <= x < mask.shape[1] and mask[y, x] and not labels[y, x]:
                labels[y, x] = number
                todo += [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    return labels


@pytest.mark.parametrize("density", [0.0, 0.2, 0.4, 0.6, 1.0])
def test_parts_are_those_of_a_flood(density):
    rng = np.random.default_rng(int(density * 10))
    for _ in range(20):
        mask = rng.uniform(size=(rng.integers(1, 15), rng.integers(1, 15))) < density
        assert (label_targets(mask) == flood(mask)).all()


def test_growing_joins_near_parts_without_adding_pixels():
    hits = np.zeros((9, 12), bool)
    hits[4, [1, 4, 8]] = True  # gaps of two and three pixels
    assert label_targets(hits).max() == 3
    labels = label_targets(hits, grow=1)
    assert labels[4].tolist() == [0, 1, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0]
    assert labels.astype(bool).tolist() == hits.tolist()


@pytest.mark.parametrize("settings", [{"pfa": 0}, {"pfa": 1}, {"looks": 0}, {"background": 0}, {"guard": -1}])
def test_senseless_settings_are_refused(settings):
    with pytest.raises(ValueError, match="no CA-CFAR"):
        Cfar(**settings)
