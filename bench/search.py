"""Measure the index of a scene and searches in it, and print the tables of bench/RESULTS.md.

    .venv/bin/python bench/search.py [rate|memory|query ...] [--rows 40]

On one thread of torch; reading has a thread of its own. The peer of the rate is the encoder alone, on images that are
in memory. ``memory`` indexes a 30,000 x 30,000 scene in processes of their own: all of it without a model, and with one
the first ``--rows`` rows of slices (0: all 267).
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
from numpy.typing import NDArray
from tables import row

from fusar_gpt.contract import SearchRequest
from fusar_gpt.imagery import Scene, open_scene
from fusar_gpt.retrieval import load_klip
from fusar_gpt.retrieval.encoder import Encoder, KlipEncoder, open_encoder
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
    encoder.embed_images(images)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "scene.tif")
        make_scene(path, 4_000, 3.0)
        alone, whole = [], []
        for turn in range(5):
            alone.append(np.divide(seconds(encoder.embed_images, images), len(images)))
            with opened(path, Path(folder, f"index-{turn}"), encoder) as (scene, index):
                numbers = index.missing(np.ones(len(index.lattice), bool))
                whole.append(np.divide(seconds(list, fill(index, numbers, scene, encoder)), len(numbers)))
    (wall, busy), (index_wall, index_busy) = np.median(alone, axis=0), np.median(whole, axis=0)
    row(f"{len(numbers):,} slices, median of 5", "slices a second", "processor time a slice")
    row("---", "---", "---")
    row("encoder alone", f"{1 / wall:.0f} /s", f"{1000 * busy:.2f} ms")
    row("index", f"{1 / index_wall:.0f} /s", f"{1000 * index_busy:.2f} ms")
    row("encoder / index (aim: 85 %)", f"{100 * wall / index_wall:.0f} %", f"{100 * busy / index_busy:.0f} %")
    for pixel_m in (3.0, 10.0):  # half overlapping slices: each brings a quarter of its own ground
        ground = (encoder.image_px / 2 * pixel_m / 1000) ** 2
        row(f"km2 a second at {pixel_m:.0f} m", f"{ground / index_wall:.0f}", "")


class NoModel(KlipEncoder):
    """Gives every image the same vector at once, so that a whole large scene is soon read."""

    def embed_images(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Vectors of length 1."""
        return np.full((len(images), self.dimensions), self.dimensions**-0.5, np.float32)


def memory(rows: int) -> None:
    """Peak memory while a large scene is indexed: the whole without a model, and a part with it."""
    row(f"{SIDE:,} x {SIDE:,}", "slices", "time", "peak before", "after each quarter")
    row(*["---"] * 5)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "large.tif")
        make_scene(path, SIDE, 3.0)
        for what, part, count in (("without a model", "_read", 0), ("klip-tiny", "_index", rows)):
            command = [sys.executable, __file__, part, "--rows", str(count), "--path", str(path)]
            reply = subprocess.run(command, check=True, capture_output=True, text=True)
            told = json.loads(reply.stdout)
            row(
                what,
                f"{told['slices']:,} of {told['all']:,}",
                f"{told['seconds']:.0f} s",
                f"{told['before']:.2f} GB",
                ", ".join(f"{peak:.2f}" for peak in told["peaks"]) + " GB",
            )


def scan(path: Path, rows: int, model: bool) -> None:
    """The child of :func:`memory`."""
    encoder = open_encoder(device="cpu") if model else NoModel(load_klip("klip-tiny", device="cpu"))
    encoder.embed_images(np.zeros((256, encoder.image_px, encoder.image_px), np.uint8))
    with opened(path, path.parent / f"index-{model}", encoder) as (scene, index):
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
                found.append(seconds(list, search(request, encoder, folder=root))[0])
            text = min(seconds(encoder.embed_texts, [TEXT])[0] for _ in range(20))
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


def seconds(work: Callable[..., object], *given: object) -> tuple[float, float]:
    """How long something takes, and how much of the processor all threads of this process take for it."""
    begun, busy = time.perf_counter(), time.process_time()
    work(*given)
    return time.perf_counter() - begun, time.process_time() - busy


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
            "_read": lambda: scan(args.path, args.rows, False),
            "_index": lambda: scan(args.path, args.rows, True),
        }[part]()
        print()


if __name__ == "__main__":
    main()
