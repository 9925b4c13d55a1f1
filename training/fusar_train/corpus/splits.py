"""Splits by scene, never by chip, and the records that show the same picture or ground."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.images import digest
from fusar_train.corpus.overlap import Overlap
from fusar_train.corpus.record import SPLITS, Record


def assign_splits(
    records: Sequence[Record],
    shares: tuple[float, float, float],
    seed: int,
    *,
    again: bool = False,
    overlaps: Iterable[Overlap] = (),
) -> list[Record]:
    """Gives every record a split, whole groups at a time; the same seed and records give the same splits.

    A group is a scene, together with all scenes that hold a picture of it that is pixel-identical, be it turned or
    mirrored, or that overlaps one of it. Groups are drawn in random order, each for the split that lacks most.

    Args:
        records: All records of a data set.
        shares: Of train, val and test; they sum to 1.
        seed: Draws the order.
        overlaps: Records that show the same ground (``overlap.same_ground``), by their numbers.
        again: Draw anew for records that have a split, such as the official one; otherwise they keep it.

    Raises:
        CorpusError: There are no records, the shares make no sense, or records of one group have different
            splits and are to keep them.
    """
    if not records:
        raise CorpusError("There are no records to split: import a data set first.")
    groups = grouped(records, overlaps)
    fixed = {} if again else {key: split for key, group in groups.items() if (split := _kept(group))}
    chosen = drawn({key: len(group) for key, group in groups.items()}, fixed, shares, seed)
    split_of = {record.id: chosen[key] for key, group in groups.items() for record in group}
    return [replace(record, split=split_of[record.id]) for record in records]


def grouped(records: Sequence[Record], overlaps: Iterable[Overlap] = ()) -> dict[str, list[Record]]:
    """Records by group; the key is the first of the group's scenes in order of name."""
    pairs = [(twins[0], other) for twins in identical(records) for other in twins[1:]]
    pairs += [(records[found.one], records[found.other]) for found in overlaps]
    group_of = joined(
        {record.scene for record in records}, ((one.scene, other.scene) for one, other in pairs)
    )
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        groups[group_of[record.scene]].append(record)
    return dict(groups)


def drawn(
    weights: Mapping[str, float], fixed: Mapping[str, str], shares: tuple[float, float, float], seed: int
) -> dict[str, str]:
    """The split of each group: those not fixed are drawn in random order, each for the split that lacks most.

    Args:
        weights: The size of each group.
        fixed: The splits that some have already.
        shares: Of train, val and test; they sum to 1.
        seed: Draws the order.

    Raises:
        CorpusError: The shares make no sense.
    """
    if min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
        raise CorpusError(f"The shares must be three numbers from 0 that sum to 1, not {shares}.")
    sizes = dict.fromkeys(SPLITS, 0.0)
    for group, split in fixed.items():
        sizes[split] += weights[group]
    chosen, total = dict(fixed), sum(weights.values())
    free = sorted(group for group in weights if group not in fixed)
    for i in np.random.default_rng(seed).permutation(len(free)):
        lack = [share * total - sizes[split] for share, split in zip(shares, SPLITS, strict=True)]
        split = SPLITS[int(np.argmax(lack))]
        sizes[split] += weights[free[i]]
        chosen[free[i]] = split
    return chosen


def joined(names: Iterable[str], pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The group of each name, where two names of a pair are of one group: the first of them in order of name."""
    leader = {name: name for name in names}

    def find(name: str) -> str:
        while leader[name] != name:
            leader[name] = name = leader[leader[name]]
        return name

    for pair in pairs:
        first, second = sorted(map(find, pair))
        leader[second] = first
    return {name: find(name) for name in leader}


def identical(records: Iterable[Record]) -> list[list[Record]]:
    """Records whose pixels are equal, also after turning by quarters or mirroring; lists of two or more.

    Raises:
        CorpusError: An image cannot be read.
    """
    found: dict[bytes, list[Record]] = defaultdict(list)
    for record in records:
        found[digest(record.pixels())].append(record)
    return [twins for twins in found.values() if len(twins) > 1]


def _kept(group: Sequence[Record]) -> str | None:
    """The one split that records of a group have already."""
    having = {record.split: record for record in group if record.split}
    if len(having) > 1:
        (one, first), (two, second) = list(having.items())[:2]
        raise CorpusError(
            f"{first.id} is in {one} and {second.id} in {two}, but they show the same scene or ground: "
            "give --again to draw new splits."
        )
    return next(iter(having), None)
