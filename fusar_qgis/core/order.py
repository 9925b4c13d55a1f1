"""What the analyst asks for, as the backend's HTTP door wants it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

EXECUTION = "/processes/interpret/execution"
TASKS_WITH_TARGET = ("detect", "locate", "count")
TASKS = (*TASKS_WITH_TARGET, "classify", "describe", "ask")


@dataclass(frozen=True)
class Order:
    """One interpretation: the scene, the area and the question.

    ``scene`` is what the backend knows it by: an absolute path, or ``scene:`` and an id. ``area`` is a GeoJSON
    geometry in ``area_crs``, which is an authority code or WKT; ``boxes`` is a FeatureCollection in the same CRS;
    coordinates are x, y (east, north) whatever the CRS says. ``ground_m`` is the ground side of a chip in metres.
    ``layer_id`` is the scene's layer in QGIS; the backend is not told.
    """

    scene: str
    area: dict[str, Any]
    area_crs: str
    task: str
    targets: tuple[str, ...] = ()
    model: str = "tiny"
    prior: str = "none"
    year: int | None = None
    band: int | None = None
    question: str | None = None
    boxes: dict[str, Any] | None = None
    allow_no_prior: bool = False
    ground_m: float | None = None
    layer_id: str = ""

    def inputs(self) -> dict[str, Any]:
        """Return the ``inputs`` object of a POST to ``EXECUTION``."""
        return {
            "scene": self.scene,
            "area": self.area,
            "area_crs": self.area_crs,
            "task": self.task,
            "targets": list(self.targets),
            "question": self.question,
            "boxes": self.boxes,
            "model": self.model,
            "prior": self.prior,
            "allow_no_prior": self.allow_no_prior,
            "year": self.year,
            "band": self.band,
            "ground_m": self.ground_m,
            "overlap": None,
        }
