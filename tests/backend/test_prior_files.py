"""Priors of a place as files: which tiles it needs, the GeoTIFF, the points, and the picture of either."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pyproj import Transformer
from rasterio.transform import Affine
from rasters import write

from fusar_gpt.errors import PriorError
from fusar_gpt.frames import LonLatPoints
from fusar_gpt.priors import FilePrior
from fusar_gpt.priors.field import NODATA_CODE, Origin, dequantise
from fusar_gpt.priors.files import is_written_prior, write_points, write_raster
from fusar_gpt.priors.preview import draw_prior
from fusar_gpt.priors.tiles import AEF_ATTRIBUTION, TILE_M, TILE_PX, BoundingBox, Tile, utm_zones

REAL = np.load(Path(__file__).parents[2] / "training/fusar_train/simulation/aef_vectors_2024.npz")["codes"]
REAL = REAL.reshape(-1, 64)
ORIGIN = Origin("cog", "V1", 2024, AEF_ATTRIBUTION)


def codes_of(tile: Tile):
    """Real vectors in an order that tells every pixel of every zone from its neighbours."""
    row, col = np.mgrid[:TILE_PX, :TILE_PX]
    east, north = tile.col * TILE_PX + col, (tile.row + 1) * TILE_PX - 1 - row
    pick = (east * 7 + north * 1009 + tile.zone * 31 + tile.south * 17) % len(REAL)
    return REAL[pick].transpose(2, 0, 1)


def tile_at(lon, lat):
    """The tile that a point falls in, and its pixel there."""
    number = int(utm_zones(LonLatPoints([lon], [lat]))[0])
    zone = Tile(abs(number), number < 0, 0, 0)
    x, y = Transformer.from_crs("EPSG:4326", f"EPSG:{zone.epsg}", always_xy=True).transform(lon, lat)
    tile = Tile(zone.zone, zone.south, int(x // TILE_M), int(y // TILE_M))
    col, row = ~tile.transform @ (x, y)
    return tile, int(row), int(col)


@settings(deadline=None, max_examples=40)
@given(
    west=st.one_of(st.floats(-180, 179.9), st.sampled_from([5.99, 179.99, -0.01])),
    south=st.one_of(st.floats(-80, 80), st.just(-0.01)),
    size=st.tuples(st.floats(0.002, 0.03), st.floats(0.002, 0.03)),
    at=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=5),
)
def test_every_point_of_a_place_lies_on_one_of_its_tiles(west, south, size, at):
    east = west + size[0]
    place = BoundingBox(west, south, east - 360 if east > 180 else east, south + size[1])
    tiles = list(place.tiles())
    assert len(tiles) == len(set(tiles)) <= 60
    for u, v in at:
        lon, lat = west + u * size[0], min(south + v * size[1], place.north)
        assert tile_at(lon - 360 if lon > 180 else lon, lat)[0] in tiles
    nodes = place.footprint().nodes((3, 3))
    found = place.footprint().lonlat_to_chip(nodes)
    np.testing.assert_allclose(found.x, [0, 0.5, 1] * 3, atol=1e-6)
    np.testing.assert_allclose(found.y, [1] * 3 + [0.5] * 3 + [0] * 3, atol=1e-6)


@pytest.mark.parametrize(
    ("box", "told"),
    [
        ((0, 10, 1, 9), "Invalid bounding box"),
        ((0, 10, 0, 11), "Invalid bounding box"),
        ((0, -91, 1, 0), "Invalid bounding box"),
        ((float("nan"), 0, 1, 1), "Invalid bounding box"),
        ((0, 0, 1, 1), "too much"),
        ((0, 50, 30, 50.01), "too much"),
    ],
)
def test_what_is_no_place_is_refused(box, told):
    with pytest.raises(PriorError, match=told):
        BoundingBox(*box)


def test_a_place_around_points_on_both_sides_of_the_antimeridian():
    place = BoundingBox.around(LonLatPoints([179.9, -179.8, 179.95], [1, 2, 1.5]))
    assert (place.west, place.east) == (179.9, -179.8)
    assert place.span == pytest.approx(0.3)


@pytest.mark.parametrize(
    "box", [(190, 10, 190.01, 10.01), (359.99, 10, 0.01, 10.01), (179.99, 10, 180.01, 10.01)]
)
def test_longitudes_of_a_box_may_be_counted_from_0(box):
    place = BoundingBox(*box)
    assert -180 <= place.west <= 180
    assert -180 <= place.east <= 180
    assert place.span == pytest.approx((box[2] - box[0]) % 360)


BORDERS = {
    "inside a zone": BoundingBox(3.0, 44.99, 3.02, 45.0),
    "over two zones": BoundingBox(5.992, 44.995, 6.006, 45.0),
    "over the equator": BoundingBox(12.0, -0.004, 12.01, 0.006),
    "over the antimeridian": BoundingBox(179.994, -17.0, -179.996, -16.994),
}


@pytest.mark.parametrize("border", BORDERS)
def test_a_geotiff_holds_the_pixels_as_they_are(tmp_path, border):
    place = BORDERS[border]
    path = tmp_path / "prior.tif"
    assert write_raster(path, place, codes_of, ORIGIN) == 1.0
    assert list(tmp_path.iterdir()) == [path]
    with rasterio.open(path) as raster:
        assert (raster.count, set(raster.dtypes), raster.nodata) == (64, {"int8"}, NODATA_CODE)
        assert raster.descriptions[::63] == ("A00", "A63")
        assert raster.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        tags = raster.tags()
        assert (tags["AEF_YEAR"], tags["AEF_VERSION"], tags["AEF_ATTRIBUTION"]) == (
            "2024",
            "V1",
            AEF_ATTRIBUTION,
        )
        assert raster.transform.a == -raster.transform.e == 10
        data = raster.read()
        to_lonlat = Transformer.from_crs(raster.crs, "EPSG:4326", always_xy=True)
        rows, cols = np.random.default_rng(0).integers(0, [[raster.height], [raster.width]], (2, 100))
        for row, col in zip(rows, cols, strict=True):
            lon, lat = to_lonlat.transform(*(raster.transform @ (col + 0.5, row + 0.5)))
            tile, down, across = tile_at(lon, lat)
            np.testing.assert_array_equal(data[:, row, col], codes_of(tile)[:, down, across])
    footprint = place.footprint()
    field = FilePrior(path).prior(footprint, None)
    assert len(field) == 256, "the file must cover the whole place"
    assert (field.year, field.version, field.attribution) == (2024, "V1", AEF_ATTRIBUTION)
    if border == "inside a zone":
        for lon, lat, value in zip(field.lonlat.x, field.lonlat.y, field.values, strict=True):
            tile, down, across = tile_at(lon, lat)
            there = dequantise(codes_of(tile)[:, down, across][None])[0]
            np.testing.assert_allclose(value, there / np.linalg.norm(there), atol=1e-6)


def test_pixels_without_data_stay_without(tmp_path):
    def half(tile):
        codes = codes_of(tile).copy()
        codes[:, :, ::2] = NODATA_CODE
        return codes

    place = BORDERS["inside a zone"]
    covered = write_raster(tmp_path / "prior.tif", place, half, ORIGIN)
    assert covered == pytest.approx(0.5, abs=0.01)
    with rasterio.open(tmp_path / "prior.tif") as raster:
        assert (raster.read() == NODATA_CODE).mean() == pytest.approx(covered)


def points_file(folder, keep=slice(None)):
    place = BORDERS["over the antimeridian"]
    write_raster(folder / "whole.tif", place, codes_of, ORIGIN)
    field = FilePrior(folder / "whole.tif", (12, 10)).prior(place.footprint(), None)
    part = type(field)(
        field.values[keep],
        field.positions[keep],
        LonLatPoints(field.lonlat.x[keep], field.lonlat.y[keep]),
        field.source,
        field.version,
        field.year,
        field.attribution,
    )
    write_points(folder / "prior.npz", part)
    return folder / "prior.npz", part


def test_points_are_read_back_as_they_were(tmp_path):
    path, field = points_file(tmp_path)
    with np.load(path) as arrays:
        assert {name: arrays[name].dtype.name for name in ("features", "positions", "lon", "lat")} == {
            "features": "float32",
            "positions": "float32",
            "lon": "float64",
            "lat": "float64",
        }
        np.testing.assert_array_equal(arrays["positions"], field.positions)
    again = FilePrior(path).prior(BORDERS["over the antimeridian"].footprint(), None)
    np.testing.assert_allclose(again.values, field.values, atol=1e-6)
    np.testing.assert_allclose(again.positions, field.positions, atol=1e-6)
    assert (again.year, again.version, again.attribution) == (2024, "V1", AEF_ATTRIBUTION)


@pytest.mark.parametrize("direction", [10, -10], ids=["south-up", "north-up"])
def test_a_picture_shows_channels_1_16_and_9_north_up(tmp_path, direction):
    codes = np.full((64, 40, 60), NODATA_CODE, np.int8)
    north = slice(0, 20) if direction < 0 else slice(20, 40)
    south = slice(20, 40) if direction < 0 else slice(0, 20)
    codes[:, north, :30] = 0
    codes[(1, 16, 9), north, :30] = np.array([127, 0, -127], np.int8)[:, None, None]
    codes[:, south, :30] = 0
    path = write(
        tmp_path / "prior.tif",
        codes,
        transform=Affine(10, 0, 5e5, 0, direction, 5e6),
        nodata=NODATA_CODE,
        tags={"AEF_YEAR": "2023"},
    )
    picture, lines = draw_prior(path)
    assert "year 2023, 50.0% covered" in lines[0]
    assert picture.getpixel((10, 10)) == (255, 128, 0), "A01, A16 and A09 of the north"
    assert picture.getpixel((10, 500)) == (128, 128, 128), "the south"
    assert picture.getpixel((700, 10)) == picture.getpixel((700, 500)) == (13, 18, 26), "no data"
    assert picture.size[0] >= 768
    assert picture.height > 512 + 50, "the lines stand below"


def test_a_picture_of_points_shows_the_holes(tmp_path):
    path, _ = points_file(tmp_path, keep=np.arange(120) % 5 > 0)
    picture, lines = draw_prior(path)
    assert "year 2024, 80.0% covered" in lines[0]
    assert lines[2] == AEF_ATTRIBUTION
    shown = np.asarray(picture)[: -(24 + 22 * 3)]
    assert (shown == (13, 18, 26)).all(axis=2).mean() == pytest.approx(0.2, abs=0.01)


def test_what_is_no_prior_has_no_picture(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "photo.tif")
    np.savez(tmp_path / "none.npz", features=np.empty((0, 64)), positions=np.empty((0, 2)))
    for path in (tmp_path / "photo.tif", tmp_path / "none.npz", tmp_path / "missing.tif"):
        with pytest.raises(PriorError, match=path.name):
            draw_prior(path)


def test_points_counted_from_0_are_found(tmp_path):
    path, field = points_file(tmp_path)
    with np.load(path) as arrays:
        moved = {**arrays, "lon": arrays["lon"] % 360}
    np.savez(tmp_path / "moved.npz", **moved)
    again = FilePrior(tmp_path / "moved.npz").prior(BORDERS["over the antimeridian"].footprint(), None)
    np.testing.assert_allclose(again.values, field.values, atol=1e-6)
    assert (np.abs(again.lonlat.x) <= 180).all()


@pytest.mark.parametrize("west", [179.99, -180.01, 539.99 - 360])
def test_a_raster_in_degrees_may_count_on_over_180(tmp_path, west):
    codes = REAL[:1600].T.reshape(64, 40, 40)
    with rasterio.open(
        tmp_path / "prior.tif", "w", driver="GTiff", count=64, width=40, height=40, dtype="int8",
        crs="EPSG:4326", transform=rasterio.Affine(5e-4, 0, west, 0, -5e-4, 10.01),
    ) as raster:  # fmt: skip
        raster.write(codes)
    place = BoundingBox(179.992, 9.992, -179.992, 10.008)
    assert len(FilePrior(tmp_path / "prior.tif", (8, 8)).prior(place.footprint(), None)) == 64


def test_what_fetch_wrote_is_told_from_what_others_wrote(tmp_path):
    points_file(tmp_path)
    assert is_written_prior(tmp_path / "whole.tif")
    assert is_written_prior(tmp_path / "prior.npz")
    np.savez(tmp_path / "mine.npz", features=np.zeros(3))
    (tmp_path / "text.tif").write_text("hello")
    assert not is_written_prior(tmp_path / "mine.npz")
    assert not is_written_prior(tmp_path / "text.tif")
