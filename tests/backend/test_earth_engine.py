"""AEF tiles from Earth Engine: the real client against a server on 127.0.0.1, on good days and bad ones."""

from __future__ import annotations

import re
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

ee = pytest.importorskip("ee", reason="earthengine-api is not installed")

from earth_engine_world import CODES, VALUES, codes_at, npy  # noqa: E402
from loopback_earth_engine import compare_fetches, failure, login, loopback_earth_engine, only_the_loopback  # noqa: E402

from fusar_gpt.errors import Cancelled, PriorError  # noqa: E402
from fusar_gpt.priors.earth_engine import EarthEngineTiles  # noqa: E402
from fusar_gpt.priors.earth_engine.tiles import NOWHERE, quantise, read_npy  # noqa: E402
from fusar_gpt.priors.field import dequantise  # noqa: E402
from fusar_gpt.priors.retry import RetryPolicy  # noqa: E402
from fusar_gpt.priors.tiles import Tile  # noqa: E402

NORTH = Tile(zone=10, south=False, col=528, row=3282)
SOUTH = Tile(zone=33, south=True, col=301, row=4901)
OCEAN = Tile(zone=20, south=False, col=300, row=1000)
PIXELS = "image:computePixels"
PATIENT = RetryPolicy(60.0)
BRIEF = RetryPolicy(0.6)


@pytest.fixture(scope="module")
def server():
    with loopback_earth_engine() as running:
        yield running


@pytest.fixture(scope="module")
def key(server, tmp_path_factory):
    return login(tmp_path_factory.mktemp("login"), server)


@pytest.fixture(autouse=True)
def names(server, tmp_path, monkeypatch):
    """The names looked up so far; only 127.0.0.1 ever is."""
    with only_the_loopback(server, tmp_path, monkeypatch) as looked_up:
        yield looked_up


@pytest.fixture
def source(server, key):
    return EarthEngineTiles("demo", key, server.url)


def expected(tile, year=2024):
    """The tile as the server's world has it."""
    cols = tile.col * 128 + np.arange(128)[None, :]
    rows = tile.row * 128 + 127 - np.arange(128)[:, None]
    return codes_at(f"{tile.zone}{'S' if tile.south else 'N'}", year, cols, rows).transpose(2, 0, 1)


# What is fetched.


@pytest.mark.parametrize("tile", [NORTH, SOUTH])
def test_a_request_gives_four_tiles_exactly(server, source, tile):
    tiles = source.fetch(tile, 2024, PATIENT)
    assert tile in tiles
    assert len(tiles) == 4
    for neighbour, codes in tiles.items():
        assert codes.dtype == np.int8
        np.testing.assert_array_equal(codes, expected(neighbour))
        assert 0 < (codes == -128).mean() < 0.5  # some water
    assert len(server.asked(PIXELS)) == 1


def test_the_year_decides(source):
    codes = source.fetch(NORTH, 2018, PATIENT)[NORTH]
    np.testing.assert_array_equal(codes, expected(NORTH, 2018))
    assert (codes != expected(NORTH, 2024)).any()


@pytest.mark.parametrize("tile", [replace(NORTH, col=598), Tile(zone=11, south=False, col=185, row=3282)])
def test_where_zones_meet_the_own_zone_comes_first(source, tile):
    codes, own = source.fetch(tile, 2024, PATIENT)[tile], expected(tile)
    known = own != -128
    assert 0.5 < known.mean() < 1
    np.testing.assert_array_equal(codes[known], own[known])
    assert (codes[~known] != -128).any()  # the neighbour's images fill in


def test_a_place_without_images_has_no_data_and_no_years(source):
    assert (source.fetch(OCEAN, 2024, PATIENT)[OCEAN] == -128).all()
    assert source.years(OCEAN, PATIENT) == ()


def test_compressed_answers_are_the_same(server, source):
    server.faults(years=["gzip"])
    assert source.years(NORTH, PATIENT) == (2018, 2019, 2024)


def test_years_are_asked_once_for_an_area(server, source):
    tiles = [replace(NORTH, col=NORTH.col + step) for step in range(8)]
    with ThreadPoolExecutor(8) as threads:
        found = set(threads.map(lambda tile: source.years(tile, PATIENT), tiles))
    assert found == {(2018, 2019, 2024)}
    assert len(server.asked("value:compute")) == 1
    assert source.years(SOUTH, PATIENT) == (2024,)
    assert len(server.asked("value:compute")) == 2


def test_years_that_make_no_sense(server, source):
    server.faults(years=["html"])
    with pytest.raises(PriorError, match="is invalid"):
        source.years(NORTH, PATIENT)
    assert source.years(NORTH, PATIENT) == (2018, 2019, 2024)  # and are not remembered


@settings(deadline=None)
@given(st.lists(st.integers(-1, len(CODES) - 1), min_size=1, max_size=20))
def test_quantising_is_exact_both_ways(rows):
    codes = np.where(np.array(rows)[:, None] < 0, np.int8(-128), CODES[rows])
    values = np.where(np.isnan(dequantise(codes)), NOWHERE, dequantise(codes))
    np.testing.assert_array_equal(quantise(values[None])[:, 0].T, codes)


@settings(deadline=None)
@given(st.integers(0, len(CODES) - 1), st.integers(0, 63), st.floats(1e-5, 1.9))
def test_what_no_code_stands_for_is_rejected(row, band, change):
    values = VALUES[row].copy()
    values[band] += change
    steps = np.sqrt(abs(values[band])) * 127.5
    assume(abs((np.rint(steps) / 127.5) ** 2 - abs(values[band])) > 1e-6)
    with pytest.raises(PriorError, match="not AEF"):
        quantise(values[None, None])


def test_what_is_no_vector_is_rejected():
    for values in (
        np.full(64, VALUES.max()),
        np.full(64, np.nan),
        np.where(np.arange(64) == 5, np.inf, VALUES[0]),
    ):
        with pytest.raises(PriorError, match="not AEF"):
            quantise(values[None, None])


def test_pixels_of_another_form_are_rejected():
    few = npy(np.broadcast_to(VALUES[0], (2, 256, 64)))
    with pytest.raises(PriorError, match="256 x 256 pixels of 64 doubles"):
        read_npy(few)
    with pytest.raises(PriorError, match="sends no pixels"):
        read_npy(few[:40])


def test_several_threads_and_two_projects_do_not_mix(server, key):
    sources = {project: EarthEngineTiles(project, key, server.url) for project in ("one", "two")}
    areas = [replace(NORTH, col=NORTH.col - 64 * step) for step in range(4)]
    work = [(project, area) for area in areas for project in sources]
    with ThreadPoolExecutor(8) as threads:
        years = threads.map(lambda one: sources[one[0]].years(one[1], PATIENT), work)
        tiles = threads.map(lambda project: sources[project].fetch(NORTH, 2024, PATIENT)[NORTH], sources)
        assert list(years) == 8 * [(2018, 2019, 2024)]
        for codes in tiles:
            np.testing.assert_array_equal(codes, expected(NORTH))
    for kind, times in (("value:compute", 4), (PIXELS, 1)):
        paths = sorted(entry["path"] for entry in server.asked(kind))
        assert paths == times * [f"/v1/projects/one/{kind}"] + times * [f"/v1/projects/two/{kind}"]


# Bad days.


@pytest.mark.parametrize(
    ("faults", "told", "requests"),
    [
        (
            ["401*"],
            "expired or were revoked: run earthengine authenticate",
            3,
        ),  # the client signs in again twice
        (["403 Earth Engine API has not been used in project 7 before or it is disabled."], "not enabled", 1),
        (["403 Project 7 is not registered to use Earth Engine."], "not registered", 1),
        (["403 Caller does not have required permission to use project 7."], "may not use", 1),
        (["403 Rate Limit Exceeded*"], "turns us away", 2),
        (["404 Project 7 not found or deleted."], "does not know the project", 1),
        (["400 User memory limit exceeded."], "cannot do this: User memory limit exceeded.", 1),
        (["429*"], "quota is used up", 2),
        (["500*"], r"trouble of its own \(HTTP 500\)", 2),
        (["drop*"], "breaks off", 2),
        (["half*"], "breaks? off", 2),
        (["html"], "a proxy or a login page", 1),
        (["float32"], "not AEF: expected 256 x 256 pixels of 64 doubles", 1),
        (["pickle"], "not AEF: expected 256 x 256 pixels of 64 doubles", 1),
        (["noise"], "vectors are not AEF", 1),
        (["flood"], "is not Earth Engine", 1),
    ],
)
def test_what_the_user_reads(server, source, faults, told, requests):
    source.years(NORTH, PATIENT)  # signed in
    server.faults(pixels=faults)
    assert re.search(told, failure(source, RetryPolicy(60.0, attempts=2)))
    assert len(server.asked(PIXELS)) == requests


def test_what_passes_is_tried_again(server, source):
    source.years(NORTH, PATIENT)
    server.faults(pixels=["429", "drop", "half"], years=["500", "401", "503"])
    np.testing.assert_array_equal(source.fetch(NORTH, 2024, PATIENT)[NORTH], expected(NORTH))
    assert len(server.asked(PIXELS)) == 4
    assert source.years(SOUTH, PATIENT) == (2024,)
    assert len(server.asked("value:compute")) == 4


@pytest.mark.parametrize("fault", ["hang", "drip"])
def test_the_deadline_holds(server, source, fault):
    """The server would go on for a minute, and nothing ends it but the deadline."""
    source.years(NORTH, PATIENT)
    server.faults(pixels=[fault])
    assert "gave no answer in 0.6 s" in failure(source, BRIEF)
    assert len(server.asked(PIXELS)) <= 1
    assert fault == "drip" or not any(entry["over"] for entry in server.asked(PIXELS))


@pytest.mark.parametrize("kind", ["sign_in", "discovery", "algorithms"])
def test_the_deadline_holds_from_the_first_word_on(server, key, kind):
    ee.Reset()
    server.faults(**{kind: ["hang"]})
    assert "gave no answer in 0.6 s" in failure(EarthEngineTiles("late", key, server.url), BRIEF)
    assert server.asked(PIXELS) == []


def test_a_dead_server(key):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        source = EarthEngineTiles("demo", key, f"http://127.0.0.1:{taken.getsockname()[1]}")
        assert "cannot be reached: check the network" in failure(source)


@pytest.mark.parametrize("fault", ["hang", "drip", "429*"])
def test_cancel_in_the_middle(server, source, fault):
    source.years(NORTH, PATIENT)
    server.faults(pixels=[fault])
    with pytest.raises(Cancelled):
        source.fetch(NORTH, 2024, RetryPolicy(60.0, 1000, cancelled=lambda: bool(server.asked(PIXELS))))
    assert fault != "hang" or not server.asked(PIXELS)[0]["over"]


def test_cancel_while_signing_in(server, key):
    server.faults(discovery=["hang"])
    ee.Reset()
    with pytest.raises(Cancelled):
        EarthEngineTiles("demo", key, server.url).fetch(
            NORTH, 2024, RetryPolicy(60.0, cancelled=lambda: bool(server.asked("discovery")))
        )
    assert not server.asked("discovery")[0]["over"]


def test_nobody_works_on_for_one_who_has_gone(server, source):
    source.years(NORTH, PATIENT)
    before = set(threading.enumerate())
    server.faults(pixels=["drip"])
    failure(source, BRIEF)
    for thread in set(threading.enumerate()) - before:
        thread.join(30)
        assert not thread.is_alive()


def test_the_comparison_for_the_bench(server, tmp_path):
    rows = compare_fetches(server, tmp_path, counts=(1,))
    assert [(row["way"], row["requests"]) for row in rows] == [("tiles", 1), ("pixels", 1), ("nodes", 1)]
    assert rows[0]["bytes"] > rows[1]["bytes"] > rows[2]["bytes"]
