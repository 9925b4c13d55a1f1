"""What the analyst asks for, as the backend's HTTP door wants it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

TASKS_WITH_TARGET = ("detect", "locate", "count")
TASKS = (*TASKS_WITH_TARGET, "describe")


@dataclass(frozen=True)
class Order:
    """One interpretation: the scene's path, the drawn area and the question.

    ``area`` is a GeoJSON geometry in ``area_crs``, which is an authority code or WKT;
    coordinates are x, y (east, north) whatever the CRS says.
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

    def inputs(self) -> dict[str, Any]:
        """Return the ``inputs`` object of ``POST /processes/interpret/execution``."""
        return {
            "scene": self.scene,
            "area": self.area,
            "area_crs": self.area_crs,
            "task": self.task,
            "targets": list(self.targets),
            "question": None,
            "boxes": None,
            "model": self.model,
            "prior": self.prior,
            "year": self.year,
            "band": self.band,
            "overlap": None,
        }
