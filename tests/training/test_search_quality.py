"""The judge of bench/search_quality.py: what a slice of a simulated scene shows is what its chips show."""

import sys
from pathlib import Path

import pytest
import yaml
from pydantic import TypeAdapter

from fusar_gpt.frames import SceneBox
from fusar_train.corpus.texts.facts import Facts
from fusar_train.simulation.chip import CHIP_PX, TEST_STREAM, simulate_chip
from fusar_train.simulation.looks import NAMES
from fusar_train.simulation.records import record_of

FIRST = 10_000_000


@pytest.fixture(scope="module")
def bench():
    """The benchmark as a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[2] / "bench"))
        yield __import__("search_quality")
        sys.modules.pop("search_quality")


@pytest.fixture(scope="module")
def truth(bench, tmp_path_factory):
    return bench.write_mosaic(tmp_path_factory.mktemp("scene") / "chips.tif", FIRST, 2)


def counts(facts):
    return {each.label: (each.count, sorted(each.cells)) for each in facts.classes}


def test_a_slice_that_is_a_chip_shows_what_the_chip_shows(truth):
    for number in range(4):
        top, left = (CHIP_PX * at for at in divmod(number, 2))
        found = truth.within(SceneBox(left, top, left + CHIP_PX, top + CHIP_PX))
        chip = record_of(simulate_chip(FIRST + number, TEST_STREAM), "test", number)
        own = Facts.of(chip, (CHIP_PX, CHIP_PX), prior=False)
        assert counts(found) == counts(own)
        assert found.absent == own.absent
        assert found.cover.shares == pytest.approx(own.cover.shares)


def test_a_slice_between_chips_counts_what_it_shows_of_each(truth):
    side = CHIP_PX
    between = truth.within(SceneBox(side / 2, side / 2, 1.5 * side, 1.5 * side))
    seen = sum(count for count, _ in counts(between).values())
    centres = (truth.boxes[:, :2] + truth.boxes[:, 2:]) / 2
    inside = ((centres > side / 2) & (centres < 1.5 * side)).all(1).sum()
    assert 0 < inside <= seen <= inside + 4  # those that are cut count from 40 % of their box on
    shown = truth.cover[side // 2 : 3 * side // 2, side // 2 : 3 * side // 2]
    for number, name in enumerate(NAMES):
        assert between.cover.shares[name] == pytest.approx((shown == number).mean(), abs=1e-3)


def test_all_queries_can_be_judged_and_told(bench):
    asked = TypeAdapter(tuple[bench.AskedFact, ...]).validate_python(
        yaml.safe_load(bench.QUERIES.read_text(encoding="utf-8"))["facts"]
    )
    assert len(asked) == 10
    assert len({text for each in asked for text in each.typed}) == 30
    for each in asked:
        assert all(each.told_texts())
        assert each.told_texts()[2].isascii() is each.typed[2].isascii() is False
