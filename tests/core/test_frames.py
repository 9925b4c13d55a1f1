"""Frames: points and boxes that cannot be mixed up or changed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from fusar_gpt.frames import (
    ChipBox,
    ChipPoints,
    SceneBox,
    ScenePoints,
    SceneWindow,
    chip_corners,
    scene_corners,
)

finite = st.floats(-1e6, 1e6)


@given(
    arrays(np.float64, array_shapes(min_dims=1, max_dims=1).map(lambda shape: (*shape, 2)), elements=finite)
)
@settings(deadline=None)
def test_points_keep_order_and_values(xy):
    points = ScenePoints.of(xy)
    assert len(points) == len(xy)
    np.testing.assert_array_equal(points.xy(), xy)


def test_no_points_are_points():
    assert ChipPoints.of([]).xy().shape == (0, 2)


def test_points_do_not_share_memory_with_their_source():
    x = np.array([1.0, 2.0])
    points = ScenePoints(x, x)
    x[0] = 9.0
    assert points.x[0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        points.x[0] = 5.0


def test_points_of_unequal_length_are_refused():
    with pytest.raises(ValueError, match="x has 2 values and y has 1"):
        ScenePoints(np.zeros(2), np.zeros(1))


@pytest.mark.parametrize("corners", [(3, 0, 1, 4), (0, 4, 1, 3), (0, 0, float("nan"), 1)])
def test_a_box_with_swapped_or_missing_corners_is_refused(corners):
    with pytest.raises(ValueError, match="swapped or not numbers"):
        ChipBox(*corners)


def test_box_corners_go_round_from_the_top_left_in_their_own_frame():
    corners = scene_corners(SceneBox(1, 2, 4, 8))
    assert type(corners) is ScenePoints
    np.testing.assert_array_equal(corners.xy(), [(1, 2), (4, 2), (4, 8), (1, 8)])
    assert type(chip_corners(ChipBox(0, 0, 1, 1))) is ChipPoints
    assert SceneBox(1, 2, 4, 8).area == 18


def test_a_window_is_whole_pixels_and_never_empty():
    assert SceneWindow(-3, 5, 10, 20).box() == SceneBox(-3, 5, 7, 25)
    with pytest.raises(ValueError, match="empty window"):
        SceneWindow(0, 0, 0, 4)
