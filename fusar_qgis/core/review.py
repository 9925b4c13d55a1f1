"""Review decisions about findings, and the queue in which findings are reviewed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

ACCEPTED, REJECTED, RELABELLED, ADDED = "accepted", "rejected", "relabelled", "added"
KEPT = (ACCEPTED, RELABELLED, ADDED)
FIELDS: dict[str, type] = {
    "review": str,
    "reviewed_label": str,
    "reviewed_by": str,
    "reviewed_at": datetime,
    "model_box": str,
}
"""The columns that every layer of findings has for its review; all null before.

``model_box``: where a reviewer has changed the outline, the box of the model: ``[left, top, right, bottom]`` in the
pixels of the columns ``box_left`` to ``box_bottom``.
"""

RANKINGS = ("confidence", "objectness", "score")
"""What detections can be ranked by, the best first. ``score``, a token probability, is of older versions."""

if TYPE_CHECKING:  # QGIS 3.22 for Windows brings Python 3.9, which cannot evaluate a union
    Key = int | None


@dataclass(frozen=True)
class Item:
    """One finding as the review knows it; ``key`` names its row, ``score`` is what its layer is ranked by."""

    key: int
    score: float | None = None
    review: str | None = None


class Queue:
    """Findings in the order of their keys, and a least score below which they are passed over.

    A finding without a score is never passed over: nobody knows how sure the model was of it.
    """

    def __init__(self, items: Iterable[Item] = ()) -> None:
        self._items = {item.key: item for item in sorted(items, key=lambda item: item.key)}
        self.least_score = 0.0

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: Item) -> None:
        """Add a finding, or what is now known of it."""
        self._items[item.key] = item

    def drop(self, key: int) -> None:
        """Forget a finding."""
        self._items.pop(key, None)

    def get(self, key: Key) -> Item | None:
        """Return the finding, or None."""
        return None if key is None else self._items.get(key)

    def shown(self) -> list[int]:
        """Return the keys of the findings that are not passed over."""
        return [item.key for item in self._shown()]

    def reviewed(self) -> int:
        """Return how many of those shown are decided on."""
        return sum(item.review is not None for item in self._shown())

    def unscored(self) -> int:
        """Return how many have no score."""
        return sum(item.score is None for item in self._items.values())

    def next(self, key: Key) -> Key:
        """Return the one after ``key``, after the last the first; None if nothing is shown."""
        keys = self.shown()
        return next((one for one in keys if key is None or one > key), keys[0] if keys else None)

    def previous(self, key: Key) -> Key:
        """Return the one before ``key``, before the first the last; None if nothing is shown."""
        keys = self.shown()[::-1]
        return next((one for one in keys if key is None or one < key), keys[0] if keys else None)

    def next_undecided(self, key: Key) -> Key:
        """Return the next one after ``key`` that is not decided on, going round; None if all are."""
        keys = [item.key for item in self._shown() if item.review is None]
        return next((one for one in keys if key is None or one > key), keys[0] if keys else None)

    def _shown(self) -> Iterator[Item]:
        for item in self._items.values():
            if item.score is None or item.score >= self.least_score:
                yield item


def ranking(known: Collection[str]) -> str:
    """Return what a layer's detections are ranked by, one of ``RANKINGS``; ``known`` are the columns with values.

    Empty if nothing ranks them. One layer is never ranked by two numbers: they do not mean the same.
    """
    return next((name for name in RANKINGS if name in known), "")


def final_label(label: str | None, reviewed_label: str | None) -> str:
    """Return the reviewer's word, else the model's."""
    return reviewed_label or label or ""


def left_out(reviews: Iterable[str | None], *, unreviewed_too: bool) -> tuple[int, int]:
    """Return how many an export leaves out: (rejected, not reviewed)."""
    reviews = list(reviews)
    undecided = sum(review is None for review in reviews)
    return reviews.count(REJECTED), 0 if unreviewed_too else undecided


def is_kept(review: str | None, *, unreviewed_too: bool) -> bool:
    """Return whether an export takes a finding with this decision."""
    return review in KEPT or (review is None and unreviewed_too)
