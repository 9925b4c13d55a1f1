"""How like a query each part of a scene is, as a coarse raster."""

from __future__ import annotations

import math

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
    """How like the query each part of a scene is: the best percentile among the slices that hold a cell's centre.

    Cells are about as large as the slices are apart. Slices without a similarity are not there. Arguments as in
    :func:`~fusar_gpt.retrieval.ranking.best_places`.
    """
    width, height = (_cells(boxes, axis, side) for axis, side in ((0, scene.width), (1, scene.height)))
    cell_px = scene.width / width, scene.height / height
    # Cells first to last whose centres lie in a box, [N, 4]: left, top, right, bottom.
    covers = np.ceil(boxes / np.tile(cell_px, 2) - 0.5).astype(np.int64)
    covers = np.clip(covers, 0, [width, height] * 2)
    best = np.full((height, width), -1.0, np.float32)
    ranks = percentiles(similarities)
    searched = np.isfinite(ranks)
    across, down = (covers[:, 2:] - covers[:, :2]).T
    for row, column in np.ndindex(int(down.max()), int(across.max())):
        these = searched & (row < down) & (column < across)
        np.maximum.at(best, (covers[these, 1] + row, covers[these, 0] + column), ranks[these])
    stored = np.where(best < 0, NO_HEAT, best.round()).astype(np.uint8)
    transform, gcps = placed(scene, width, height)
    return HeatMap(width, height, cell_px, crs_text(scene.crs), transform, gcps, stored.tobytes())


def _cells(boxes: NDArray[np.float64], axis: int, length: int) -> int:
    """How many cells cover an axis: one for each step between the slices of the smallest size, which are the closest.

    No cell is larger than a step, so that every slice on the scene holds a cell's centre.
    """
    sides = boxes[:, axis + 2] - boxes[:, axis]
    starts = np.unique(boxes[sides == sides.min(), axis])
    step = float(np.diff(starts).min()) if len(starts) > 1 else float(sides.min())
    return max(math.ceil(length / step), 1)


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
