"""Slices: the same figures for the images that are crowded, close to shore, or of ground that was not trained on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fusar_gpt.frames import Box
from fusar_gpt.tasks import SEARCHES
from fusar_train.evaluation.metrics import ALL, Cases, Metrics, compute_metrics

INSHORE, OFFSHORE, CROWDED = "inshore", "offshore", "crowded"
CLEAN, OVERLAPPING = "clean of overlap", "overlapping train"
SLICES = (INSHORE, OFFSHORE, CROWDED, CLEAN, OVERLAPPING)

CROWD = 8
"""Objects from which on an image is crowded."""
LAND_SHARE = 0.015
"""Share of land from which on an image is inshore."""

_METRICS = {"accuracy", "acc100", "P@0.5", "R@0.5", "F1@0.5"}
_BLOCK_PX = 16
_AROUND_PX = 8  # around a ship, or a quarter of its size: side lobes


def slices_of(pixels: NDArray[np.uint8], boxes: Sequence[Box], ships: Iterable[Box]) -> frozenset[str]:
    """The slices that follow from an image, uint8 [H, W] or [H, W, 3], the boxes of its objects and of its ships.

    Only an image that shows a ship is inshore or offshore: without one it may be nothing but land.
    """
    found = {CROWDED} if len(boxes) >= CROWD else set[str]()
    if at_sea := list(ships):
        grey = pixels if pixels.ndim == 2 else pixels.mean(axis=2)
        found.add(INSHORE if land_share(grey, at_sea) >= LAND_SHARE else OFFSHORE)
    return frozenset(found)


def land_share(grey: NDArray[np.generic], ships: Iterable[Box]) -> float:
    """The share of an image [H, W] of grey levels that is land or quay by its backscatter, ships left out; 0 to 1.

    Of blocks of 16 x 16 px the upper quartile is taken, and the darkest tenth of the blocks is sea. What is far
    brighter is land: on 135 held-out images of SSDD this agreed with the eye on every one.
    """
    levels = grey.astype(np.float64)
    for ship in ships:
        x = max(_AROUND_PX, (ship.right - ship.left) / 4)
        y = max(_AROUND_PX, (ship.bottom - ship.top) / 4)
        rows = slice(max(int(ship.top - y), 0), max(int(ship.bottom + y) + 1, 0))
        levels[rows, max(int(ship.left - x), 0) : max(int(ship.right + x) + 1, 0)] = np.nan
    height, width = (side // _BLOCK_PX * _BLOCK_PX for side in levels.shape)
    tiles = levels[:height, :width].reshape(height // _BLOCK_PX, _BLOCK_PX, width // _BLOCK_PX, _BLOCK_PX)
    blocks = tiles.transpose(0, 2, 1, 3).reshape(-1, _BLOCK_PX**2)
    known = blocks[np.isfinite(blocks).mean(axis=1) > 0.5]
    if not len(known):
        return 0.0
    brightness = np.nanpercentile(known, 75, axis=1)
    return float((brightness > 2.5 * np.percentile(brightness, 10) + 20).mean())


def slice_metrics(cases: Cases) -> Metrics:
    """The chief figures of the searching tasks for each slice that has any image; ``cases`` of a key is the slice."""
    asked = cases.of_task(*SEARCHES)
    found: Metrics = {}
    for name in SLICES:
        mine = asked.pick([name in prediction.slices for prediction in asked.predictions])
        metrics, _ = compute_metrics(mine)
        found |= {
            replace(key, cases=name): figure
            for key, figure in metrics.items()
            if key.cases == ALL and key.metric in _METRICS
        }
    return found
