"""Slices cover a scene, and read in strips they are what ``read_chip`` makes of each by itself."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
import pytest
import shapely
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from rasters import speckle, write

from fusar_gpt.errors import Cancelled
from fusar_gpt.imagery import open_scene, read_chip
from fusar_gpt.imagery.scene import Scene
from fusar_gpt.retrieval import strips
from fusar_gpt.retrieval.slicing import lattice
from fusar_gpt.retrieval.strips import blocks, enough, made_ahead, read_strip, slice_images


@dataclass
class Extent:
    """All that a lattice asks of a scene."""

    width: int
    height: int
    pixel_size_m: float = 1.0


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """420 x 300 px of speckle, a ship, a hole, a wide strip without data, and fades of single pixels."""
    data = speckle(300, 420)
    data[100:106, 200:230] = 5
    data[40:90, 60:140] = 0
    data[:, 330:] = 0
    data[np.random.default_rng(1).random(data.shape) < 0.01] = 0
    path = write(tmp_path_factory.mktemp("s") / "s.tif", data, tiled=True, blockxsize=64, blockysize=32)
    with open_scene(path) as opened:
        yield opened


lattices = st.tuples(st.sampled_from([8, 16, 24, 50]), st.integers(8, 260), st.floats(0, 0.9))


@given(
    st.integers(1, 4000), st.integers(1, 4000), st.integers(1, 64), st.integers(1, 3000), st.floats(0, 0.95)
)
@settings(deadline=None)
def test_slices_cover_every_pixel_lie_on_the_scene_and_overlap_as_asked(
    width, height, image_px, side_m, overlap
):
    assume(width * height / max(side_m, image_px) ** 2 / (1 - overlap) ** 2 < 1e5)
    found = lattice(Extent(width, height), image_px, side_m, overlap)
    assert found.side % found.factor == 0
    assert abs(found.side - max(side_m, image_px)) < max(found.factor, 1)
    for starts, length in ((found.lefts, width), (found.tops, height)):
        assert starts[0] <= 0
        assert starts[-1] + found.side >= length
        assert (np.diff(starts) <= found.side).all()
        assert (np.diff(starts) > 0).all()
        if length <= found.side:
            assert len(starts) == 1
        elif overlap:
            assert starts[0] == 0
            assert starts[-1] + found.side == length
            assert (np.diff(starts) <= max(found.side - overlap * found.side, 1)).all()


areas = st.lists(st.tuples(st.floats(-10, 430), st.floats(-10, 310)), min_size=3, max_size=6)


@given(lattices, areas)
@settings(deadline=None, max_examples=60)
def test_the_slices_that_touch_an_area_are_those_whose_squares_do(chosen, corners):
    image_px, side, overlap = chosen
    found = lattice(Extent(420, 300), image_px, side, overlap)
    squares = shapely.box(*found.boxes(np.arange(len(found))).T)
    for area in (shapely.MultiPoint(corners).convex_hull.buffer(1), shapely.box(0, 0, 420, 300)):
        np.testing.assert_array_equal(found.touching(area), shapely.intersects(area, squares))


@given(lattices)
@settings(deadline=None, max_examples=40)
def test_every_slice_is_what_read_chip_makes_of_it(scene, chosen):
    """Equal, not nearly: averaging takes whole cells, which begin where the slice begins."""
    image_px, side, overlap = chosen
    found = lattice(scene, image_px, side * scene.pixel_size_m, overlap)
    numbers = np.arange(len(found))[:: max(len(found) // 40, 1)]
    strip = read_strip(scene, found, numbers)
    for at, number in enumerate(numbers.tolist()):
        chip, expected = strip.chip(at), read_chip(scene, found.chip(number), scene.stretch())
        np.testing.assert_array_equal(chip.grey, expected.grey)
        np.testing.assert_array_equal(chip.has_data, expected.has_data)


@given(lattices, st.integers(1000, 60_000), st.integers(0, 99), st.floats(0.02, 1))
@settings(deadline=None, max_examples=30)
def test_blocks_hold_each_slice_once_and_are_bounded(chosen, cells, seed, share):
    image_px, side, overlap = chosen
    found = lattice(Extent(3000, 900), image_px, side, overlap)
    numbers = np.flatnonzero(np.random.default_rng(seed).random(len(found)) < share)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strips, "_STRIP_CELLS", cells)
        patch.setattr(strips, "_STRIP_MEANS", cells)
        parts = list(blocks(found, numbers))
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), numbers)
    row = max(strips._LEAST_ROWS * (found.side / found.factor) ** 2, cells)
    for part in filter(len, parts):
        corners = found.boxes(part)
        width, height = corners[:, 2:].max(axis=0) - corners[:, :2].min(axis=0)
        assert width * height <= row * found.factor**2


def read_all(scene, found, numbers, batch=7):
    return list(slice_images(scene, found, numbers, lambda some: some, lambda: batch))


def test_slices_come_in_batches_with_their_shares_and_only_those_with_data_as_images(scene):
    found = lattice(scene, 24, 24 * scene.pixel_size_m)
    numbers = np.arange(len(found))
    read = read_all(scene, found, numbers)
    assert max(len(one.numbers) for one in read) == 7
    np.testing.assert_array_equal(np.sort(np.concatenate([one.numbers for one in read])), numbers)
    seen = 0
    for one in read:
        chips = [read_chip(scene, found.chip(number), scene.stretch()) for number in one.numbers.tolist()]
        np.testing.assert_array_equal(one.shares, [round(100 * chip.has_data.mean()) for chip in chips])
        usable = enough(one.shares)
        np.testing.assert_array_equal(
            one.images,
            np.array([chip.grey for chip, use in zip(chips, usable, strict=True) if use], np.uint8).reshape(
                -1, 24, 24
            ),
        )
        seen += usable.sum()
    assert 0 < seen < len(numbers)


def test_an_area_reads_little_more_than_itself_and_a_whole_scene_little_more_than_once(scene, monkeypatch):
    pixels = []
    read = Scene.read
    monkeypatch.setattr(
        Scene, "read", lambda self, window: pixels.append(window.width * window.height) or read(self, window)
    )
    found = lattice(scene, 16, 16 * scene.pixel_size_m)
    read_all(scene, found, np.arange(len(found)))
    assert sum(pixels) == scene.width * scene.height
    pixels.clear()
    corners = shapely.MultiPoint([(5, 5), (400, 290)])  # far apart: what lies between is not read
    read_all(scene, found, np.flatnonzero(found.touching(corners)))
    assert sum(pixels) < 4 * (3 * 16) ** 2


def test_a_scene_smaller_than_a_slice_is_one_slice(tmp_path):
    with open_scene(write(tmp_path / "s.tif", speckle(20, 30))) as scene:
        found = lattice(scene, 64)
        assert len(found) == 1
        (read,) = read_all(scene, found, np.arange(1))
        expected = read_chip(scene, found.chip(0), scene.stretch())
        np.testing.assert_array_equal(read.shares, [round(100 * expected.has_data.mean())])
        np.testing.assert_array_equal(read_strip(scene, found, np.arange(1)).chip(0).grey, expected.grey)


def test_reading_stops_when_the_scene_is_told_to(tmp_path):
    stopped = threading.Event()
    path = write(tmp_path / "s.tif", speckle(200, 300), tiled=True, blockxsize=16, blockysize=16)
    with open_scene(path, cancelled=stopped.is_set) as scene:
        found = lattice(scene, 16, 16 * scene.pixel_size_m)
        scene.stretch()
        stopped.set()
        with pytest.raises(Cancelled):
            read_all(scene, found, np.arange(len(found)))


def test_what_is_made_ahead_is_made_in_a_thread_one_ahead_and_ends_with_its_reader():
    made, closed = [], []

    def items():
        try:
            for number in range(1, 10):
                made.append(threading.current_thread())
                yield number
        finally:
            closed.append(True)

    ahead = made_ahead(items())
    assert next(ahead) == 1
    ahead.close()
    assert closed
    assert len(made) == 2
    assert threading.current_thread() not in made
    assert list(made_ahead(items())) == list(range(1, 10))


def test_an_error_while_something_is_made_ahead_reaches_the_reader():
    def items():
        yield 1
        raise ValueError("no more")

    ahead = made_ahead(items())
    assert next(ahead) == 1
    with pytest.raises(ValueError, match="no more"):
        next(ahead)
