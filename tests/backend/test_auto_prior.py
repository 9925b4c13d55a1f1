"""Sources asked in turn, with a small source of tiles in place of the network: who answers, and what is said."""

from __future__ import annotations

import itertools
import threading
from contextlib import closing

import numpy as np
import pytest

from fusar_gpt.errors import Cancelled, PriorError
from fusar_gpt.prior_options import PriorSettings
from fusar_gpt.priors import FilePrior, NoPrior, open_prior, source
from fusar_gpt.priors.beside import PriorBeside, files_beside
from fusar_gpt.priors.cache import TileCache
from fusar_gpt.priors.retry import RetryPolicy, Unavailable
from fusar_gpt.priors.sampling import Sampling
from fusar_gpt.priors.source import FallbackSource
from fusar_gpt.priors.tiled import TiledPrior
from fusar_gpt.priors.tiles import TILE_PX, BoundingBox
from fusar_gpt.samples import HARBOUR

HERE = BoundingBox(3.0, 44.99, 3.005, 44.995).footprint()
THERE = BoundingBox(9.0, 44.99, 9.005, 44.995).footprint()


class Tiles:
    """One code in all pixels. ``fails`` is raised by every question; ``where`` are the zones it has."""

    version, attribution, parallel, block = "V1", "Google", 2, 1
    address = not_configured = None

    def __init__(self, name, code=100, years=(2023, 2024), zones=(31, 32), fails=None):
        self.name, self.key = name, f"test-{name}"
        self.code, self.held, self.zones, self.fails = code, years, zones, fails
        self.fetched = []

    def years(self, tile, retry):
        self._check()
        return self.held if tile.zone in self.zones else ()

    def known_years(self, tile):
        return ()

    def fetch(self, tile, year, retry):
        self._check()
        self.fetched.append(tile)
        return {tile: np.full((64, TILE_PX, TILE_PX), self.code, np.int8)}

    def _check(self):
        if self.fails is not None:
            raise self.fails


def down(name):
    return Tiles(name, fails=Unavailable(f"{name} is down: wait."))


class Turn:
    """``auto`` over the given sources, and what it told."""

    def __init__(self, folder, *sources, allow_none=False, beside=None):
        self.told = []
        cache = TileCache(folder)
        tiled = [TiledPrior(one, cache, Sampling(), RetryPolicy(5.0), self.told.append) for one in sources]
        self.prior = FallbackSource(
            "auto", tiled, allow_none=allow_none, beside=beside, report=self.told.append
        )

    def ask(self, footprint=HERE, year=2024):
        return self.prior.prior(footprint, year)

    def close(self):
        self.prior.close()


def test_the_first_source_answers_and_the_others_are_not_asked(tmp_path):
    cog, ee = Tiles("cog"), Tiles("earth-engine")
    with closing(Turn(tmp_path, cog, ee)) as auto:
        field = auto.ask()
    assert (field.source, field.year, len(field)) == ("cog", 2024, 256)
    assert cog.fetched
    assert not ee.fetched
    assert auto.told == ["prior: from cog."]


def test_the_second_stands_in_and_the_first_is_asked_last_from_then_on(tmp_path):
    cog, ee = down("cog"), Tiles("earth-engine")
    with closing(Turn(tmp_path, cog, ee)) as auto:
        assert auto.ask().source == "earth-engine"
        cog.fails = None
        assert auto.ask(THERE).source == "earth-engine"
    assert auto.told == ["prior: cog: cog is down: wait.", "prior: from earth-engine."]
    assert not cog.fetched


def test_what_is_cached_comes_first_whoever_it_is_from(tmp_path):
    with closing(Turn(tmp_path, Tiles("earth-engine"))) as warm:
        warm.ask()
    cog, ee = Tiles("cog"), down("earth-engine")
    with closing(Turn(tmp_path, cog, ee)) as auto:
        assert auto.ask().source == "earth-engine"
        assert not cog.fetched
        assert auto.told == ["prior: from the cache of earth-engine."]
        assert auto.ask(THERE).source == "cog"


def test_a_source_that_has_nothing_there_is_passed_over(tmp_path):
    cog, ee = Tiles("cog", zones=(31,)), Tiles("earth-engine")
    with closing(Turn(tmp_path, cog, ee)) as auto:
        assert auto.ask(THERE).source == "earth-engine"
        assert auto.ask(HERE).source == "cog", "it has not failed"


def test_water_is_an_answer(tmp_path):
    cog, ee = Tiles("cog", code=-128), Tiles("earth-engine")
    with closing(Turn(tmp_path, cog, ee)) as auto:
        field = auto.ask()
    assert (len(field), field.source, field.year) == (0, "cog", 2024)
    assert not ee.fetched


def test_nothing_anywhere_is_an_empty_prior_and_no_failure(tmp_path):
    with closing(Turn(tmp_path, Tiles("cog", zones=()), down("earth-engine"))) as auto:
        field = auto.ask()
    assert (len(field), field.source) == (0, "cog")
    assert "prior: cog has nothing at some places." in auto.told


def test_all_fail_in_one_line_that_names_each(tmp_path):
    with (
        closing(Turn(tmp_path, down("cog"), down("earth-engine"))) as auto,
        pytest.raises(Unavailable) as error,
    ):
        auto.ask()
    said = str(error.value)
    assert "\n" not in said
    for part in ("cog is down", "earth-engine is down", "fusar prior doctor", "--allow-no-prior"):
        assert part in said


def test_none_only_if_allowed_and_said_once(tmp_path):
    with closing(Turn(tmp_path, down("cog"), allow_none=True)) as auto:
        fields = [auto.ask(), auto.ask(THERE), auto.ask()]
    assert [(len(field), field.source) for field in fields] == [(0, "none")] * 3
    assert auto.told.count("prior: none at some places.") == 1


def test_a_footprint_that_is_too_large_is_a_failure_like_any_other(tmp_path):
    vast = BoundingBox(3.0, 44.0, 3.7, 44.7).footprint()
    with closing(Turn(tmp_path, Tiles("cog"))) as auto:
        auto.prior.prefetch(vast, 2024)
        with pytest.raises(Unavailable, match="too large"):
            auto.ask(vast)
    with closing(Turn(tmp_path, Tiles("cog"), allow_none=True)) as auto:
        assert auto.ask(vast).source == "none"


def test_without_any_source_it_says_that_none_is_configured():
    with pytest.raises(Unavailable, match="no source is configured"):
        FallbackSource("auto", []).prior(HERE, 2024)


def test_a_cancel_is_no_failure_of_a_source(tmp_path):
    cog, ee = Tiles("cog", fails=Cancelled("cancelled")), Tiles("earth-engine")
    with closing(Turn(tmp_path, cog, ee, allow_none=True)) as auto, pytest.raises(Cancelled):
        auto.ask()
    assert not ee.fetched


def test_warming_fetches_from_the_source_that_will_answer(tmp_path):
    cog, ee = down("cog"), Tiles("earth-engine")
    with closing(Turn(tmp_path, cog, ee)) as auto:
        auto.ask()
        arrived = threading.Event()
        fetch = ee.fetch
        ee.fetch = lambda *asked: (fetch(*asked), arrived.set())[0]
        auto.prior.prefetch(THERE, 2024)
        assert arrived.wait(20)
        before = len(ee.fetched)
        auto.prior.prefetch(HERE, 2024)
        assert auto.ask().source == "earth-engine"
        assert len(ee.fetched) >= before
    assert {tile.zone for tile in ee.fetched} == {31, 32}


# A file beside the scene.


def write_file(path, place=HERE, year=2024, values=None):
    """64-dimensional unit vectors on a grid over a place."""
    lon, lat = np.meshgrid(np.linspace(place.west, place.east, 9), np.linspace(place.south, place.north, 9))
    vectors = np.random.default_rng(0).normal(size=(lon.size, 64))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    values = vectors if values is None else values
    np.savez(path, features=values, lon=lon.ravel(), lat=lat.ravel(), year=year)
    return path


def beside(told, *files):
    return PriorBeside(files, FilePrior, told.append)


def test_it_comes_before_what_must_be_fetched_and_only_where_it_lies(tmp_path):
    cog, told = Tiles("cog"), []
    file = beside(told, write_file(tmp_path / "s_prior.npz"))
    with closing(Turn(tmp_path, cog, beside=file)) as auto:
        auto.prior.prefetch(HERE, 2024)
        field = auto.ask()
        assert (field.source, field.year) == ("file:s_prior.npz", 2024)
        assert not cog.fetched
        assert auto.ask(THERE).source == "cog"
        assert auto.ask().source == "file:s_prior.npz"
    assert told == [
        "prior: from s_prior.npz beside the scene.",
        "prior: s_prior.npz beside the scene is of another place, or does not reach all of it: passed over there.",
    ]


def test_what_is_cached_comes_before_it(tmp_path):
    with closing(Turn(tmp_path, Tiles("cog"))) as warm:
        warm.ask()
    file = beside([], write_file(tmp_path / "s_prior.npz"))
    with closing(Turn(tmp_path, down("cog"), beside=file)) as auto:
        assert auto.ask().source == "cog"
        assert auto.prior.at_hand(HERE, 2024) == "cog"
        assert auto.prior.at_hand(THERE, 2024) == "cog", "it needs no network"


def test_a_simulated_scene_takes_its_own_file_before_the_cache_of_the_real_ground(tmp_path):
    with closing(Turn(tmp_path, Tiles("cog"))) as warm:
        warm.ask()
    file = PriorBeside([write_file(tmp_path / "s_prior.npz")], FilePrior, [].append, simulated=True)
    with closing(Turn(tmp_path, Tiles("cog"), beside=file)) as auto:
        assert auto.ask().source == "file:s_prior.npz"
        assert auto.prior.at_hand(HERE, 2024) == "file"
        assert auto.ask(THERE).source == "cog"


def test_another_year_is_used_and_said(tmp_path):
    told = []
    with closing(Turn(tmp_path, beside=beside(told, write_file(tmp_path / "a.npz", year=2019)))) as auto:
        assert auto.ask(year=2024).year == 2019
        assert auto.ask(year=None).year == 2019
    assert "prior: a.npz beside the scene describes 2019, not 2024." in told


def test_what_is_wrong_with_a_file_is_said_and_the_next_is_tried(tmp_path):
    told = []
    (tmp_path / "a.npz").write_bytes(b"no arrays")
    long = write_file(tmp_path / "b.npz", values=np.full((81, 64), 9.0))
    raster = tmp_path / "c.tif"
    raster.write_bytes(b"II*\0")
    good = write_file(tmp_path / "d.npz")
    with closing(
        Turn(tmp_path, down("cog"), beside=beside(told, tmp_path / "a.npz", long, raster, good))
    ) as auto:
        assert auto.ask().source == "file:d.npz"
    assert [line.partition(" is passed over: ")[0] for line in told[:3]] == [
        f"prior: {name} beside the scene" for name in ("a.npz", "b.npz", "c.tif")
    ]


def test_a_file_that_breaks_while_it_is_read_is_passed_over_from_then_on(tmp_path, monkeypatch):
    told, file = [], write_file(tmp_path / "a.npz")

    def broken(self, footprint, year):
        raise PriorError("a.npz cannot be read: fetch it again.")

    monkeypatch.setattr(FilePrior, "prior", broken)
    with closing(Turn(tmp_path, Tiles("cog"), beside=beside(told, file))) as auto:
        assert [auto.ask().source, auto.ask().source] == ["cog", "cog"]
    assert told == ["prior: a.npz beside the scene is passed over: a.npz cannot be read: fetch it again."]


def test_the_names_beside_a_scene(tmp_path):
    for name in (
        "port.tif",
        "port_prior.tif",
        "port.prior.npz",
        "port_prior.txt",
        "prior.tif",
        "portal_prior.tif",
    ):
        (tmp_path / name).touch()
    (tmp_path / "port.prior.tif").mkdir()
    assert [path.name for path in files_beside(tmp_path / "port.tif")] == ["port_prior.tif", "port.prior.npz"]
    assert files_beside(HARBOUR.scene) == [HARBOUR.prior]


# From a word to a source.


@pytest.fixture
def sources(monkeypatch):
    """The network's sources replaced; returns those that were opened."""
    opened = []

    def open_source(name, settings, report):
        if name == "earth-engine":
            raise PriorError("Earth Engine needs its Python client: pip install earthengine-api.")
        opened.append(Tiles(name))
        return opened[-1]

    monkeypatch.setattr(source, "open_source", open_source)
    return opened


def test_auto_leaves_out_what_is_not_configured_with_one_line_that_says_why(tmp_path, sources):
    told = []
    with closing(open_prior("auto", PriorSettings(cache_folder=tmp_path), told.append)) as source:
        assert source.prior(HERE, 2024).source == "cog"
    assert told == [
        "prior: without earth-engine: Earth Engine needs its Python client: pip install earthengine-api.",
        "prior: from cog.",
    ]


def test_a_source_that_is_named_must_be_configured(tmp_path, sources):
    with pytest.raises(PriorError, match="pip install"):
        open_prior("earth-engine", PriorSettings(cache_folder=tmp_path))
    assert isinstance(open_prior("none"), NoPrior)
    assert not sources


def test_the_settings_reach_the_grid_and_the_cache(tmp_path, sources):
    settings = PriorSettings(cache_folder=tmp_path, nodes=(5, 3))
    for asked in itertools.repeat(None, 2):
        with closing(open_prior("cog", settings)) as source:
            assert len(source.prior(HERE, asked or 2024)) == 15
    assert sources[0].fetched
    assert not sources[1].fetched, "the second run reads the cache"
