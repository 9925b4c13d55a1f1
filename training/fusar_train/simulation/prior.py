"""A prior for a simulated place, made of real AEF vectors of the same land cover.

The vectors are 2,880 pixels of 2024 from four regions (int8 codes). The AlphaEarth Foundations Satellite
Embedding dataset is produced by Google and Google DeepMind (CC-BY 4.0); see ``AEF_ATTRIBUTION.txt``.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fusar_train.simulation.land import COVER, Surface

CELL = 10
"""Side of a prior cell in pixels of 3 m: 30 m."""
NODES = 16
"""Nodes along each side of a chip, as ``fusar_gpt.priors.FilePrior`` samples."""
CLASSES = 8


@lru_cache(maxsize=1)
def library() -> NDArray[np.float32]:
    """The real vectors, unit length, float32 [regions, classes, examples, 64]."""
    with np.load(Path(__file__).with_name("aef_vectors_2024.npz"), allow_pickle=False) as stored:
        codes = stored["codes"].astype(np.float32) / 127.5
    vectors = codes**2 * np.sign(codes)
    return unit(vectors)


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """The vectors [..., 64] at length 1."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-6), np.float32)


def prior_raster(surface: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.float32]:
    """An AEF-like raster float32 [ceil(h/10), ceil(w/10), 64] of a place.

    A cell mixes the vectors of the covers under it by area; each cover has one character in the whole place
    (one region, one anchor vector) and varies from cell to cell with other real vectors of that cover. The
    cover is shifted by up to 24 m first, and now and then a part of it is outdated, as a prior of another year.
    """
    cover = COVER[surface]
    cover = np.roll(cover, rng.integers(-8, 9, 2), axis=(0, 1))
    rows, cols = -(-cover.shape[0] // CELL), -(-cover.shape[1] // CELL)
    cover = np.pad(cover, ((0, rows * CELL - cover.shape[0]), (0, cols * CELL - cover.shape[1])), mode="edge")
    if rng.random() < 0.15:
        outdate(cover, rng)
    shares = np.stack(
        [(cover == c).reshape(rows, CELL, cols, CELL).mean((1, 3)) for c in range(CLASSES)], axis=-1
    ).astype(np.float32)
    pool = library()[rng.integers(len(library()))]
    anchors = pool[np.arange(CLASSES), rng.integers(pool.shape[1], size=CLASSES)]
    own = pool[np.arange(CLASSES), rng.integers(pool.shape[1], size=(rows, cols, CLASSES))]
    cells = unit(rng.uniform(0.3, 0.7) * own + anchors)
    mixed = np.einsum("rck,rckd->rcd", shares, cells)
    mixed += rng.uniform(0, 0.03) * rng.standard_normal(mixed.shape).astype(np.float32)
    return unit(mixed)


def outdate(cover: NDArray[np.int64], rng: np.random.Generator) -> None:
    """Replaces a random rectangle of the cover by another class, in place."""
    top, left = (int(rng.integers(0, side * 3 // 4)) for side in cover.shape)
    tall, wide = rng.integers(20, 110, 2)
    cover[top : top + tall, left : left + wide] = rng.choice([Surface.BARE, Surface.BUILT, Surface.GRASS])


def sample_nodes(
    raster: NDArray[np.float32], size: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Nodes of a slightly turned regular grid over a chip of ``size`` pixels, nearest cell each.

    Returns:
        values float32 [S, 64] and positions float32 [S, 2], normalised (y, x); nodes off the chip are dropped.
    """
    count = NODES if rng.random() < 0.7 else int(rng.integers(6, NODES + 1))
    steps = np.linspace(-0.5, 0.5, count)
    x, y = np.meshgrid(steps, steps)
    turn = rng.normal(0, 0.03)
    c, s = np.cos(turn), np.sin(turn)
    positions = np.stack([c * y + s * x, c * x - s * y], axis=-1).reshape(-1, 2) + 0.5
    positions = positions[((positions >= 0) & (positions <= 1)).all(1)]
    if rng.random() < 0.1:
        hole = rng.uniform(0, 1, 2)
        positions = positions[np.abs(positions - hole).max(1) > rng.uniform(0.1, 0.4)]
    cell = np.minimum((positions * size / CELL).astype(int), np.array(raster.shape[:2]) - 1)
    return raster[cell[:, 0], cell[:, 1]], positions.astype(np.float32)
