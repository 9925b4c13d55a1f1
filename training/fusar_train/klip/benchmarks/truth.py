"""Which facts decide a hit in retrieval by facts: of the truth, or of the sub-texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.record import Record
from fusar_train.corpus.texts.facts import Facts
from fusar_train.klip.data import SLOTS, UNKNOWN_FACT, KlipData, SubText, rows_of

COUNTS = (0, 1, 2, 4, 7)
"""Where a class of counts begins: none, one, 2 or 3, 4 to 6, 7 and more."""
COUNT, TERRAIN = SLOTS.index(("targets", "Count")), SLOTS.index(("terrain", "Terrain"))


@dataclass(frozen=True)
class KnownFacts:
    """C facts of N images.

    Attributes:
        names: What they are about.
        slots: The key whose sub-text tells each.
        rows: Numbers of the facts by image, int64 [N, C], or ``UNKNOWN_FACT``.
    """

    names: tuple[str, ...]
    slots: tuple[int, ...]
    rows: NDArray[np.int64]

    def told(self, texts: Sequence[Sequence[SubText]]) -> NDArray[np.int64]:
        """Which of these each image's text tells, int64 [N, C]: the number of the fact, or ``UNKNOWN_FACT``."""
        spoken = rows_of(texts)[:, list(self.slots)] != UNKNOWN_FACT
        return np.where(spoken, self.rows, UNKNOWN_FACT)

    def of(self, numbers: Sequence[int]) -> KnownFacts:
        """Those of some images."""
        return KnownFacts(self.names, self.slots, self.rows[list(numbers)])


def facts_of_texts(data: KlipData, slots: tuple[int, ...]) -> KnownFacts:
    """What the sub-texts of some keys tell, each as its describer's whole fact."""
    names = tuple(" ".join(SLOTS[slot]) for slot in slots)
    return KnownFacts(names, slots, data.fact_rows(range(len(data)))[:, list(slots)])


def facts_of_truth(records: Sequence[Record]) -> KnownFacts:
    """The class of counts of each kind of targets (``COUNTS``), and the main land cover, as the image shows them.

    Nothing is known of a class that the record does not list in full, nor of what cannot be read.
    """
    known = [_facts(record) for record in records]
    labels = sorted({label for facts in known if facts for label in _counts(facts)})
    covers = sorted({facts.cover.main[0] for facts in known if facts and facts.cover and facts.cover.main})
    rows = np.full((len(records), len(labels) + 1), UNKNOWN_FACT, np.int64)
    for row, facts in zip(rows, known, strict=True):
        if facts is None:
            continue
        for label, count in _counts(facts).items():
            row[labels.index(label)] = np.searchsorted(COUNTS, count, "right") - 1
        if facts.cover and facts.cover.main:
            row[-1] = covers.index(facts.cover.main[0])
    names = (*(f"how many of the class {label}" for label in labels), "the main land cover")
    used = [column for column in range(len(names)) if (rows[:, column] != UNKNOWN_FACT).any()]
    slots = [*([COUNT] * len(labels)), TERRAIN]
    return KnownFacts(tuple(names[n] for n in used), tuple(slots[n] for n in used), rows[:, used])


def _facts(record: Record) -> Facts | None:
    try:
        return Facts.of(record, prior=False)
    except CorpusError:
        return None


def _counts(facts: Facts) -> dict[str, int]:
    sure = {each.label: each.count for each in facts.classes if each.complete and not each.doubtful}
    return sure | dict.fromkeys(facts.absent, 0)
