"""Slices are ranked, told once where they overlap, and drawn as a heat map: against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rasters import NORTH_UP, ROTATED, SOUTH_UP, speckle, swath_gcps, write

from fusar_gpt.contract import NO_HEAT
from fusar_gpt.frames import ScenePoints
from fusar_gpt.imagery import open_scene
from fusar_gpt.imagery.plain_image import PlainImage
from fusar_gpt.retrieval.heat import heat_map
from fusar_gpt.retrieval.ranking import APART, best_places, cosines, percentiles
from fusar_gpt.retrieval.slicing import lattice

NAN = np.float32(np.nan)
cosine = st.one_of(st.just(NAN), st.integers(-8, 8).map(lambda number: np.float32(number / 8)))


def test_cosines_are_those_of_numpy_from_a_file_that_cannot_be_written(tmp_path):
    vectors = np.random.default_rng(0).standard_normal((10_000, 16)).astype(np.float16)
    np.save(tmp_path / "vectors.npy", vectors)
    stored = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    query = vectors[3].astype(np.float32)
    assert np.allclose(cosines(stored, query), vectors.astype(np.float32) @ query, atol=1e-4)
    assert cosines(stored[:0], query).shape == (0,)


@given(st.lists(cosine, max_size=60))
def test_a_percentile_is_the_share_of_what_is_less(values):
    values = np.array(values, np.float32)
    there = values[np.isfinite(values)]
    for value, rank in zip(values, percentiles(values), strict=True):
        if np.isnan(value):
            assert np.isnan(rank)
        else:
            assert rank == pytest.approx(100 * (there < value).mean(), abs=1e-4)


@st.composite
def ranked(draw):
    """Similarities [N] and squares of several sizes [N, 4]."""
    count = draw(st.integers(1, 400))
    random = np.random.default_rng(draw(st.integers(0, 99)))
    corner = random.integers(0, draw(st.sampled_from((30, 300))), (count, 2)).astype(float)
    side = random.choice([10.0, 25.0, 40.0], (count, 1))
    similarities = (random.integers(-50, 50, count) / 50).astype(np.float32)
    similarities[random.random(count) < 0.1] = np.nan
    return similarities, np.concatenate([corner, corner + side], axis=1)


def shared(one, other):
    width, height = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    smaller = min((one[2] - one[0]) * (one[3] - one[1]), (other[2] - other[0]) * (other[3] - other[1]))
    return max(width, 0) * max(height, 0) / smaller


@settings(deadline=None, max_examples=20)
@given(ranked(), st.integers(1, 40))
def test_places_are_those_of_taking_the_best_that_lies_apart_again_and_again(given_slices, top):
    similarities, boxes = given_slices
    expected = []
    for number in np.argsort(-similarities, kind="stable"):
        apart = all(shared(boxes[number], boxes[kept]) <= APART for kept in expected)
        if np.isfinite(similarities[number]) and apart and len(expected) < top:
            expected.append(int(number))
    places = best_places(similarities, boxes, top)
    assert [place.number for place in places] == expected
    ranks = percentiles(similarities)
    assert [place.percentile for place in places] == [ranks[number] for number in expected]
    assert [place.similarity for place in places] == [similarities[number] for number in expected]


def test_a_place_within_a_larger_one_is_the_same_place():
    boxes = np.array([[0, 0, 100, 100], [40, 40, 60, 60], [90, 90, 190, 190]], float)
    better_inside = best_places(np.array([0.5, 0.9, 0.1], np.float32), boxes, 9)
    assert [place.number for place in better_inside] == [1, 2]
    assert [place.number for place in best_places(np.array([0.9, 0.5, 0.1], np.float32), boxes, 9)] == [0, 2]


@settings(deadline=None, max_examples=20)
@given(
    width=st.integers(5, 200),
    height=st.integers(5, 200),
    side=st.integers(16, 60),
    overlap=st.sampled_from((0.0, 0.3, 0.5, 0.8)),
    sizes=st.integers(1, 2),
    seed=st.integers(0, 99),
)
def test_a_cell_has_the_best_percentile_of_the_slices_that_hold_its_centre(
    width, height, side, overlap, sizes, seed
):
    scene = PlainImage(np.zeros((height, width), np.uint8), "plain")
    lattices = [lattice(scene, side * scale, None, overlap) for scale in range(1, sizes + 1)]
    boxes = np.concatenate([one.boxes(np.arange(len(one))) for one in lattices])
    random = np.random.default_rng(seed)
    similarities = random.random(len(boxes)).astype(np.float32)
    similarities[random.random(len(boxes)) < 0.3] = np.nan
    heat = heat_map(similarities, boxes, scene)
    assert (heat.width * heat.cell_px[0], heat.height * heat.cell_px[1]) == pytest.approx((width, height))
    steps = [np.diff(starts).min(initial=side) for starts in (lattices[0].lefts, lattices[0].tops)]
    assert (np.array(heat.cell_px) <= np.array(steps) + 1e-9).all()  # so no slice that was searched is lost
    ranks = percentiles(similarities)
    cells = np.frombuffer(heat.values, np.uint8).reshape(heat.height, heat.width)
    for row, column in np.ndindex(cells.shape):
        x, y = (column + 0.5) * heat.cell_px[0], (row + 0.5) * heat.cell_px[1]
        holds = (boxes[:, :2] <= (x, y)).all(axis=1) & (boxes[:, 2:] > (x, y)).all(axis=1)
        mine = ranks[holds & np.isfinite(ranks)]
        assert cells[row, column] == (round(float(mine.max())) if len(mine) else NO_HEAT)


@pytest.mark.parametrize("transform", [NORTH_UP, SOUTH_UP, ROTATED], ids=["north up", "south up", "rotated"])
def test_the_transform_of_a_heat_map_is_the_scenes(tmp_path, transform):
    path = write(tmp_path / "scene.tif", speckle(130, 170), transform=transform)
    with open_scene(path) as scene:
        slices = lattice(scene, 32)
        boxes = slices.boxes(np.arange(len(slices)))
        heat = heat_map(np.linspace(0, 1, len(boxes), dtype=np.float32), boxes, scene)
        rows, columns = np.indices((heat.height + 1, heat.width + 1)).reshape(2, -1)
        x0, a, b, y0, d, e = heat.transform
        found = np.stack([x0 + a * columns + b * rows, y0 + d * columns + e * rows], axis=1)
        corners = ScenePoints(columns * heat.cell_px[0], rows * heat.cell_px[1])
        assert np.allclose(found, scene.to_ground(corners).xy(), atol=1e-6)
        assert heat.crs == "EPSG:32631"
        assert heat.gcps == ()


def test_control_points_of_a_heat_map_lie_where_the_scenes_do(tmp_path):
    path = write(tmp_path / "swath.tif", speckle(150, 200), gcps=swath_gcps(200, 150))
    with open_scene(path) as scene:
        slices = lattice(scene, 32)
        boxes = slices.boxes(np.arange(len(slices)))
        heat = heat_map(np.linspace(0, 1, len(boxes), dtype=np.float32), boxes, scene)
        assert heat.transform is None
        columns, rows, x, y = np.array(heat.gcps).T
        assert (columns.min(), columns.max()) == (0, pytest.approx(heat.width))
        assert (rows.min(), rows.max()) == (0, pytest.approx(heat.height))
        corners = ScenePoints(columns * heat.cell_px[0], rows * heat.cell_px[1])
        assert np.allclose(np.stack([x, y], axis=1), scene.to_ground(corners).xy())
