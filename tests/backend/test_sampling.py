"""The nodes of a chip and the pixels they are made of, against pyproj and plain loops."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from made_ground import SIZE, chip, codes_at, ground
from pyproj import Geod, Proj
from rasterio.transform import Affine
from rasters import ROTATED, swath_gcps, write
from shapely import box

from fusar_gpt.errors import PriorError
from fusar_gpt.frames import ChipPoints, LonLatPoints
from fusar_gpt.imagery import ChipFormat, open_scene, plan_chips
from fusar_gpt.interpret import footprint as footprint_of
from fusar_gpt.priors import Footprint, sampling
from fusar_gpt.priors.field import Origin
from fusar_gpt.priors.sampling import Sampling
from fusar_gpt.priors.tiles import Tile

EDGE_PX = 1e-4  # places nearer to a pixel's edge than a millimetre may fall on either side


@cache
def utm(zone: int) -> Proj:
    return Proj(proj="utm", zone=abs(zone), south=zone < 0, ellps="WGS84")


def found(footprint: Footprint, how: Sampling, holes=True):
    samples = how.samples(footprint)
    values = samples.values(lambda tile: ground(tile, holes))
    return footprint.field(values, samples.chip, samples.lonlat, Origin("made-up"))


def vector(zone, col, up, holes):
    """The de-quantised vector of one pixel, or None."""
    codes = codes_at(zone, np.int64(col), np.int64(up), holes).astype(float)
    return None if codes[0] == -128 else np.sign(codes) * (codes / 127.5) ** 2


def place(lon, lat):
    """Zone, and easting and northing in pixels."""
    zone = int((lon + 180) // 6) % 60 + 1
    zone = zone if lat >= 0 else -zone
    x, y = utm(zone)(lon, lat)
    return zone, x / 10, y / 10


def one_pixel(lon, lat, holes):
    zone, x, y = place(lon, lat)
    assume(abs(lon / 6 - round(lon / 6)) > 1e-9)
    assume(all(abs(side - round(side)) > EDGE_PX for side in (x, y)))
    return vector(zone, math.floor(x), math.floor(y), holes)


def bilinear(lon, lat, holes):
    zone, x, y = place(lon, lat)
    assume(abs(lon / 6 - round(lon / 6)) > 1e-9)
    total = np.zeros(64)
    for col in (math.floor(x - 0.5), math.floor(x - 0.5) + 1):
        for up in (math.floor(y - 0.5), math.floor(y - 0.5) + 1):
            share = (1 - abs(col + 0.5 - x)) * (1 - abs(up + 0.5 - y))
            if (one := vector(zone, col, up, holes)) is not None:
                total += share * one
    return total


def cell_mean(lon, lat, cell, parts, holes):
    total = np.zeros(64)
    for i in range(parts[0]):
        for j in range(parts[1]):
            u, v = (i + 0.5) / parts[0] - 0.5, (j + 0.5) / parts[1] - 0.5
            one = one_pixel(lon + u * cell[0], min(lat + v * cell[1], 90), holes)
            total += 0 if one is None else one
    return total


def reference(footprint: Footprint, nodes, resampling, holes=True):
    """Positions [S, 2], vectors [S, 64] and places of eq. 1-3, node by node."""
    width, height = (footprint.east - footprint.west) % 360, footprint.north - footprint.south
    cell = width / (nodes[0] - 1), height / (nodes[1] - 1)
    flattest = max(footprint.south, -footprint.north, 0)
    metres = cell[0] * 111_700 * math.cos(math.radians(flattest)), cell[1] * 111_700
    parts = [min(max(math.ceil(side / 10 - 0.05), 1), 8) for side in metres]
    rows = []
    for j in range(nodes[1]):
        for i in range(nodes[0]):
            lon, lat = footprint.west + i * cell[0], footprint.south + j * cell[1]
            on = footprint.lonlat_to_chip(LonLatPoints.of([[lon, lat]])).xy()[0] / SIZE
            if not all(-1e-6 <= side <= 1 + 1e-6 for side in on):
                continue
            if parts == [1, 1]:
                one = bilinear(lon, lat, holes) if resampling == "bilinear" else one_pixel(lon, lat, holes)
            else:
                one = cell_mean(lon, lat, cell, parts, holes)
            if one is not None and one.any():
                rows.append((on[::-1].clip(0, 1), one / np.linalg.norm(one), ((lon + 180) % 360 - 180, lat)))
    positions, values, lonlat = zip(*rows, strict=True) if rows else ([], [], [])
    return (
        np.array(positions).reshape(-1, 2),
        np.array(values).reshape(-1, 64),
        np.array(lonlat).reshape(-1, 2),
    )


def turned(angle, bend):
    """Chip fractions from box fractions for a chip that is turned, and bent as control points bend a swath."""

    def turn(u, v):
        z = (u - 0.5 + 1j * (v - 0.5)) * np.exp(1j * angle) * 1.2
        return z.real + 0.5 + bend * z.real * z.imag, z.imag + 0.5 + bend * z.real**2

    return turn


@st.composite
def footprints(draw):
    """Chips of 30 m to 3 km anywhere: on zone borders, the equator and the antimeridian, and near the poles."""
    side = draw(st.floats(30, 3000))
    south = draw(
        st.one_of(st.floats(-89.9, 89.8), st.floats(-1, 0).map(lambda share: share * side / 111_320))
    )
    west = draw(st.one_of(st.floats(-180, 179.9), st.integers(-30, 29).map(lambda edge: 6.0 * edge)))
    if west % 6 == 0:
        west -= draw(st.floats(0, 1)) * side / (111_320 * math.cos(math.radians(south)))
    turn = turned(draw(st.floats(-3, 3)), draw(st.floats(-0.3, 0.3))) if draw(st.booleans()) else None
    extra = {"turn": turn} if turn else {}
    return chip(west + 360 if west < -180 else west, south, side, draw(st.floats(30, 3000)), **extra)


@settings(deadline=None, max_examples=30)
@given(
    footprint=footprints(),
    nodes=st.tuples(st.integers(2, 5), st.integers(2, 5)),
    resampling=st.sampled_from(["nearest", "bilinear"]),
)
def test_any_chip_gets_what_plain_loops_find(footprint, nodes, resampling):
    positions, values, lonlat = reference(footprint, nodes, resampling)
    field = found(footprint, Sampling(nodes, resampling))
    assert len(field) == len(values)
    np.testing.assert_allclose(field.values, values, atol=2e-6)
    np.testing.assert_allclose(field.positions, positions, atol=2e-6)
    np.testing.assert_allclose(field.lonlat.xy(), lonlat, atol=1e-9)


@settings(deadline=None, max_examples=20)
@given(footprint=footprints(), dense=st.booleans(), resampling=st.sampled_from(["nearest", "bilinear"]))
def test_fine_nodes_take_the_pixels_around_them(footprint, dense, resampling):
    small = chip(footprint.west, footprint.south, 25, 18)
    nodes = (6, 5) if dense else (4, 3)
    positions, values, _ = reference(small, nodes, resampling)
    field = found(small, Sampling(nodes, resampling))
    assert len(field) == len(values)
    np.testing.assert_allclose(field.values, values, atol=2e-6)
    np.testing.assert_allclose(field.positions, positions, atol=2e-6)


def test_the_vectors_are_dequantised_quadratically():
    field = found(chip(3.0123, 45.0123, 28), Sampling((4, 4)), holes=False)
    assert len(field) == 16
    for value, (lon, lat) in zip(field.values, field.lonlat.xy(), strict=True):
        zone, x, y = place(lon, lat)
        codes = codes_at(zone, math.floor(x), math.floor(y), holes=False).astype(float)
        expected, plausible = np.sign(codes) * (codes / 127.5) ** 2, codes / 127
        np.testing.assert_allclose(value, expected / np.linalg.norm(expected), atol=1e-7)
        assert np.abs(value - plausible / np.linalg.norm(plausible)).max() > 0.02  # the usual mistake


# --- how many nodes, and how finely their cells are cut ---


@pytest.mark.parametrize(
    ("side_m", "expected"), [(4, 2), (10, 2), (60, 7), (149, 16), (150, 16), (1000, 16), (20_000, 16)]
)
def test_nodes_are_ten_metres_apart_and_sixteen_a_side_at_most(side_m, expected):
    assert Sampling().shape(chip(3, 45, side_m)) == (expected, expected)
    assert Sampling().shape(chip(3, 45, side_m, 30)) == (expected, 4)
    assert Sampling((7, 9)).shape(chip(3, 45, side_m)) == (7, 9)


@settings(deadline=None)
@given(footprint=footprints(), nodes=st.tuples(st.integers(2, 40), st.integers(2, 40)))
def test_places_in_a_cell_are_ten_metres_apart_unless_there_are_eight_a_side(footprint, nodes):
    samples = Sampling(nodes).samples(footprint)
    assume(samples.pixels)
    lon, lat = footprint.nodes(nodes).x[:2], footprint.nodes(nodes).y[[0, nodes[0]]]
    _, _, north = Geod(ellps="WGS84").inv(lon[0], lat[0], lon[0], lat[1])
    _, _, south = Geod(ellps="WGS84").inv(lon[0], footprint.south, lon[1], footprint.south)
    _, _, top = Geod(ellps="WGS84").inv(lon[0], footprint.north, lon[1], footprint.north)
    count = len(samples.pixels[0].tile)
    needed = [min(side / 10.51, 8) for side in (max(south, top), north)]
    spared = [min(math.ceil(max(side / 9.8, 1)), 8) for side in (max(south, top), north)]
    assert math.prod(max(side, 1) for side in needed) <= count <= math.prod(spared)


@settings(deadline=None)
@given(west=st.floats(-180, 179), width=st.floats(1e-4, 6), south=st.floats(-90, 89.6))
def test_polynomials_stand_for_the_projection_to_a_hundredth_of_a_millimetre(west, width, south):
    lon, lat = np.linspace(west, west + width, 23), np.linspace(south, south + 0.36, 5)  # 40 km high
    places = sampling._places(lon, lat, (1, 1))
    for zone in np.unique(places.zone):
        there = places.zone[0] == zone
        x, y = utm(zone)(np.tile(lon, 5)[there], np.repeat(lat, 23)[there])
        np.testing.assert_allclose(10 * places.x[0, there], x, rtol=0, atol=1e-5)
        np.testing.assert_allclose(10 * places.y[0, there], y, rtol=0, atol=1e-5)


@pytest.mark.parametrize("nodes", [(1, 5), (5, 0), (600, 5)])
def test_a_grid_that_cannot_be_is_refused(nodes):
    with pytest.raises(PriorError, match="give, say, 16,16"):
        Sampling(nodes)


def test_another_resampling_is_refused():
    with pytest.raises(PriorError, match="give nearest or bilinear"):
        Sampling(resampling="cubic")


def test_a_footprint_of_a_whole_country_is_refused():
    with pytest.raises(PriorError, match="km is too large: ask for 40 km x 40 km at most"):
        Sampling().samples(chip(3, 45, 500_000))


def test_large_grids_are_worked_on_in_parts_and_come_out_the_same(monkeypatch):
    footprint = chip(2.999, 44.999, 2500)
    whole = found(footprint, Sampling((40, 30)))
    monkeypatch.setattr("fusar_gpt.priors.sampling._AT_ONCE", 1000)
    monkeypatch.setattr("fusar_gpt.priors.sampling._IN_CACHE", 200)
    samples = Sampling((40, 30)).samples(footprint)
    assert len(samples.pixels) > 20
    assert len(set(samples.tiles)) == len(samples.tiles)
    np.testing.assert_array_equal(found(footprint, Sampling((40, 30))).values, whole.values)


# --- where there is no data ---


def tile_with(value, west, south):
    """A chip of 3 x 3 nodes in one tile, and its codes: all of one value."""
    footprint = chip(west, south, 20)
    (tile,) = Sampling((3, 3)).samples(footprint).tiles
    return footprint, tile, np.full((64, 128, 128), value, np.int8)


def test_water_without_data_has_no_nodes():
    footprint, _, codes = tile_with(-128, 3.005, 45.005)
    for nodes in (Sampling((3, 3)), Sampling((3, 3), "bilinear"), Sampling((2, 2))):
        samples = nodes.samples(footprint)
        values = samples.values(lambda tile: codes)
        assert not values.any()
        assert len(footprint.field(values, samples.chip, samples.lonlat, Origin("x"))) == 0


def test_neighbours_without_data_leave_the_weights():
    footprint, _, codes = tile_with(40, 3.005, 45.005)
    codes[:32] = -90
    whole = Sampling((3, 3), "bilinear").samples(footprint)
    holed = codes.copy()
    holed[:, whole.pixels[0].pixel[0] // 128, whole.pixels[0].pixel[0] % 128] = -128
    expected = footprint.field(whole.values(lambda tile: codes), whole.chip, whole.lonlat, Origin("x"))
    field = footprint.field(whole.values(lambda tile: holed), whole.chip, whole.lonlat, Origin("x"))
    assert len(field) > 0
    np.testing.assert_allclose(field.values, expected.values[: len(field)], atol=1e-6)


def test_a_chip_that_is_nowhere_has_no_nodes():
    def lost(points):
        return ChipPoints(np.full(len(points), np.inf), np.full(len(points), np.nan))

    nan = float("nan")
    for box_ in ((nan, nan, nan, nan), (3.0, 45.0, 3.01, 45.01)):
        footprint = Footprint(*box_, SIZE, SIZE, lost, lambda p: p, 9, 9)
        samples = Sampling().samples(footprint)
        assert (samples.tiles, samples.values(ground).shape) == ((), (0, 64))


# --- zones and tiles ---


def test_a_footprint_over_two_zones_looks_in_both_and_each_node_in_its_own():
    footprint = chip(5.995, 52, 800)
    samples = Sampling().samples(footprint)
    assert {tile.zone for tile in samples.tiles} == {31, 32}
    field = found(footprint, Sampling((5, 2)), holes=False)
    assert (field.lonlat.x < 6).any()
    assert (field.lonlat.x > 6).any()


def test_over_the_antimeridian_and_the_equator_at_once():
    samples = Sampling((8, 8)).samples(chip(179.998, -0.002, 600))
    assert {(tile.zone, tile.south) for tile in samples.tiles} == {
        (60, True), (60, False), (1, True), (1, False),
    }  # fmt: skip
    assert all(tile.row == 7812 for tile in samples.tiles if tile.south)
    assert all(tile.row == 0 for tile in samples.tiles if not tile.south)


@pytest.mark.parametrize("south", [-90, 89.995])
def test_at_the_poles_there_are_nodes_and_no_failure(south):
    footprint = Footprint(
        -180, south, 180, south + 0.005, SIZE, SIZE,
        lambda p: ChipPoints((p.x + 180) / 360 * SIZE, (south + 0.005 - p.y) / 0.005 * SIZE),
        lambda p: p, 9, 9,
    )  # fmt: skip
    assert len(found(footprint, Sampling((9, 3)), holes=False)) == 27


def test_a_tile_says_where_it_is():
    tile = Tile(31, False, 352, 4490)
    assert (tile.epsg, tile.bounds) == (32631, (450560, 5747200, 451840, 5748480))
    assert tile.transform @ (0, 128) == (450560, 5747200)
    assert Tile(1, True, 0, 0).epsg == 32701


# --- real scenes ---


@pytest.mark.parametrize("kind", ["rotated", "gcps", "degrees"])  # the last reaches beyond 180 degrees
def test_nodes_lie_where_the_scene_itself_puts_them(tmp_path, kind):
    forms = {
        "rotated": {"transform": ROTATED},
        "gcps": {"gcps": swath_gcps(900, 900)},
        "degrees": {"transform": Affine(2e-5, 0, 179.995, 0, -2e-5, 60), "crs": "EPSG:4326"},
    }
    path = write(tmp_path / "scene.tif", np.ones((900, 900), np.float32), **forms[kind])
    with open_scene(path) as scene:
        frame = ChipFormat(SIZE, SIZE, 28, ground_m=2000 if kind == "gcps" else 500)
        for one in list(plan_chips(scene, box(0, 0, 900, 900), frame))[:3]:
            footprint = footprint_of(scene, one)
            field = found(footprint, Sampling((9, 9)), holes=False)
            assert len(field) == 81 if kind == "degrees" else 30 < len(field) < 81
            there = one.plan.scene_to_chip(scene.from_lonlat(field.lonlat)).xy()[:, ::-1] / SIZE
            np.testing.assert_allclose(field.positions, there.clip(0, 1), atol=1e-5)
