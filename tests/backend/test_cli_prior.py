"""``fusar prior`` and ``fusar interpret --prior`` from a folder of COGs."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
import sys

import numpy as np
import pyogrio
import pytest
import rasterio
from aef_files import SOUTH, WEST, real_codes, write_cog
from PIL import Image
from pyproj import Transformer
from rasterio.transform import Affine
from rasters import speckle, write

from fusar_gpt.cli import main
from fusar_gpt.contract import InterpretRequest, Task
from fusar_gpt.prior_options import OPTIONS
from fusar_gpt.priors import FilePrior
from fusar_gpt.priors.tiles import AEF_ATTRIBUTION, BoundingBox
from fusar_gpt.server.inputs import with_files
from fusar_gpt.server.security import PathRefused, Roots

TO_LONLAT = Transformer.from_crs("EPSG:32631", "EPSG:4326", always_xy=True)


def bbox(left_px, bottom_px, right_px, top_px):
    """W,S,E,N of a box in pixels from the corner of the COGs."""
    west, south = TO_LONLAT.transform(WEST + 10 * left_px, SOUTH + 10 * bottom_px)
    east, north = TO_LONLAT.transform(WEST + 10 * right_px, SOUTH + 10 * top_px)
    return f"{west:.7f},{south:.7f},{east:.7f},{north:.7f}"


HERE = bbox(150, 150, 260, 240)
ELSEWHERE = "10,44.4,10.01,44.41"


@pytest.fixture(scope="module")
def cogs(tmp_path_factory):
    """384 x 384 pixels of 2022 and of 2023, with open water in the north-east, and no index."""
    folder = tmp_path_factory.mktemp("aef")
    for year in (2022, 2023):
        codes = real_codes(384, 384, seed=year)
        codes[:, 300:, 300:] = -128
        write_cog(folder / f"{year}/31N/x-0000000000-0000000000.tiff", codes)
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of its own for each test, nothing in the environment, and no way out to a network."""
    for option in OPTIONS:
        monkeypatch.delenv(f"FUSAR_{option.dest.upper()}", raising=False)
    monkeypatch.setenv("FUSAR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "cache"


def ok(capsys, *argv):
    assert main([*map(str, argv)]) == 0
    return capsys.readouterr()


def failed(capsys, *argv):
    """The last line on stderr of a command that fails."""
    assert main([*map(str, argv)]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    return said.err.strip().splitlines()[-1]


# Fetch.


@pytest.mark.parametrize("source", ["auto", "cog"])
def test_a_geotiff_of_a_place_holds_the_codes_of_the_cogs(capsys, tmp_path, cogs, source):
    out = tmp_path / "prior.tif"
    said = ok(
        capsys,
        "prior",
        "fetch",
        f"--bbox={HERE}",
        "--year",
        2023,
        "--source",
        source,
        "--root",
        cogs,
        "--out",
        out,
    )
    assert said.out == f"written: {out} (100.0% covered, cog, year 2023)\n"
    with rasterio.open(out) as found, rasterio.open(next(cogs.glob("2023/*/*.tiff"))) as cog:
        assert (found.count, found.nodata, found.crs.to_epsg()) == (64, -128, 32631)
        rows, cols = np.mgrid[: found.height : 7, : found.width : 7]
        xy = list(zip(*(found.transform @ (cols.ravel() + 0.5, rows.ravel() + 0.5)), strict=True))
        np.testing.assert_array_equal(np.array(list(found.sample(xy))), np.array(list(cog.sample(xy))))
    prior = FilePrior(out).prior(BoundingBox(*map(float, HERE.split(","))).footprint(), None)
    assert (len(prior), prior.year, prior.version, prior.attribution) == (256, 2023, "V1", AEF_ATTRIBUTION)


def test_points_of_a_place_with_the_nearest_year_said(capsys, tmp_path, cogs):
    out = tmp_path / "prior.npz"
    said = ok(
        capsys,
        "prior",
        "fetch",
        "--bbox",
        HERE,
        "--year",
        2025,
        "--root",
        cogs,
        "--nodes",
        "7,5",
        "--out",
        out,
    )
    assert "35 vectors, cog, year 2023" in said.out
    assert re.search("2025.*2023", said.err)
    with np.load(out) as arrays:
        assert set(arrays) == {"features", "positions", "lon", "lat", "year", "version", "attribution"}
        assert arrays["features"].shape == (35, 64)
        assert arrays["features"].dtype == arrays["positions"].dtype == np.float32
        west, south, east, north = map(float, HERE.split(","))
        np.testing.assert_allclose(
            arrays["positions"][:, 1], (arrays["lon"] - west) / (east - west), atol=1e-6
        )
        np.testing.assert_allclose(
            arrays["positions"][:, 0], (north - arrays["lat"]) / (north - south), atol=1e-6
        )
        assert (int(arrays["year"]), str(arrays["attribution"])) == (2023, AEF_ATTRIBUTION)
        np.testing.assert_allclose(np.linalg.norm(arrays["features"], axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("name", ["prior.tif", "prior.npz"])
@pytest.mark.parametrize(
    ("place", "told"),
    [(bbox(320, 320, 340, 340), "open water"), (ELSEWHERE, "no data there|no AlphaEarth tile")],
)
def test_where_there_is_nothing_nothing_is_written(capsys, tmp_path, cogs, name, place, told):
    out = tmp_path / name
    out.write_text("what stood there")
    line = failed(
        capsys,
        "prior",
        "fetch",
        "--bbox",
        place,
        "--year",
        2023,
        "--source",
        "cog",
        "--root",
        cogs,
        "--out",
        out,
        "--overwrite",
    )
    assert re.search(told, line)
    assert out.read_text() == "what stood there"
    assert {path.name for path in tmp_path.iterdir()} <= {name, "cache", "home"}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("--root", "nowhere"), "no folder nowhere"),
        (("--bbox", "3,44,2,43"), "Invalid bounding box"),
        (("--bbox", "0,40,9,49"), "too much"),
        (("--out", "no/such/folder/prior.tif"), "Cannot write"),
    ],
)
def test_what_cannot_be_fetched_says_so_in_one_line(capsys, tmp_path, monkeypatch, cogs, change, told):
    monkeypatch.chdir(tmp_path)
    given = {"--bbox": HERE, "--year": "2023", "--source": "cog", "--root": str(cogs), "--out": "prior.tif"}
    words = [word for pair in (given | {change[0]: change[1]}).items() for word in pair]
    assert told in failed(capsys, "prior", "fetch", *words)
    assert not (tmp_path / "prior.tif").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["--bbox", "1,2,3", "--year", "2023", "--out", "a.tif"],
        ["--bbox", HERE, "--year", "2023", "--out", "a.png"],
        ["--bbox", HERE, "--year", "2023", "--out", "a.tif", "--nodes", "4,4"],
        ["--bbox", HERE, "--year", "2023", "--out", "a.npz", "--nodes", "1,4"],
        ["--bbox", HERE, "--year", "2023", "--out", "a.npz", "--resampling", "cubic"],
        ["--bbox", HERE, "--out", "a.npz"],
    ],
)
def test_wrong_usage_is_exit_2(words):
    with pytest.raises(SystemExit) as stopped:
        main(["prior", "fetch", *words])
    assert stopped.value.code == 2


@pytest.mark.parametrize("name", ["prior.tif", "prior.npz"])
def test_ctrl_c_leaves_a_silent_server_at_once(tmp_path, name, interruptible):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        root = f"http://127.0.0.1:{silent.getsockname()[1]}"
        words = ["--bbox", HERE, "--year", "2023", "--source", "cog", "--root", root, "--deadline", "3600"]
        command = [sys.executable, "-m", "fusar_gpt", "prior", "fetch", *words, "--out", tmp_path / name]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process, silent.accept()[0]:
            process.send_signal(signal.SIGINT)
            said = process.communicate(timeout=60)[1]  # and not the hour of the deadline
    assert (process.returncode, said) == (1, "fusar: cancelled, nothing was written\n")
    assert not (tmp_path / name).exists()


def test_a_silent_server_is_given_up(capsys, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        root = f"http://127.0.0.1:{silent.getsockname()[1]}"
        words = ("--bbox", HERE, "--year", "2023", "--source", "cog", "--root", root, "--deadline", "0.5")
        line = failed(capsys, "prior", "fetch", *words, "--out", tmp_path / "prior.tif")
    assert "127.0.0.1" in line
    assert "fusar prior doctor" in line


# Show, cache, doctor.


@pytest.mark.parametrize("name", ["prior.tif", "prior.npz", "x.png"])
def test_only_their_own_output_is_replaced_unless_it_is_said(capsys, tmp_path, cogs, name):
    fetch = ("prior", "fetch", "--bbox", HERE, "--year", 2022, "--root", cogs, "--out")
    ok(capsys, *fetch, tmp_path / "here.npz")
    command = fetch if name != "x.png" else ("prior", "show", tmp_path / "here.npz", "--out")
    out = tmp_path / name
    out.write_text("mine")
    assert "give --overwrite" in failed(capsys, *command, out)
    assert out.read_text() == "mine"
    assert f"replacing {out}" in ok(capsys, *command, out, "--overwrite").err
    assert "replacing" not in ok(capsys, *command, out).err


def test_show_draws_what_fetch_wrote(capsys, tmp_path, cogs):
    for name in ("prior.tif", "prior.npz"):
        ok(capsys, "prior", "fetch", "--bbox", HERE, "--year", 2022, "--root", cogs, "--out", tmp_path / name)
        said = ok(capsys, "prior", "show", tmp_path / name, "--out", tmp_path / "x.png")
        assert f"{name}: year 2022, 100.0% covered" in said.out
        assert AEF_ATTRIBUTION in said.out
        with Image.open(tmp_path / "x.png") as picture:
            assert picture.format == "PNG"
            assert len(picture.getcolors(10**6)) > 100, "real vectors have many colours"


def test_a_place_is_warmed_shown_read_and_cleared(capsys, tmp_path, cogs, cache):
    where = ("--bbox", HERE, "--root", cogs)
    said = ok(capsys, "prior", "cache", "warm", *where, "--year", 2022, "--year", 2023)
    tiles = int(re.search(r"kept: (\d+) tiles, cog, year 2023", said.out)[1])
    assert said.out.count("kept: ") == 2
    info = ok(capsys, "prior", "cache", "info").out
    assert f"{cache}/priors: {2 * tiles} tiles" in info
    key = re.search(r"aef-v1-cog-\w+", info)[0]
    said = ok(capsys, "prior", "fetch", *where, "--year", 2023, "--out", tmp_path / "prior.npz")
    assert "from the cache of cog" in said.err
    assert "removed: 0 tiles" in ok(capsys, "prior", "cache", "clear", "--key", "another").out
    assert f"removed: {2 * tiles} tiles" in ok(capsys, "prior", "cache", "clear", "--key", key).out


def test_a_cache_that_is_too_small_to_warm_is_said_before_anything_is_fetched(capsys, cogs, cache):
    line = failed(
        capsys,
        "prior",
        "cache",
        "warm",
        "--bbox",
        HERE,
        "--year",
        2023,
        "--root",
        cogs,
        "--cache-limit",
        "1MB",
    )
    assert "--cache-limit" in line
    assert not cache.exists()


def test_warming_the_ground_of_a_scene(capsys, tmp_path, cogs):
    place = Affine(5, 0, WEST + 1500, 0, -5, SOUTH + 2500)
    scene = write(tmp_path / "scene.tif", speckle(100, 120), transform=place)
    said = ok(capsys, "prior", "cache", "warm", "--scene", scene, "--year", 2023, "--root", cogs)
    assert re.search(r"kept: [1-4] tiles, cog, year 2023", said.out)


def test_the_doctor_says_what_works_and_what_is_missing(capsys, cogs):
    ok(capsys, "prior", "cache", "warm", "--bbox", HERE, "--root", cogs, "--year", 2022)
    cached = ok(capsys, "prior", "doctor", "--root", cogs).out
    assert re.search(r"of aef-v1-cog-\w+, years 2022: [1-9.]+ MB", cached)
    ok(capsys, "prior", "cache", "clear")
    said = ok(capsys, "prior", "doctor", "--root", cogs, "--ee-credentials", "missing.json").out
    assert "cache\n  0 tiles" in said
    assert "2022, 2023" in said
    assert "There is no credentials file missing.json" in said or "earthengine-api" in said


def test_the_doctor_fails_where_nothing_works(capsys, tmp_path, monkeypatch):
    words = ("--root", tmp_path / "nowhere", "--ee-credentials", "missing.json")
    assert main([*map(str, ("prior", "doctor", *words))]) == 1
    assert "No source of priors works from here" in capsys.readouterr().out
    monkeypatch.setenv("FUSAR_PRIOR_OFFLINE", "yes")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(0)
        root = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert main(["prior", "doctor", "--root", root, "--ee-url", root]) == 1
        with pytest.raises(BlockingIOError):
            silent.accept()
    assert capsys.readouterr().out.count("no network may be used") == 2


# Interpret.


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A scene of 1.5 x 1.5 km on the COGs."""
    place = Affine(5, 0, WEST + 500, 0, -5, SOUTH + 2500)
    return write(tmp_path_factory.mktemp("scene") / "scene.tif", speckle(300, 300), transform=place)


def interpret(scene, out, *words):
    area = ("--bbox", f"{WEST + 700},{SOUTH + 1200},{WEST + 1700},{SOUTH + 2200}", "--bbox-crs", "EPSG:32631")
    return ("interpret", scene, *area, "--task", "count", "--target", "ship", "--out", out, "--json", *words)


def test_a_scene_is_interpreted_with_the_prior_of_a_folder_of_cogs(capsys, tmp_path, scene, cogs):
    words = ("--prior", "cog", "--prior-root", cogs, "--year", 2024)
    said = ok(capsys, *interpret(scene, tmp_path / "findings.gpkg", *words))
    printed = json.loads(said.out)
    assert (printed["run"]["prior"], printed["run"]["prior_year"]) == ("cog", 2023)
    assert printed["run"]["prior_attribution"] == AEF_ATTRIBUTION
    counted = [row["properties"] for row in printed["findings"]["features"] if "chip" in row["properties"]]
    assert counted
    assert all(row["prior"] == "cog" and row["prior_nodes"] > 30 for row in counted)
    assert re.search("2024.*2023", said.err)
    assert "prior: from cog." in said.err
    assert pyogrio.read_info(tmp_path / "findings.gpkg", layer="runs")["features"] == 1


def test_no_prior_stops_the_run_unless_it_is_allowed(capsys, tmp_path, scene):
    out = tmp_path / "findings.gpkg"
    words = ("--prior", "cog", "--prior-root", tmp_path / "nowhere")
    assert "no folder" in failed(capsys, *interpret(scene, out, *words))
    assert not out.exists()


@pytest.mark.parametrize("words", [(), ("--prior", "auto")])
def test_auto_is_the_default_and_goes_on_without_a_prior_and_says_so(
    capsys, tmp_path, monkeypatch, scene, words
):
    monkeypatch.setenv("FUSAR_PRIOR_EE_CREDENTIALS", str(tmp_path / "missing.json"))
    words = (*words, "--prior-root", tmp_path / "nowhere")
    said = ok(capsys, *interpret(scene, tmp_path / "findings.gpkg", *words))
    run = json.loads(said.out)["run"]
    assert (run["prior"], run["prior_asked"]) == ("none", "auto")
    assert {row["properties"]["prior"] for row in json.loads(said.out)["findings"]["features"]} == {"none"}
    assert "prior: without cog: There is no folder" in said.err
    assert "prior: without earth-engine: " in run["prior_note"]
    *_, no_prior = run["warnings"].splitlines()
    assert re.fullmatch("No prior: cog: .*missing.json.*; answers are from the radar image alone.", no_prior)


@pytest.mark.parametrize("name", ["scene_prior.tif", "scene.prior.npz"])
def test_a_file_beside_the_scene_is_found_and_the_cache_comes_first(capsys, tmp_path, scene, cogs, name):
    here = tmp_path / scene.name
    shutil.copy(scene, here)
    area = bbox(40, 80, 200, 250)
    ok(capsys, "prior", "fetch", "--bbox", area, "--year", 2022, "--root", cogs, "--out", tmp_path / name)
    words = ("--prior-root", "http://127.0.0.1:9", "--year", 2022)  # nobody needs to be there
    said = ok(capsys, *interpret(here, tmp_path / "findings.gpkg", *words))
    assert json.loads(said.out)["run"]["prior"] == f"file:{name}"
    assert f"prior: from {name} beside the scene." in said.err
    other = ok(capsys, *interpret(here, tmp_path / "findings.gpkg", *words[:2], "--year", 2023))
    assert f"{name} beside the scene describes 2022, not 2023" in other.err
    assert json.loads(other.out)["run"]["prior_year_asked"] == 2023
    ok(capsys, "prior", "cache", "warm", "--bbox", bbox(0, 0, 380, 380), "--year", 2022, "--root", cogs)
    cached = ok(capsys, *interpret(here, tmp_path / "findings.gpkg", "--prior-root", cogs, "--year", 2022))
    assert json.loads(cached.out)["run"]["prior"] == "cog"
    assert "from the cache of cog" in cached.err


def test_who_wants_no_network_and_names_a_source_on_one_is_refused(capsys, tmp_path, scene, cogs):
    for words in (("--prior", "cog", "--prior-root", "http://127.0.0.1:9"), ("--prior", "earth-engine")):
        line = failed(capsys, *interpret(scene, tmp_path / "findings.gpkg", "--prior-offline", *words))
        assert "no network may be used for it: allow the network, or take auto" in line
    words = ("--prior-offline", "--prior", "cog", "--prior-root", cogs)
    said = ok(capsys, *interpret(scene, tmp_path / "findings.gpkg", *words))
    assert json.loads(said.out)["run"]["prior"] == "cog", "a folder needs no network"


# Over the HTTP API of the server.


@pytest.mark.parametrize("spec", ["none", "auto", "cog", "earth-engine"])
def test_the_server_takes_the_same_words(tmp_path, spec):
    (tmp_path / "scene.tif").touch()
    request = InterpretRequest(str(tmp_path / "scene.tif"), Task.COUNT, prior=spec)
    assert with_files(request, Roots.of([tmp_path])).prior == spec


@pytest.mark.parametrize(
    "spec", ["/etc/hostname", "https://a.example/aef.tif", "cog.tif", "/vsicurl/x", "AUTO"]
)
def test_any_other_word_is_a_path_under_the_roots(tmp_path, spec):
    (tmp_path / "scene.tif").touch()
    request = InterpretRequest(str(tmp_path / "scene.tif"), Task.COUNT, prior=spec)
    with pytest.raises(PathRefused):
        with_files(request, Roots.of([tmp_path]))
