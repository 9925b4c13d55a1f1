"""What a slice's picture is like, in numbers that depend neither on its pixel count nor on the radar's speckle.

Texture by grey-level co-occurrence matrices (GLCM; FUSAR-KLIP 3.1, step 5) and statistics. Every slice is first
averaged to ``SIDE`` x ``SIDE`` cells, which is multi-looking where it has more pixels, and pixels without data take
no part: the edge of a wedge of fill is no texture.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from skimage.feature import graycomatrix, graycoprops

SIDE = 128
"""Cells along each side of the picture that is measured: 8 m each for a slice of 1 km."""
LEVELS = 32
"""Grey levels of the GLCM."""
NEAR, FAR = 2, (6, 9, 12)
"""Least distances in cells."""
SPECKLE_PX = 3.0
"""Pixels beyond which speckle is not alike: what still correlates over that distance is structure."""
BLOCK, AROUND = 8, 16
"""Cells along each side of a block in which the local variance is measured, and of one that an echo stands out from."""
FINE, COARSE = 3, 9
"""Least numbers of cells that are averaged, across and down, before edges and before structure are looked for."""
BRIGHT, EDGE, ROUGH = 190.0, 24.0, 10.0
"""Grey levels: of a strong echo; of a step between neighbouring cells that is an edge; of the standard deviation of
a block that shows structure."""
ECHO_GREY, ECHO_SIGMA, ECHO_LEAST, ECHO_LARGEST = 40.0, 6.0, 4, 0.04
"""A compact echo stands out from its surroundings by so many grey levels and standard deviations; it fills at least so
many cells, as peaks of speckle do not, and at most such a share of the slice."""
_SIGMA_OF_MAD = 1.4826
ECHOES_MOST = 0.3
"""Share of a picture that compact echoes and what surrounds them may fill to be told from the rest."""

_GLCM = ("contrast", "homogeneity", "energy", "correlation", "entropy")
FEATURES = (
    *(f"glcm_{name}" for name in _GLCM), "glcm_correlation_far",
    "mean", "std", "skewness", "entropy", "bright", "edges", "block_std", "texture_density", "texture_spread", "echoes",
    "background_density", "background_std",
)  # fmt: skip
"""The names of what :func:`measure` gives, in the order of the labelled examples."""
COMPARED = (
    "glcm_correlation", "glcm_correlation_far", "bright", "edges", "block_std", "texture_spread", "echoes",
)  # fmt: skip
"""Those that the KNN filter compares, as they tell structure from speckle on radars that are not among the examples.
Mean, contrast and entropy follow the radar's looks and the stretch more than what is seen."""


def measure(pixels: NDArray[np.uint8], has_data: NDArray[np.bool_]) -> dict[str, float]:
    """The features of a slice by name (``FEATURES``); all finite, all 0 where it has no data.

    Args:
        pixels: Grey levels, uint8 [h, w].
        has_data: Where they are data, bool [h, w].

    ``bright``, ``edges`` and ``texture_density`` are shares of the cells, steps and blocks with data; ``echoes`` is
    a number of compact echoes (ships, single buildings), and ``background_density`` and ``background_std`` are
    ``texture_density`` and ``block_std`` of what lies around these.
    """
    cells = reduced(pixels, has_data)
    if not np.isfinite(cells).any():
        return dict.fromkeys(FEATURES, 0.0)
    speckle = SPECKLE_PX * SIDE / min(pixels.shape)
    values = _texture(cells, speckle) | _statistics(cells) | _structure(cells, speckle)
    echoes, number = compact_echoes(cells)
    background = _structure(without(cells, echoes), speckle) if number else values
    values |= {
        "echoes": float(number),
        "background_density": background["texture_density"],
        "background_std": background["block_std"],
    }
    return {name: float(values[name]) for name in FEATURES}


def as_rows(measured: Iterable[Mapping[str, float]]) -> NDArray[np.float64]:
    """Measured features as rows [N, F] in the order of ``FEATURES``."""
    return np.array([[each[name] for name in FEATURES] for each in measured], np.float64).reshape(
        -1, len(FEATURES)
    )


def compared(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """The columns that are compared [N, C] of rows [N, F]; echoes, which run to hundreds, by their logarithm."""
    values = rows[:, [FEATURES.index(name) for name in COMPARED]]
    values[:, COMPARED.index("echoes")] = np.log1p(values[:, COMPARED.index("echoes")])
    return values


def reduced(pixels: NDArray[np.uint8], has_data: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The slice as means of its pixels with data, float32 [SIDE, SIDE]; NaN where less than half has data."""
    data = Image.fromarray(has_data.astype(np.uint8) * np.uint8(255))
    grey = Image.fromarray(pixels if has_data.all() else np.where(has_data, pixels, np.uint8(0)))
    shares = _resized(data)
    means = _resized(grey) / np.maximum(shares, np.float32(1)) * np.float32(255)
    return np.where(shares >= 127.5, np.clip(means, 0, 255), np.float32(np.nan)).astype(np.float32)


def _resized(picture: Image.Image) -> NDArray[np.float32]:
    # Whole factors first, in 8 bits: 5120 px take 20 ms instead of 500.
    factors = tuple(max(side // (2 * SIDE), 1) for side in picture.size)
    small = picture.reduce(factors).convert("F")  # type: ignore[arg-type]
    how = Image.Resampling.BOX if min(small.size) >= SIDE else Image.Resampling.BILINEAR
    return np.asarray(small.resize((SIDE, SIDE), how), np.float32)


def _smoothed(cells: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Means over ``size`` x ``size`` cells with data; NaN where the cell itself has none."""
    data = np.isfinite(cells)
    sums = ndimage.uniform_filter(np.where(data, cells, np.float32(0)), size, mode="constant")
    shares = ndimage.uniform_filter(data.astype(np.float32), size, mode="constant")
    return np.where(data, sums / np.maximum(shares, np.float32(1e-6)), np.float32(np.nan)).astype(np.float32)


def _texture(cells: NDArray[np.float32], speckle: float) -> dict[str, float]:
    """Haralick's properties, means over four directions, of cells whose ``speckle`` reaches over so many of them."""
    data = np.isfinite(cells)
    # Level 0 is no data; its row and column are left out.
    levels = np.where(data, 1 + np.nan_to_num(cells) * (LEVELS / 256), 0).astype(np.uint8)
    angles, near = np.arange(4) * np.pi / 4, min(max(NEAR, math.ceil(speckle)), SIDE // 4)
    distances = [near, *(max(near, distance) for distance in FAR)]
    counts = graycomatrix(levels, distances, angles, LEVELS + 1, symmetric=True)
    pairs = counts[1:, 1:].astype(np.float64)
    if not pairs.sum():
        return dict.fromkeys((f"glcm_{name}" for name in (*_GLCM, "correlation_far")), 0.0)
    values = {f"glcm_{name}": float(graycoprops(pairs, name)[0].mean()) for name in _GLCM}
    # Streets a few cells apart correlate positively at some distances and negatively at others.
    far = float(np.sqrt((graycoprops(pairs, "correlation")[1:] ** 2).mean()))
    if np.unique(levels[data]).size == 1:  # of one level, for which the library says 1
        values["glcm_correlation"] = far = 0.0
    return values | {"glcm_correlation_far": far}


def _statistics(cells: NDArray[np.float32]) -> dict[str, float]:
    grey = cells[np.isfinite(cells)].astype(np.float64)
    mean, std = float(grey.mean()), float(grey.std())
    counts = np.bincount((grey * (LEVELS / 256)).astype(np.intp), minlength=LEVELS) / grey.size
    return {
        "mean": mean,
        "std": std,
        "skewness": float(((grey - mean) ** 3).mean() / max(std, 1.0) ** 3),
        "entropy": float(-(counts[counts > 0] * np.log2(counts[counts > 0])).sum()),
        "bright": float((grey > BRIGHT).mean()),
    }


def _structure(cells: NDArray[np.float32], speckle: float) -> dict[str, float]:
    """Edges, and the mean and the variance of blocks."""
    size = min(_odd(max(FINE, speckle - 0.5)), SIDE // 4 - 1)
    fine, half = _smoothed(cells, size), size // 2
    down = fine[2 * half :, half:-half] - fine[: -2 * half, half:-half]
    across = fine[half:-half, 2 * half :] - fine[half:-half, : -2 * half]
    steps = np.hypot(down, across)
    seen = np.isfinite(steps)
    blocks = _full_blocks(fine)
    coarse = _full_blocks(_smoothed(cells, max(COARSE, size)))
    return {
        "edges": float((steps[seen] > EDGE).mean()) if seen.any() else 0.0,
        "block_std": float(blocks.mean(1).std()) if len(blocks) else 0.0,
        "texture_density": float((coarse.std(1) > ROUGH).mean()) if len(coarse) else 0.0,
        "texture_spread": float(blocks.std(1).std()) if len(blocks) else 0.0,
    }


def _odd(least: float) -> int:
    """The least odd number that is not below ``least``."""
    return 2 * math.ceil((least - 1) / 2) + 1


def _full_blocks(cells: NDArray[np.float32]) -> NDArray[np.float32]:
    """The blocks of cells that have data everywhere, float32 [N, BLOCK * BLOCK]."""
    blocks = _blocks(cells, BLOCK).reshape(-1, BLOCK * BLOCK)
    return blocks[np.isfinite(blocks).all(1)]


def _blocks(cells: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """[SIDE, SIDE] -> [rows, cols, size * size]."""
    count = SIDE // size
    return cells.reshape(count, size, count, size).swapaxes(1, 2).reshape(count, count, size * size)


def compact_echoes(cells: NDArray[np.float32]) -> tuple[NDArray[np.bool_], int]:
    """Where bright compact echoes are, such as ships at sea, bool [SIDE, SIDE], and their number.

    What is bright is judged by the median of a block of cells (float32 [SIDE, SIDE], NaN: no data) and its median
    absolute deviation.
    """
    blocks = _blocks(cells, AROUND)
    blocks = np.where(np.isfinite(blocks).any(2, keepdims=True), blocks, np.float32(0))
    level = np.nanmedian(blocks, axis=2, keepdims=True)
    spread = np.nanmedian(np.abs(blocks - level), axis=2, keepdims=True)
    least = level + np.maximum(ECHO_GREY, ECHO_SIGMA * _SIGMA_OF_MAD * spread)
    bright = np.nan_to_num(cells) > np.kron(least[..., 0], np.ones((AROUND, AROUND)))
    labels, found = ndimage.label(bright, np.ones((3, 3)))
    sizes = np.bincount(labels.ravel(), minlength=found + 1)
    compact = (sizes >= ECHO_LEAST) & (sizes <= ECHO_LARGEST * SIDE * SIDE)
    compact[0] = False
    return compact[labels], int(compact.sum())


def without(cells: NDArray[np.float32], echoes: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The cells without the echoes and their sidelobes; all of them where echoes are most of the picture."""
    grown = ndimage.binary_dilation(echoes, np.ones((3, 3)), iterations=2)
    if grown.mean() > ECHOES_MOST:
        return cells
    return np.where(grown, np.float32(np.nan), cells)
