"""Measure priors and print the tables of bench/RESULTS.md.

    .venv/bin/python bench/priors.py [warm|sampling|chips|cog|earth-engine ...] [--runs N]

What needs no server: the time of a prior that is at hand, and how many tiles overlapping chips cost. The tiles are
real AEF vectors in random order. Times are the processor's own for the thread that waits, so that other work on
the machine does not count: the least of all runs, and the median.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import rasterio
from pyproj import Transformer
from rasterio.transform import Affine
from rasterio.windows import Window
from tables import row

from fusar_gpt.frames import ChipPoints, LonLatPoints
from fusar_gpt.priors import Footprint
from fusar_gpt.priors.cache import TileCache
from fusar_gpt.priors.cog import CogTiles
from fusar_gpt.priors.field import Origin
from fusar_gpt.priors.retry import RetryPolicy
from fusar_gpt.priors.sampling import Sampling
from fusar_gpt.priors.tiled import TiledPrior
from fusar_gpt.priors.tiles import PIXEL_M, TILE_M, Codes, Tile

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests/backend"))
from aef_files import VECTORS, rows, write_gpkg  # noqa: E402
from loopback_ranges import Ranges, ranges  # noqa: E402

YEAR = 2024
SIZE = 504
EAST, NORTH = 390 * TILE_M, 3890 * TILE_M  # a corner of four tiles in zone 31 N, at about 3 E, 45 N
DEGREES = Transformer.from_crs(32631, 4326, always_xy=True)
METRES = Transformer.from_crs(4326, 32631, always_xy=True)
NAME = f"{YEAR}/31N/xpublished0000000-0000000000-0000000000.tiff"
SIDE, BLOCK = 8192, 1024
TRANSFORM = Affine(PIXEL_M, 0, 491_520, 0, PIXEL_M, 4_915_200)


class InstantSource:
    """A source with everything at once: ``block`` tiles a side in each fetch."""

    version: str | None = "V1"
    attribution = ""
    parallel = 4
    name = key = "instant"

    def __init__(self, block: int = 1) -> None:
        self.block = block
        self.fetches = 0

    def years(self, tile: Tile, retry: RetryPolicy) -> Sequence[int]:
        """One."""
        return (YEAR,)

    def fetch(self, tile: Tile, year: int, retry: RetryPolicy) -> Mapping[Tile, Codes]:
        """The block, counted."""
        self.fetches += 1
        left, low = (side // self.block * self.block for side in (tile.col, tile.row))
        return {
            Tile(tile.zone, tile.south, left + i, low + j): codes()
            for i in range(self.block)
            for j in range(self.block)
        }


@cache
def codes() -> Codes:
    """A tile of real vectors."""
    real = np.load(VECTORS)["codes"].reshape(-1, 64)
    pixels = real[np.random.default_rng(0).integers(0, len(real), (128, 128))]
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def chip(left: float, bottom: float, side: float = 1000.0) -> Footprint:
    """A chip of a UTM scene, by its lower left corner in metres, mapped as a scene maps it."""

    def lonlat_to_chip(points: LonLatPoints) -> ChipPoints:
        x, y = METRES.transform(points.x, points.y)
        return ChipPoints((x - left) / side * SIZE, (bottom + side - y) / side * SIZE)

    lon, lat = DEGREES.transform(left + side * np.array([0, 1, 1, 0]), bottom + side * np.array([0, 0, 1, 1]))
    box = lon.min(), lat.min(), lon.max(), lat.max()
    return Footprint(*box, SIZE, SIZE, lonlat_to_chip, lambda points: ChipPoints(points.x, points.y), 9, 9)


def measured(action: Callable[[], object], runs: int) -> str:
    """Milliseconds of this thread: least and median."""
    action()
    times = []
    for _ in range(runs):
        start = time.thread_time()
        action()
        times.append(1000 * (time.thread_time() - start))
    return f"{min(times):.2f} ms ({np.median(times):.2f})"


def warm(runs: int) -> None:
    """A prior of 1 km^2, default nodes, all at hand; aim: under 5 ms."""
    row("1 km^2 prior, warm", "tiles", "from memory", "from disk")
    row(*["---"] * 4)
    for name, place in {
        "inside one tile": (EAST + 140, NORTH + 140),
        "over a corner": (EAST - 500, NORTH - 500),
    }.items():
        with tempfile.TemporaryDirectory() as folder:
            footprint = chip(*place)
            first = TiledPrior(InstantSource(), TileCache(Path(folder)))
            first.prior(footprint, YEAR)

            def from_memory(first: TiledPrior = first, footprint: Footprint = footprint) -> None:
                first._samples.cache_clear()  # as for a chip never seen
                first.prior(footprint, YEAR)

            def from_disk(folder: str = folder, footprint: Footprint = footprint) -> None:
                fresh = TiledPrior(InstantSource(), TileCache(Path(folder)))
                fresh.prior(footprint, YEAR)
                fresh.close()

            tiles = len(Sampling().samples(footprint).tiles)
            row(name, str(tiles), measured(from_memory, runs), measured(from_disk, runs))
            first.close()


def sampling(runs: int) -> None:
    """100 x 100 nodes over 1 km^2 and over 5 km, step by step; aim: under 5 ms."""
    row("nodes", "tiles", "where", "values", "unit length", "all")
    row(*["---"] * 6)
    for name, settings, side in (
        ("100 x 100, nearest, 1 km", Sampling((100, 100)), 1000.0),
        ("100 x 100, bilinear, 1 km", Sampling((100, 100), "bilinear"), 1000.0),
        ("16 x 16, cells averaged, 1 km", Sampling(), 1000.0),
        ("16 x 16, cells averaged, 5 km", Sampling(), 5000.0),
    ):
        footprint = chip(EAST - side / 2, NORTH - side / 2, side)
        samples = settings.samples(footprint)
        tiles = dict.fromkeys(samples.tiles, codes().transpose(1, 2, 0).copy().transpose(2, 0, 1))
        values = samples.values(tiles.__getitem__)
        steps = (
            lambda: settings.samples(footprint),  # noqa: B023
            lambda: samples.values(tiles.__getitem__),  # noqa: B023
            lambda: footprint.field(values, samples.chip, samples.lonlat, Origin("")),  # noqa: B023
        )
        everything = measured(lambda: [step() for step in steps], runs)  # noqa: B023
        row(name, str(len(tiles)), *(measured(step, runs) for step in steps), everything)


def scans() -> Iterator[tuple[str, list[Footprint]]]:
    """Overlapping chips: looks around one object, and scans with half a chip of overlap."""
    for count in (1, 10, 100):
        around = [chip(EAST + 100 + 7 * i, NORTH + 100 + 5 * i, 500) for i in range(count)]
        yield f"{count} x 500 m, 7 m apart", around
    for count in (1, 10, 100):
        wide = math.ceil(math.sqrt(count))
        yield (
            f"{count} x 1 km, half overlapping",
            [chip(EAST + 140 + 500 * (i % wide), NORTH + 140 + 500 * (i // wide)) for i in range(count)],
        )


def chips(runs: int) -> None:
    """Fetches of overlapping chips, cold and warm. Rows of the real sources come below these."""
    row("chips", "tiles, each chip by itself", "one tile a fetch", "2 x 2 (EE)", "8 x 8 (COG)", "second time")
    row(*["---"] * 6)
    for name, footprints in scans():
        alone = sum(len(Sampling().samples(one).tiles) for one in footprints)
        counts = []
        again = InstantSource()
        for block in (1, 2, 8):
            source = InstantSource(block)
            with tempfile.TemporaryDirectory() as folder:
                for one in (source, again):
                    prior = TiledPrior(one, TileCache(Path(folder)))
                    for footprint in footprints:
                        prior.prior(footprint, YEAR)
                    prior.close()
            counts.append(str(source.fetches))
        row(name, str(alone), *counts, str(again.fetches))


def windows(chips: Iterable[Footprint]) -> list[Window]:
    """The pixels of each chip."""
    found = []
    for chip in chips:
        x, y = METRES.transform(
            [chip.west, chip.east, chip.east, chip.west], [chip.south] * 2 + [chip.north] * 2
        )
        col, row = ~TRANSFORM @ (np.array(x), np.array(y))
        left, top = int(col.min()), int(row.min())
        found.append(Window(left, top, int(col.max()) - left + 1, int(row.max()) - top + 1))
    return found


def write_published(path: Path, chips: Iterable[Footprint]) -> None:
    """The file, with data in the blocks that the chips touch; the other blocks take no room."""
    real = np.load(VECTORS)["codes"].reshape(-1, 64)
    random = np.random.default_rng(0)
    blocks = {
        (row // BLOCK, col // BLOCK)
        for one in windows(chips)
        for row in (one.row_off, one.row_off + one.height - 1)
        for col in (one.col_off, one.col_off + one.width - 1)
    }
    filled = [(place, real[random.integers(0, len(real), BLOCK * BLOCK)]) for place in sorted(blocks)]
    path.parent.mkdir(parents=True)
    profile = {
        "count": 64,
        "width": SIDE,
        "height": SIDE,
        "dtype": "int8",
        "nodata": -128,
        "crs": "EPSG:32631",
    }
    layout = {
        "tiled": True,
        "blockxsize": BLOCK,
        "blockysize": BLOCK,
        "interleave": "band",
        "compress": "zstd",
    }
    with rasterio.open(
        path, "w", driver="GTiff", transform=TRANSFORM, sparse_ok=True, bigtiff="YES", **profile, **layout
    ) as raster:
        for band in range(64):  # band after band, as the published files lie
            for (row, col), codes in filled:
                window = Window(col * BLOCK, row * BLOCK, BLOCK, BLOCK)
                raster.write(codes[:, band].reshape(BLOCK, BLOCK), band + 1, window=window)


def cost(server: Ranges) -> tuple[int, float]:
    """Requests and megabytes since the last call."""
    asked = server.asked()
    server.play()
    return len(asked), sum(row["sent"] for row in asked) / 1e6


def wanted(chips: Iterable[Footprint]) -> float:
    """Megabytes of the pixels on the chips, each once."""
    pixels = np.zeros((SIDE, SIDE), bool)
    for window in windows(chips):
        pixels[window.toslices()] = True
    return 64 * np.count_nonzero(pixels) / 1e6


def cog(runs: int) -> None:
    """Requests and bytes of COGs on a server, beside plain rasterio windows.

    The file has the size and the layout of a published one, 8192 x 8192 x 64 in blocks of 1024 x 1024, and real
    vectors in random order where the chips lie. It is served by tests/backend/loopback_ranges.py from a process of
    its own, under a name of its own for each run, so that GDAL has nothing of it in memory.
    """
    row("chips", "wanted", "cold", "wanted / fetched", "warm", "plain rasterio windows", "wanted / fetched")
    row(*["---"] * 7)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_published(folder / NAME, [chip for _, chips in scans() for chip in chips])
        write_gpkg(folder / "aef_index.gpkg", rows(folder))
        with ranges(folder) as server:
            for number, (name, chips) in enumerate(scans()):
                root = f"run{number}"
                (folder / root).symlink_to(folder)
                megabytes = wanted(chips)
                asked, fetched = cold(f"{server.url}/{root}", chips, folder / f"cache{number}", server)
                again, fetched_again = cold(f"{server.url}/{root}", chips, folder / f"cache{number}", server)
                plain, fetched_plain = naive(f"{server.url}/{root}//{NAME}", chips, server)
                row(
                    name,
                    f"{megabytes:.2f} MB",
                    f"{asked} requests, {fetched:.1f} MB",
                    f"{megabytes / fetched:.1%}",
                    f"{again} requests, {fetched_again:.0f} MB",
                    f"{plain} requests, {fetched_plain:.1f} MB",
                    f"{megabytes / fetched_plain:.1%}",
                )


def cold(root: str, chips: list[Footprint], cache: Path, server: Ranges) -> tuple[int, float]:
    """As a new process asks for chip after chip; the second time it is warm."""
    server.play()
    source = CogTiles(root, folder=cache / "index")
    prior = TiledPrior(source, TileCache(cache), retry=RetryPolicy(120))
    for chip in chips:
        assert len(prior.prior(chip, YEAR)) > 0
    prior.close()
    source.close()
    return cost(server)


def naive(url: str, chips: list[Footprint], server: Ranges) -> tuple[int, float]:
    """The window of each chip, as a careful script reads it."""
    server.play()
    with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"):
        for window in windows(chips):
            with rasterio.open(url) as raster:
                raster.read(window=window)
    return cost(server)


def earth_engine(runs: int) -> None:
    """Requests and bytes of Earth Engine, beside one computePixels a chip."""
    from loopback_earth_engine import compare_fetches, loopback_earth_engine

    row("1.28 km chips, half overlapping", "fetched as", "requests", "received and sent")
    row(*["---"] * 4)
    with tempfile.TemporaryDirectory() as folder, loopback_earth_engine() as server:
        for cost in compare_fetches(server, Path(folder)):
            row(str(cost["chips"]), cost["way"], str(cost["requests"]), f"{cost['bytes'] / 1e6:.1f} MB")


PARTS = {"warm": warm, "sampling": sampling, "chips": chips, "cog": cog, "earth-engine": earth_engine}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", default=[*PARTS], help=", ".join(PARTS))
    parser.add_argument("--runs", type=int, default=50)
    options = parser.parse_args()
    for part in options.parts:
        PARTS[part](options.runs)
        print()
