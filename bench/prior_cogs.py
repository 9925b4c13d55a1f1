"""What chips cost from COGs on a server: requests and bytes, beside plain rasterio windows.

    .venv/bin/python bench/prior_cogs.py

``bench/priors.py`` calls ``cogs`` with the chips of its table. The file has the size and the layout of a published
one, 8192 x 8192 x 64 in blocks of 1024 x 1024, and real vectors in random order where the chips lie. It is served by
tests/backend/loopback_ranges.py from a process of its own, under a name of its own for each run, so that GDAL has
nothing of it in memory.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import rasterio
from pyproj import Transformer
from rasterio.transform import Affine
from rasterio.windows import Window
from tables import row

from fusar_gpt.priors import Footprint
from fusar_gpt.priors.cache import TileCache
from fusar_gpt.priors.cog import CogTiles
from fusar_gpt.priors.retry import RetryPolicy
from fusar_gpt.priors.tiled import TiledPrior
from fusar_gpt.priors.tiles import PIXEL_M

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests/backend"))
from aef_files import VECTORS, rows, write_gpkg  # noqa: E402
from loopback_ranges import Ranges, ranges  # noqa: E402

YEAR = 2024
NAME = f"{YEAR}/31N/xpublished0000000-0000000000-0000000000.tiff"
SIDE, BLOCK = 8192, 1024
TRANSFORM = Affine(PIXEL_M, 0, 491_520, 0, PIXEL_M, 4_915_200)
METRES = Transformer.from_crs(4326, 32631, always_xy=True)


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


def cogs(scans: Iterable[tuple[str, list[Footprint]]]) -> None:
    """A table row for each scan."""
    scans = list(scans)
    row("chips", "wanted", "cold", "wanted / fetched", "warm", "plain rasterio windows", "wanted / fetched")
    row(*["---"] * 7)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_published(folder / NAME, [chip for _, chips in scans for chip in chips])
        write_gpkg(folder / "aef_index.gpkg", rows(folder))
        with ranges(folder) as server:
            for number, (name, chips) in enumerate(scans):
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


if __name__ == "__main__":
    from priors import scans

    cogs(scans())
