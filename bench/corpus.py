"""Measure the making of a corpus and print the tables of bench/RESULTS.md.

    .venv/bin/python bench/corpus.py [speed|memory|dropped|describe ...] [--jobs N] [--scenes PATH ...]

Scenes are the sample harbour, laid side by side, as 16-bit tiled GeoTIFFs. Speed takes off what the processes need to
start, measured with a scene of one block; the peer is a plain loop: rasterio reads each slice's window, Pillow writes
it as PNG with the same compression. Describing asks an endpoint on this machine that answers after a second, and
counts tokens in its own way. Memory is the share of each process (PSS), added up over all of them, every half second.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import rasterio
from PIL import Image
from rasterio.transform import Affine
from rasterio.windows import Window
from tables import row

from fusar_gpt.samples import HARBOUR
from fusar_train.corpus.images import PNG_LEVEL
from fusar_train.corpus.slices.slice import SCALES, Fate, SliceRow

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests/training"))

ONE_BLOCK_PX, SPEED_PX, SMALL_PX, LARGE_PX = 2048, 10_240, 5_000, 30_000
PIXEL_M = 1.0
KEEP_ALL = ("--no-screen", "--keep-water", "--keep-monotonous", "--min-data", "0")
ANSWERS, IN_FLIGHT, ANSWER_S = 480, 16, 1.0
PRICES = ("--price-in", "2.5", "--price-out", "10")


@dataclass(frozen=True)
class Spent:
    """What a command took: seconds of wall clock and of all its processors, memory in bytes over time, its words."""

    wall_s: float
    cpu_s: float
    memory: Sequence[int]
    said: str

    def __sub__(self, other: Spent) -> Spent:
        return Spent(self.wall_s - other.wall_s, self.cpu_s - other.cpu_s, self.memory, self.said)

    @property
    def peak_gb(self) -> float:
        """The most memory at a time."""
        return max(self.memory, default=0) / 2**30

    def quarters_gb(self) -> list[float]:
        """The median memory of each quarter of the time."""
        return [float(np.median(part)) / 2**30 for part in np.array_split(np.array(self.memory), 4)]


def command(*words: str | Path) -> Spent:
    """Runs ``fusar-train corpus`` and measures it. Its words are shown where it fails."""
    line = [sys.executable, "-m", "fusar_train.cli", "corpus", *map(str, words)]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT)
    with sampled_memory(process.pid) as memory:
        said, _ = process.communicate()
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode:
        raise SystemExit(f"{' '.join(line)}\n{said}")
    return Spent(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, memory, said)


@contextmanager
def sampled_memory(pid: int) -> Iterator[list[int]]:
    """The memory of a process and all below it, taken every half second into the list."""
    taken: list[int] = []
    over = threading.Event()

    def sample() -> None:
        while not over.wait(0.5):
            with suppress(psutil.Error):
                root = psutil.Process(pid)
                taken.append(sum(map(share_of, (root, *root.children(recursive=True)))))

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield taken
    finally:
        over.set()
        thread.join()


def share_of(process: psutil.Process) -> int:
    """The bytes of a process, those that it shares divided among who shares them; 0 of one that ended."""
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:
        return 0


def make_scene(path: Path, side: int) -> Path:
    """A square scene of ``side`` pixels of 1 m: the sample harbour's rows and columns, repeated."""
    with rasterio.open(HARBOUR.scene) as sample:
        pixels = sample.read(1).astype(np.float64)
    grey = (1 + 60_000 * np.clip(pixels / np.quantile(pixels, 0.999), 0, 1)).astype(np.uint16)
    profile = dict(driver="GTiff", width=side, height=side, count=1, dtype="uint16", crs="EPSG:32633")
    profile.update(transform=Affine(PIXEL_M, 0, 400_000, 0, -PIXEL_M, 5_600_000), tiled=True, bigtiff="YES")
    across = np.tile(grey, (1, -(-side // grey.shape[1])))[:, :side]
    with rasterio.open(path, "w", blockxsize=512, blockysize=512, **profile) as scene:
        for top in range(0, side, 512):
            rows = np.arange(top, min(top + 512, side)) % grey.shape[0]
            scene.write(across[rows], 1, window=Window(0, top, side, len(rows)))
        scene.update_tags(FUSAR_SIMULATED="YES")
    return path


def speed(jobs: int, scenes: Sequence[Path]) -> None:
    """Slices a second against plain rasterio windows of the same size, read and written as PNG."""
    with scratch() as folder:
        one = make_scene(folder / "one.tif", ONE_BLOCK_PX)
        many = make_scene(folder / "many.tif", SPEED_PX)
        for name, options in (("screening off", KEEP_ALL), ("screening on", ())):
            start = build(one, folder / f"one {name}", jobs, *options)
            spent = build(many, folder / f"many {name}", jobs, *options) - start
            rows = rows_of(folder / f"many {name}")
            kept = sum(each.kept for each in rows)
            plain = plain_windows(many, rows, folder / f"plain {name}")
            per_cpu, wall = len(rows) / spent.cpu_s, len(rows) / spent.wall_s
            row(
                name, f"{len(rows)} cut, {kept} kept", f"{wall:.1f} /s", f"{per_cpu:.1f} /s",
                f"{len(rows) / plain.wall_s:.1f} /s", f"{len(rows) / plain.cpu_s:.1f} /s",
                f"{spent.cpu_s / plain.cpu_s:.2f}x", f"start {start.wall_s:.0f} s",
            )  # fmt: skip


def build(scene: Path, out: Path, jobs: int, *options: str) -> Spent:
    """One scene, without a prior, so that nobody is asked for one."""
    return command("build", scene, "--out", out, "--jobs", str(jobs), "--prior", "none", *options)


def rows_of(corpus: Path) -> list[SliceRow]:
    """The rows of a corpus's index."""
    from fusar_train.corpus.slices.index import read_index

    return list(read_index(corpus))


def plain_windows(scene: Path, rows: Sequence[SliceRow], out: Path) -> Spent:
    """The peer: each window read, stretched to 8 bit between two percentiles of the scene, and written."""
    out.mkdir()
    start, cpu = time.perf_counter(), time.process_time()
    with rasterio.open(scene) as raster:
        low, high = np.percentile(raster.read(1, out_shape=(1000, 1000)), (1, 99))
        for number, each in enumerate(rows):
            at = each.slice.window
            window = Window(at.col, at.row, at.width, at.height)
            pixels = raster.read(
                1,
                window=window,
                boundless=True,
                fill_value=0,
                out_shape=(each.slice.height, each.slice.width),
            )
            grey = (np.clip(pixels, low, high) - low) * (255 / (high - low))
            Image.fromarray(grey.astype(np.uint8)).save(out / f"{number}.png", compress_level=PNG_LEVEL)
    return Spent(time.perf_counter() - start, time.process_time() - cpu, (), "")


def memory(jobs: int, scenes: Sequence[Path]) -> None:
    """Memory over a scene of 30,000 x 30,000 pixels and one of 5,000 x 5,000: peak, and median of each quarter."""
    with scratch() as folder:
        for side in (SMALL_PX, LARGE_PX):
            scene = make_scene(folder / f"{side}.tif", side)
            spent = build(scene, folder / f"corpus {side}", jobs)
            count = len(rows_of(folder / f"corpus {side}"))
            quarters = ", ".join(f"{part:.2f}" for part in spent.quarters_gb())
            row(
                f"{side:,} x {side:,}", f"{count} slices", f"{spent.wall_s:.0f} s",
                f"{spent.peak_gb:.2f} GB peak", f"{quarters} GB",
            )  # fmt: skip
            scene.unlink()


def dropped(jobs: int, scenes: Sequence[Path]) -> None:
    """Share of the slices that are dropped, and why, on the sample scenes or on those given."""
    with scratch() as folder:
        chosen = scenes or [ROOT / "backend/fusar_gpt/samples"]
        command("build", *chosen, "--out", folder / "corpus", "--jobs", str(jobs), "--prior", "none")
        counts = Counter(
            (each.slice.scene, each.slice.scale, each.verdict.fate) for each in rows_of(folder / "corpus")
        )
    for scene in sorted({scene for scene, _, _ in counts}):
        for scale in SCALES:
            all_of_it = sum(counts[scene, scale, fate] for fate in Fate)
            if all_of_it:
                shares = (
                    f"{fate.value} {counts[scene, scale, fate] / all_of_it:.0%}"
                    for fate in Fate
                    if counts[scene, scale, fate]
                )
                row(scene, scale, str(all_of_it), ", ".join(shares))


def describe(jobs: int, scenes: Sequence[Path]) -> None:
    """Slices described a second, 16 in flight, each answered after a second; cost as estimated and as counted."""
    from vision_endpoint import VisionEndpoint

    with scratch() as folder, VisionEndpoint(delay=ANSWER_S) as endpoint:
        os.environ["FUSAR_CACHE"] = os.environ["XDG_CACHE_HOME"] = str(
            folder / "cache"
        )  # no answers of before
        corpus = folder / "corpus"
        small = ("--scales", "1024,512,256", "--max-px", "512")  # so that there are enough for both runs
        build(make_scene(folder / "scene.tif", SPEED_PX), corpus, jobs, *KEEP_ALL, *small)
        for when in ("by the formula", "after answers were counted"):
            words = ("--api-base", endpoint.url, "--model", "gpt-4o", "--keys", "terrain", "--yes")
            limits = ("--in-flight", str(IN_FLIGHT), "--limit", str(ANSWERS), *PRICES)
            before = len(endpoint.asked)
            spent = command("describe", corpus, *words, *limits)
            asked = [each.at for each in endpoint.asked[before:]]
            seconds = max(asked) + ANSWER_S - min(asked)  # from the first request to the last answer
            estimate, counted = (float(cost) for cost in re.findall(r", cost ([\d.e-]+)", spent.said))
            row(
                when, f"{len(asked)} requests, {endpoint.most} at once",
                f"{len(asked) / seconds:.1f} /s of {IN_FLIGHT / ANSWER_S:.0f}", f"{spent.wall_s:.0f} s in all",
                f"estimated {estimate:.4g}, counted {counted:.4g}: {100 * (estimate / counted - 1):+.1f} %",
            )  # fmt: skip


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for large files; FUSAR_BENCH_DIR says where."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("FUSAR_BENCH_DIR")) as folder:
        yield Path(folder)


PARTS = {"speed": speed, "memory": memory, "dropped": dropped, "describe": describe}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=list(PARTS), metavar="|".join(PARTS))
    parser.add_argument("--jobs", type=int, default=1, help="processes that cut")
    parser.add_argument(
        "--scenes", type=Path, nargs="*", default=[], help="for 'dropped', instead of the samples"
    )
    given = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {given.jobs} processes cut")
    for part in given.parts:
        print(f"\n{PARTS[part].__doc__.splitlines()[0]}\n")
        PARTS[part](given.jobs, given.scenes)
