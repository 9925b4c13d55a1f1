"""Measure speed and memory and print the tables of bench/RESULTS.md.

    .venv/bin/python bench/run.py [demo|share|large ...]

Every part runs in a process of its own, so that peak memory is that part's. Peers stand beside our figures.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from affine import Affine
from tables import row, timed

from fusar_gpt.contract import Finished, Progress
from fusar_gpt.engine import LocalEngine
from fusar_gpt.findings import write_geopackage
from fusar_gpt.imagery import Area
from fusar_gpt.interpret import interpret
from fusar_gpt.model import load_checkpoint
from fusar_gpt.planning import request_for
from fusar_gpt.samples import HARBOUR
from fusar_gpt.tasks import Task

LARGE_SIDE = 30_000
LARGE_PIXEL_M = 10.0


def demo() -> None:
    """The demo's whole interpretation: first start to last file."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "fusar_gpt", "demo", "--out", folder],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    row("`fusar demo`, process start to files written", f"{seconds:.1f} s", f"{peak:.2f} GB peak")


def share() -> None:
    """Share of a detection run's time that is spent outside the model, on the sample scene with its prior."""
    engine = LocalEngine(load_checkpoint("tiny"))
    spent = 0.0
    answer = engine.answer

    def timed_answer(*args: Any) -> Any:
        nonlocal spent
        start = time.perf_counter()
        replies = answer(*args)
        spent += time.perf_counter() - start
        return replies

    engine.answer = timed_answer  # type: ignore[method-assign]
    order = request_for(HARBOUR.scene, Task.DETECT, targets=("ship",), prior=str(HARBOUR.prior), overlap=0.5)
    list(interpret(order, engine))
    spent = 0.0
    with tempfile.TemporaryDirectory() as folder:

        def run() -> None:
            *_, last = interpret(order, engine)
            assert isinstance(last, Finished)
            write_geopackage(Path(folder, "findings.gpkg"), [last.run], last.findings)

        total = timed(run)
    row(
        "reading, prior, parsing, merging, writing", f"{100 * (1 - spent / total):.1f} %", f"of {total:.2f} s"
    )


def large() -> None:
    """Peak memory on a 30,000 x 30,000 float32 scene: a small area, and 200 chips; the peer reads the band whole."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("FUSAR_BENCH_DIR")) as folder:
        path = Path(folder, "large.tif")
        make_large(path)
        for name in ("small", "scan", "peer"):
            reply = subprocess.run(
                [sys.executable, __file__, f"_{name}", str(path)], check=True, capture_output=True, text=True
            )
            facts = json.loads(reply.stdout.splitlines()[-1])
            row(facts["what"], f"{facts['seconds']:.1f} s", f"{facts['peak_gb']:.2f} GB peak")


def make_large(path: Path) -> None:
    """Tiled float32 power with speckle and a bright object in every block; uncompressed, 3.6 GB."""
    block = 1024
    generator = np.random.default_rng(0)
    tile = generator.gamma(4.0, 0.01, (block, block)).astype(np.float32)
    tile[500:510, 500:530] = 5.0
    profile = dict(
        driver="GTiff", width=LARGE_SIDE, height=LARGE_SIDE, count=1, dtype="float32", crs="EPSG:32633"
    )
    profile.update(
        transform=Affine(LARGE_PIXEL_M, 0, 400_000, 0, -LARGE_PIXEL_M, 5_600_000), tiled=True, bigtiff="YES"
    )
    with rasterio.open(path, "w", blockxsize=512, blockysize=512, **profile) as scene:
        for row_off in range(0, LARGE_SIDE, block):
            for col_off in range(0, LARGE_SIDE, block):
                height, width = min(block, LARGE_SIDE - row_off), min(block, LARGE_SIDE - col_off)
                window = rasterio.windows.Window(col_off, row_off, width, height)
                scene.write(tile[:height, :width], 1, window=window)


def _scan(path: str, side_m: float) -> int:
    x, y = 400_000 + 100_000, 5_600_000 - 100_000
    area = Area.from_bbox(x, y - side_m, x + side_m, y, crs="EPSG:32633")
    engine = LocalEngine(load_checkpoint("tiny"))
    events = interpret(
        request_for(Path(path), Task.DETECT, targets=("ship",), area=area, overlap=0.0, prior="none"), engine
    )
    return sum(isinstance(event, Progress) for event in events)


def in_child(name: str, path: str) -> None:
    """One part of ``large``; prints its facts as JSON."""
    start = time.perf_counter()
    if name == "_peer":
        with rasterio.open(path) as scene:
            band = scene.read(1)
        what = f"peer: rasterio reads the band whole ({band.nbytes / 2**30:.1f} GB), no model"
    else:
        side = {"_small": 0.9, "_scan": 14.2}[name] * max(
            load_checkpoint("tiny").card.ground_m or 0, 112 * LARGE_PIXEL_M
        )
        what = f"{_scan(path, side)} chips of a 30,000 x 30,000 float32 scene"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"what": what, "seconds": time.perf_counter() - start, "peak_gb": peak}))


PARTS = {"demo": demo, "share": share, "large": large}

if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1].startswith("_"):
        in_child(sys.argv[1], sys.argv[2])
    else:
        parser = argparse.ArgumentParser(description=__doc__)
        parser.add_argument("parts", nargs="*", default=list(PARTS))
        print(
            f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}"
        )
        for part in parser.parse_args().parts:
            print(f"\n{PARTS[part].__doc__.splitlines()[0]}\n")
            PARTS[part]()
