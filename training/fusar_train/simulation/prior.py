"""A prior for a simulated place, made of real AEF vectors of the same land cover.

The vectors are 2,560 pixels of 2024 from four regions (int8 codes). The AlphaEarth Foundations Satellite
Embedding dataset is produced by Google and Google DeepMind (CC-BY 4.0); see ``AEF_ATTRIBUTION.txt``.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fusar_train.simulation.ground import Surface

CELL_M = 10.0
"""Side of a prior cell, as AEF has it."""
NODES = 16
"""Nodes along each side of a chip, as ``fusar_gpt.priors.FilePrior`` samples."""
CLASSES = 8
BLEED_M = 3.0
"""How far the ground beyond a cell's edge bleeds into its vector."""


@lru_cache(maxsize=1)
def real_vectors() -> NDArray[np.float32]:
    """The real vectors, unit length, float32 [regions, classes, examples, 64]."""
    with np.load(Path(__file__).with_name("aef_vectors_2024.npz"), allow_pickle=False) as stored:
        codes = stored["codes"].astype(np.float32) / 127.5
    return unit(codes**2 * np.sign(codes))


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """The vectors [..., 64] at length 1."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-6), np.float32)


class PlacePrior:
    """The AEF vectors of a place in one year.

    Every land cover has one character in the whole place (one region of the world, the mean of a few of its
    real vectors), and every cell differs from it by another real vector of the cover that prevails there. The
    vectors of all covers under a cell are averaged by area and normalised again. The ground may be registered up
    to 6 m off, and now and then a part of it is as it was in another year.

    Args:
        cover: uint8 [h, w], the land cover.
        pixel_m: its pixel spacing in metres.
        rng: for all of the above.
    """

    def __init__(self, cover: NDArray[np.uint8], pixel_m: float, rng: np.random.Generator) -> None:
        self.cover, self.pixel_m, self.rng = cover, pixel_m, rng
        if rng.random() < 0.1:
            self.cover = outdated(cover, pixel_m, rng)
        self.shift = rng.uniform(-6, 6, 2)
        self.pool = real_vectors()[int(rng.integers(len(real_vectors())))]
        few = rng.integers(self.pool.shape[1], size=(CLASSES, 4))
        self.characters = unit(self.pool[np.arange(CLASSES)[:, None], few].mean(1))
        self.variety, self.noise = np.float32(rng.uniform(0.2, 0.7)), np.float32(rng.uniform(0, 0.03))

    def shares(self, y: NDArray[np.floating], x: NDArray[np.floating]) -> NDArray[np.float32]:
        """The share of each land cover under cells whose centres [N] are given in metres, float32 [N, 8]."""
        half = CELL_M / 2 + BLEED_M
        steps = np.linspace(-half, half, 5)
        rows = (y[:, None] + self.shift[0] + steps) / self.pixel_m
        cols = (x[:, None] + self.shift[1] + steps) / self.pixel_m
        height, width = self.cover.shape
        rows, cols = np.clip(rows, 0, height - 1).astype(np.intp), np.clip(cols, 0, width - 1).astype(np.intp)
        under = self.cover[rows[:, :, None], cols[:, None, :]].reshape(len(y), -1)
        flat = (under + CLASSES * np.arange(len(y))[:, None]).ravel()
        counts = np.bincount(flat, minlength=CLASSES * len(y)).reshape(-1, CLASSES)
        return np.asarray(counts / under.shape[1], np.float32)

    def vectors(self, y: NDArray[np.floating], x: NDArray[np.floating]) -> NDArray[np.float32]:
        """The vectors of cells whose centres [N] are given in metres, float32 [N, 64], unit length."""
        shares = self.shares(y, x)
        own = self.pool[shares.argmax(1), self.rng.integers(self.pool.shape[1], size=len(y))]
        mixed = shares @ self.characters + self.variety * own
        mixed += self.noise * self.rng.standard_normal(mixed.shape, dtype=np.float32)
        return unit(mixed)


def outdated(cover: NDArray[np.uint8], pixel_m: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The cover with a random rectangle of 60 to 300 m of another class."""
    top, left = (int(rng.integers(0, max(1, side * 3 // 4))) for side in cover.shape)
    tall, wide = (rng.uniform(60, 300, 2) / pixel_m).astype(int)
    changed = cover.copy()
    changed[top : top + tall, left : left + wide] = rng.choice([Surface.BARE, Surface.BUILT, Surface.GRASS])
    return changed


def prior_raster(
    cover: NDArray[np.uint8], pixel_m: float, rng: np.random.Generator, cell_m: float = CELL_M
) -> NDArray[np.float32]:
    """The vectors of a whole place, float32 [rows, cols, 64], a cell every ``cell_m`` metres from the top left."""
    rows, cols = ((np.arange(np.ceil(side * pixel_m / cell_m)) + 0.5) * cell_m for side in cover.shape)
    year = PlacePrior(cover, pixel_m, rng)
    return np.stack([year.vectors(np.full(cols.size, y), cols) for y in rows])


def sample_nodes(
    cover: NDArray[np.uint8], pixel_m: float, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Nodes of a slightly turned regular grid over a chip with land cover [h, w]; each has the vector of its cell.

    Returns:
        values float32 [S, 64] and positions float32 [S, 2], normalised (y, x); nodes off the chip are dropped.
    """
    count = NODES if rng.random() < 0.7 else int(rng.integers(8, NODES + 1))
    steps = np.linspace(-0.5, 0.5, count)
    x, y = np.meshgrid(steps, steps)
    turn = rng.normal(0, 0.03)
    c, s = np.cos(turn), np.sin(turn)
    positions = np.stack([c * y + s * x, c * x - s * y], axis=-1).reshape(-1, 2) + 0.5
    positions = positions[((positions >= 0) & (positions <= 1)).all(1)]
    if rng.random() < 0.05:
        hole = rng.uniform(0, 1, 2)
        positions = positions[np.abs(positions - hole).max(1) > rng.uniform(0.1, 0.4)]
    metres = positions * np.array(cover.shape) * pixel_m
    centres = (np.floor(metres / CELL_M) + 0.5) * CELL_M
    return PlacePrior(cover, pixel_m, rng).vectors(centres[:, 0], centres[:, 1]), positions.astype(np.float32)
