"""``fusar search`` and ``fusar interpret --places`` on the sample scenes, and what they refuse."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pyogrio
import pytest
import rasterio
from rasters import ROTATED, speckle, write
from scripted_server import TOKEN
from searching import SLICES, serve_search

from fusar_gpt.cli import main
from fusar_gpt.cli.main import join_words
from fusar_gpt.findings import is_heat_file, is_places_file
from fusar_gpt.retrieval import encoder
from fusar_gpt.retrieval.encoder import KlipEncoder
from fusar_gpt.samples import SAMPLES

HARBOUR, YASUR = (sample.scene for sample in SAMPLES)
OPENED = cache(encoder.open_encoder)
IN_HARBOUR = "3.0233,55.03095"


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("indexed")


@pytest.fixture(autouse=True)
def shared(indexed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests share the indexes of the samples, and encoders once they are open."""
    monkeypatch.setenv("FUSAR_CACHE", str(indexed))
    monkeypatch.setattr(encoder, "open_encoder", OPENED)


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FUSAR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "search"


@pytest.fixture
def fusar(capsys: pytest.CaptureFixture[str]):
    """Runs the command; its status, stdout, and stderr."""

    def run(*argv: object) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            status = main([*map(str, argv)])
        except SystemExit as leaving:
            status = int(leaving.code or 0)
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


# What is asked, and what comes out.


def test_words_give_a_table_that_says_what_its_numbers_are(fusar) -> None:
    status, out, err = fusar("search", HARBOUR, "--text", "three ships in a harbour", "--top", 3)
    assert status == 0, err
    lines = out.splitlines()
    assert lines[0] == "  harbour_simulated.tif: 3 places, the best first"
    assert lines[1].split() == ["rank", "percentile", "similarity", "lon", "lat"]
    ranks, percentiles, similarities, lons, lats = np.array([line.split() for line in lines[2:5]], float).T
    assert ranks.tolist() == [1, 2, 3]
    assert percentiles.tolist() == sorted(percentiles, reverse=True)
    assert similarities.tolist() == sorted(similarities, reverse=True)
    assert (np.abs(lons - 3.02) < 0.05).all()
    assert (np.abs(lats - 55.04) < 0.05).all()
    assert "percentile: the share of the slices searched" in out
    assert "its size alone says nothing" in out
    assert {"note: Simulated scene", "note: Demonstration model"} <= set(err.splitlines())
    assert "No prior" not in err


def test_the_first_search_says_how_much_it_indexes_and_the_next_has_it(fusar, empty_cache: Path) -> None:
    first, again = (fusar("search", HARBOUR, "--text", "码头") for _ in range(2))
    assert "48 of 48 slices must be indexed first, about " in first[2]
    assert "must be indexed" not in again[2]
    assert first[:2] == again[:2]
    assert "48 of 48 slices" in again[2].splitlines()


def test_examples_lead_to_and_away(fusar, tmp_path: Path) -> None:
    lon, lat = map(float, IN_HARBOUR.split(","))
    ring = [[lon - 1e-3, lat - 1e-3], [lon + 1e-3, lat - 1e-3], [lon, lat + 1e-3], [lon - 1e-3, lat - 1e-3]]
    (tmp_path / "like.geojson").write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    firsts = {}
    for option in ("--like", "--unlike"):
        status, out, err = fusar("search", HARBOUR, "--text", "ships", option, IN_HARBOUR, "--json")
        assert status == 0, err
        firsts[option] = places(out)[0]
    status, out, err = fusar(
        "search", HARBOUR, "--like-area", tmp_path / "like.geojson", "--json", "--top", 1
    )
    assert status == 0, err
    assert distance(places(out)[0], lon, lat) < 500
    assert distance(firsts["--like"], lon, lat) < distance(firsts["--unlike"], lon, lat)


def places(out: str) -> list[dict]:
    return [feature["properties"] for feature in json.loads(out)["findings"]["features"]]


def distance(place: dict, lon: float, lat: float) -> float:
    """Metres, roughly."""
    return float(np.hypot((place["lon"] - lon) * 64_000, (place["lat"] - lat) * 111_000))


def test_several_scenes_go_into_one_file_ranked_each_by_itself(fusar, tmp_path: Path) -> None:
    for name in ("out.gpkg", "out.geojson", "out.parquet"):
        out = tmp_path / name
        status, printed, err = fusar(
            "search", HARBOUR, YASUR, HARBOUR, "--text", "ships", "--top", 4, "--out", out
        )
        assert status == 0, err
        assert printed.splitlines() == [
            "  harbour_simulated.tif: 4 places, the best first", "  yasur_umbra.tif: 1 place", f"written: {out}"
        ]  # fmt: skip
        assert is_places_file(out)
    table = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert [(row["scene"], row["rank"]) for row in table] == [
        *((HARBOUR.name, rank) for rank in (1, 2, 3, 4)),
        (YASUR.name, 1),
    ]
    assert pyogrio.read_info(tmp_path / "out.gpkg", layer="runs")["features"] == 2


def test_json_is_an_object_a_scene(fusar, tmp_path: Path) -> None:
    status, out, err = fusar("search", HARBOUR, YASUR, "--text", "ships", "--json")
    assert status == 0, err
    one, two = map(json.loads, out.splitlines())
    assert (one["run"]["scene"], two["run"]["scene"]) == (HARBOUR.name, YASUR.name)
    assert one["run"]["task"] == "search"
    assert one["counts"] == {"places found": len(one["findings"]["features"])}


def test_the_heat_map_and_places_replace_those_of_an_earlier_search_alone(fusar, tmp_path: Path) -> None:
    out, heat = tmp_path / "out.gpkg", tmp_path / "heat.tif"
    order = ("search", HARBOUR, "--text", "ships", "--out", out, "--heat", heat)
    for _ in range(2):
        status, printed, err = fusar(*order)
        assert (status, printed.splitlines()[-2:]) == (0, [f"written: {out}", f"written: {heat}"]), err
    assert is_heat_file(heat)
    shutil.copy(YASUR, heat)
    status, printed, err = fusar(*order)
    assert (status, printed) == (1, "")
    assert "did not write it" in err.splitlines()[-1]
    assert heat.read_bytes() == YASUR.read_bytes()
    assert fusar(*order, "--overwrite")[0] == 0
    with rasterio.open(heat) as raster:
        assert raster.dtypes == ("uint8",)


def test_an_area_is_all_that_is_searched_and_indexed(fusar, empty_cache: Path) -> None:
    status, out, err = fusar(
        "search", HARBOUR, "--text", "ships", "--bbox", "3.02,55.03,3.025,55.033", "--json"
    )
    assert status == 0, err
    assert " of 48 slices must" not in err
    assert all(distance(place, 3.0225, 55.0315) < 1000 for place in places(out))


# Words of the command line.


def test_western_longitudes_and_commands_are_understood() -> None:
    words = [
        "search",
        "a.tif",
        "--like",
        "-70.5,8",
        "--unlike",
        "-1,-2",
        "--bbox",
        "-1,0,1,2",
        "--like",
        "3,4",
    ]
    assert join_words(words) == [
        "search",
        "a.tif",
        "--like=-70.5,8",
        "--unlike=-1,-2",
        "--bbox=-1,0,1,2",
        "--like=3,4",
    ]
    assert join_words(["search", "index", "index"]) == ["search index", "index"]
    assert join_words(["search", "./index"]) == ["search", "./index"]
    assert join_words(["search", "a.tif", "list"]) == ["search", "a.tif", "list"]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ((), "say what to find"),
        (("--unlike", "3,55"), "say what to find"),
        (("--text", " "), "--text is empty"),
        (("--text", "ships", "--text", ""), "--text is empty"),
        (("--text", "x") * 21, "--text may be given 20 times"),
        (("--like", "three,four"), "invalid lonlat value"),
        (("--like", "3,95"), "invalid lonlat value"),
        (("--like", "nan,5"), "invalid lonlat value"),
        (("--text", "x", "--top", "0"), "invalid number value"),
        (("--text", "x", "--top", "1001"), "--top may be 1000 at most"),
        (("--text", "x", "--overlap", "0.95"), "invalid share value"),
        (("--text", "x", "--ground-m", "0"), "invalid metres value"),
        (("--text", "x", *("--ground-m", "9") * 5), "--ground-m may be given 4 times"),
        (("--text", "x", "--scale", "-1"), "--scale must be"),
        (("--text", "x", "--out", "out.shp"), "--out must end in .gpkg, .geojson or .parquet"),
        (("--text", "x", "--heat", "out.png"), "--heat must end in .tif"),
        (("other.tif", "--text", "x", "--heat", "out.tif"), "--heat goes with one scene"),
        (("--text", "x", "--token-file", "t"), "go with --server URL"),
        (
            ("--text", "x", "--server", "http://127.0.0.1:9", "--device", "cpu"),
            "--device is an option of fusar serve",
        ),
    ],
)
def test_wrong_usage_is_told_before_anything_is_opened(fusar, options, reason: str) -> None:
    status, out, err = fusar("search", "missing.tif", *options)
    assert (status, out) == (2, "")
    assert reason in err.splitlines()[-1]


# Bad input.


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--text", "refinery"), "knows none of"),
        (("--text", "ship " * 2000), "shorten it"),
        (("--like", "-70.5,8"), "lies outside the scene"),
        (("--text", "ships", "--bbox", "-71,8,-70,9"), "the area lies outside the scene"),
        (("--text", "ships", "--like-area", "missing.gpkg"), "does not exist"),
        (("--text", "ships", "--encoder", "missing"), "missing"),
        (("--text", "ships", "--encoder", "tiny"), "tiny"),
        (("--text", "ships", "--band", "VV"), "VV"),
        (
            ("--text", "ships", "--out", HARBOUR.with_suffix(".gpkg").parent / "no" / "out.gpkg"),
            "Cannot write",
        ),
    ],
)
def test_what_cannot_be_searched_for_is_one_line_and_nothing_is_indexed(
    fusar, empty_cache: Path, options, reason: str
) -> None:
    status, out, err = fusar("search", HARBOUR, *options)
    assert (status, out) == (1, "")
    assert err.splitlines()[-1].startswith("fusar: ")
    assert reason in err.splitlines()[-1]
    assert len(err.splitlines()[-1]) < 500
    assert all(np.load(data).min() == 255 for data in empty_cache.glob("*/data.npy"))


def test_unknown_words_are_told_and_the_rest_is_searched_for(fusar) -> None:
    status, out, err = fusar("search", HARBOUR, "--text", "ships near a refinery", "--json")
    assert status == 0
    assert any("does not know 'refinery'" in line for line in err.splitlines())
    assert "refinery" in json.loads(out)["run"]["warnings"]


def test_of_several_scenes_the_one_that_fails_is_named(fusar, tmp_path: Path, empty_cache: Path) -> None:
    for options in (("--text", "ships", "--bbox", "3.02,55.03,3.025,55.033"), ("--like", IN_HARBOUR)):
        status, out, err = fusar("search", HARBOUR, YASUR, *options, "--out", tmp_path / "out.gpkg")
        assert (status, out) == (1, "")
        assert err.splitlines()[-1].startswith("fusar: yasur_umbra.tif: "), err
        assert "--like" in options or not empty_cache.exists(), (
            "an area is looked at before any scene is indexed"
        )
    assert not (tmp_path / "out.gpkg").exists()


def test_outputs_never_replace_inputs(fusar, tmp_path: Path) -> None:
    scene = shutil.copy(HARBOUR, tmp_path / "scene.tif")
    status, _, err = fusar("search", scene, "--text", "ships", "--heat", scene, "--overwrite")
    assert status == 1
    assert "it is the scene" in err
    assert Path(scene).read_bytes() == HARBOUR.read_bytes()


def test_a_scene_smaller_than_a_slice_is_one_place_unless_it_is_much_smaller(fusar, tmp_path: Path) -> None:
    write(tmp_path / "small.tif", speckle(200, 210), transform=ROTATED)
    status, out, err = fusar("search", tmp_path / "small.tif", "--text", "ships", "--json")
    assert status == 0, err
    assert len(places(out)) == 1
    assert "reaches beyond the scene" in err
    tiny = write(tmp_path / "tiny.tif", speckle(40, 60), transform=ROTATED)
    status, out, err = fusar("search", tiny, "--text", "ships")
    assert (status, out) == (1, "")
    assert "smaller than half of a slice" in err.splitlines()[-1]


def test_a_scene_without_data_is_refused(fusar, tmp_path: Path) -> None:
    empty = write(tmp_path / "empty.tif", np.full((300, 300), np.nan, np.float32), nodata=np.nan)
    status, out, err = fusar("search", empty, "--text", "ships", "--heat", tmp_path / "heat.tif")
    assert (status, out) == (1, "")
    assert "data" in err.splitlines()[-1]
    assert not (tmp_path / "heat.tif").exists()


def test_a_scene_that_changed_is_indexed_anew_beside_the_old(
    fusar, tmp_path: Path, empty_cache: Path
) -> None:
    scene = tmp_path / "scene.tif"
    counts = []
    for seed in (0, 0, 1):
        write(scene, speckle(300, 300, seed), transform=ROTATED)
        status, _, err = fusar("search", scene, "--text", "ships")
        assert status == 0, err
        counts.append(len(json.loads(fusar("search", "list", "--json")[1])))
    assert counts == [1, 1, 2]


def test_a_damaged_index_is_made_anew(fusar, empty_cache: Path) -> None:
    order = ("search", HARBOUR, "--text", "ships", "--json")
    first = places(fusar(*order)[1])
    (vectors,) = empty_cache.glob("*/vectors.npy")
    vectors.write_bytes(vectors.read_bytes()[:1000])
    status, out, err = fusar(*order)
    assert status == 0, err
    assert "48 of 48 slices must be indexed first" in err
    assert [place["chip"] for place in places(out)] == [place["chip"] for place in first]


def test_a_cache_that_cannot_be_written_is_told_and_costs_no_answer(fusar, empty_cache: Path) -> None:
    empty_cache.parent.mkdir()
    empty_cache.write_text("a file where the folder should be")
    status, out, err = fusar("search", HARBOUR, "--text", "ships", "--json")
    assert status == 0, err
    assert places(out)
    assert "cannot be kept in" in err
    assert empty_cache.read_text() == "a file where the folder should be"


def test_ctrl_c_keeps_what_was_indexed_and_says_so(
    fusar, tmp_path: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    embed = KlipEncoder.embed_images

    def interrupted(self: KlipEncoder, images):
        calls.append(len(images))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return embed(self, images)

    with monkeypatch.context() as patched:
        patched.setattr(KlipEncoder, "embed_images", interrupted)
        status, out, err = fusar("search", HARBOUR, "--text", "ships", "--out", tmp_path / "out.gpkg")
    assert (status, out) == (1, "")
    assert "what was indexed is kept" in err.splitlines()[-1]
    assert not (tmp_path / "out.gpkg").exists()
    kept = sum(calls[:2])
    (entry,) = json.loads(fusar("search", "list", "--json")[1])
    assert (entry["done"], entry["slices"]) == (kept, 48)
    assert f"{48 - kept} of 48 slices must be indexed first" in fusar("search", HARBOUR, "--text", "ships")[2]


def test_two_searches_at_once_share_one_index(fusar, tmp_path: Path, empty_cache: Path) -> None:
    outs = [tmp_path / "one.geojson", tmp_path / "two.geojson"]
    order = ["search", str(HARBOUR), "--text", "ships", "--out"]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda out: main([*order, str(out)]), outs)) == [0, 0]
    one, two = ([f["properties"]["chip"] for f in json.loads(out.read_text())["features"]] for out in outs)
    assert one == two
    (entry,) = json.loads(fusar("search", "list", "--json")[1])
    assert entry["done"] == entry["slices"] == 48


# On a server.


def test_a_server_finds_and_writes_what_this_machine_does(fusar, tmp_path: Path, empty_cache: Path) -> None:
    (tmp_path / "root").mkdir()
    token = tmp_path / "token"
    token.write_text(TOKEN)
    with serve_search(tmp_path / "root") as (api, held):
        scene = api.inputs["scene"]
        order = ("--text", "three ships", "--text", "open sea", "--top", 5)
        server = ("--server", api.url, "--token-file", token)
        first = fusar(
            "search",
            scene,
            *order,
            *server,
            "--out",
            tmp_path / "there.gpkg",
            "--heat",
            tmp_path / "there.tif",
        )
        assert first[0] == 0, first[2]
        assert f"{SLICES} of {SLICES} slices must be indexed first" in first[2]
        assert held.embedded
        there = fusar("search", f"server:{scene}", *order, *server)
        status, _, err = fusar("search", scene, "--text", "refinery", *server)
        assert status == 1
        assert "refinery" in err.splitlines()[-1]
        model = tmp_path / "root-small"
        here = fusar("search", scene, *order, "--encoder", model, "--heat", tmp_path / "here.tif")
    assert here[0] == there[0] == 0, here[2] + there[2]
    assert here[1].splitlines()[:-1] == there[1].splitlines()
    with rasterio.open(tmp_path / "there.tif") as one, rasterio.open(tmp_path / "here.tif") as two:
        np.testing.assert_array_equal(one.read(), two.read())
    assert is_places_file(tmp_path / "there.gpkg")


# Indexes.


def test_index_list_and_remove(fusar, tmp_path: Path, empty_cache: Path) -> None:
    footprints = tmp_path / "slices.parquet"
    assert fusar("search", "list")[1].startswith("0 kept, 0.0 MB of ")
    for new in (48, 0):
        status, out, err = fusar("search", "index", HARBOUR, "--footprints", footprints)
        assert (status, out.splitlines()) == (
            0, [f"harbour_simulated.tif: 48 slices, {new} of them new", f"written: {footprints}"]
        ), err  # fmt: skip
    assert pq.read_table(footprints).num_rows == 48
    assert "must be indexed" not in fusar("search", HARBOUR, "--text", "ships")[2]
    fusar("search", "index", YASUR, "--ground-m", 672, "--ground-m", 336)
    kept = json.loads(fusar("search", "list", "--json")[1])
    assert [entry["scene"] for entry in kept].count(YASUR.name) == 2
    listed = fusar("search", "list")[1].splitlines()
    assert len(listed) == 4
    assert all(entry["key"] in "".join(listed) for entry in kept)

    assert fusar("search", "remove", kept[0]["key"])[0] == 0
    status, _, err = fusar("search", "remove", kept[0]["key"])
    assert status == 1
    assert "There is no index" in err
    assert fusar("search", "remove")[0] == 2
    assert fusar("search", "remove", kept[1]["key"], "--all")[0] == 2
    assert fusar("search", "remove", "--all")[0] == 0
    assert json.loads(fusar("search", "list", "--json")[1]) == []


def test_footprints_never_replace_somebody_elses_file(fusar, tmp_path: Path) -> None:
    taken = tmp_path / "taken.parquet"
    taken.write_text("somebody's")
    status, _, err = fusar("search", "index", YASUR, "--footprints", taken)
    assert status == 1
    assert "did not write it" in err
    assert taken.read_text() == "somebody's"
    assert fusar("search", "index", YASUR, HARBOUR, "--footprints", tmp_path / "a.parquet")[0] == 2
    assert fusar("search", "index", YASUR, "--footprints", tmp_path / "a.gpkg")[0] == 2


def test_a_scene_named_as_a_command_is_searched_by_its_path(
    fusar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(YASUR, tmp_path / "index")
    monkeypatch.chdir(tmp_path)
    status, out, err = fusar("search", "./index", "--text", "ships")
    assert status == 0, err
    assert out.startswith("  index: 1 place")


# From search to answers.


@pytest.fixture
def found(fusar, tmp_path: Path) -> Path:
    out = tmp_path / "places.gpkg"
    assert fusar("search", HARBOUR, "--text", "ships", "--out", out)[0] == 0
    return out


def test_interpretation_looks_at_the_best_places_alone(fusar, found: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.gpkg"
    order = ("interpret", HARBOUR, "--places", found, "--task", "detect", "--prior", "none", "--out", out)
    status, printed, err = fusar(*order, "--top", 2, "--json")
    assert status == 0, err
    assert "2 of 2 chips" in err
    run = json.loads(printed)["run"]
    assert run["area"].startswith("MULTIPOLYGON")
    status, _, err = fusar("search", HARBOUR, "--text", "ships", "--out", out)
    assert status == 1
    assert "did not write it" in err, "a search replaces no interpretation"


def test_places_are_refused_where_they_cannot_be_meant(fusar, found: Path, tmp_path: Path) -> None:
    order = ("--task", "detect", "--prior", "none", "--out")
    status, _, err = fusar("interpret", YASUR, "--places", found, *order, tmp_path / "out.gpkg")
    assert status == 1
    assert "were found in 'harbour_simulated.tif', and 'yasur_umbra.tif' is another scene" in err
    before = found.read_bytes()
    status, _, err = fusar("interpret", HARBOUR, "--places", found, *order, found, "--overwrite")
    assert status == 1
    assert "it is the file of places itself" in err
    status, _, err = fusar("interpret", HARBOUR, "--bbox", "3,55,4,56", *order, found)
    assert status == 1
    assert "did not write it" in err, "an interpretation replaces no search"
    assert found.read_bytes() == before
    for options, reason in (
        (("--places", found, "--bbox", "3,55,4,56"), "not allowed with"),
        (("--bbox", "3,55,4,56", "--top", "3"), "--top goes with --places"),
        ((), "--places FILE"),
    ):
        status, _, err = fusar("interpret", HARBOUR, *options, *order, tmp_path / "out.gpkg")
        assert (status, reason in err) == (2, True)
