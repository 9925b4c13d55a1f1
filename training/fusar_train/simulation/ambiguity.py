"""How much of the truth of simulated chips their images hold, and how much only their land cover tells.

The image of a flat and of what is on it does not depend on what the flat is, so the best that any counter can
make of an image is known exactly: it sees every object and every flat, and knows each flat's odds.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusar_train.corpus.chip import LabelledChip, clip_objects
from fusar_train.simulation.chip import CHIP_PX, MARGIN, compose, simulate_chip
from fusar_train.simulation.ground import WATER, Surface
from fusar_train.simulation.prior import real_vectors
from fusar_train.simulation.targets import Site


@dataclass(frozen=True)
class CountShares:
    """Shares of chips.

    Attributes:
        ambiguous: chips with at least one object that the image alone cannot decide.
        empty: chips without a true object.
        all_alike: counted right by a counter of everything that looks like a ship (or a plane).
        best: counted right by the best counter that sees the image only, in expectation.
        prior: counted right by a counter that also looks up the nearest real vectors of the prior.
    """

    ambiguous: float
    empty: float
    all_alike: float
    best: float
    prior: float


def seen(site: Site, hosts: str) -> Counter[int]:
    """How many objects of a class every flat shows on the chip, by the rule that decides which are counted."""
    counts: Counter[int] = Counter()
    for target in site.targets:
        x0, y0, x1, y1 = (edge - MARGIN for edge in target.box)
        if site.land.flats[target.flat].hosts == hosts:
            counts[target.flat] += len(clip_objects([(x0, y0, x1, y1)], [hosts], CHIP_PX, CHIP_PX)[0])
    return Counter({flat: count for flat, count in counts.items() if count})


def best_guess(site: Site, counts: Counter[int]) -> float:
    """The probability of the most probable number of true objects, given all that the image shows."""
    chances = np.ones(1)
    for flat, count in counts.items():
        odds, more = site.land.flats[flat].odds, np.zeros(count)
        chances = (1 - odds) * np.concatenate([chances, more]) + odds * np.concatenate([more, chances])
    return float(chances.max())


def read_prior(record: LabelledChip, site: Site, hosts: str) -> int:
    """The number of objects on flats that the nodes next to them show as water, or as built-up land for planes.

    The two nodes nearest to each object that lie on smooth dark ground, as the image shows it, vote with their
    closeness to the nearest real vector of every cover.
    """
    wanted = WATER if hosts == "ship" else int(Surface.BUILT)
    places = np.minimum(record.positions * CHIP_PX, CHIP_PX - 1).astype(int) + MARGIN
    dark = site.land.flat[places[:, 0], places[:, 1]] > 0
    positions, values = record.positions[dark] * CHIP_PX, record.values[dark]
    votes: dict[int, NDArray[np.float32]] = {}
    counts = seen(site, hosts)
    for target in site.targets:
        if target.flat in counts:
            x0, y0, x1, y1 = (np.clip(edge - MARGIN, 0, CHIP_PX) for edge in target.box)
            off = positions - np.array([(y0 + y1) / 2, (x0 + x1) / 2], np.float32)
            near = values[np.argsort((off**2).sum(1))[:2]]
            closeness = np.einsum("nd,aked->nake", near, real_vectors()).max(axis=(1, 3)).sum(0)
            votes[target.flat] = votes.get(target.flat, np.zeros_like(closeness)) + closeness
    return sum(count for flat, count in counts.items() if votes[flat].argmax() == wanted)


def measure(count: int, hosts: str = "ship", stream: int = 0) -> CountShares:
    """The shares over the first ``count`` chips of a stream."""
    rows: list[tuple[float, ...]] = []
    for number in range(count):
        site, _, _ = compose(number, stream)
        counts = seen(site, hosts)
        flats = site.land.flats
        true = sum(n for flat, n in counts.items() if flats[flat].real)
        undecided = any(flats[flat].odds < 1 for flat in counts)
        read = read_prior(simulate_chip(number, stream), site, hosts)
        alike, best = sum(counts.values()), best_guess(site, counts)
        rows.append((undecided, true == 0, alike == true, best, read == true))
    ambiguous, empty, all_alike, expected, prior = np.array(rows, float).mean(0).tolist()
    return CountShares(ambiguous, empty, all_alike, expected, prior)
