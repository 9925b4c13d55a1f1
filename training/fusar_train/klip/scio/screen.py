"""Screening: which sub-texts of a corpus are noise, as a model in training sees it (FUSAR-KLIP 3.4, stage 2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fusar_train.klip.scio.measures import Measured, measure
from fusar_train.klip.scio.rules import RULES
from fusar_train.klip.settings import KlipError
from fusar_train.klip.train import Prepared


@dataclass(frozen=True)
class Judged:
    """What the screen says of one sub-text.

    Attributes:
        record: Number of its record in the data.
        place: Its place among the sub-texts of the record.
        values: What was measured, by the names of ``measures.MEASURES``; a measure that is not defined is missing.
        score: How much it looks like noise, by the rule; the least of all where it cannot judge it.
        noisy: Whether it is called noise.
        threshold: The score from which it would be (above which, where that is 0).
    """

    record: int
    place: int
    values: dict[str, float]
    score: float
    noisy: bool
    threshold: float = 0.0


def screen(prepared: Prepared, rule: str, share: float) -> list[Judged]:
    """Judges all sub-texts of ``prepared.data`` by its trainer's model as it is now.

    Args:
        prepared: A run.
        rule: A name of ``rules.RULES``.
        share: What part is called noise by rules that rank; the paper's two bare rules decide themselves.

    Raises:
        KlipError: There is no such rule, the share is no part, or an image cannot be read.
    """
    check_rule(rule, share)
    return judge(measure(prepared, RULES[rule].measures), rule, share)


def judge(measured: Measured, rule: str, share: float) -> list[Judged]:
    """What a rule says of measured sub-texts."""
    scores, noisy, threshold = RULES[rule].judge(measured, share)
    names = RULES[rule].measures
    columns = np.stack([measured.values[name] for name in names], axis=1).tolist()
    return [
        Judged(
            record=record,
            place=place,
            values={name: value for name, value in zip(names, values, strict=True) if value == value},
            score=score,
            noisy=bad,
            threshold=threshold,
        )
        for (record, place), values, score, bad in zip(
            measured.at.tolist(), columns, scores.tolist(), noisy.tolist(), strict=True
        )
    ]


def check_rule(rule: str, share: float) -> None:
    """KlipError unless there is such a rule, and the share is a part of the sub-texts."""
    if rule not in RULES:
        raise KlipError(f"There is no rule {rule!r} to screen by: take one of {', '.join(RULES)}.")
    if not 0 < share < 1:
        raise KlipError(
            f"A share of {share:g} of the sub-texts makes no sense: give one above 0 and below 1."
        )
