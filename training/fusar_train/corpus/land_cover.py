"""Land cover told from AEF vectors, by their likeness to real ones of eight Dynamic World covers in four regions."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fusar_gpt.priors.field import dequantise

COVERS = ("water", "trees", "grass", "wetland", "crops", "shrub", "built-up land", "bare ground")
"""Dynamic World's classes in the order of the vectors that ship.

In a region that gave no prototypes, 86 % of water and 75 % of built-up land is told right; fields, grass, scrub and
wetland mostly are not told apart.
"""
WATER, BUILT = COVERS.index("water"), COVERS.index("built-up land")
VECTORS = Path(__file__).parents[1] / "simulation" / "aef_vectors_2024.npz"
"""See ``AEF_ATTRIBUTION.txt`` beside it."""


@lru_cache(maxsize=1)
def cover_prototypes() -> NDArray[np.float32]:
    """The mean vector of each cover in each of the four regions, unit length, float32 [regions, covers, 64]."""
    with np.load(VECTORS, allow_pickle=False) as stored:
        codes = stored["codes"]
    vectors = dequantise(codes.reshape(-1, codes.shape[-1])).reshape(codes.shape)
    means = (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).mean(axis=2)
    return np.asarray(means / np.linalg.norm(means, axis=-1, keepdims=True), np.float32)


def covers_of(values: NDArray[np.float32], prototypes: NDArray[np.float32] | None = None) -> NDArray[np.intp]:
    """The cover (index into ``COVERS``) whose mean vector in any of the regions is nearest, of vectors [S, 64]."""
    means = cover_prototypes() if prototypes is None else prototypes
    regions, covers, _ = means.shape
    likeness = values @ means.reshape(regions * covers, -1).T
    return np.asarray(likeness.argmax(axis=1) % covers)
