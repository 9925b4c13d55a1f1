"""Priors from a source of tiles: fetched once, kept, warmed ahead, of the right year, and quick to fail."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from made_ground import METRE, SIZE, YEARS, MadeGround, chip, codes_at, ground
from pyproj import Proj

from fusar_gpt.errors import Cancelled, PriorError
from fusar_gpt.priors import fetcher
from fusar_gpt.priors.cache import TileCache
from fusar_gpt.priors.retry import RetryPolicy, Unavailable
from fusar_gpt.priors.sampling import Sampling
from fusar_gpt.priors.tiled import TiledPrior

HARBOUR = chip(3.006, 45.004, 700)


@pytest.fixture
def open_tiled(tmp_path):
    """Opens a prior on a source, by default with the cache of this test; closes it at the end."""
    opened = []

    def open_one(source, cache=True, sampling=Sampling(), lines=None, **retry):  # noqa: B008
        kept = TileCache(tmp_path / "cache") if cache is True else cache
        report = (lambda line: None) if lines is None else lines.append
        opened.append(TiledPrior(source, kept, sampling, RetryPolicy(**retry), report))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


def until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it never came to pass"
        time.sleep(0.005)


def overlapping(count, side=1000, step=100):
    """Chips of 1 km that move 100 m at a time."""
    return [chip(3.006 + i * step * METRE, 45.004, side) for i in range(count)]


# --- what it gives ---


def test_the_vectors_the_places_and_where_they_come_from(open_tiled):
    source = MadeGround()
    field = open_tiled(source, sampling=Sampling((4, 4))).prior(chip(3.006, 45.004, 28), 2021)
    assert (field.source, field.version, field.year) == ("made-up", "V1", 2021)
    assert (field.attribution, field.simulated) == ("Nobody.", False)
    assert 4 <= len(field) <= 16
    for value, (lon, lat), (y, x) in zip(field.values, field.lonlat.xy(), field.positions, strict=True):
        east, north = Proj(proj="utm", zone=31)(lon, lat)
        codes = codes_at(31, int(east // 10), int(north // 10)).astype(float)
        expected = np.sign(codes) * codes**2
        np.testing.assert_allclose(value, expected / np.linalg.norm(expected), atol=1e-6)
        np.testing.assert_allclose(
            (x * SIZE, y * SIZE), chip(3.006, 45.004, 28).lonlat_to_chip(field.lonlat.of([[lon, lat]])).xy()[0],
            atol=1e-3,
        )  # fmt: skip


def test_a_pixel_of_which_one_band_is_missing_is_missing(open_tiled, monkeypatch):
    holed = ground(Sampling().samples(HARBOUR).tiles[0], False).copy()
    holed[63] = -128
    monkeypatch.setattr("made_ground.ground", lambda tile: holed)
    assert len(open_tiled(MadeGround()).prior(HARBOUR, 2021)) == 0


@pytest.mark.parametrize("form", ["uint8", "63 bands", "another tile"])
def test_what_is_no_tile_is_an_error_and_not_kept(open_tiled, monkeypatch, form):
    def wrong(self, tile, year, retry):
        if form == "another tile":
            return {}
        codes = ground(tile)
        return {tile: codes.view(np.uint8) if form == "uint8" else codes[:63]}

    monkeypatch.setattr(MadeGround, "fetch", wrong)
    prior = open_tiled(MadeGround())
    with pytest.raises((ValueError, PriorError)):
        prior.prior(HARBOUR, 2021)
    assert not prior.cached(HARBOUR, 2021)


def test_nodes_beside_a_turned_chip_cost_no_tiles(open_tiled):
    source = MadeGround()
    corner = chip(3.0, 45.0, 5000, turn=lambda u, v: (u * 8, v * 8 - 7))
    field = open_tiled(source).prior(corner, 2021)
    assert len(field) == 4
    assert len(source.fetches) <= 4


# --- each tile once ---


@pytest.mark.parametrize("block", [1, 2, 8])
def test_ten_overlapping_chips_cost_one_fetch(open_tiled, block):
    lon, lat = Proj(proj="utm", zone=31)(391.3 * 1280, 3893.3 * 1280, inverse=True)
    source = MadeGround(block=block)
    prior = open_tiled(source, cache=None)
    for i in range(10):
        assert len(prior.prior(chip(lon + 30 * i * METRE, lat, 500), 2021)) > 200
    assert sum(source.fetches.values()) == 1
    assert sum(source.asked.values()) == 1


@pytest.mark.parametrize("block", [1, 2, 8])
def test_a_hundred_chips_cost_each_block_once_and_the_second_time_nothing(open_tiled, block):
    chips = overlapping(100)
    source = MadeGround(block=block, delay_s=0.001)
    prior = open_tiled(source)
    for one in chips:
        prior.prefetch(one, 2021)
    fields = [prior.prior(one, 2021) for one in chips]
    tiles = {tile for one in chips for tile in Sampling().samples(one).tiles}
    blocks = {(tile.col // block, tile.row // block) for tile in tiles}
    assert len(tiles) == 16
    assert sum(source.fetches.values()) == len(blocks)
    offline = MadeGround(error=Unavailable("no network"))
    again = open_tiled(offline)
    for field, one in zip(fields, chips, strict=True):
        assert again.cached(one, 2021)
        np.testing.assert_array_equal(again.prior(one, 2021).values, field.values)
    assert not offline.fetches
    assert not offline.asked


def test_several_threads_share_the_fetches(open_tiled):
    source = MadeGround(delay_s=0.05)
    prior = open_tiled(source, cache=None)
    fields = []
    threads = [
        threading.Thread(target=lambda one=one: fields.append(prior.prior(one, 2021)))
        for one in overlapping(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(fields) == 8
    assert set(source.fetches.values()) == {1}


def test_no_more_at_a_time_than_the_source_likes(open_tiled):
    source = MadeGround(parallel=3, delay_s=0.02)
    open_tiled(source).prior(chip(3.006, 45.004, 5000), 2021)
    assert len(source.fetches) > 15
    assert source.most == 3


def test_tiles_that_leave_memory_come_from_the_disk(open_tiled, monkeypatch):
    monkeypatch.setattr(fetcher, "MEMORY_TILES", 2)
    source = MadeGround()
    prior = open_tiled(source)
    wide = chip(3.006, 45.004, 5000)
    first, second = prior.prior(wide, 2021), prior.prior(wide, 2021)
    np.testing.assert_array_equal(first.values, second.values)
    assert set(source.fetches.values()) == {1}


def test_a_damaged_tile_is_fetched_again(open_tiled, tmp_path):
    source = MadeGround()
    expected = open_tiled(source).prior(HARBOUR, 2021)
    for path in tmp_path.rglob("*.aef"):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 4
        path.write_bytes(content)
    again = open_tiled(source)
    np.testing.assert_array_equal(again.prior(HARBOUR, 2021).values, expected.values)
    assert set(source.fetches.values()) == {2}


def test_a_cache_that_cannot_be_written_costs_a_line_and_no_prior(open_tiled, tmp_path):
    (tmp_path / "file").write_text("in the way")
    lines = []
    prior = open_tiled(MadeGround(), TileCache(tmp_path / "file"), lines=lines)
    assert len(prior.prior(chip(3.006, 45.004, 3000), 2021)) > 0
    assert len(lines) == 1
    assert "choose another folder" in lines[0]


# --- ahead ---


def test_warming_returns_at_once_and_the_prior_then_waits_for_nothing(open_tiled):
    source = MadeGround()
    hold = threading.Event()
    source.fail = lambda retry: hold.wait(20)
    prior = open_tiled(source)
    prior.prefetch(HARBOUR, 2021)  # the source answers nothing yet
    assert not prior.cached(HARBOUR, 2021)
    hold.set()
    until(lambda: prior.cached(HARBOUR, 2021))
    source.fail = None  # nobody may ask from here on
    assert len(prior.prior(HARBOUR, 2021)) > 0


def test_warming_never_fails(open_tiled):
    source = MadeGround(error=Unavailable("no network: plug it in"))
    prior = open_tiled(source)
    prior.prefetch(HARBOUR, 2021)
    prior.prefetch(chip(3, 45, 500_000), 2021)
    until(lambda: source.asked)
    with pytest.raises(Unavailable, match="plug it in"):
        prior.prior(HARBOUR, 2021)


# --- years ---


@pytest.mark.parametrize(
    ("asked", "used"), [(None, 2024), (2021, 2021), (2016, 2017), (2019, 2021), (2022, 2021), (2030, 2024)]
)
def test_the_nearest_year_is_used_and_said_once(open_tiled, asked, used):
    lines = []
    prior = open_tiled(MadeGround(), lines=lines)
    for one in overlapping(3):
        assert prior.prior(one, asked).year == used
    said = (
        []
        if asked in (None, used)
        else [f"prior: made-up has no {asked} here, so the nearest year, {used}, is used."]
    )
    assert lines == said
    assert prior.cached(overlapping(1)[0], asked)


def test_a_year_at_hand_is_not_asked_about(open_tiled):
    open_tiled(MadeGround()).prior(HARBOUR, 2021)
    offline = MadeGround(error=Unavailable("no network"))
    prior = open_tiled(offline)
    assert prior.cached(HARBOUR, 2021)
    assert prior.prior(HARBOUR, 2021).year == 2021
    assert not offline.asked
    assert not prior.cached(HARBOUR, 2024)
    assert not prior.cached(chip(3.2, 45, 700), 2021)


def test_a_year_that_the_source_lacks_needs_no_network_where_its_years_are_known(open_tiled):
    open_tiled(MadeGround()).prior(HARBOUR, 2024)
    lines, offline = [], MadeGround(error=Unavailable("no network"), known=YEARS)
    prior = open_tiled(offline, lines=lines)
    assert prior.cached(HARBOUR, 2026) == 2024
    assert prior.prior(HARBOUR, 2026).year == 2024
    assert lines == ["prior: made-up has no 2026 here, so the nearest year, 2024, is used."]
    assert not offline.asked


def test_a_source_that_is_asked_no_more_gives_the_nearest_year_that_is_kept(open_tiled):
    online = open_tiled(MadeGround())
    for year in YEARS[:2]:
        online.prior(HARBOUR, year)
    lines, source = [], MadeGround()
    prior = open_tiled(source, lines=lines)
    prior.stop_asking("no network may be used")
    assert prior.prior(HARBOUR, 2024).year == 2021
    assert prior.prior(HARBOUR, 2018).year == 2017
    assert prior.cached(HARBOUR, None) == 2021
    assert lines[0] == (
        "prior: 2021, the year nearest to 2024 in the cache, is used, for no network may be used"
    )
    assert not source.asked
    assert not source.fetches
    with pytest.raises(Unavailable, match="no network may be used"):
        prior.prior(chip(3.2, 45, 700), 2024)


def test_without_network_any_year_is_the_newest_at_hand(open_tiled):
    online = open_tiled(MadeGround())
    for year in YEARS[:2]:
        online.prior(HARBOUR, year)
    lines = []
    prior = open_tiled(MadeGround(error=Unavailable("no network.")), lines=lines)
    assert prior.prior(HARBOUR, None).year == 2021
    assert "2021, the newest year in the cache" in lines[0]
    with pytest.raises(Unavailable, match="no network"):
        prior.prior(HARBOUR, 2024)


def test_where_the_source_has_nothing_there_is_no_year(open_tiled):
    source = MadeGround(held=())
    field = open_tiled(source).prior(HARBOUR, 2021)
    assert (len(field), field.year, field.source) == (0, None, "made-up")
    assert not source.fetches


def test_water_has_a_year_but_no_nodes_and_is_kept(open_tiled, tmp_path):
    tiles = Sampling().samples(HARBOUR).tiles
    field = open_tiled(MadeGround(water=frozenset(tiles))).prior(HARBOUR, 2021)
    assert (len(field), field.year) == (0, 2021)
    assert all(path.stat().st_size < 100 for path in tmp_path.rglob("*.aef"))
    assert open_tiled(MadeGround()).cached(HARBOUR, 2021)


# --- bad days ---


def test_a_failure_is_not_kept_and_the_next_chip_asks_again(open_tiled, tmp_path):
    source = MadeGround()
    prior = open_tiled(source)
    source.error = Unavailable("too many requests: wait a minute")
    with pytest.raises(Unavailable, match="wait a minute"):
        prior.prior(HARBOUR, 2021)
    assert not list(tmp_path.rglob("*.aef"))
    source.error = None
    assert len(prior.prior(HARBOUR, 2021)) > 0


def test_a_source_that_keeps_failing_is_left_alone_for_a_while(open_tiled, monkeypatch):
    source = MadeGround(error=Unavailable("the bucket refuses: sign in"))
    prior = open_tiled(source)
    chips = overlapping(20, step=2000)
    for one in chips[:3]:
        with pytest.raises(Unavailable, match=r"^the bucket refuses: sign in$"):
            prior.prior(one, 2021)
    asked = sum(source.asked.values())
    for one in chips[3:]:
        with pytest.raises(
            Unavailable, match=r"failed 3 times running and is left alone for 30 s: .*sign in"
        ):
            prior.prior(one, 2021)
    assert sum(source.asked.values()) == asked == 3
    source.error = None
    later = time.monotonic() + fetcher.PAUSE_S
    monkeypatch.setattr(fetcher.time, "monotonic", lambda: later)
    assert len(prior.prior(chips[0], 2021)) > 0


def test_a_source_that_never_comes_back_is_given_up(open_tiled, monkeypatch):
    monkeypatch.setattr(fetcher, "GRACE_S", 0.05)
    release = threading.Event()
    source = MadeGround()
    source.fail = lambda retry: release.wait(20)
    try:
        with pytest.raises(Unavailable, match="did not answer"):
            open_tiled(source, deadline_s=0.1).prior(HARBOUR, 2021)
    finally:
        release.set()


def test_a_source_that_makes_progress_is_not_given_up(open_tiled, monkeypatch):
    monkeypatch.setattr(fetcher, "GRACE_S", 0.05)
    source = MadeGround()

    def slow(retry):
        deadline = retry.deadline()
        for _ in range(10):  # each part within the deadline, all of them far beyond it
            deadline.sleep(0.1)
            deadline.extend()

    source.fail = slow
    assert len(open_tiled(source, deadline_s=0.3).prior(HARBOUR, 2021)) > 0


def test_a_cancelled_prior_stops_at_once_and_keeps_no_half_tile(open_tiled, tmp_path):
    stop = threading.Event()
    source = MadeGround(delay_s=20)
    prior = open_tiled(source, cancelled=stop.is_set)
    threading.Timer(0.2, stop.set).start()
    start = time.monotonic()
    with pytest.raises(Cancelled):
        prior.prior(HARBOUR, 2021)
    assert time.monotonic() - start < 10
    assert not list(tmp_path.rglob("*.aef"))
    until(lambda: source.running == 0)


def test_closing_stops_the_fetches_and_whoever_waits(open_tiled):
    source = MadeGround()
    prior = open_tiled(source)
    prior.prior(HARBOUR, 2021)  # the years are known
    source.delay_s = 20
    failures = []

    def wait():
        try:
            prior.prior(chip(3.2, 45, 3000), 2021)
        except Cancelled as error:
            failures.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    until(lambda: source.running or sum(source.asked.values()) > 1)
    prior.close()
    waiting.join(10)
    assert len(failures) == 1
    until(lambda: source.running == 0)
    with pytest.raises(Cancelled):
        prior.prior(chip(3.3, 45, 300), 2021)
