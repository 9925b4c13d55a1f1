"""The land cover of an image by class and by cell of the 3 x 3 grid, as truth or a prior tells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusar_train.corpus import land_cover
from fusar_train.corpus.record import Record

CELLS = 9
TRUTH, PRIOR = "truth", "prior"
OPEN = "smooth dark surfaces"
"""Calm water, or ground as smooth: the image does not tell which."""
WATER, BUILT, QUAYS, ROADS, CROPS = "water", "built-up land", "quays", "roads", "crops"

NEITHER = "vegetated or bare land"
"""What a prior tells of all other covers, which it does not tell apart (``land_cover.COVERS``)."""

_TOLD = np.array(
    [{land_cover.WATER: 0, land_cover.BUILT: 2}.get(n, 1) for n in range(len(land_cover.COVERS))]
)
_LEAST_NODES = 16
_NEARLY_ALL = 0.97
_COARSE = ("land", "other", "unknown", "background", "not water", "no water")
_SAME = {
    "built-up": BUILT,
    "built": BUILT,
    "built area": BUILT,
    "urban": BUILT,
    "building": BUILT,
    "buildings": BUILT,
}
_SAME |= {"road": ROADS, "quay": QUAYS, "cropland": CROPS, "shrub": "shrubland", "bare": "bare ground"}


@dataclass(frozen=True)
class Cover:
    """The land cover of one image.

    Attributes:
        shares: The share of the image by class; classes that are known to be absent are there with 0.
        where: The share of each of the nine cells, row by row, that the class covers.
        source: ``TRUTH`` or ``PRIOR``.
    """

    shares: Mapping[str, float]
    where: Mapping[str, tuple[float, ...]]
    source: str

    @classmethod
    def of_json(cls, stated: Any, source: str) -> Cover:
        """The cover of {"classes": {name: share}, "where": {name: [share of each of the 9 cells]}}.

        Raises:
            ValueError, TypeError, KeyError: It makes no sense.
        """
        names = {name: _name(name) for name in stated["classes"]}
        shares: dict[str, float] = {}
        where: dict[str, tuple[float, ...]] = {}
        for name, share in stated["classes"].items():
            known = names[name]
            cells = tuple(float(each) for each in stated.get("where", {}).get(name, ()))
            if not 0 <= float(share) <= 1.001 or (cells and len(cells) != CELLS):
                raise ValueError(f"cover of {name!r} is no share of the image, or has not nine cells")
            shares[known] = shares.get(known, 0.0) + float(share)
            if cells:
                before = where.get(known, (0.0,) * CELLS)
                where[known] = tuple(a + b for a, b in zip(before, cells, strict=True))
        return cls(shares, where, source)

    @classmethod
    def of_cells(cls, counts: NDArray[np.integer], names: tuple[str, ...], source: str) -> Cover:
        """The cover of counts [9, classes] of pixels or nodes a cell."""
        cells = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        shares = counts.sum(axis=0) / max(int(counts.sum()), 1)
        where = {name: tuple(column) for name, column in zip(names, cells.T.tolist(), strict=True)}
        return cls(dict(zip(names, shares.tolist(), strict=True)), where, source)

    def to_json(self) -> dict[str, Any]:
        """The form that a record's provenance holds; only absent classes have a share of 0, and these have no cells."""
        return {
            "classes": {
                name: max(round(share, 4), 1e-4 * (share > 0)) for name, share in self.shares.items()
            },
            "where": {
                name: [round(each, 4) for each in cells]
                for name, cells in self.where.items()
                if self.shares[name] > 0
            },
        }

    @cached_property
    def main(self) -> tuple[str, ...]:
        """The classes on at least 5 % of the image, the largest first."""
        order = sorted(self.shares, key=lambda name: -self.shares[name])
        return tuple(name for name in order if self.shares[name] >= 0.05)

    @property
    def open(self) -> bool:
        """Whether a part of the image may be water or not."""
        return self.shares.get(OPEN, 0.0) >= 0.02

    def absent(self, name: str) -> bool:
        """Whether the class is known not to be there: a prior never tells, nor coarser classes."""
        if self.source != TRUTH or name in self.shares:
            return self.source == TRUTH and self.shares[name] == 0
        fine = not any(coarse in self.shares for coarse in _COARSE)
        return fine and not self.open and sum(self.shares.values()) >= _NEARLY_ALL

    def cells(self, name: str) -> frozenset[int]:
        """The cells that the class prevails in, by half of the cell; where there is none, that of its largest share."""
        shares = self.where.get(name)
        if not shares or not any(shares):
            return frozenset()
        most = max(shares)
        return frozenset(
            cell for cell, share in enumerate(shares) if share >= 0.5 or (most < 0.5 and share == most)
        )

    def around(self, cells: frozenset[int], least: float = 0.2) -> list[tuple[str, float]]:
        """The classes on at least such a share of some cells, the largest first, each with its share of them."""
        shares = [(name, sum(at[cell] for cell in cells) / len(cells)) for name, at in self.where.items()]
        return sorted((each for each in shares if each[1] >= least), key=lambda each: -each[1])


def prior_cover(record: Record) -> Cover | None:
    """The land cover by likeness of each of the record's AEF vectors; None without a prior of some nodes.

    Raises:
        CorpusError: The prior cannot be read.
    """
    if record.prior is None:
        return None
    vectors, positions = record.vectors()
    if len(vectors) < _LEAST_NODES:
        return None
    classes = _TOLD[land_cover.covers_of(vectors)]
    rows, cols = np.clip(3 * positions, 0, 2).astype(np.intp).T
    names = (WATER, NEITHER, BUILT)
    counts = np.bincount((3 * rows + cols) * len(names) + classes, minlength=CELLS * len(names))
    return Cover.of_cells(counts.reshape(CELLS, len(names)), names, PRIOR)


@lru_cache(maxsize=8)
def cells_of(rows: int, cols: int) -> NDArray[np.intp]:
    """The cell of each element of an array [rows, cols], by its centre."""
    down, across = ((2 * np.arange(side) + 1) * 3 // (2 * side) for side in (rows, cols))
    return np.asarray(3 * down[:, None] + across[None, :], np.intp)


def count_cells(classes: NDArray[np.integer], number: int) -> NDArray[np.int64]:
    """How many of each class 0 to ``number`` - 1 each cell has, int64 [9, number]; those below 0 are left out."""
    flat = (cells_of(*classes.shape) * number + classes)[classes >= 0]
    return np.bincount(flat, minlength=CELLS * number).reshape(CELLS, number)


def _name(name: str) -> str:
    words = " ".join(name.replace("_", " ").lower().split())
    return _SAME.get(words, words)
