"""How long a run still takes: from whole batches, and only once it is known."""

import pytest

from fusar_qgis.core.remaining_time import RemainingTime


def remaining(*noted: tuple[int, float], total: int = 100) -> float | None:
    time = RemainingTime()
    for done, now in noted:
        time.note(done, now)
    return time.seconds(total)


def test_nothing_is_known_before_the_second_batch():
    assert remaining() is None
    assert remaining((1, 30.0)) is None
    assert remaining(*((done, 30 + done / 1000) for done in range(1, 9))) is None


@pytest.mark.parametrize("first", [8, 60])
def test_chips_that_come_together_are_one_batch(first):
    """The first may be what a run had already that is taken up again."""
    batches = ((first + 8 * batch, 30 + 4.0 * batch) for batch in range(4))
    one_by_one = [
        (done, now + number / 1000)
        for last, now in batches
        for number, done in enumerate(range(last - 7, last + 1))
    ]
    assert remaining(*one_by_one) == pytest.approx((100 - first - 24) / 2)


def test_chips_that_come_evenly():
    assert remaining(*((done, 9 + done / 10) for done in range(1, 61))) == pytest.approx(4, rel=0.15)


def test_none_is_missing():
    assert remaining((50, 0.0), (100, 5.0)) == 0


def test_the_speed_of_an_earlier_run_counts_until_the_batches_tell():
    time = RemainingTime(4.0)
    assert time.seconds(100) == 25
    assert time.rate is None
    time.note(8, 30.0)
    assert time.seconds(100) == 23
    time.note(16, 34.0)
    assert time.rate == pytest.approx(2)
    assert time.seconds(100) == pytest.approx(42)
