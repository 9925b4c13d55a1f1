"""The antimeridian and the poles: whichever way longitudes are counted, it is the same ground."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS

from fusar_gpt import lonlat

SQUARE = [(0, 0), (2, 0), (2, 1), (0, 1), (0, 0)]


def wrapped(polygon):
    """The polygon with its longitudes from -180 to 180, vertex by vertex: as people and programs write it."""
    return shapely.transform(polygon, lambda xy: np.stack([lonlat.wrap(xy[:, 0]), xy[:, 1]], axis=1))


@given(st.floats(-540, 540))
def test_wrapping_keeps_the_meridian_and_what_is_in_range(lon):
    inside = float(lonlat.wrap(lon))
    assert -180 <= inside <= 180
    assert abs((inside - lon + 180) % 360 - 180) < 1e-9
    assert abs(lon) > 180 or inside == lon


@given(st.lists(st.floats(0, 60), min_size=1, max_size=9), st.floats(-180, 180))
def test_the_least_arc_holds_all_and_no_more(offsets, west):
    lon = lonlat.wrap(np.array(offsets) + west)
    left, right = lonlat.extent(lon)
    assert lonlat.span(left, right) == pytest.approx(np.ptp(offsets), abs=1e-9)
    assert ((lon - left + 1e-9) % 360 <= lonlat.span(left, right) + 1e-6).all()


@given(st.floats(-360, 360), st.floats(-80, 80), st.floats(0.001, 170))
@settings(max_examples=200)
def test_a_split_polygon_is_the_same_ground_within_180_each(west, south, width):
    drawn = shapely.transform(shapely.Polygon(SQUARE), lambda xy: xy * (width / 2, 1) + (west, south))
    for polygon in (drawn, wrapped(drawn)):
        split = lonlat.split(polygon)
        parts = shapely.get_parts(split)
        left, _, right, _ = split.bounds
        assert (left, right) == pytest.approx((max(left, -180), min(right, 180)))
        assert split.is_valid
        assert all(part.exterior.is_ccw for part in parts)
        assert split.area == pytest.approx(drawn.area, rel=1e-6)


@pytest.mark.parametrize(
    "touching", [[(179, 0), (180, 0), (180, 1), (179, 1)], [(-180, 0), (-179, 0), (-179, 1), (-180, 1)]]
)
@pytest.mark.parametrize("said", [180, -180])
def test_what_only_touches_180_is_one_part_on_its_own_side(touching, said):
    ring = [(said if abs(lon) == 180 else lon, lat) for lon, lat in touching]
    split = lonlat.split(shapely.Polygon(ring))
    assert split.geom_type == "Polygon"
    assert split.area == pytest.approx(1)


@pytest.mark.parametrize("pole", [90, -90])
@given(start=st.floats(-180, 180), vertices=st.integers(3, 40), clockwise=st.booleans())
@settings(max_examples=40)
def test_a_ring_round_a_pole_holds_it(pole, start, vertices, clockwise):
    lon = lonlat.wrap(start + np.linspace(0, 360, vertices, endpoint=False) * (-1 if clockwise else 1))
    edge = 80 * np.sign(pole)
    low, high = sorted((edge, pole))
    cap = lonlat.split(shapely.Polygon([(x, edge) for x in lon]))
    assert cap.is_valid
    assert cap.bounds == pytest.approx((-180, low, 180, high))
    assert cap.area == pytest.approx(3600)
    assert lonlat.split(cap).symmetric_difference(cap).area == 0
    assert lonlat.bounds(np.array([*((x, edge) for x in lon), (lon[0], edge)])) == (-180, low, 180, high)


def test_a_hole_round_the_pole_stays_a_hole():
    ring = [(lon, 70) for lon in range(-180, 180, 30)]
    hole = [(lon, 80) for lon in range(-170, 190, 30)]
    belt = lonlat.split(shapely.Polygon(ring, [hole]))
    assert belt.is_valid
    assert belt.area == pytest.approx(3600, rel=1e-6)


def test_a_corner_at_the_pole_has_the_longitudes_of_its_neighbours():
    assert lonlat.split(shapely.Polygon([(0, 80), (90, 80), (-77, 90)])).area == pytest.approx(900)


def test_the_world_is_the_world_only_where_it_may_be_meant():
    world = shapely.box(-180, -90, 180, 90)
    assert lonlat.continuous(world, world=True) is world
    strip = shapely.Polygon([(170, 0), (-170, 0), (-170, 1), (170, 1)])
    assert lonlat.continuous(strip, world=True).bounds == (170, 0, 190, 1)


def test_a_turn_is_counted_in_the_crs_own_unit():
    assert lonlat.turn_of(CRS(4326)) == 360
    assert lonlat.turn_of(CRS(4807)) == pytest.approx(400)  # grads
    assert lonlat.turn_of(CRS(32633)) is None
