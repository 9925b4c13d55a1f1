"""The folder of indexes: what is in it, what is removed and what is not, and the footprints beside the vectors."""

from __future__ import annotations

import json
import os
import time
from datetime import datetime, timezone

import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely
from affine import Affine
from index_scenes import CountingEncoder, every
from rasters import ROTATED, speckle, swath_gcps, write

from fusar_gpt import geoparquet
from fusar_gpt.errors import OutputError, SceneError
from fusar_gpt.frames import LonLatPoints
from fusar_gpt.imagery import open_scene
from fusar_gpt.imagery.plain_image import plain_image
from fusar_gpt.retrieval.index import fill, scene_index
from fusar_gpt.retrieval.index_folder import (
    DEFAULT_LIMIT,
    default_folder,
    entries,
    keep_limit,
    limit_bytes,
    remember_seconds,
    remove,
    remove_all,
    seconds_a_slice,
    write_footprints,
)


@pytest.fixture
def root(tmp_path):
    return tmp_path / "search"


@pytest.fixture
def make(utm_scene, root):
    """Makes an index by an encoder of a hash and returns its key; ``age`` seconds ago it was used."""

    def made(hash, age=0.0, full=False):
        encoder = CountingEncoder(hash=hash)
        with scene_index(utm_scene, encoder, folder=root) as index:
            if full:
                list(fill(index, every(index), utm_scene, encoder))
        os.utime(index.folder / "index.json", (time.time() - age,) * 2)
        return index.folder.name

    return made


def keys(root):
    return [entry.key for entry in entries(root)]


def test_what_is_kept_and_when_it_was_used(make, root, utm_scene):
    assert entries(root) == []
    old, new = make("a", age=100), make("b", full=True)
    assert keys(root) == [new, old]
    full, empty = entries(root)
    assert (full.scene, full.encoder, full.band) == ("s.tif", "counting", utm_scene.band)
    assert full.side_m == pytest.approx(32 * 10, rel=0.01)
    assert (full.done, empty.done) == (full.slices, 0)
    assert full.slices == empty.slices > 50
    assert full.bytes == sum(file.stat().st_size for file in full.folder.iterdir()) > 32 * full.slices
    assert abs((datetime.now(timezone.utc) - full.used).total_seconds()) < 60
    assert make("a") == old
    assert keys(root)[0] == old


def test_removing_one_frees_its_bytes_and_touches_nothing_else(make, root):
    one, other = make("a"), make("b")
    (root / "letter.txt").write_text("mine")
    size = entries(root)[0].bytes
    assert remove(one, root) == size
    assert keys(root) == [other]
    assert remove_all(root) == size
    assert [path.name for path in root.iterdir()] == ["letter.txt"]
    assert remove_all(root) == 0


@pytest.mark.parametrize("key", ["0123456789abcdef", "../..", "", "letter.txt", "/etc"])
def test_an_unknown_key_is_refused_and_leads_nowhere(make, root, key):
    make("a")
    with pytest.raises(OutputError, match="see their keys with fusar search list"):
        remove(key, root)
    assert len(entries(root)) == 1


def test_one_in_use_stays(make, root, utm_scene):
    make("b")
    with scene_index(utm_scene, CountingEncoder(hash="a"), folder=root) as index:
        with pytest.raises(OutputError, match="is in use: end the search"):
            remove(index.folder.name, root)
        assert remove_all(root) > 0
        assert keys(root) == [index.folder.name]
        list(fill(index, every(index), utm_scene, CountingEncoder(hash="a")))
    assert remove(index.folder.name, root) > 0


def test_a_damaged_one_is_not_listed_and_can_be_removed(make, root):
    key = make("a")
    (root / key / "index.json").write_text("{")
    assert entries(root) == []
    assert remove(key, root) > 0
    make("a")
    (root / key / "index.json").unlink()
    assert remove_all(root) > 0


def test_those_used_longest_ago_go_first_and_none_in_use(make, root, utm_scene, monkeypatch):
    kept = [make(name, age) for name, age in (("a", 400), ("b", 100), ("c", 300), ("d", 200))]
    size = entries(root)[0].bytes
    monkeypatch.setenv("FUSAR_SEARCH_LIMIT", str(3 * size))
    with scene_index(utm_scene, CountingEncoder(hash="a"), folder=root) as index:
        os.utime(index.folder / "index.json", (1, 1))
        new = make("e")
    assert set(keys(root)) == {kept[0], kept[1], new}


def test_one_larger_than_the_limit_is_made_all_the_same(make, root, monkeypatch):
    make("a")
    monkeypatch.setenv("FUSAR_SEARCH_LIMIT", "1")
    key = make("b")
    assert keys(root) == [key]


def test_the_limit_is_read_like_that_of_priors(make, monkeypatch):
    assert limit_bytes() == DEFAULT_LIMIT == 2 * 2**30
    monkeypatch.setenv("FUSAR_SEARCH_LIMIT", "500MB")
    assert limit_bytes() == 500_000_000
    monkeypatch.setenv("FUSAR_SEARCH_LIMIT", "a lot")
    with pytest.raises(OutputError, match="FUSAR_SEARCH_LIMIT is 'a lot': set it to a size such as 500MB"):
        make("a")


def test_what_dead_processes_left_is_swept_and_what_living_ones_make_is_not(make, root):
    make("a")
    old, new = root / ".fusar-old", root / ".fusar-new"
    for left in (old, new):
        left.mkdir()
    os.utime(old, (time.time() - 7200,) * 2)
    keep_limit(root)
    assert (old.exists(), new.exists()) == (False, True)


def test_indexes_lie_in_the_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("FUSAR_CACHE", str(tmp_path))
    assert default_folder() == tmp_path / "search"


def test_how_fast_this_machine_indexed_is_remembered_by_encoder(root, utm_scene):
    assert seconds_a_slice(root) == 0.005
    encoder = CountingEncoder(pause_s=0.02)
    with scene_index(utm_scene, encoder, folder=root) as index:
        list(fill(index, every(index), utm_scene, encoder))
    measured = seconds_a_slice(root, encoder.hash)
    assert measured > 0.02 / 256
    assert measured != 0.005
    remember_seconds(0.5, root, "slow")
    assert seconds_a_slice(root) == seconds_a_slice(root, "slow") == 0.5
    assert seconds_a_slice(root, encoder.hash) == measured
    assert seconds_a_slice(root, "another") == 0.005
    (root / "seconds.json").write_text('{"slow": "very"}')
    assert seconds_a_slice(root) == 0.005


# Footprints


def table(path):
    return pq.read_table(path)


def test_footprints_are_beside_a_complete_index_and_only_there(make, root):
    part, whole = make("a"), make("b", full=True)
    assert not (root / part / "footprints.parquet").exists()
    rows = table(root / whole / "footprints.parquet")
    entry = next(entry for entry in entries(root) if entry.key == whole)
    assert rows.num_rows == entry.slices


def test_footprints_say_where_each_slice_is_and_what_made_it(tmp_path, root):
    path = write(tmp_path / "s.tif", speckle(100, 90), transform=ROTATED)
    encoder = CountingEncoder()
    with open_scene(path) as scene, scene_index(scene, encoder, folder=root) as index:
        list(fill(index, np.arange(5), scene, encoder))
        write_footprints(index, scene, tmp_path / "out.parquet")
        rows = table(tmp_path / "out.parquet")
        geo = json.loads(rows.schema.metadata[b"geo"])
        assert (geo["version"], geo["primary_column"]) == ("1.1.0", "geometry")
        assert geo["columns"]["geometry"]["encoding"] == "WKB"
        assert geo["columns"]["geometry"]["crs"]["id"] == {"authority": "EPSG", "code": 4326}
        assert rows.column_names == [
            "slice", "col", "row", "side_px", "side_m", "data_share", "scene", "fingerprint", "band", "encoder",
            "encoder_hash", "geometry",
        ]  # fmt: skip
        first = rows.slice(3, 1).to_pylist()[0]
        assert (first["slice"], first["col"], first["row"]) == (3, index.lattice.lefts[3], 0)
        assert (first["side_px"], first["scene"], first["encoder_hash"]) == (32, "s.tif", "counting-1")
        assert (first["fingerprint"], first["data_share"]) == (scene.fingerprint, 1.0)
        assert rows["data_share"].to_pylist()[5] is None
        for number, wkb in enumerate(rows["geometry"].to_pylist()):
            box = index.lattice.boxes(np.array([number]))[0]
            corners = shapely.get_coordinates(shapely.from_wkb(wkb))[:4]
            at = scene.from_lonlat(LonLatPoints.of(corners)).xy()
            np.testing.assert_allclose(at, box[[[0, 1], [0, 3], [2, 3], [2, 1]]], atol=1e-3)


def test_other_programs_read_them(tmp_path, root):
    geopandas = pytest.importorskip("geopandas")
    path = write(tmp_path / "s.tif", speckle(120, 150), gcps=swath_gcps(150, 120))
    with open_scene(path) as scene, scene_index(scene, CountingEncoder(), folder=root) as index:
        write_footprints(index, scene, tmp_path / "out.parquet")
    frame = geopandas.read_parquet(tmp_path / "out.parquet")
    assert frame.crs.to_epsg() == 4326
    assert frame.geometry.is_valid.all()
    assert len(frame) == len(index.lattice)


def test_a_slice_across_the_antimeridian_is_cut_there_and_what_lies_off_the_scene_is_left_out(tmp_path, root):
    path = write(
        tmp_path / "s.tif",
        speckle(40, 40),
        crs="EPSG:4326",
        transform=Affine(0.001, 0, 179.99, 0, -0.001, 10),
    )
    with open_scene(path) as scene, scene_index(scene, CountingEncoder(image_px=64), folder=root) as index:
        write_footprints(index, scene, tmp_path / "out.parquet")
    (wkb,) = table(tmp_path / "out.parquet")["geometry"].to_pylist()
    shape = shapely.from_wkb(wkb)
    assert shape.geom_type == "MultiPolygon"
    assert shape.bounds == pytest.approx((-180, 9.96, 180, 10))
    assert shape.area == pytest.approx(0.04 * 0.04)


def test_without_pyarrow_it_says_what_to_install_and_the_index_goes_without(
    make, root, utm_scene, monkeypatch
):
    monkeypatch.setattr(geoparquet, "find_spec", lambda name: None)
    key = make("a", full=True)
    assert not (root / key / "footprints.parquet").exists()
    with (
        scene_index(utm_scene, CountingEncoder(hash="a"), folder=root) as index,
        pytest.raises(OutputError, match=r"pip install 'fusar-gpt\[parquet\]'"),
    ):
        write_footprints(index, utm_scene, root / "out.parquet")


def test_a_plain_image_has_none_and_a_folder_that_is_not_there_is_told(root, utm_scene, tmp_path):
    image = np.random.default_rng(0).integers(1, 255, (64, 64), dtype=np.uint8)
    encoder = CountingEncoder()
    with (
        plain_image(image, "photo.png") as path,
        open_scene(path) as scene,
        scene_index(scene, encoder, folder=root) as index,
    ):
        list(fill(index, every(index), scene, encoder))
        with pytest.raises(SceneError, match="plain image, which lies nowhere"):
            write_footprints(index, scene, tmp_path / "out.parquet")
    with (
        scene_index(utm_scene, encoder, folder=root) as index,
        pytest.raises(OutputError, match=r"Cannot write .*: No such file or directory"),
    ):
        write_footprints(index, utm_scene, tmp_path / "nowhere" / "out.parquet")
    assert list(tmp_path.glob(".fusar-*")) == []
