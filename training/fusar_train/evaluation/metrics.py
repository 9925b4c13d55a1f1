"""The metrics of the paper's tasks (FUSAR-GPT, metrics of counting, localisation, classification and detection)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fusar_gpt.frames import Box


def iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes of one frame; 0 when both are empty."""
    width = min(a.right, b.right) - max(a.left, b.left)
    height = min(a.bottom, b.bottom) - max(a.top, b.top)
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (a.area + b.area - shared)


def matches(said: Sequence[Box], truth: Sequence[Box], threshold: float) -> int:
    """How many boxes pair up one to one, best overlaps first, with at least ``threshold`` IoU."""
    overlaps = [(iou(a, b), i, j) for i, a in enumerate(said) for j, b in enumerate(truth)]
    free_said, free_truth = set(range(len(said))), set(range(len(truth)))
    found = 0
    for overlap, i, j in sorted(overlaps, reverse=True):
        if overlap < threshold or overlap == 0.0:
            break
        if i in free_said and j in free_truth:
            free_said.remove(i)
            free_truth.remove(j)
            found += 1
    return found


@dataclass(frozen=True)
class Detection:
    """Sums over all chips: boxes said, boxes there, and pairs of the two."""

    said: int
    there: int
    paired: int

    @property
    def precision(self) -> float:
        """Share of the said boxes that are right; 1 when none was said."""
        return self.paired / self.said if self.said else 1.0

    @property
    def recall(self) -> float:
        """Share of the true boxes that were found; 1 when there was none."""
        return self.paired / self.there if self.there else 1.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return 2 * self.paired / (self.said + self.there) if self.said + self.there else 1.0


def detection(said: Sequence[Sequence[Box]], truth: Sequence[Sequence[Box]], threshold: float) -> Detection:
    """Detection over chips; matching never crosses chips."""
    paired = sum(matches(a, b, threshold) for a, b in zip(said, truth, strict=True))
    return Detection(sum(map(len, said)), sum(map(len, truth)), paired)


def accuracy(said: Sequence[object], truth: Sequence[object]) -> float:
    """Share of answers that equal the truth; an unreadable answer (None) is wrong."""
    return mean([a is not None and a == b for a, b in zip(said, truth, strict=True)])


@dataclass(frozen=True)
class Localisation:
    """The three shares of the 3 x 3 grid task.

    Attributes:
        acc100: exactly the right cells.
        acc50: cells of IoU at least 0.5.
        top1: at least one cell in common. Without any true cell, all three want an empty answer.
    """

    acc100: float
    acc50: float
    top1: float


def localisation(said: Sequence[frozenset[int]], truth: Sequence[frozenset[int]]) -> Localisation:
    """The grid task over chips."""
    pairs = list(zip(said, truth, strict=True))
    return Localisation(
        acc100=mean([a == b for a, b in pairs]),
        acc50=mean([len(a & b) >= 0.5 * len(a | b) for a, b in pairs]),
        top1=mean([bool(a & b) if b else not a for a, b in pairs]),
    )


def mean(values: Sequence[bool]) -> float:
    """Share of true values; 0 when there are none."""
    return sum(values) / len(values) if values else 0.0
