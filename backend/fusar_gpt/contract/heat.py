"""How like a query each part of a scene is, as a small raster over it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

NO_HEAT = 255
"""The value of a cell that no slice with data covers, or that was not searched."""


@dataclass(frozen=True)
class HeatMap:
    """Percentiles of similarity by cells of equal size that cover the scene, row by row from its first pixel on.

    Attributes:
        width, height: Columns and rows of cells.
        cell_px: Width and height of a cell in scene pixels.
        crs: The scene's own, as in ``Run.scene_crs``.
        transform: GDAL's six numbers from columns and rows of cells to ground; None where control points place them.
        gcps: Control points otherwise: column and row in cells, then x and y (east first) on the ground.
        values: One byte a cell: 0 to 100, or ``NO_HEAT``.
    """

    width: int
    height: int
    cell_px: tuple[float, float]
    crs: str
    transform: tuple[float, ...] | None
    gcps: tuple[tuple[float, float, float, float], ...]
    values: bytes

    def __post_init__(self) -> None:
        if len(self.values) != self.width * self.height:
            raise ValueError(f"{len(self.values)} values for {self.width} x {self.height} cells")

    def to_json(self) -> dict[str, Any]:
        """All of it; the values as base64."""
        return {**asdict(self), "values": base64.b64encode(self.values).decode()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> HeatMap:
        """Back from :meth:`to_json`. Raises ValueError, TypeError or KeyError."""
        transform = data["transform"]
        return cls(
            width=int(data["width"]),
            height=int(data["height"]),
            cell_px=(float(data["cell_px"][0]), float(data["cell_px"][1])),
            crs=str(data["crs"]),
            transform=None if transform is None else tuple(float(number) for number in transform),
            gcps=tuple((float(c), float(r), float(x), float(y)) for c, r, x, y in data["gcps"]),
            values=base64.b64decode(data["values"], validate=True),
        )
