"""Measure the index of a scene and searches in it, and print the tables of bench/RESULTS.md.

    .venv/bin/python bench/search.py [rate|memory|query ...] [--rows 40]

On one thread of torch; reading has a thread of its own. The peer of the rate is the encoder alone, on images that are
in memory. ``memory`` indexes the first ``--rows`` rows of slices of a 30,000 x 30,000 scene (0: all 267) in a process
of its own, and tells the peak after each quarter: if memory grew with the scene, so would they.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import rasterio
import torch
from affine import Affine
from tables import row

from fusar_gpt.contract import SearchRequest
from fusar_gpt.imagery import Scene, open_scene
from fusar_gpt.retrieval.encoder import Encoder, open_encoder
from fusar_gpt.retrieval.index import SceneIndex, fill, scene_index
from fusar_gpt.retrieval.index_folder import DATA, VECTORS
from fusar_gpt.search import search

SIDE = 30_000
GROUND_M = 672.0
TEXT = "three ships in a harbour"


def make_scene(path: Path, side: int, pixel_m: float) -> None:
    """Tiled 16-bit amplitudes: a block of speckle with a ship, again and again, so that it is soon made."""
    block = 512
    random = np.random.default_rng(0)
    tile = (400 * np.sqrt(random.exponential(size=(block, block)))).astype(np.uint16) + 1
    tile[250:256, 250:280] = 9000
    profile = {
        "driver": "GTiff",
        "width": side,
        "height": side,
        "count": 1,
        "dtype": "uint16",
        "crs": "EPSG:32633",
    }
    profile |= {
        "transform": Affine(pixel_m, 0, 400_000, 0, -pixel_m, 5_600_000),
        "tiled": True,
        "bigtiff": "YES",
    }
    with rasterio.open(path, "w", blockxsize=block, blockysize=block, **profile) as scene:
        for top in range(0, side, block):
            rows = np.tile(tile, (1, -(-side // block)))[: min(block, side - top), :side]
            scene.write(rows, 1, window=rasterio.windows.Window(0, top, *rows.shape[::-1]))


@contextmanager
def opened(path: Path, root: Path, encoder: Encoder) -> Iterator[tuple[Scene, SceneIndex]]:
    """A scene and its index of slices of 224 scene pixels that overlap by half."""
    with open_scene(path) as scene, scene_index(scene, encoder, GROUND_M, folder=root) as index:
        yield scene, index


def rate() -> None:
    """Slices a second against the encoder alone, turn about, and the ground that this is."""
    encoder = open_encoder(device="cpu")
    images = np.random.default_rng(0).integers(
        0, 256, (256, encoder.image_px, encoder.image_px), dtype=np.uint8
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "scene.tif")
        make_scene(path, 4_000, 3.0)
        alone, whole = [], []
        for turn in range(3):
            alone.append(len(images) / seconds(encoder.embed_images, images))
            with opened(path, Path(folder, f"index-{turn}"), encoder) as (scene, index):
                numbers = index.missing(np.ones(len(index.lattice), bool))
                whole.append(len(numbers) / seconds(list, fill(index, numbers, scene, encoder)))
    shares = sorted(one / other for one, other in zip(whole, alone, strict=True))
    # Half overlapping slices: each brings a quarter of its own ground.
    ground = [max(whole) * (encoder.image_px / 2 * pixel_m / 1000) ** 2 for pixel_m in (3.0, 10.0)]
    row("", "encoder alone", "index", "index / encoder, median (range)", "km2/s at 3 m", "km2/s at 10 m")
    row(*["---"] * 6)
    row(
        f"{len(numbers):,} slices, best of 3",
        f"{max(alone):.0f} /s",
        f"{max(whole):.0f} /s",
        f"{100 * shares[1]:.0f} % ({100 * shares[0]:.0f} to {100 * shares[2]:.0f} %)",
        *(f"{one:.1f}" for one in ground),
    )


def memory(rows: int) -> None:
    """Peak memory while a large scene is indexed, after each quarter of it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "large.tif")
        make_scene(path, SIDE, 3.0)
        reply = subprocess.run(
            [sys.executable, __file__, "_scan", "--rows", str(rows), "--path", str(path)],
            check=True,
            capture_output=True,
            text=True,
        )
    told = json.loads(reply.stdout)
    row(f"{SIDE:,} x {SIDE:,}, {told['slices']:,} of {told['all']:,} slices", "peak memory")
    row("---", "---")
    row("model loaded, scene sampled", f"{told['before']:.2f} GB")
    for quarter, peak in enumerate(told["peaks"], 1):
        row(f"after quarter {quarter}", f"{peak:.2f} GB")
    row("time, slices a second", f"{told['seconds']:.0f} s, {told['slices'] / told['seconds']:.0f} /s")


def scan(path: Path, rows: int) -> None:
    """The child of :func:`memory`."""
    encoder = open_encoder(device="cpu")
    encoder.embed_images(np.zeros((256, encoder.image_px, encoder.image_px), np.uint8))
    with opened(path, path.parent / "index", encoder) as (scene, index):
        numbers = np.arange((rows or len(index.lattice.tops)) * len(index.lattice.lefts))
        before, peaks, begun = peak_gb(), [], time.perf_counter()
        for done in fill(index, numbers, scene, encoder):
            while done * 4 >= (len(peaks) + 1) * len(numbers):
                peaks.append(peak_gb())
        told = {"before": before, "peaks": peaks, "seconds": time.perf_counter() - begun}
        print(json.dumps(told | {"slices": len(numbers), "all": len(index.lattice)}))


def peak_gb() -> float:
    """The most memory that this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def query() -> None:
    """A whole search for words in an index that is complete, its files cold and warm."""
    encoder = open_encoder(device="cpu")
    row("a search for words, 20 places", "files cold", "files warm, median of 20 (longest)", "of it the text")
    row(*["---"] * 4)
    with tempfile.TemporaryDirectory() as folder:
        path, root = Path(folder, "scene.tif"), Path(folder, "index")
        for side, count in ((2_400, 10_000), (10_100, 200_000)):
            make_scene(path, side, 3.0)
            request = SearchRequest(str(path), (TEXT,), overlap=0.9, heat=False)
            with open_scene(path) as scene, scene_index(scene, encoder, GROUND_M, 0.9, root) as index:
                count = len(index.lattice)
                vectors = np.random.default_rng(0).normal(size=index.vectors.shape).astype(np.float32)
                index.vectors[:] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
                index.data[:] = 100
                files = [index.folder / name for name in (VECTORS, DATA)] if index.folder else []
            del index
            found = []
            for turn in range(22):  # the first one samples the scene
                if turn == 1:
                    drop(files)
                found.append(seconds(list, search(request, encoder, folder=root)))
            text = min(seconds(encoder.embed_texts, [TEXT]) for _ in range(20))
            row(
                f"{count:,} slices",
                f"{1000 * found[1]:.0f} ms",
                f"{1000 * float(np.median(found[2:])):.0f} ms ({1000 * max(found[2:]):.0f} ms)",
                f"{1000 * text:.1f} ms",
            )


def drop(files: list[Path]) -> None:
    """What of files is in memory is forgotten."""
    for file in files:
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def seconds(work: Callable[..., object], *given: object) -> float:
    """How long something takes."""
    begun = time.perf_counter()
    work(*given)
    return time.perf_counter() - begun


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=["rate", "memory", "query"])
    parser.add_argument("--rows", type=int, default=40)
    parser.add_argument("--path", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    for part in args.parts:
        {
            "rate": rate,
            "memory": lambda: memory(args.rows),
            "query": query,
            "_scan": lambda: scan(args.path, args.rows),
        }[part]()
        print()


if __name__ == "__main__":
    main()
