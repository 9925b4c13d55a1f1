"""The cache of tiles on the disk: exact, bounded, shared by processes, and never believed when it is damaged."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_ground import ground

from fusar_gpt.errors import PriorError
from fusar_gpt.priors.cache import TileCache, default_folder
from fusar_gpt.priors.tiles import Tile

KEY = "made-v1"
TILE_BYTES = 64 * 128 * 128 + 4096  # a header more than whole blocks of the disk
EMPTY = np.full((64, 128, 128), -128, np.int8)


def tile(number: int):
    return Tile(31, number % 2 == 1, 350 + number, 3890)


def filled(cache, count, year=2024):
    for number in range(count):
        cache.put(KEY, year, {tile(number): ground(tile(number))})


def files(cache):
    return sorted(cache.folder.rglob("*.aef"), key=lambda path: path.stat().st_mtime_ns)


@pytest.fixture
def cache(tmp_path):
    return TileCache(tmp_path / "priors", 100 * TILE_BYTES)


def test_a_tile_comes_back_as_it_was_put_and_pixel_by_pixel(cache):
    assert cache.get(KEY, 2024, tile(0)) is None
    assert not cache.holds(KEY, 2024, tile(0))
    cache.put(KEY, 2024, {tile(0): ground(tile(0)), tile(1): ground(tile(1))})
    for number in (0, 1):
        codes = TileCache(cache.folder).get(KEY, 2024, tile(number))
        np.testing.assert_array_equal(codes, ground(tile(number)))
        assert codes.transpose(1, 2, 0).flags.c_contiguous
        assert cache.holds(KEY, 2024, tile(number))


def test_another_year_source_or_hemisphere_is_another_tile(cache):
    cache.put(KEY, 2024, {tile(0): ground(tile(0))})
    assert cache.get(KEY, 2023, tile(0)) is None
    assert cache.get("other-v1", 2024, tile(0)) is None
    assert cache.get(KEY, 2024, replace(tile(0), south=True)) is None
    assert cache.years(KEY) == [2024]
    assert cache.years("other-v1") == []


def test_a_tile_without_data_is_a_small_file(cache):
    cache.put(KEY, 2024, {tile(0): EMPTY})
    assert files(cache)[0].stat().st_size < 100
    np.testing.assert_array_equal(cache.get(KEY, 2024, tile(0)), EMPTY)


def damaged(content: bytes, how: str) -> bytes:
    return {
        "cut off": content[:500_000],
        "one bit": content[:700_000] + bytes([content[700_000] ^ 1]) + content[700_001:],
        "longer": content + b"x",
        "header alone": content[:8],
        "cut in the header": content[:5],
        "empty": b"",
        "zeros after a power cut": bytes(len(content)),
        "text": b"404 not found",
    }[how]


@pytest.mark.parametrize(
    "how",
    [
        "cut off", "one bit", "longer", "header alone", "cut in the header", "empty",
        "zeros after a power cut", "text",
    ],
)  # fmt: skip
def test_a_damaged_tile_is_absent_removed_and_replaced(cache, how):
    filled(cache, 1)
    (path,) = files(cache)
    path.write_bytes(damaged(path.read_bytes(), how))
    assert cache.get(KEY, 2024, tile(0)) is None
    assert not path.exists()
    filled(cache, 1)
    np.testing.assert_array_equal(cache.get(KEY, 2024, tile(0)), ground(tile(0)))


def test_a_tile_under_another_name_is_damage(cache):
    cache.put(KEY, 2024, {tile(0): ground(tile(0)), tile(2): EMPTY})
    first, second = (path for number in (0, 2) for path in files(cache) if f"{350 + number}_" in path.name)
    second.write_bytes(first.read_bytes())
    assert cache.get(KEY, 2024, tile(2)) is None
    assert cache.get(KEY, 2024, tile(0)) is not None


def test_the_tiles_read_longest_ago_go_first(tmp_path):
    cache = TileCache(tmp_path, 8 * TILE_BYTES)
    filled(cache, 7)
    now = time.time()
    for age, path in enumerate(files(cache)):
        os.utime(path, (now - 1000 + age, now - 1000 + age))
    assert cache.get(KEY, 2024, tile(0)) is not None  # now it is the newest
    cache.put(KEY, 2024, {tile(7): ground(tile(7)), tile(8): EMPTY})
    held = [number for number in range(9) if cache.holds(KEY, 2024, tile(number))]
    assert held == [0, 3, 4, 5, 6, 7, 8]


def test_it_stays_within_its_limit_without_listing_the_folder_at_each_tile(tmp_path, monkeypatch):
    cache = TileCache(tmp_path, 32 * TILE_BYTES)
    listings = []
    list_files = cache._files
    monkeypatch.setattr(cache, "_files", lambda: listings.append(1) or list_files())
    for number in range(70):
        cache.put(KEY, 2024, {tile(number): ground(tile(0))})
        assert sum(path.stat().st_size for path in tmp_path.rglob("*.aef")) <= cache.limit_bytes
    assert 10 < len(listings) <= 36
    assert len(files(cache)) >= 28


def test_what_it_holds_by_source_and_clearing_one(cache):
    filled(cache, 3)
    cache.put("other-v1", 2023, {tile(0): EMPTY})
    info = cache.info()
    assert (info.folder, info.tiles, info.limit_bytes) == (cache.folder, 4, 100 * TILE_BYTES)
    assert info.by_source == {KEY: 3 * TILE_BYTES, "other-v1": 4096}
    assert info.bytes == 3 * TILE_BYTES + 4096
    assert cache.clear(KEY) == 3
    assert cache.info().by_source == {"other-v1": 4096}
    assert cache.clear() == 1
    assert cache.info().tiles == 0


def test_clearing_touches_nothing_but_tiles(cache):
    filled(cache, 1)
    mine = [cache.folder / "letter.txt", cache.folder / "photos.aef", files(cache)[0].parent / "notes.txt"]
    for path in mine:
        path.write_text("mine")
    assert cache.clear() == 1
    assert all(path.read_text() == "mine" for path in mine)


@pytest.mark.parametrize("key", ["../..", "a/b", "", ".hidden", "a\\b", "/etc"])
def test_no_key_leads_out_of_the_folder(cache, key):
    for action in (
        lambda: cache.put(key, 2024, {tile(0): EMPTY}),
        lambda: cache.get(key, 2024, tile(0)),
        lambda: cache.clear(key),
        lambda: cache.years(key),
    ):
        with pytest.raises(PriorError, match="see the names with fusar prior cache info"):
            action()


def test_a_folder_that_cannot_be_written_says_what_to_do(tmp_path):
    (tmp_path / "priors").write_text("a file stands here")
    cache = TileCache(tmp_path / "priors")
    with pytest.raises(PriorError, match="free some space or choose another folder") as error:
        cache.put(KEY, 2024, {tile(0): EMPTY})
    assert "\n" not in str(error.value)
    assert cache.get(KEY, 2024, tile(0)) is None
    assert cache.info().tiles == 0


def test_what_a_dead_process_left_half_written_is_swept_and_a_living_one_is_left_alone(cache):
    filled(cache, 1)
    folder = files(cache)[0].parent
    old, new = folder / "old.part", folder / "new.part"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    assert cache.info().tiles == 1
    assert (old.exists(), new.exists()) == (False, True)


@pytest.mark.parametrize(
    ("platform", "variable", "value", "expected"),
    [
        ("linux", "FUSAR_CACHE", "/mine", "/mine/priors"),
        ("linux", "XDG_CACHE_HOME", "/xdg", "/xdg/fusar-gpt/priors"),
        ("linux", "HOME", "/home/me", "/home/me/.cache/fusar-gpt/priors"),
        ("win32", "LOCALAPPDATA", "/local", "/local/fusar-gpt/priors"),
        ("darwin", "HOME", "/Users/me", "/Users/me/Library/Caches/fusar-gpt/priors"),
    ],
)
def test_the_platforms_place_for_caches(monkeypatch, platform, variable, value, expected):
    for name in ("FUSAR_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setenv(variable, value)
    assert default_folder() == Path(expected)
    assert TileCache().folder == Path(expected)


WORK = """
import random, sys
sys.path.insert(0, {tests!r})
from test_prior_cache import busy
busy({folder!r}, {seed})
"""
PROCESSES, LIMIT, KINDS = 3, 12, 20


def busy(folder, seed, rounds=100):
    """Reads, writes, damages and clears at random, and dies when it ever reads what was never written."""
    rng = random.Random(seed)
    cache = TileCache(Path(folder), LIMIT * TILE_BYTES)
    wanted = {number: EMPTY if number % 5 == 0 else ground(tile(number)) for number in range(KINDS)}
    hits = 0
    for _ in range(rounds):
        number = rng.randrange(KINDS)
        codes = cache.get(KEY, 2024, tile(number))
        if codes is None:
            cache.put(KEY, 2024, {tile(number): wanted[number]})
        else:
            hits += 1
            if not np.array_equal(codes, wanted[number]):
                raise SystemExit(f"tile {number} is not what was put")
        if rng.random() < 0.05 and (paths := list(Path(folder).rglob("*.aef"))):
            try:
                with rng.choice(paths).open("r+b") as stream:
                    stream.truncate(rng.randrange(1_000_000))
            except FileNotFoundError:
                pass
        if rng.random() < 0.01:
            cache.clear()
    print(hits)


def test_several_processes_read_write_evict_and_clear_at_once(tmp_path):
    script = {"tests": str(Path(__file__).parent), "folder": str(tmp_path)}
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORK.format(**script, seed=seed)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for seed in range(PROCESSES)
    ]  # fmt: skip
    for worker in workers:
        hits, error = worker.communicate(timeout=120)
        assert worker.returncode == 0, error
        assert int(hits) > 10
    assert TileCache(tmp_path, LIMIT * TILE_BYTES).info().bytes <= (LIMIT + PROCESSES) * TILE_BYTES
    assert not list(tmp_path.rglob("*.part"))
