"""Quantise: decibels, robust limits from the scene, eight bits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rasters import speckle

from fusar_gpt.contract.stretch import to_decibel
from fusar_gpt.imagery import Stretch

NAN = np.float32(np.nan)


@pytest.mark.parametrize(
    ("quantity", "stored", "expected"),
    [
        ("amplitude", [10, 1, 0, -3, np.nan, np.inf], [20, 0, NAN, NAN, NAN, NAN]),
        ("power", [10, 1, 0, -3, np.nan, -np.inf], [10, 0, NAN, NAN, NAN, NAN]),
        ("dB", [10, -25, 0, -9999, np.nan, np.inf], [10, -25, NAN, NAN, NAN, NAN]),
        ("grey", [10, 255, 0, np.nan], [10, 255, 0, NAN]),
    ],
)
def test_what_a_file_stores_in_decibels(quantity, stored, expected):
    db = to_decibel(np.array(stored, dtype=np.float32), quantity)
    assert db.dtype == np.float32
    np.testing.assert_allclose(db, expected, atol=1e-5)


def test_a_few_ships_do_not_push_the_sea_to_black():
    power = speckle(300, 300)
    power[:3, :10] = 1e6
    db = to_decibel(power, "power")
    grey = Stretch.of_samples(db).quantise(db)
    assert (grey[:3, :10] == 255).all()
    assert 80 < np.median(grey[3:]) < 220
    assert np.std(grey[3:].astype(float)) > 20


def test_a_plain_sea_is_not_blown_up_to_full_contrast():
    calm = np.random.default_rng(0).normal(-20, 0.5, (100, 100)).astype(np.float32)
    stretch = Stretch.of_samples(calm)
    assert stretch.high_db - stretch.low_db == pytest.approx(25)
    assert np.ptp(stretch.quantise(calm)) < 64


def test_no_data_takes_no_part_and_becomes_zero():
    db = np.linspace(-30, 10, 1001, dtype=np.float32)
    with_holes = np.concatenate([db, np.full(5000, NAN)])
    assert Stretch.of_samples(with_holes) == Stretch.of_samples(db)
    assert Stretch(-30, 10).quantise(np.array([[NAN, -40, -30, 10, 50]], dtype=np.float32)).tolist() == [
        [0, 0, 0, 255, 255]
    ]


def test_eight_bits_pass_unchanged():
    levels = np.arange(256, dtype=np.float32).reshape(16, 16)
    stretch = Stretch.of_samples(to_decibel(levels, "grey"), "grey")
    np.testing.assert_array_equal(stretch.quantise(levels), levels)


@given(
    arrays(np.float32, (3, 7), elements=st.floats(-150, 150, width=32)),
    st.floats(-60, 0),
    st.floats(0.5, 80),
)
@settings(deadline=None)
def test_brighter_is_never_darker(db, low, span):
    grey = Stretch(low, low + span).quantise(db)
    assert grey.dtype == np.uint8
    order = np.argsort(db, axis=None)
    assert (np.diff(grey.ravel()[order].astype(int)) >= 0).all()


def test_limits_must_increase():
    with pytest.raises(ValueError, match="increase"):
        Stretch(3.0, 3.0)
