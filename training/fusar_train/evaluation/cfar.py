"""CA-CFAR: the classical detector of bright targets on clutter of unknown strength.

Cell averaging: a pixel is a target when it exceeds the mean of a ring of background around it by a factor that
the wanted false alarm rate fixes, whatever the clutter's strength (H. M. Finn and R. S. Johnson, "Adaptive
detection mode with threshold control as a function of spatially sampled clutter-level estimates", RCA Review
29, 1968). The factor here is exact for independent gamma clutter of L looks, of which theirs (L = 1) is a case.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, special

from fusar_gpt.frames import ChipBox

_TOUCHING = np.ones((3, 3))  # all eight neighbours


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
        labels = label_targets(excess > 1, self.grow)
        found = []
        for number, (rows, columns) in enumerate(ndimage.find_objects(labels), 1):
            mine = labels[rows, columns] == number
            if mine.sum() >= self.least:
                corners = (columns.start + left, rows.start + top, columns.stop + left, rows.stop + top)
                found.append((ChipBox(*map(float, corners)), float(excess[rows, columns][mine].max())))
        return found

    def excess(self, image: NDArray[np.float64]) -> NDArray[np.float64]:
        """Each pixel's intensity over its threshold, [H, W]; the ring is cut at the image's edge."""
        intensity = image**2 if self.amplitude else image
        ones = np.ones_like(intensity)
        inner, outer = self.guard, self.guard + self.background
        total = box_sums(intensity, outer) - box_sums(intensity, inner)
        number = (box_sums(ones, outer) - box_sums(ones, inner)).round().astype(np.int64)
        sizes, where = np.unique(number, return_inverse=True)
        factors = factor(self.pfa, sizes, self.looks)[where].reshape(number.shape)
        threshold = factors * total / np.maximum(number, 1)
        return np.divide(intensity, threshold, out=np.zeros_like(intensity), where=threshold > 1e-9)


def content(image: NDArray[np.generic]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the part of [H, W] that is not black border; all 0 for a black image."""
    rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
    if not len(rows):
        return 0, 0, 0, 0
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def box_sums(values: NDArray[np.float64], half: int) -> NDArray[np.float64]:
    """The sum over the square of side 2 * half + 1 around each pixel, cut at the edge: [H, W] to [H, W].

    By a summed-area table, which is exact on 8-bit images; the running means of ``ndimage.uniform_filter`` are not.
    """
    table = np.pad(values.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    y, x = (np.arange(side) for side in values.shape)
    top, bottom = np.maximum(y - half, 0), np.minimum(y + half + 1, values.shape[0])
    left, right = np.maximum(x - half, 0), np.minimum(x + half + 1, values.shape[1])
    tall = table[bottom] - table[top]
    return np.asarray(tall[:, right] - tall[:, left])


def factor(pfa: float, cells: NDArray[np.int64], looks: int) -> NDArray[np.float64]:
    """How far above the mean of ``cells`` background pixels a pixel must lie; without cells, infinitely far.

    The inverse of ``false_alarm_rate``.
    """
    share = special.betainccinv(looks, np.maximum(cells, 1) * looks, pfa)
    return np.where(cells < 1, np.inf, cells * share / (1 - share))


def false_alarm_rate(threshold: float, cells: int, looks: int) -> float:
    """The chance that clutter exceeds ``threshold`` times the mean of ``cells`` others.

    With X of gamma(L) and S, the sum of N others, of gamma(N L), X / (X + S) is of beta(L, N L); X > t S / N where
    it exceeds q / (1 + q), q = t / N. For one look the chance is (1 + t / N)^-N.
    """
    q = threshold / cells
    return float(special.betaincc(looks, cells * looks, q / (1 + q)))


def label_targets(hits: NDArray[np.bool_], grow: int = 0) -> NDArray[np.int32]:
    """Numbers the connected parts of a mask [H, W] from 1 in the order of their first pixels; 0 elsewhere.

    Parts at most 2 * ``grow`` pixels apart are one; the pixels between them do not belong to it.
    """
    square = np.ones((2 * grow + 1, 2 * grow + 1))
    labels, _ = ndimage.label(ndimage.binary_dilation(hits, square), _TOUCHING)
    return np.asarray(np.where(hits, labels, 0), dtype=np.int32)
