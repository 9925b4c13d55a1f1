"""Small real scenes, chips and runs for the tests of findings."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import rasterio
import shapely
from affine import Affine

from fusar_gpt.certainty import BoxCertainty, Certainty
from fusar_gpt.contract import Finding, Run, read_outline
from fusar_gpt.findings.coverage import Coverage
from fusar_gpt.frames import SceneBox
from fusar_gpt.imagery import Area, Chip, ChipFormat, Scene, crs_text, open_scene, plan_chips
from fusar_gpt.tasks import Answer, Boxes

FRAME = ChipFormat(width=96, height=96, token_px=16)
UTM = "EPSG:32631"


def write_scene(
    path: Path, *, degrees: float = 0.0, crs: str = UTM, origin: tuple[float, float] = (560_000, 5_730_000),
    pixel: tuple[float, float] = (2.0, -2.0), size: tuple[int, int] = (240, 180),
) -> Path:  # fmt: skip
    """A float32 GeoTIFF of speckle, labelled simulated; ``size`` is (width, height)."""
    width, height = size
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    transform = Affine(cos * pixel[0], -sin * pixel[1], origin[0], sin * pixel[0], cos * pixel[1], origin[1])
    power = np.random.default_rng(0).gamma(2.0, 0.01, (height, width)).astype(np.float32)
    profile = {"driver": "GTiff", "width": width, "height": height, "count": 1, "dtype": "float32"}
    with rasterio.open(path, "w", crs=crs, transform=transform, **profile) as file:
        file.write(power, 1)
        file.update_tags(FUSAR_SIMULATED="YES", FUSAR_ATTRIBUTION="Made by <a test>")
    return path


def open_sample(folder: Path, **how: object) -> Scene:
    return open_scene(write_scene(folder / "scene.tif", **how))  # type: ignore[arg-type]


def chips_of(scene: Scene, overlap: float = 0.1) -> list[Chip]:
    return list(plan_chips(scene, shapely.box(0, 0, scene.width, scene.height), FRAME, overlap=overlap))


def all_seen(chip: Chip) -> Coverage:
    """The scene has data on all of the chip."""
    plan = chip.plan
    return Coverage(np.ones((plan.height, plan.width), dtype=bool), 1.0, chip.footprint.area)


def run_on(scene: Scene, /, **changes: object) -> Run:
    stretch = scene.stretch()
    run = Run(
        id="run-1", version="0.1.0", model="tiny", model_hash="ab12", demonstration=True,
        task="detect", targets=("ship", "plane"), prompts=("detect ship", "detect plane"),
        scene=scene.name, scene_crs=crs_text(scene.crs), scene_fingerprint=scene.fingerprint,
        scene_simulated=scene.simulated, band=scene.band, quantity=scene.quantity,
        stretch_low_db=stretch.low_db, stretch_high_db=stretch.high_db, chip_ground_m=192.0,
        aspect="undistorted", overlap=0.25,
        area=Area.whole(scene).geometry.wkt, started="2026-01-02T03:04:05+00:00",
        attribution=scene.attribution,
    )  # fmt: skip
    return replace(run, **changes)  # type: ignore[arg-type]


def sure_of(answer: Answer, share: float = 0.5, confidence: float | None = None) -> Certainty:
    """A model that is as sure of everything it says."""
    boxes = answer.boxes if isinstance(answer, Boxes) else ()
    return Certainty(share, confidence, (BoxCertainty(share, confidence),) * len(boxes))


def detection(
    name: str, box: tuple[float, float, float, float], label: str = "ship", objectness: float = 0.5
) -> Finding:
    """A detection that has only what merging needs; its geometry is its box."""
    shape = read_outline(shapely.geometry.mapping(shapely.box(*box)))
    return Finding(
        name, "detections", shape, "", shape, SceneBox(*box), {"label": label, "objectness": objectness}
    )
