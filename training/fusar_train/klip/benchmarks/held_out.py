"""Which records of a data set are held out from learning: their own test split, or whole groups of like images."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from fusar_train.corpus.record import Record
from fusar_train.klip.settings import KlipError

ONE_IN = 5
"""One in so many groups is held out, as the paper's 4 : 1."""
MOST = 20_000
"""Records of a set that are read, drawn by the seed."""

Parts = tuple[NDArray[np.bool_], NDArray[np.int64]]
"""Which records are held out, bool [N], and the number of each one's scene or group, int64 [N]."""


def drawn(records: list[Record], seed: int, notes: list[str]) -> list[Record]:
    """The records, or some of very many."""
    if len(records) <= MOST:
        return records
    notes.append(f"Of {len(records)} records, {MOST} are drawn.")
    rng = np.random.default_rng(seed)
    return [records[number] for number in np.sort(rng.permutation(len(records))[:MOST])]


def groups_of(records: Sequence[Record]) -> NDArray[np.int64]:
    """The number of each record's scene, int64 [N]."""
    numbers = {name: number for number, name in enumerate(dict.fromkeys(one.scene for one in records))}
    return np.array([numbers[one.scene] for one in records], np.int64)


def splits_of(records: Sequence[Record], notes: list[str]) -> Parts | None:
    """The records of the split test are held out; None where the records have no such split."""
    held_out = np.array([one.split == "test" for one in records], bool)
    if not held_out.any() or held_out.all():
        return None
    groups = groups_of(records)
    notes.append("Held out: the records of the split test.")
    if both := int(np.isin(groups[held_out], groups[~held_out]).sum()):
        notes.append(f"{both} of them are of scenes that are learned from, too: these figures flatter.")
    return held_out, groups


def groups_apart(
    records: Sequence[Record],
    path: Path,
    seed: int,
    notes: list[str],
    labels: NDArray[np.int64] | None = None,
) -> Parts:
    """About one in five images is held out, of whole groups.

    With ``labels`` int64 [N], of all classes alike, and each class stays in both parts.

    Raises:
        KlipError: There is no such part.
    """
    groups = groups_of(records)
    classes = np.zeros(len(records), np.int64) if labels is None else labels
    for attempt in range(20):
        for _, test in folds(classes, groups, ONE_IN, seed + 1000 * attempt):
            held_out = np.zeros(len(records), bool)
            held_out[test] = True
            if len(set(classes[held_out])) == len(set(classes[~held_out])) == len(set(classes)):
                notes.append(
                    f"Held out: one in {ONE_IN} groups of like images, none of which is learned from."
                )
                return held_out, groups
    raise KlipError(
        f"{path} cannot be divided so that no scene is learned from and tested: give more scenes, or records with "
        "splits."
    )


def folds(
    labels: NDArray[np.int64], groups: NDArray[np.int64], count: int, seed: int
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Learned and tested numbers of each of at most ``count`` folds; no group is in both."""
    count = min(count, len(set(groups.tolist())), len(labels))
    if count < 2:
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class may be rarer than there are folds
        splitter = StratifiedGroupKFold(
            min(count, int(np.bincount(labels).max())), shuffle=True, random_state=seed
        )
        return list(splitter.split(np.zeros(len(labels)), labels, groups))
