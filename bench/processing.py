"""Measure a Processing batch against the same work by the command line and print the table of bench/RESULTS.md.

    .venv/bin/python bench/processing.py [--runs N]

The batch is a real ``qgis_process run fusar:detect``, which starts ``fusar serve`` as a child; the command line is one
``fusar interpret`` a scene. First a large area on each of three scenes, the same chips for both; then 40 areas of one
chip each, which the command line cannot do in one go: its time a chip is set beside. What a single chip takes is
start-up (QGIS, Python, torch, the model) and is taken off to have the time a chip.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from tables import row

from fusar_gpt.samples import HARBOUR

ROOT = Path(__file__).resolve().parents[1]
FUSAR = os.environ.get("FUSAR_EXECUTABLE") or str(ROOT / ".venv" / "bin" / "fusar")
SCENES = 3
PER_SIDE = 2
SMALL_M = 600.0
AREAS = 40


def write_scene(path: Path) -> tuple[float, float, str, float]:
    """The sample scene, side by side until it is large; its left and top edge, its CRS, its side in metres."""
    with rasterio.open(HARBOUR.scene) as sample:
        pixels = np.tile(sample.read(1), (PER_SIDE, PER_SIDE))
        profile = sample.profile | {"height": pixels.shape[0], "width": pixels.shape[1]}
        transform: Affine = sample.transform
        with rasterio.open(path, "w", **profile) as scene:
            scene.write(pixels, 1)
        side = transform.a * min(pixels.shape)
        return transform.c, transform.f, str(sample.crs), side


def write_squares(path: Path, left: float, top: float, crs: str, side: float, count: int = 1) -> Path:
    """Squares of a side in metres, in rows of eight."""
    features = []
    for number in range(count):
        x, y = left + 100 + 300 * (number % 8), top - 100 - 300 * (number // 8)
        ring = [[x, y], [x + side, y], [x + side, y - side], [x, y - side], [x, y]]
        shape = {"type": "Polygon", "coordinates": [ring]}
        features.append({"type": "Feature", "properties": {}, "geometry": shape})
    named = {"type": "name", "properties": {"name": f"urn:ogc:def:crs:{crs.replace(':', '::')}"}}
    path.write_text(json.dumps({"type": "FeatureCollection", "crs": named, "features": features}))
    return path


def environment(home: Path) -> dict[str, str]:
    """For both: few threads; for QGIS: a profile of its own."""
    return {
        "PATH": os.defpath,
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "XDG_RUNTIME_DIR": str(home),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
        "HF_HUB_OFFLINE": "1",
        "QT_QPA_PLATFORM": "offscreen",
        "QGIS_CUSTOM_CONFIG_PATH": str(home / "qgis"),
        "QGIS_PLUGINPATH": str(ROOT),
        "FUSAR_EXECUTABLE": FUSAR,
    }


def timed(words: list[str], home: Path) -> tuple[float, str]:
    """How long a command takes, from start to end, and what it says."""
    begun = time.perf_counter()
    done = subprocess.run(words, env=environment(home), check=True, capture_output=True, text=True)
    return time.perf_counter() - begun, done.stdout + done.stderr


def batch(scenes: list[Path], areas: Path, home: Path) -> float:
    """Seconds of one batch."""
    words = ["qgis_process.bin", "run", "fusar:detect", *(f"--INPUT={scene}" for scene in scenes)]
    words += [f"--AREAS={areas}", "--TARGETS=ship", f"--DETECTIONS={home / 'batch.gpkg'}"]
    return timed(words, home)[0]


def command(scene: Path, area: Path, home: Path) -> tuple[float, int]:
    """Seconds and chips of one ``fusar interpret``."""
    words = [FUSAR, "interpret", str(scene), "--area", str(area), "--task", "detect", "--target", "ship"]
    words += ["--prior", "none"]
    taken, said = timed([*words, "--out", str(home / "cli.gpkg")], home)
    return taken, int(re.findall(r"of (\d+) chips", said)[-1])


def measure(home: Path, runs: int) -> None:
    """Take all times ``runs`` times, in turns, and print the medians."""
    scenes = [home / f"scene{number}.tif" for number in range(SCENES)]
    places = [write_scene(scene) for scene in scenes]
    left, top, crs, side = places[0]
    one = write_squares(home / "one.geojson", left, top, crs, SMALL_M)
    large = write_squares(home / "large.geojson", left, top, crs, side - 200)
    many = write_squares(home / "many.geojson", left, top, crs, SMALL_M, AREAS)
    timed(["qgis_process.bin", "plugins", "enable", "fusar_qgis"], home)
    taken: dict[str, list[float]] = {}
    for _ in range(runs):
        first, _ = command(scenes[0], one, home)
        chips = 0
        rest = 0.0
        for scene in scenes:
            spent, count = command(scene, large, home)
            rest, chips = rest + spent - first, chips + count
        alone = batch(scenes[:1], one, home)
        for name, value in (
            ("cli total", rest + SCENES * first),
            ("cli chip", rest / (chips - SCENES)),
            ("batch total", (all_ := batch(scenes, large, home))),
            ("batch chip", (all_ - alone) / (chips - 1)),
            ("areas total", (all_ := batch(scenes, many, home))),
            ("areas chip", (all_ - alone) / (SCENES * AREAS - 1)),
        ):
            taken.setdefault(name, []).append(value)
    median = {name: statistics.median(values) for name, values in taken.items()}
    row("", "chips", "in all", "a chip", "ratio (aim: 1.10)")
    row("---", "---", "---", "---", "---")
    for name, title, count in (
        ("cli", f"`fusar interpret`, {SCENES} scenes, a large area each", chips),
        ("batch", "the same in one batch", chips),
        ("areas", f"a batch of {AREAS} small areas over {SCENES} scenes", SCENES * AREAS),
    ):
        each = median[f"{name} chip"]
        ratio = f"{each / median['cli chip']:.2f}"
        row(title, str(count), f"{median[f'{name} total']:.1f} s", f"{each * 1000:.0f} ms", ratio)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o700)
        measure(Path(folder), args.runs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
