"""From scenes to a corpus: what is stored, and that it is whole whatever happens on the way."""

import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import geopandas
import numpy as np
import pytest
import rasterio
from affine import Affine
from shapely import box

from fusar_gpt.errors import FusarError, OutputError, PriorError
from fusar_gpt.frames import LonLatPoints
from fusar_gpt.imagery import open_scene
from fusar_gpt.imagery.chips import read_chip
from fusar_gpt.priors import PriorField, PriorSource
from fusar_train.cli import main
from fusar_train.corpus import slices
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.records import read_records
from fusar_train.corpus.slices import build as building
from fusar_train.corpus.slices import cut, index, screening
from fusar_train.corpus.slices.build import BuildOptions, build
from fusar_train.corpus.slices.screening import ScreenOptions
from fusar_train.corpus.slices.slice import Fate
from fusar_train.corpus.slices.src import SrcOptions, chip_of

sys.path.insert(0, str(Path(__file__).parents[1] / "backend"))
from rasters import speckle, write

SIDES = (512.0, 256.0, 128.0)
"""Small, so that a small scene has several blocks."""

KEEP_ALL = ScreenOptions(screen=False, drop_water=False, drop_monotonous=False)
OPTIONS = BuildOptions(src=SrcOptions(SIDES), screen=KEEP_ALL, prior="none")
FLAGS = ["--scales", "512,256,128", "--no-screen", "--keep-water", "--keep-monotonous", "--prior", "none"]


def scene(path, seed=0, east=0.0, size=384, pixel=2.0, **more):
    """A square of speckle, ``east`` metres beside the others."""
    path.parent.mkdir(parents=True, exist_ok=True)
    place = Affine(pixel, 0, 593_000 + east, 0, -pixel, 5_749_000)
    tags = {"ACQUISITION_DATE": "2021-05-06"}
    return write(path, speckle(size, size, seed), transform=place, names=["VV"], tags=tags, **more)


@pytest.fixture(autouse=True)
def pictures(monkeypatch):
    """What draws the map and the sheet is tested elsewhere; here, that it is given all rows."""
    drawn = {}
    pages = ModuleType("pages")
    pages.write_map = lambda rows, path, title: drawn.update({path.name: (title, list(rows))})
    pages.write_sheet = lambda rows, path: drawn.update({path.name: list(rows)})
    monkeypatch.setitem(sys.modules, "fusar_train.corpus.slices.pages", pages)
    monkeypatch.setattr(slices, "pages", pages, raising=False)
    monkeypatch.setattr(
        screening,
        "write_screening_picture",
        lambda rows, path, threshold: drawn.update({path.name: (threshold, list(rows))}),
    )
    return drawn


@pytest.fixture
def here(monkeypatch):
    """Blocks are cut in this process, which needs no start."""

    def in_this_process(tasks, jobs, begin, tell):
        do = begin()
        for task in tasks:
            try:
                yield task, do(task, None, tell)
            except FusarError as error:
                yield task, error

    monkeypatch.setattr(building, "in_processes", in_this_process)


@pytest.fixture
def said():
    return []


def built(sources, out, said, options=OPTIONS):
    return build(sources, out, options, 1, said.append)


def content(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("*.tar"))}


def test_a_record_holds_what_is_known_of_its_slice(tmp_path, here, said):
    path = scene(tmp_path / "in" / "Site_20210506_VV.tif")
    result = built([path], tmp_path / "corpus", said)
    records = {record.id: record for record in read_records(tmp_path / "corpus")}
    rows = {row.slice.id: row for row in index.read_index(tmp_path / "corpus")}
    assert result.kept == len(records) == sum(row.kept for row in rows.values())
    stated = json.loads((tmp_path / "corpus" / "corpus.json").read_text())
    (name, state) = next(iter(stated["scenes"].items()))
    with open_scene(path) as opened:
        stretch = opened.stretch()
        assert state["stretch"] == [stretch.low_db, stretch.high_db]
        for record_id, record in records.items():
            one, known = rows[record_id].slice, record.provenance
            assert record_id == f"{name}/{record_id.split('/')[1]}"
            wanted = read_chip(opened, chip_of(one), stretch).grey
            np.testing.assert_array_equal(record.pixels(), wanted)
            assert (known["scale"], known.get("parent"), known["pixel_m"]) == (
                one.scale,
                one.parent,
                one.pixel_m,
            )
            assert None not in known.values()
            assert known["footprint"] == [list(point) for point in one.footprint]
            assert (known["crs"], tuple(known["affine"])) == (one.crs, one.affine)
            assert (known["year"], known["acquired"], known["polarisation"]) == (2021, "2021-05-06", "VV")
            assert known["stretch"] == state["stretch"]
            assert known["quantity"] == "power"
            assert known["dataset"] == "corpus"
            assert record.complete() == []
            assert record.scene == name
            assert record.split == stated_split(tmp_path / "corpus", name) == rows[record_id].split
            assert rows[record_id].data_share == pytest.approx(share_within_scene(one, 384), abs=0.03)
            assert rows[record_id].thumbnail[:4] == b"\x89PNG"


def stated_split(folder, group):
    return json.loads((folder / "splits.json").read_text())[group]


def share_within_scene(one, size):
    at = one.window
    return min(at.width, size - at.col) * min(at.height, size - at.row) / (at.width * at.height)


def test_the_pictures_are_drawn_of_all_rows(tmp_path, here, said, pictures):
    options = replace(OPTIONS, screen=replace(KEEP_ALL, richness=0.7))
    built([scene(tmp_path / "in" / "a.tif")], tmp_path / "corpus", said, options)
    rows = list(index.read_index(tmp_path / "corpus"))
    assert pictures == {"map.html": ("corpus", rows), "sheet.png": rows, "screening.png": (0.7, rows)}


def test_slices_off_the_scene_are_dropped_unread(tmp_path, here, said):
    built([scene(tmp_path / "in" / "a.tif", size=330)], tmp_path / "corpus", said)
    rows = list(index.read_index(tmp_path / "corpus"))
    dropped = [row for row in rows if row.verdict.fate is Fate.NO_DATA]
    assert dropped
    assert all(
        not row.thumbnail and row.data_share is None
        for row in dropped
        if share_within_scene(row.slice, 330) < 0.4
    )


def test_scenes_over_the_same_ground_lie_in_one_split(tmp_path, here, said):
    """Two passes over one place, and a third scene elsewhere."""
    folder = tmp_path / "in"
    for name, seed, east in (("pass1", 1, 0), ("pass2", 2, 300), ("other", 3, 50_000)):
        scene(folder / f"{name}.tif", seed, east)
    built([folder], tmp_path / "corpus", said)
    rows = list(index.read_index(tmp_path / "corpus"))
    groups = {row.slice.scene: (row.group, row.split) for row in rows}
    assert groups["pass1"] == groups["pass2"]
    assert groups["other"][0] != groups["pass1"][0]
    assert {record.scene for record in read_records(tmp_path / "corpus")} == {"pass1", "other"}


def test_scenes_that_are_added_leave_the_others_as_they_are(tmp_path, here, said):
    first = scene(tmp_path / "in" / "m.tif")
    built([first], tmp_path / "corpus", said)
    before, split = content(tmp_path / "corpus"), stated_split(tmp_path / "corpus", "m")
    a, b = scene(tmp_path / "in" / "a.tif", 1, 300), scene(tmp_path / "in" / "b.tif", 2, 90_000)
    result = built([a, b], tmp_path / "corpus", said)
    after = content(tmp_path / "corpus")
    assert result.scenes == 3
    assert before.items() < after.items()
    groups = {row.slice.scene: (row.group, row.split) for row in index.read_index(tmp_path / "corpus")}
    assert groups["m"] == groups["a"] == ("m", split)
    assert groups["b"][0] == "b"


def test_a_scene_that_has_changed_is_refused(tmp_path, here, said):
    path = scene(tmp_path / "in" / "a.tif")
    built([path], tmp_path / "corpus", said)
    scene(path, seed=9)
    result = built([path], tmp_path / "corpus", said)
    assert "another scene that is called a" in result.faults[0]
    assert json.loads((tmp_path / "corpus" / "corpus.json").read_text())["faults"] == list(result.faults)


def test_what_is_wrong_with_a_scene_is_listed_and_the_rest_goes_on(tmp_path, capsys):
    """By the command itself, in processes of their own."""
    folder = tmp_path / "in"
    scene(folder / "good.tif")
    whole = scene(folder / "short.tif", 1, 90_000, size=1500, compress="deflate").read_bytes()
    (folder / "short.tif").write_bytes(whole[: len(whole) // 2])
    scene(folder / "coarse.tif", 2, 190_000, pixel=60)
    (folder / "text.tif").write_text("no raster")
    write(folder / "flat.tif", np.full((300, 300), 7, np.float32), names=["VV"])
    out = tmp_path / "corpus"
    assert main(["corpus", "build", str(folder), "--out", str(out), *FLAGS, "--jobs", "2"]) == 0
    told = capsys.readouterr()
    for name in ("short", "coarse", "text", "flat"):
        assert f"{name}.tif" in told.err
    assert "good.tif" not in told.err
    assert "slices kept of" in told.out
    assert {record.scene for record in read_records(out)} == {"good"}


def test_nothing_at_all_is_a_failure(tmp_path, capsys):
    path = tmp_path / "in" / "text.tif"
    path.parent.mkdir()
    path.write_text("no raster")
    assert main(["corpus", "build", str(path), "--out", str(tmp_path / "corpus"), *FLAGS]) == 1
    assert "nothing to cut" in capsys.readouterr().err
    assert not (tmp_path / "corpus").exists()


def test_a_corpus_that_has_no_scene_yet_may_be_begun_in_another_way(tmp_path, here, said):
    path, out = scene(tmp_path / "in" / "a.tif", pixel=60), tmp_path / "corpus"
    with pytest.raises(CorpusError, match="too coarse"):
        built([path], out, said)
    assert built([path], out, said, replace(OPTIONS, src=SrcOptions((16e3, 8e3, 4e3)))).kept


@pytest.mark.parametrize("scales", ["1000,500", "1000,600,300", "a,b,c"])
def test_scales_that_make_no_sense_are_told(tmp_path, scales, capsys):
    words = ["corpus", "build", str(tmp_path), "--out", str(tmp_path / "corpus"), "--scales", scales]
    try:
        status = main(words)
    except SystemExit as usage:
        status = usage.code
    assert status
    assert "scale" in capsys.readouterr().err


def test_other_options_are_refused_in_the_same_folder(tmp_path, here, said):
    path = scene(tmp_path / "in" / "a.tif")
    built([path], tmp_path / "corpus", said)
    other = BuildOptions(src=SrcOptions((1024.0, 512.0, 256.0)), screen=KEEP_ALL, prior="none")
    with pytest.raises(CorpusError, match=r"other options \(scales: \[512.0, 256.0, 128.0\], now \[1024.0"):
        built([path], tmp_path / "corpus", said, other)


def test_polygons_that_were_edited_are_other_options(tmp_path, here, said):
    path, polygons = scene(tmp_path / "in" / "a.tif"), tmp_path / "port.geojson"
    geopandas.GeoDataFrame({"name": ["port"]}, geometry=[box(4, 51, 5, 53)], crs=4326).to_file(polygons)
    options = replace(OPTIONS, screen=replace(KEEP_ALL, regions=(str(polygons),)))
    assert built([path], tmp_path / "corpus", said, options).kept
    assert {row.verdict.region for row in index.read_index(tmp_path / "corpus") if row.kept} == {"port"}
    geopandas.GeoDataFrame({"name": ["port"]}, geometry=[box(4, 51, 5, 52)], crs=4326).to_file(polygons)
    with pytest.raises(CorpusError, match="other options"):
        built([path], tmp_path / "corpus", said, options)


def test_polygons_that_are_missing_are_told_before_anything_is_cut(tmp_path, capsys):
    words = ["corpus", "build", str(scene(tmp_path / "a.tif")), "--out", str(tmp_path / "corpus"), *FLAGS]
    assert main([*words, "--regions", str(tmp_path / "port.geojson")]) == 1
    told = capsys.readouterr().err
    assert told.startswith("fusar-train: ")
    assert "port.geojson" in told
    assert not (tmp_path / "corpus").exists()


def test_ground_like_a_place_without_a_prior_is_told(tmp_path, capsys):
    """The prior has no vectors there: said before anything is cut."""
    words = ["corpus", "build", str(scene(tmp_path / "a.tif")), "--out", str(tmp_path / "corpus"), *FLAGS]
    assert main([*words, "--like", "port=4.1,51.9"]) == 1
    assert "no vectors at 4.1, 51.9 for 'port'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*words, "--like", "port=here"])


def test_a_folder_of_other_things_is_refused(tmp_path, here, said):
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "letters.txt").write_text("mine")
    with pytest.raises(CorpusError, match="holds other things"):
        built([scene(tmp_path / "in" / "a.tif")], tmp_path / "corpus", said)


def test_two_at_once_do_not_build_in_one_folder(tmp_path, here, said, monkeypatch):
    path, out = scene(tmp_path / "in" / "a.tif"), tmp_path / "corpus"

    def finish(*arguments):
        with pytest.raises(OutputError, match="Another process is building"):
            built([path], out, said)
        return real(*arguments)

    real = building.finish
    monkeypatch.setattr(building, "finish", finish)
    assert built([path], out, said).kept


def test_what_is_half_there_is_made_again(tmp_path, here, said):
    path, out = scene(tmp_path / "in" / "a.tif", size=600), tmp_path / "corpus"
    built([path], out, said)
    whole = content(out)
    first, second, *_ = sorted(out.glob("*.tar"))
    first.unlink()  # its rows are there
    (out / "parts" / f"{second.stem}.parquet").unlink()  # its shard is there
    (out / ".fusar-left").mkdir()
    (out / ".fusar-left" / "whole.tar").write_bytes(b"half")
    (out / "index.parquet").unlink()
    built([path], out, said)
    assert content(out) == whole
    assert not list(out.glob(".fusar-*"))
    assert len(list(index.read_index(out))) == len({row.slice.id for row in index.read_index(out)})


def command(*words):
    return [sys.executable, "-m", "fusar_train.cli", "corpus", "build", *map(str, words), *FLAGS]


def until(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_second_start_finishes_what_kill_9_left(tmp_path, here, said):
    """SIGKILL in the middle: workers end too, what was done is not done again, and the end is the same to the byte."""
    path, out = scene(tmp_path / "in" / "a.tif", size=1000), tmp_path / "corpus"
    child = subprocess.Popen(command(path, "--out", out, "--jobs", "2"), stderr=subprocess.DEVNULL)
    until(lambda: len(list(out.glob("parts/*.parquet"))) >= 3)
    workers = children(child.pid)
    assert len(workers) >= 2
    child.kill()
    child.wait()
    until(lambda: not any(map(lives, workers)), 20)
    done = {part.stem: part.stat().st_mtime_ns for part in out.glob("parts/*.parquet")}
    tars = {name: (out / f"{name}.tar").stat().st_mtime_ns for name in done if (out / f"{name}.tar").exists()}
    assert not (out / "index.parquet").exists()
    built([path], out, said)
    assert len(list(out.glob("parts/*.parquet"))) > len(done)
    assert {name: (out / f"{name}.tar").stat().st_mtime_ns for name in tars} == tars
    built([path], tmp_path / "again", said)
    assert content(out) == {
        name: digest for name, digest in content(tmp_path / "again").items()
    } or same_records(out, tmp_path / "again")


def same_records(one, other):
    """As the folder's name stands in each record."""

    def known(record):
        stated = {name: value for name, value in record.provenance.items() if name != "dataset"}
        return record.id, stated, record.pixels().tobytes()

    return [known(record) for record in read_records(one)] == [
        known(record) for record in read_records(other)
    ]


def children(pid):
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def lives(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_ctrl_c_ends_in_seconds_and_says_how_to_go_on(tmp_path, interruptible):
    path, out = scene(tmp_path / "in" / "a.tif", size=1600), tmp_path / "corpus"
    child = subprocess.Popen(
        command(path, "--out", out, "--jobs", "1"), stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    until(lambda: list(out.glob("parts/*.parquet")))
    began = time.monotonic()
    os.killpg(child.pid, signal.SIGINT)  # as a terminal sends it: to all of them
    _, told = child.communicate(timeout=60)
    assert time.monotonic() - began < 10
    assert child.returncode == 1
    assert told.strip().endswith(f"Stopped. Repeat the command to go on in {out}.")
    assert "Traceback" not in told


def test_a_full_disk_is_said_and_a_second_start_goes_on(tmp_path, here, said):
    path, out = scene(tmp_path / "in" / "a.tif", size=600), tmp_path / "corpus"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))  # less than the first shard
    try:
        with pytest.raises(OutputError, match=r"Cannot write .*\.tar.*What is done stays: repeat"):
            built([path], out, said)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(out.glob("*.tar"))
    assert built([path], out, said).kept


class Counted(PriorSource):
    """A prior of one vector in the middle of everything, that counts who asks."""

    name = "counted"

    def __init__(self):
        self.asked, self.fetched = [], []

    def prior(self, footprint, year):
        self.asked.append((footprint.west, footprint.north, footprint.width, year))
        values = np.full((1, 64), 1 / 8, np.float32)
        lonlat = LonLatPoints((footprint.west + footprint.east) / 2, (footprint.south + footprint.north) / 2)
        chip = footprint.lonlat_to_chip(lonlat)
        positions = np.array([[chip.y[0] / footprint.height, chip.x[0] / footprint.width]], np.float32)
        return PriorField(values, positions, lonlat, self.name, year=year, attribution="Whoever counts.")

    def prefetch(self, footprint, year):
        self.fetched.append((footprint.west, footprint.north, footprint.width, year))


@pytest.fixture
def counted(monkeypatch):
    source = Counted()
    monkeypatch.setattr(cut, "open_scene_prior", lambda *arguments: source)
    return source


def test_priors_are_sampled_where_the_slice_lies_and_stored_with_it(tmp_path, here, said, counted):
    built([scene(tmp_path / "in" / "a.tif", size=256)], tmp_path / "corpus", said)
    rows = {row.slice.id: row for row in index.read_index(tmp_path / "corpus")}
    records = list(read_records(tmp_path / "corpus"))
    for record in records:
        features, positions = record.vectors()
        assert features.shape == (1, 64)
        assert positions == pytest.approx(np.array([[0.5, 0.5]]), abs=0.02)
        assert record.prior_year() == 2021
        assert record.provenance["attribution"] == "Whoever counts."
        assert (rows[record.id].prior, rows[record.id].prior_nodes) == ("counted", 1)
    assert len(counted.asked) == len(records)


@pytest.mark.parametrize("water", [True, False])
def test_priors_of_dropped_slices_are_asked_for_only_where_they_decide(tmp_path, here, said, counted, water):
    """Half of the scene has no data; only the search for water needs the prior of what will be dropped."""
    data = speckle(256, 256)
    data[:, 128:] = 0
    place = Affine(2, 0, 593_000, 0, -2, 5_749_000)
    path = write(tmp_path / "a.tif", data, transform=place, names=["VV"], nodata=0)
    screen = ScreenOptions(screen=False, drop_water=water, drop_monotonous=False, min_data=0.9)
    options = BuildOptions(src=SrcOptions(SIDES), screen=screen)
    result = built([path], tmp_path / "corpus", said, options)
    assert 0 < result.kept < sum(result.slices.values())
    if not water:
        assert len(counted.asked) == result.kept
        assert sorted(counted.asked) == sorted(counted.fetched)
    assert set(counted.asked) <= set(counted.fetched)


def test_without_a_prior_that_was_asked_for_nothing_is_built(tmp_path, here, said, monkeypatch):
    def none(*arguments):
        raise PriorError("There is no prior here.")

    monkeypatch.setattr(cut, "open_scene_prior", none)
    with pytest.raises(PriorError, match=r"no prior here. What is done stays: repeat"):
        built([scene(tmp_path / "in" / "a.tif")], tmp_path / "corpus", said)


def test_a_part_of_a_scene_that_is_damaged_costs_its_slices(tmp_path, here, said, monkeypatch):
    blocks = {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate"}
    path = scene(tmp_path / "in" / "a.tif", size=1500, **blocks)
    with rasterio.open(path) as dataset:
        at = int(dataset.get_tag_item("BLOCK_OFFSET_2_2", "TIFF", bidx=1))  # where no sample is taken
    real = building.survey

    def survey(*arguments):
        found = real(*arguments)
        with path.open("r+b") as stream:  # it is damaged after it was looked at
            stream.seek(at)
            stream.write(b"\xff" * 64)
        return found

    monkeypatch.setattr(building, "survey", survey)
    result = built([path], tmp_path / "corpus", said, replace(OPTIONS, src=SrcOptions()))
    rows = list(index.read_index(tmp_path / "corpus"))
    damaged = {row.slice.id for row in rows if row.verdict.fate is Fate.DAMAGED}
    assert damaged == {"a/large-0-0", "a/medium-0-0", "a/small-0-0"}
    assert result.kept
    assert result.faults == (f"{path}: 'a.tif' is damaged or cut short: copy or download it again",)
