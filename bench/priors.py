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
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from pyproj import Transformer
from tables import row

from fusar_gpt.frames import ChipPoints, LonLatPoints
from fusar_gpt.priors import Footprint
from fusar_gpt.priors.cache import TileCache
from fusar_gpt.priors.field import Origin
from fusar_gpt.priors.retry import RetryPolicy
from fusar_gpt.priors.sampling import Sampling
from fusar_gpt.priors.tiled import TiledPrior
from fusar_gpt.priors.tiles import TILE_M, Codes, Tile

ROOT = Path(__file__).parents[1]
YEAR = 2024
SIZE = 504
EAST, NORTH = 390 * TILE_M, 3890 * TILE_M  # a corner of four tiles in zone 31 N, at about 3 E, 45 N
DEGREES = Transformer.from_crs(32631, 4326, always_xy=True)
METRES = Transformer.from_crs(4326, 32631, always_xy=True)


class Shelf:
    """A source with everything at once: ``block`` tiles a side in each fetch."""

    version: str | None = "V1"
    attribution = ""
    parallel = 4
    name = key = "shelf"

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
    real = np.load(ROOT / "training/fusar_train/simulation/aef_vectors_2024.npz")["codes"].reshape(-1, 64)
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
            first = TiledPrior(Shelf(), TileCache(Path(folder)))
            first.prior(footprint, YEAR)

            def from_memory(first: TiledPrior = first, footprint: Footprint = footprint) -> None:
                first._last = None  # as for a chip never seen
                first.prior(footprint, YEAR)

            def from_disk(folder: str = folder, footprint: Footprint = footprint) -> None:
                fresh = TiledPrior(Shelf(), TileCache(Path(folder)))
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
        again = Shelf()
        for block in (1, 2, 8):
            source = Shelf(block)
            with tempfile.TemporaryDirectory() as folder:
                for one in (source, again):
                    prior = TiledPrior(one, TileCache(Path(folder)))
                    for footprint in footprints:
                        prior.prior(footprint, YEAR)
                    prior.close()
            counts.append(str(source.fetches))
        row(name, str(alone), *counts, str(again.fetches))


def cog(runs: int) -> None:
    """Requests and bytes of COGs on a server, beside plain rasterio windows."""
    from prior_cogs import cogs

    cogs(scans())


def earth_engine(runs: int) -> None:
    """Requests and bytes of Earth Engine, beside one computePixels a chip."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests/backend"))
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
