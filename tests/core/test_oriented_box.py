"""Boxes that are dragged, moved and turned: what stays put stays put, and the box comes back from its outline."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusar_qgis.core.oriented_box import LEAST_SIDE, OrientedBox, fitted

places = st.floats(-1e4, 1e4)
points = st.tuples(places, places)
boxes = st.builds(
    OrientedBox, places, places, st.floats(1, 500), st.floats(1, 500), st.floats(-math.pi, math.pi)
)
near = 1e-6


def apart(one, two) -> float:
    return math.dist(one, two)


@given(boxes, st.integers(0, 3), points)
def test_a_dragged_corner_lies_where_it_is_dragged_to_and_the_opposite_one_stays(box, corner, point):
    dragged = box.with_corner(corner, point)
    fixed = box.corners[(corner + 2) % 4]
    assert min(apart(fixed, one) for one in dragged.corners) < near
    assert min(dragged.width, dragged.height) >= LEAST_SIDE - near
    assert dragged.angle == box.angle
    if min(map(abs, OrientedBox(*fixed, 0, 0, box.angle)._own(point))) > LEAST_SIDE:
        assert min(apart(point, one) for one in dragged.corners) < near


@given(boxes, st.integers(0, 3), points)
def test_a_dragged_edge_leaves_the_opposite_one_and_the_other_side(box, edge, point):
    dragged = box.with_edge(edge, point)
    fixed = box.corners[(edge + 2) % 4], box.corners[(edge + 3) % 4]
    for one in fixed:
        assert min(apart(one, corner) for corner in dragged.corners) < near
    kept = "width" if edge % 2 == 0 else "height"
    assert getattr(dragged, kept) == pytest.approx(getattr(box, kept))


@given(boxes, st.floats(-7, 7))
def test_turning_keeps_the_centre_and_the_sides(box, angle):
    turned = box.turned_to(angle)
    assert (turned.x, turned.y, turned.width, turned.height) == (box.x, box.y, box.width, box.height)
    snapped = box.turned_to(angle, math.radians(15))
    steps = math.degrees(snapped.angle) / 15
    assert abs(steps - round(steps)) < near
    assert abs(math.remainder(snapped.angle - angle, 2 * math.pi)) <= math.radians(7.5) + near


@given(boxes, st.floats(1, 2000), st.floats(1, 2000))
def test_inside_a_scene_it_lies_in_it_or_in_its_middle(box, width, height):
    left, top, right, bottom = box.inside(width, height).bounds
    for low, high, size in ((left, right, width), (top, bottom, height)):
        if high - low <= size:
            assert low >= -near
            assert high <= size + near
        else:
            assert (low + high) / 2 == pytest.approx(size / 2)


@given(boxes, st.integers(2, 6))
def test_the_box_comes_back_from_its_outline_with_any_points_on_it(box, parts):
    outline = []
    for (x1, y1), (x2, y2) in zip(box.corners, [*box.corners[1:], box.corners[0]], strict=True):
        outline += [(x1 + (x2 - x1) * n / parts, y1 + (y2 - y1) * n / parts) for n in range(parts)]
    back = fitted(outline)
    assert abs(back.angle) <= math.pi / 4 + near
    spare = 1.011 * box.width * box.height + near
    assert back.width * back.height <= spare
    for corner in box.corners:
        u, v = back._own(corner)
        assert abs(u) <= back.width / 2 + 1e-5
        assert abs(v) <= back.height / 2 + 1e-5


@given(places, places, st.floats(1, 500), st.floats(1, 500))
def test_an_upright_box_stays_upright(left, top, width, height):
    box = OrientedBox.upright(left, top, left + width, top + height)
    back = fitted(box.corners)
    assert back.angle == 0
    assert back.bounds == pytest.approx((left, top, left + width, top + height), abs=1e-6)


def test_a_turned_box_says_how_far_clockwise_as_the_raster_is_seen():
    box = OrientedBox(50, 40, 30, 8).turned_to(math.radians(20))
    (_, y1), (_, y2) = box.corners[:2]
    assert y2 > y1  # the right end of the top edge is lower
    assert fitted(box.corners).angle == pytest.approx(math.radians(20))
    assert box.holds((50, 40))
    assert not box.holds((64, 40))


def test_a_point_has_a_box_without_sides():
    assert fitted([(3, 4), (3, 4)]).bounds == (3, 4, 3, 4)
