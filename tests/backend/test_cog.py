"""Tiles from COGs: real GDAL, on disk and over /vsicurl against a server in another process."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from aef_files import SOUTH, WEST, real_codes, rows, south_up, tile_of, write_cog, write_csv, write_gpkg
from hypothesis import given, settings
from hypothesis import strategies as st
from loopback_ranges import ranges
from pyproj import CRS, Transformer
from rasterio.transform import Affine

from fusar_gpt.errors import Cancelled, PriorError
from fusar_gpt.priors.cog import CogTiles, remote
from fusar_gpt.priors.cog.blocks import Header, cut_tile
from fusar_gpt.priors.cog.files import CogFile
from fusar_gpt.priors.retry import RetryPolicy, Unavailable
from fusar_gpt.priors.tiles import TILE_M, Tile

TILE = Tile(31, False, int(WEST // TILE_M) + 1, int(SOUTH // TILE_M) + 2)
SHORT = RetryPolicy(deadline_s=3, attempts=2)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """What is learnt of an index."""
    return tmp_path_factory.mktemp("kept")


@pytest.fixture
def open_cogs(kept):
    opened = []

    def open_one(root, folder=kept, **options):
        opened.append(CogTiles(str(root), folder=folder, **options))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A mirror: two years of one place, 2 x 2 blocks of 2 x 2 tiles, and an index with the bucket's paths."""
    folder = tmp_path_factory.mktemp("mirror")
    for year in (2019, 2024):
        write_cog(
            folder / f"{year}/31N/x{year}-0000000000-0000000000.tiff",
            real_codes(512, 512, year, patch=1),
            block=256,
        )
    write_gpkg(folder / "aef_index.gpkg", rows(folder))
    return folder


@pytest.fixture(scope="module")
def served(published):
    with ranges(published) as server:
        yield server


@pytest.fixture
def server(served, monkeypatch):
    monkeypatch.setattr("fusar_gpt.retry.random.uniform", lambda low, high: 0.05)  # short pauses
    served.play()
    yield served
    served.play()


def cog_of(folder, year=2024):
    return next(folder.glob(f"{year}/*/*.tiff"))


def bands(server):
    """Requests for pixels: beyond the header, which is asked for in one piece."""
    return [row for row in server.asked("tiff$") if row["range"] and not row["range"].startswith("bytes=0-")]


# --- cutting ---

LAYOUTS = {
    "south-up": {},
    "north-up": {"transform": Affine(10, 0, WEST, 0, -10, SOUTH + 4000)},
    "not a multiple of 10 m": {"transform": south_up(WEST + 3.3, SOUTH - 7.9)},
    "20 m": {"transform": south_up(WEST, SOUTH, 20)},
    "rotated": {
        "transform": Affine.translation(WEST + 900, SOUTH + 500) @ Affine.rotation(20) @ Affine.scale(10, 10)
    },
    "degrees": {"transform": Affine(1e-4, 0, 1.87, 0, 1e-4, 44.40), "crs": "EPSG:4326"},
    "in strips": {"block": None},
    "bands together": {"interleave": "pixel"},
    "small blocks": {"block": 16},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_pixel_is_the_one_that_gdal_finds_there(tmp_path, open_cogs, layout):
    path = write_cog(tmp_path / "2024/aef.tif", real_codes(400, 300), **LAYOUTS[layout])
    tiles = open_cogs(tmp_path).fetch(TILE, 2024, SHORT)
    assert (tiles[TILE] != -128).any()
    for tile, codes in tiles.items():
        np.testing.assert_array_equal(codes, tile_of(path, tile))


@settings(deadline=None, max_examples=40)
@given(
    x=st.floats(-500, 500),
    y=st.floats(-500, 500),
    pixel=st.floats(7, 40),
    angle=st.floats(0, 360),
    flip=st.sampled_from([-1, 1]),
)
def test_no_pixel_centre_is_closer_than_the_one_taken(x, y, pixel, angle, flip):
    left, bottom, _, _ = TILE.bounds
    transform = (
        Affine.translation(left + x, bottom + y) @ Affine.rotation(angle) @ Affine.scale(pixel, flip * pixel)
    )
    header = Header(transform, CRS.from_epsg(32631).to_wkt(), 100, 90, (64, 48), True)
    numbers = np.indices((90, 100)).astype(np.int8)
    codes = np.concatenate([numbers, np.ones((62, 90, 100), np.int8)])
    file = CogFile("a", 2024, "EPSG:32631", TILE.bounds, (0, 0, 1, 1))
    windows = {(row, col): header.window(row, col).toslices() for row in range(2) for col in range(3)}
    cutting = cut_tile(
        TILE, [file], lambda file: header, lambda file, *at: codes[(slice(None), *windows[at])]
    )
    there = (cutting != -128).all(axis=0)
    row, col = cutting[:2, there].astype(float)
    taken = np.stack(transform @ (col + 0.5, row + 0.5))
    centres = np.stack(TILE.transform @ tuple(np.indices((128, 128))[::-1] + 0.5))
    across = np.abs(np.linalg.inv(np.array(transform).reshape(3, 3)[:2, :2]) @ (taken - centres[:, there]))
    assert (across <= 0.5 + 1e-6).all()
    col, row = ~transform @ tuple(centres)
    np.testing.assert_array_equal(there, (col >= 0) & (col < 100) & (row >= 0) & (row < 90))


def test_the_first_file_with_data_wins(tmp_path, open_cogs):
    first, second = real_codes(400, 400, 1), real_codes(400, 400, 2)
    first[:, :300, :200] = -128
    paths = [write_cog(tmp_path / f"2024/{name}.tif", codes) for name, codes in (("a", first), ("b", second))]
    got = open_cogs(tmp_path).fetch(TILE, 2024, SHORT)[TILE]
    one, other = (tile_of(path, TILE) for path in paths)
    assert (one == -128).any()
    np.testing.assert_array_equal(got, np.where(one == -128, other, one))


def test_a_neighbouring_zone_serves_where_the_own_does_not_reach(tmp_path, open_cogs):
    tile = Tile(31, False, 575, SOUTH // int(TILE_M))  # 736 km: 5.98 E
    own = real_codes(128, 40, 1)
    own[:, 50:60] = -128  # data missing here stay missing
    own_path = write_cog(tmp_path / "2024/z/own.tif", own, south_up(tile.bounds[0], tile.bounds[1]), block=16)
    x, y = Transformer.from_crs(32631, 32632, always_xy=True).transform(*tile.bounds[:2])
    transform = south_up(round(x, -1) - 500, round(y, -1) - 500)
    other_path = write_cog(tmp_path / "2024/a/other.tif", real_codes(256, 256, 2), transform, "EPSG:32632")
    got = open_cogs(tmp_path).fetch(tile, 2024, SHORT)[tile]
    np.testing.assert_array_equal(got[..., :40], tile_of(own_path, tile)[..., :40])
    np.testing.assert_array_equal(got[..., 40:], tile_of(other_path, tile)[..., 40:])
    assert (got[..., 40:] != -128).any()


def test_where_there_is_no_file_there_are_no_data(published, open_cogs):
    cogs = open_cogs(published)
    far = Tile(31, False, TILE.col + 40, TILE.row)
    assert list(cogs.years(far, SHORT)) == []
    assert (cogs.fetch(far, 2024, SHORT)[far] == -128).all()


# --- folders ---


def test_the_year_of_a_file_in_a_folder(tmp_path, open_cogs):
    codes = real_codes(128, 128)
    write_cog(tmp_path / "2018/a_2017.tif", codes, tags={"AEF_YEAR": "2020"})
    write_cog(tmp_path / "2018/31N/a_2017.tif", codes)
    write_cog(tmp_path / "region/aef_2017_10m.tif", codes)
    write_cog(tmp_path / "landcover.tif", codes[:3])  # no AEF
    (tmp_path / "broken.tif").write_bytes(b"II*\0")
    tile = Tile(31, False, int(WEST // TILE_M), int(SOUTH // TILE_M))
    assert list(open_cogs(tmp_path).years(tile, SHORT)) == [2017, 2018, 2020]


def test_a_folder_that_is_no_use(tmp_path, open_cogs):
    with pytest.raises(PriorError, match="There is no folder"):
        open_cogs(tmp_path / "none")
    with pytest.raises(PriorError, match="has no AEF"):
        open_cogs(tmp_path)
    write_cog(tmp_path / "aef.tif", real_codes(16, 16), block=None)
    with pytest.raises(PriorError, match="does not say its year"):
        open_cogs(tmp_path)


def test_a_damaged_file_in_a_folder(tmp_path, open_cogs):
    path = write_cog(tmp_path / "2024/aef.tif", real_codes(400, 400))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] + bytes(len(content) - len(content) // 2))
    with pytest.raises(PriorError, match=r"aef.tif cannot be read, it is damaged"):
        open_cogs(tmp_path).fetch(TILE, 2024, SHORT)


def test_the_key_changes_with_the_files(tmp_path, open_cogs):
    write_cog(tmp_path / "2024/aef.tif", real_codes(16, 16), block=None)
    before = open_cogs(tmp_path).key
    assert open_cogs(tmp_path).key == before
    write_cog(tmp_path / "2024/aef.tif", real_codes(16, 16, seed=3), block=None)
    assert open_cogs(tmp_path).key != before


@pytest.mark.parametrize("kind", ["gpkg", "csv"])
def test_a_copy_of_a_part_of_the_mirror(tmp_path, open_cogs, kind):
    root = tmp_path / "v1/annual"
    path = write_cog(root / "2024/31N/a.tiff", real_codes(384, 256))
    write_cog(root / "2019/31N/gone.tiff", real_codes(384, 256))
    {"gpkg": write_gpkg, "csv": write_csv}[kind](root / f"aef_index.{kind}", rows(root))
    (root / "2019/31N/gone.tiff").unlink()
    cogs = open_cogs(tmp_path)
    assert list(cogs.years(TILE, SHORT)) == [2024]
    np.testing.assert_array_equal(cogs.fetch(TILE, 2024, SHORT)[TILE], tile_of(path, TILE))


# --- a server ---


def test_a_block_is_read_once_and_gives_all_its_tiles(published, server, open_cogs):
    cogs = open_cogs(server.url)
    tiles = cogs.fetch(TILE, 2024, SHORT)
    assert len(tiles) == 4
    for tile, codes in tiles.items():
        np.testing.assert_array_equal(codes, tile_of(cog_of(published), tile))
    asked = server.asked("tiff$")
    assert len([row for row in asked if row["method"] == "HEAD"]) == 1
    assert len(bands(server)) <= 64 + 8  # the file is so small that the requests of bands run into each other
    assert {row["User-Agent"] for row in server.asked()} == {remote.USER_AGENT}
    assert {row["Authorization"] for row in server.asked()} == {None}
    cogs.fetch(replace(TILE, col=TILE.col - 1), 2024, SHORT)
    assert server.asked("tiff$") == asked


def test_another_block_asks_for_no_header_again(server, open_cogs):
    cogs = open_cogs(server.url)
    cogs.fetch(TILE, 2024, SHORT)
    before = len(server.asked())
    cogs.fetch(replace(TILE, col=TILE.col + 1), 2024, SHORT)
    later = server.asked()[before:]
    assert later
    assert not [row for row in later if row["method"] == "HEAD" or "gpkg" in row["path"]]


def test_threads_share_a_block(server, open_cogs):
    cogs = open_cogs(server.url)
    cogs.fetch(TILE, 2019, SHORT)
    alone = len(bands(server))
    server.play()
    block = [replace(TILE, col=TILE.col - left, row=TILE.row + up) for left in (0, 1) for up in (0, 1)]
    with ThreadPoolExecutor(4) as threads:
        got = list(threads.map(lambda tile: cogs.fetch(tile, 2024, SHORT)[tile], block))
    assert len(got) == 4
    assert len(bands(server)) <= alone + 8


def test_years_are_those_of_the_index(server, open_cogs):
    assert list(open_cogs(server.url).years(TILE, SHORT)) == [2019, 2024]
    assert not server.asked("tiff$")


FAULTS = {
    "forbidden": ([{"kind": 403}], "refuses to give files .403.*requester pays"),
    "gone": ([{"kind": 404}], r"has no /2024/31N/x2024.*\(404\)"),
    "storm": ([{"kind": 429}], "too many requests .429."),
    "ill": ([{"kind": 503}], "in trouble .503."),
    "login page": ([{"kind": "page"}], "does not send parts|web page"),
    "no ranges": ([{"kind": "whole"}], "does not send parts of files"),
    "half": ([{"kind": "half"}], "breaks off, or sends damaged files"),
    "truncated": ([{"kind": "truncated"}], "breaks off, or sends damaged files"),
    "drip": ([{"kind": "drip"}], "does not answer|breaks off|gave no answer"),
    "silent": ([{"kind": "stall"}], "does not answer|gave no answer"),
    "later ill": ([{"kind": 500, "after": 30}], "in trouble .500."),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_day_has_an_end_and_plain_words(server, open_cogs, fault):
    faults, words = FAULTS[fault]
    cogs = open_cogs(server.url)
    cogs.years(TILE, SHORT)
    server.play(*({"match": "tiff$", **one} for one in faults))
    with pytest.raises(Unavailable, match=words) as raised:
        cogs.fetch(TILE, 2024, replace(SHORT, deadline_s=1.5))
    assert "\n" not in str(raised.value)
    assert "vsicurl" not in str(raised.value)


@pytest.mark.parametrize(("kind", "after"), [(503, 0), (429, 1), (503, 20), ("half", 1), ("half", 20)])
def test_a_failure_that_passes(published, server, open_cogs, kind, after):
    cogs = open_cogs(server.url)
    cogs.years(TILE, SHORT)
    server.play({"match": "tiff$", "kind": kind, "after": after, "times": 1})
    got = cogs.fetch(TILE, 2024, RetryPolicy(20))[TILE]
    np.testing.assert_array_equal(got, tile_of(cog_of(published), TILE))


def test_the_next_fetch_goes_on_where_one_stopped(published, server, open_cogs):
    cogs = open_cogs(server.url)
    cogs.fetch(TILE, 2019, SHORT)
    alone = len(bands(server))
    server.play({"match": "tiff$", "kind": 500, "after": 40})
    with pytest.raises(Unavailable):
        cogs.fetch(TILE, 2024, RetryPolicy(5, attempts=1))
    server.play()
    got = cogs.fetch(TILE, 2024, SHORT)[TILE]
    np.testing.assert_array_equal(got, tile_of(cog_of(published), TILE))
    assert len(bands(server)) < alone * 0.75


@pytest.mark.timeout(60)
def test_cancel_in_the_middle(server, open_cogs):
    cogs = open_cogs(server.url)
    cogs.years(TILE, SHORT)
    server.play({"match": "tiff$", "kind": "stall", "after": 10})
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    with pytest.raises(Cancelled):
        cogs.fetch(TILE, 2024, RetryPolicy(50, cancelled=stop.is_set))


def test_nobody_there(open_cogs):
    with pytest.raises(Unavailable, match=r"127.0.0.1 cannot be reached: check the network"):
        open_cogs("http://127.0.0.1:9").years(TILE, RetryPolicy(2, attempts=2))
