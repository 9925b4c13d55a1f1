"""How like a query each part of a scene is, as a coarse raster."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fusar_gpt.contract import NO_HEAT, HeatMap
from fusar_gpt.frames import ScenePoints
from fusar_gpt.imagery import Scene, crs_text
from fusar_gpt.retrieval.ranking import percentiles

_GCPS = 9
"""Control points a side, where no affine transform places the scene."""
_SAME_PX = 1e-3


def heat_map(similarities: NDArray[np.float32], boxes: NDArray[np.float64], scene: Scene) -> HeatMap:
    """How like the query each part of a scene is: the best percentile among the slices that show it.

    Cells are as large as the slices are apart. Arguments as in :func:`best_places`.
    """
    columns, rows = (np.unique(boxes[:, axis]) for axis in (0, 1))
    step_x = float(np.diff(columns).min()) if len(columns) > 1 else float(boxes[0, 2] - boxes[0, 0])
    step_y = float(np.diff(rows).min()) if len(rows) > 1 else float(boxes[0, 3] - boxes[0, 1])
    width, height = max(round(scene.width / step_x), 1), max(round(scene.height / step_y), 1)
    cell_x, cell_y = scene.width / width, scene.height / height
    values = np.full((height, width), -1.0, np.float32)
    for box, rank in zip(boxes, percentiles(similarities), strict=True):
        if np.isfinite(rank):
            across = slice(max(round(box[0] / cell_x), 0), max(round(box[2] / cell_x), 1))
            down = slice(max(round(box[1] / cell_y), 0), max(round(box[3] / cell_y), 1))
            values[down, across] = np.maximum(values[down, across], rank)
    stored = np.where(values < 0, NO_HEAT, values.round()).astype(np.uint8)
    transform, gcps = placed(scene, width, height)
    return HeatMap(width, height, (cell_x, cell_y), crs_text(scene.crs), transform, gcps, stored.tobytes())


Gcps = tuple[tuple[float, float, float, float], ...]


def placed(scene: Scene, width: int, height: int) -> tuple[tuple[float, ...] | None, Gcps]:
    """Where cells lie that cover a scene: GDAL's six numbers, or control points where it has no such transform."""
    x, y = (np.linspace(0, side, _GCPS) for side in (scene.width, scene.height))
    columns, rows = (axis.ravel() for axis in np.meshgrid(x, y))
    ground = scene.to_ground(ScenePoints(columns, rows)).xy()
    origin, right, down = ground[0], ground[_GCPS - 1], ground[-_GCPS]
    across, along = (right - origin) / scene.width, (down - origin) / scene.height
    straight = origin + np.outer(columns, across) + np.outer(rows, along)
    if np.abs(straight - ground).max() < _SAME_PX * np.abs(np.concatenate([across, along])).max():
        cell_x, cell_y = scene.width / width, scene.height / height
        numbers = (
            origin[0],
            across[0] * cell_x,
            along[0] * cell_y,
            origin[1],
            across[1] * cell_x,
            along[1] * cell_y,
        )
        return tuple(float(number) for number in numbers), ()
    cells = np.stack([columns * width / scene.width, rows * height / scene.height, *ground.T], axis=1)
    return None, tuple((float(c), float(r), float(gx), float(gy)) for c, r, gx, gy in cells)
