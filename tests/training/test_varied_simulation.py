"""Varied chips: every situation is what it says, truth lies where there is data, and the same numbers give the same."""

import numpy as np
import pytest

from fusar_train.evaluation.labelled_images import open_images
from fusar_train.pretrain.batches import Mixture
from fusar_train.simulation import simulate_chip
from fusar_train.simulation.chip import CHIP_PX, TEST_STREAM, TRAIN_STREAM
from fusar_train.simulation.land import PLACES
from fusar_train.simulation.varied import SITUATIONS, badly_stretched, simulate_varied_chip, without_data

SHAPE = (CHIP_PX, CHIP_PX)


def sites(name, count):
    for seed in range(count):
        yield SITUATIONS[name][0](SHAPE, 3.0, np.random.default_rng(seed))


def ships(site):
    return [box for box, label in site.real() if label == "ship"]


@pytest.mark.parametrize("name", SITUATIONS)
def test_every_situation_is_one_of_the_known_places(name):
    for site, place in sites(name, 3):
        assert place in PLACES
        assert site.land.shape == SHAPE


def test_what_each_situation_is_for():
    assert np.median([len(ships(site)) for site, _ in sites("anchorage", 12)]) >= 12
    assert np.median([len(ships(site)) for site, _ in sites("fishing fleet", 12)]) >= 6
    assert not any(site.targets for site, _ in sites("hard empty", 8))
    lit = [(site.echo > 1).sum() > 20 * len(site.targets) for site, _ in sites("structures at sea", 8)]
    assert sum(lit) >= 4  # what shines there are no targets


def test_ships_in_a_full_port_lie_closer_than_elsewhere():
    def nearest(found):
        gaps = []
        for site, _ in found:
            boxes = np.array([target.box for target in site.targets])
            for i, box in enumerate(boxes):
                others = np.delete(boxes, i, axis=0)
                if len(others):
                    apart = np.maximum(others[:, :2] - box[2:], box[:2] - others[:, 2:]).max(axis=1)
                    gaps.append(apart.min())
        return np.mean(np.array(gaps) < 2)

    assert nearest(sites("full port", 12)) > 2 * nearest(sites("as before", 40))


def test_a_chip_depends_on_its_number_alone():
    chips = [simulate_varied_chip(number, stream=9) for number in (3, 4, 3)]
    assert np.array_equal(chips[0].image, chips[2].image)
    assert chips[0].objects == chips[2].objects
    assert not np.array_equal(chips[0].image, chips[1].image)
    assert not np.array_equal(chips[0].image, simulate_chip(3, 9).image)


def test_the_default_chips_stay_what_they_were():
    assert [len(simulate_chip(number, TRAIN_STREAM).objects) for number in (17, 18, 19)] == [2, 8, 7]


def test_no_object_lies_where_there_is_no_data():
    found = 0
    for number in range(40):
        chip = simulate_varied_chip(number, stream=9)
        wedged = without_data(chip, np.random.default_rng(number))
        gone = len(chip.objects) - len(wedged.objects)
        found += gone > 0
        for item in wedged.objects:
            box = item.box
            part = wedged.image[
                int(box.top) : int(np.ceil(box.bottom)), int(box.left) : int(np.ceil(box.right))
            ]
            assert part.any()
        assert wedged is chip or (wedged.image == 0).mean() > 0.04
    assert found > 3


def test_bad_stretches_are_darker_and_brighter_than_good_ones():
    db = np.random.default_rng(0).normal(-15, 3, (64, 64)).astype(np.float32)
    means = [badly_stretched(db, np.random.default_rng(seed)).mean() for seed in range(60)]
    assert np.ptp(means) > 80


def test_a_mixture_shows_as_many_varied_chips_as_it_says():
    mixture = Mixture(real_share=0.0, varied=1.0, no_prior=0.0, wrong_prior=0.0)
    chips = mixture.chips(100)
    first = next(chips)
    assert np.array_equal(first.image, simulate_varied_chip(101, TRAIN_STREAM).image)


def test_they_are_a_data_set_to_evaluate_on():
    images = open_images("varied:3", "test", None)
    assert [images.id_of(n) for n in range(3)] == [
        "varied test/000000",
        "varied test/000001",
        "varied test/000002",
    ]
    assert np.array_equal(images[1].pixels, simulate_varied_chip(1, TEST_STREAM).image)
