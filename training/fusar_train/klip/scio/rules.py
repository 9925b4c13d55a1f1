"""The rules that tell noise from truth: both readings of FUSAR-KLIP 3.4, and others that find more of it, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from fusar_train.klip.scio.measures import Measured
from fusar_train.klip.scio.reading import Values

Where = NDArray[np.bool_]


@dataclass(frozen=True)
class Rule:
    """How sub-texts are judged.

    Attributes:
        name: On the command line.
        says: What it does, in one sentence.
        measures: What it looks at, of ``measures.MEASURES``.
        score: How much each sub-text looks like noise, float64 [M]; NaN where it cannot be judged.
        ranks: The part with the highest scores is noise; otherwise all whose score is above 0.
    """

    name: str
    says: str
    measures: tuple[str, ...]
    score: Callable[[Measured], Values]
    ranks: bool = True

    def judge(self, measured: Measured, share: float) -> tuple[Values, Where, float]:
        """Scores [M], which are noise [M], and the score above which, or from which on, they are.

        What cannot be judged is no noise, and has the least score of all.
        """
        score = self.score(measured)
        judged = np.isfinite(score)
        score = np.where(judged, score, score[judged].min(initial=0.0))
        if not self.ranks:
            return score, judged & (score > 0), 0.0
        worst = np.argsort(-score, kind="stable")[: round(share * len(score))]
        noisy = np.zeros(len(score), bool)
        noisy[worst] = judged[worst]
        return score, noisy, float(score[noisy].min()) if noisy.any() else float(score.max(initial=0.0))


def standardised(values: Values, group: NDArray[np.int64]) -> Values:
    """Each value less the mean of its group, in standard deviations of the group; 0 where all are equal, NaN stays."""
    found = np.full(len(values), np.nan)
    for number in np.unique(group):
        rows = np.flatnonzero((group == number) & np.isfinite(values))
        if len(rows):
            mine = values[rows]
            found[rows] = (mine - mine.mean()) / mine.std() if np.ptp(mine) > 0 else 0.0
    return found


def _both(one: Values, other: Values) -> Values:
    """Above 0 where both are, and the higher the more so: the lesser of the two, each in its own spread."""
    scaled = []
    for each in (one, other):
        known = each[np.isfinite(each)]
        scaled.append(each / spread if len(known) and (spread := known.std()) > 0 else each)
    lesser: Values = np.minimum(*scaled)
    return lesser


def _text(measured: Measured) -> Values:
    return _both(-measured.values["itc_removed"], measured.values["itm_removed"])


def _algorithm(measured: Measured) -> Values:
    return _both(-measured.values["itc_removed"], -measured.values["itm_kept"])


def _alone(measured: Measured) -> Values:
    return -standardised(measured.values["cosine"], measured.group)


def _summed(measured: Measured) -> Values:
    names = ("likelihood", "mlm_gain", "rank", "itm")
    return -_sum([standardised(measured.values[name], measured.group) for name in names])


def _gain(measured: Measured) -> Values:
    return -_sum([measured.values[name] for name in ("itc_gain", "mlm_gain")])


def _sum(several: Sequence[Values]) -> Values:
    """The sum of what is defined; NaN where nothing is."""
    stacked = np.stack(several)
    total: Values = np.where(np.isnan(stacked).all(axis=0), np.nan, np.nansum(stacked, axis=0))
    return total


_ALL = (
    Rule(
        "text",
        "noise is what ITC's loss falls and ITM's score rises without, each sub-text for itself (the paper's text)",
        ("itc_removed", "itm_removed"),
        _text,
        ranks=False,
    ),
    Rule(
        "algorithm",
        "noise is what ITC's loss falls without, where ITM's loss falls without all of these (the paper's box)",
        ("itc_removed", "itm_kept"),
        _algorithm,
        ranks=False,
    ),
    Rule(
        "summed",
        "noise is the share with the least sum of likelihood, gain of likelihood, rank and ITM's score, each "
        "standardised by key",
        ("likelihood", "mlm_gain", "rank", "itm"),
        _summed,
    ),
    Rule(
        "alone",
        "noise is the share that ITC finds least like its image, standardised by key",
        ("cosine",),
        _alone,
    ),
    Rule(
        "gain",
        "noise is the share that this image makes least likelier than any other would, by ITC and decoder together",
        ("itc_gain", "mlm_gain"),
        _gain,
    ),
)
RULES: Mapping[str, Rule] = MappingProxyType({rule.name: rule for rule in _ALL})
"""By name."""
