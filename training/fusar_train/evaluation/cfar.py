"""CA-CFAR: the classical detector of bright targets on clutter of unknown strength.

Cell averaging: a pixel is a target when it exceeds the mean of a ring of background around it by a factor that
the wanted false alarm rate fixes, whatever the clutter's strength (H. M. Finn and R. S. Johnson, "Adaptive
detection mode with threshold control as a function of spatially sampled clutter-level estimates", RCA Review
29, 1968). The factor here is exact for independent gamma clutter of L looks, of which theirs (L = 1) is a case.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fusar_gpt.frames import ChipBox

_FARTHEST_FACTOR = 1e6


@dataclass(frozen=True)
class Cfar:
    """A CA-CFAR detector with the ring and the way from pixels to boxes.

    The defaults were chosen on SSDD's training part, see docs/evaluation.md.

    Attributes:
        guard: half side in pixels of the inner square, which a target may fill.
        background: width in pixels of the ring around it.
        pfa: wanted false alarm rate of a pixel of pure clutter.
        looks: L of the gamma clutter, a whole number.
        amplitude: pixels are amplitudes, as in 8-bit SAR images; they are squared to intensities.
        grow: every part grows by so many pixels to all sides before those that touch are joined.
        least: fewer target pixels than these are no target.
    """

    guard: int = 48
    background: int = 24
    pfa: float = 1e-6
    looks: int = 1
    amplitude: bool = True
    grow: int = 2
    least: int = 50

    def __post_init__(self) -> None:
        if not (0 < self.pfa < 1 and self.looks >= 1 and self.guard >= 0 and self.background >= 1):
            raise ValueError(f"no CA-CFAR has such settings: {self}")

    def detect(self, image: NDArray[np.uint8]) -> list[tuple[ChipBox, float]]:
        """The targets of an image [H, W] or [H, W, 3] as boxes with scores, row by row.

        A score is the target's brightest excess over its threshold, a ratio from 1 on. The black border of an
        image that was padded is left out.
        """
        grey = image if image.ndim == 2 else image.mean(axis=2)
        left, top, right, bottom = content(grey)
        if right <= left:
            return []
        excess = self.excess(grey[top:bottom, left:right].astype(np.float64))
        hits = excess > 1
        found = []
        for rows, columns in components(hits, self.grow):
            if len(rows) < self.least:
                continue
            box = ChipBox(
                float(columns.min() + left),
                float(rows.min() + top),
                float(columns.max() + left + 1),
                float(rows.max() + top + 1),
            )
            found.append((box, float(excess[rows, columns].max())))
        return found

    def excess(self, image: NDArray[np.float64]) -> NDArray[np.float64]:
        """Each pixel's intensity over its threshold, [H, W]; the ring is cut at the image's edge."""
        intensity = image**2 if self.amplitude else image
        ones = np.ones_like(intensity)
        inner, outer = self.guard, self.guard + self.background
        total = box_sums(intensity, outer) - box_sums(intensity, inner)
        number = (box_sums(ones, outer) - box_sums(ones, inner)).round().astype(np.int64)
        sizes, where = np.unique(number, return_inverse=True)
        factors = np.array([factor(self.pfa, int(size), self.looks) for size in sizes])[where]
        threshold = factors.reshape(number.shape) * total / np.maximum(number, 1)
        return np.divide(intensity, threshold, out=np.zeros_like(intensity), where=threshold > 1e-9)


def content(image: NDArray[np.generic]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the part of [H, W] that is not black border; all 0 for a black image."""
    rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
    if not len(rows):
        return 0, 0, 0, 0
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def box_sums(values: NDArray[np.float64], half: int) -> NDArray[np.float64]:
    """The sum over the square of side 2 * half + 1 around each pixel, cut at the edge: [H, W] to [H, W]."""
    table = np.pad(values.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    y, x = (np.arange(side) for side in values.shape)
    top, bottom = np.maximum(y - half, 0), np.minimum(y + half + 1, values.shape[0])
    left, right = np.maximum(x - half, 0), np.minimum(x + half + 1, values.shape[1])
    tall = table[bottom] - table[top]
    return np.asarray(tall[:, right] - tall[:, left])


@lru_cache(maxsize=4096)
def factor(pfa: float, cells: int, looks: int) -> float:
    """How far above the mean of ``cells`` background pixels a pixel must lie; without cells, infinitely far."""
    if cells < 1:
        return math.inf
    low, high = 0.0, _FARTHEST_FACTOR
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if false_alarm_rate(middle, cells, looks) > pfa else (low, middle)
    return high


def false_alarm_rate(threshold: float, cells: int, looks: int) -> float:
    """The chance that clutter exceeds ``threshold`` times the mean of ``cells`` others.

    With X of gamma(L) and S, the sum of N others, of gamma(N L), given S = s the chance of X > t s / N is a
    Poisson sum of L terms; its mean over S is sum over k < L of C(N L + k - 1, k) q^k / (1 + q)^(N L + k) with
    q = t / N. For one look it is (1 + t / N)^-N.
    """
    q, shape = threshold / cells, cells * looks
    if q == 0:
        return 1.0
    terms = [
        math.lgamma(shape + k) - math.lgamma(shape) - math.lgamma(k + 1)
        + k * math.log(q) - (shape + k) * math.log1p(q)
        for k in range(looks)
    ]  # fmt: skip
    return math.fsum(map(math.exp, terms))


def components(hits: NDArray[np.bool_], grow: int = 0) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """The connected parts of a mask [H, W] as (rows, columns) of their pixels, 8 neighbours, row by row.

    Parts at most 2 * ``grow`` pixels apart are one; the pixels between them do not belong to it.
    """
    grown = box_sums(hits.astype(np.float64), grow) > 0.5 if grow else hits
    labels = label(grown)
    rows, columns = np.nonzero(hits)
    owner = labels[rows, columns]
    order = np.argsort(owner, kind="stable")
    cuts = np.flatnonzero(np.diff(owner[order])) + 1
    parts = [part for part in np.split(order, cuts) if len(part)]
    return [(rows[part], columns[part]) for part in parts]


def label(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Numbers the 8-connected parts of a mask [H, W] from 1 in the order of their first pixels; 0 elsewhere."""
    padded = np.pad(mask, ((0, 0), (1, 1))).astype(np.int8)
    rows, starts = np.nonzero(np.diff(padded, axis=1) == 1)
    ends = np.nonzero(np.diff(padded, axis=1) == -1)[1]
    parent = list(range(len(rows)))

    def root(run: int) -> int:
        while parent[run] != run:
            parent[run] = run = parent[parent[run]]
        return run

    above = 0
    for run in range(len(rows)):
        while rows[above] < rows[run] - 1 or (rows[above] == rows[run] - 1 and ends[above] < starts[run]):
            above += 1
        other = above
        while rows[other] == rows[run] - 1 and starts[other] <= ends[run]:
            a, b = root(run), root(other)
            parent[max(a, b)] = min(a, b)
            other += 1
    roots = np.array([root(run) for run in range(len(rows))], dtype=np.int64)
    numbers = np.unique(roots, return_inverse=True)[1] + 1
    labels = np.zeros(mask.shape, dtype=np.int64)
    for row, start, end, number in zip(rows, starts, ends, numbers, strict=True):
        labels[row, start:end] = number
    return labels
