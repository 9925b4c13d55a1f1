"""The tables: each figure a mean over seeds with its 95 % t-interval, and differences paired by seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from fusar_train.evaluation.seeds import SeedMean, over_seeds
from fusar_train.klip.benchmarks.retrieval import COLUMNS as RETRIEVAL_COLUMNS
from fusar_train.klip.benchmarks.retrieval import MEAN
from fusar_train.klip.benchmarks.section import Figure, Row, Section
from fusar_train.klip.reproduce.experiment import ARMS, BASELINE, Experiment, TrainingRun
from fusar_train.klip.reproduce.measuring import ASKED, BY_FACTS, RETRIEVAL, WRITTEN
from fusar_train.klip.reproduce.screening import Shares
from fusar_train.klip.scio.options import ScioOptions
from fusar_train.klip.scio.rules import RULES

TITLES = {"none": "no screening", "screen": "screening", "rebuild": "screening and rebuilding"}
SCREENED, REWRITTEN = "screened", "rewritten"
_WRITTEN_MEAN = "written: mean of six"
_RETRIEVAL_MEAN, _FACTS_MEAN = "retrieval: mean", "by facts: mean"
_FOUND = ("AUC", "flagged", "precision", "recall", "precision at 10 %", "precision at the planted share")
_REBUILT = (
    *("written again", "accepted", "true of written", "true of accepted"),
    *("repaired of planted", "spoiled of right", "wrong before", "wrong after"),
)


@dataclass(frozen=True)
class Outcome:
    """A finished run: the figures of every rule, and of each arm ``figures`` by kind and ``rounds`` of SCIO."""

    rules: Mapping[str, Shares]
    arms: Mapping[str, Mapping[str, object]]

    def figures(self, arm: str, kind: str) -> Shares:
        """What an arm's model can do; nothing where the arm was left out."""
        found = self.arms.get(arm, {}).get("figures", {})
        assert isinstance(found, dict)
        return dict(found.get(kind, {}))

    def round(self, arm: str, number: int, part: str) -> Shares:
        """What SCIO did in a round; nothing where there was none."""
        found = self.arms.get(arm, {}).get("rounds", [])
        assert isinstance(found, list)
        return dict(found[number].get(part, {})) if number < len(found) else {}


Outcomes = Mapping[TrainingRun, Outcome]
Pick = Callable[[Outcome], Shares]


def _paper(name: str, *percent: float) -> Row:
    return Row(name, {column: Figure(v / 100, 0) for column, v in zip(ASKED, percent, strict=True)})


PAPER = (
    _paper("the paper, FUSAR-GEOVL: no screening", 92.83, 93.86, 93.68, 96.17, 86.34, 85.52),
    _paper("the paper: screening", 97.18, 95.80, 94.61, 98.36, 87.43, 88.39),
    _paper("the paper: screening and refining", 98.70, 96.43, 97.89, 99.45, 89.07, 93.58),
)
"""Table 8, in percent."""


def sections_of(experiment: Experiment, outcomes: Outcomes) -> list[Section]:
    """All tables; those of which nothing is measured yet have no rows."""
    rules = ", ".join(f"{rule.name}: {rule.says}" for rule in RULES.values())
    scio = ScioOptions()
    return [
        Section(
            "differences", "What screening and rebuilding change",
            (_RETRIEVAL_MEAN, _FACTS_MEAN, _WRITTEN_MEAN),
            tuple(_differences(outcomes)),
            notes=(
                "The figure less that of no screening with the same noise and seed, in points. An interval that holds 0"
                " does not show a difference; of twenty without any, one leaves 0 out by chance.",
                *_verdicts(outcomes),
            ),
        ),
        Section(
            "table8", "Table 8: what the decoder writes",
            tuple(ASKED),
            tuple(_by_arm(outcomes, WRITTEN)),
            PAPER,
            (
                f"The share of {experiment.size.written} unseen chips of which the decoder writes what is true: "
                + "; ".join(f"{name}: {' '.join(key)}" for name, key in ASKED.items())
                + ". Main Land looks at the first land cover only. A chip of which nothing is to be said is not asked "
                "about. The paper fine-tunes a network on questions; here the decoder is asked as it is.",
            ),
        ),
        Section(
            "retrieval", "Retrieval among unseen chips with clean texts",
            RETRIEVAL_COLUMNS, tuple(_by_arm(outcomes, RETRIEVAL)),
            notes=("The whole text, of both key sets.",),
        ),
        Section(
            "facts", "Retrieval by facts", RETRIEVAL_COLUMNS, tuple(_by_arm(outcomes, BY_FACTS)),
            notes=("A hit has the same classes of counts and the same main land cover.",),
        ),
        Section(
            "screen", "Does the screen find what was planted?",
            _FOUND, tuple(_rules(outcomes)),
            notes=(
                f"All sub-texts of {experiment.size.compared} chips, judged after the first phase by each rule. "
                f"{rules}. Rules that rank flag {scio.share:.0%}; the default is {scio.rule}.",
                "Precision of blind choice is the share that is planted. AUC: the chance that a wrong sub-text scores "
                "above a right one.",
            ),
        ),
        Section(
            "arms", "What the screens of the arms flagged", _FOUND, tuple(_screens(outcomes)),
            notes=("By the default rule, among all training texts.",),
        ),
        Section(
            "rebuilding", "What was rewritten", _REBUILT, tuple(_rebuilding(outcomes)),
            notes=(
                "Written again and wrong before and after are shares of all sub-texts. Repaired: written again, "
                "accepted and true now, of the planted that were written again. Spoiled: accepted and untrue now, of "
                "the right ones that were written again. Words that no true text of the corpus has count as untrue.",
                "Counts and places are not written again but only kept out of what the decoder learns.",
            ),
        ),
    ]  # fmt: skip


def noise_levels(outcomes: Outcomes) -> list[float]:
    """The shares of noise of which anything is measured, in order."""
    return sorted({run.noise for run in outcomes})


def means(outcomes: Outcomes, noise: float, pick: Pick) -> dict[str, SeedMean]:
    """The figures of one share of noise over its seeds; those that no seed has are missing."""
    several = [pick(outcome) for run, outcome in outcomes.items() if run.noise == noise]
    names = dict.fromkeys(name for one in several for name in one)
    return {name: over_seeds([one[name] for one in several if name in one]) for name in names}


def summary(outcome: Outcome, arm: str) -> Shares:
    """An arm's three means; nothing where the arm was left out."""
    found = {}
    for name, kind in ((_RETRIEVAL_MEAN, RETRIEVAL), (_FACTS_MEAN, BY_FACTS)):
        if figures := outcome.figures(arm, kind):
            found[name] = figures[MEAN]
    if written := outcome.figures(arm, WRITTEN):
        found[_WRITTEN_MEAN] = float(np.mean(list(written.values())))
    return found


def changes(outcomes: Outcomes, noise: float, arm: str) -> dict[str, SeedMean]:
    """An arm's means less those without screening, over the seeds that have both."""

    def apart(outcome: Outcome) -> Shares:
        mine, base = summary(outcome, arm), summary(outcome, BASELINE)
        return {name: mine[name] - base[name] for name in mine.keys() & base.keys()}

    return means(outcomes, noise, apart)


def _rows(outcomes: Outcomes, of: Mapping[str, Pick]) -> Iterator[Row]:
    for noise in noise_levels(outcomes):
        for title, pick in of.items():
            if found := means(outcomes, noise, pick):
                yield Row(f"{_percent(noise)}: {title}", _figures(found))


def _percent(noise: float) -> str:
    return f"{100 * noise:g} % noise"


def _figures(found: Mapping[str, SeedMean]) -> dict[str, Figure]:
    return {
        name: Figure(one.value, one.n)
        if one.half is None
        else Figure(one.value, one.n, one.value - one.half, one.value + one.half)
        for name, one in found.items()
    }


def _by_arm(outcomes: Outcomes, kind: str) -> Iterator[Row]:
    def of(arm: str) -> Pick:
        return lambda outcome: outcome.figures(arm, kind)

    return _rows(outcomes, {TITLES[arm]: of(arm) for arm in ARMS})


def _differences(outcomes: Outcomes) -> Iterator[Row]:
    for noise in noise_levels(outcomes):
        for arm in ARMS:
            if arm != BASELINE and (found := changes(outcomes, noise, arm)):
                yield Row(f"{_percent(noise)}: {TITLES[arm]}", _figures(found))


def _verdicts(outcomes: Outcomes) -> Iterator[str]:
    for noise in noise_levels(outcomes):
        for arm in ARMS:
            found = changes(outcomes, noise, arm) if arm != BASELINE else {}
            decided = [f"{name} {100 * one.value:+.1f}" for name, one in sorted(found.items()) if one.decided]
            if found and next(iter(found.values())).n < 2:
                yield f"{_percent(noise)}, {TITLES[arm]}: one seed decides nothing."
            elif found:
                what = ", ".join(decided) or "nothing that can be told from the difference between seeds"
                yield f"{_percent(noise)}, {TITLES[arm]}: {what}."
    three = [float(np.mean([figure.value for figure in row.figures.values()])) for row in PAPER]
    yield (
        f"The paper, on its own data and with noise of unknown share: mean of six {100 * (three[1] - three[0]):+.1f} by"
        f" screening, {100 * (three[2] - three[0]):+.1f} by screening and refining."
    )


def _rules(outcomes: Outcomes) -> Iterator[Row]:
    def of(rule: str) -> Pick:
        return lambda outcome: dict(outcome.rules.get(rule, {}))

    names = dict.fromkeys(name for outcome in outcomes.values() for name in outcome.rules)
    return _rows(outcomes, {name: of(name) for name in names})


def _screens(outcomes: Outcomes) -> Iterator[Row]:
    picks: dict[str, Pick] = {
        "after the first phase": lambda outcome: outcome.round("screen", 0, SCREENED),
        "after the second": lambda outcome: outcome.round("screen", 1, SCREENED),
    }
    return _rows(outcomes, picks)


def _rebuilding(outcomes: Outcomes) -> Iterator[Row]:
    return _rows(outcomes, {"rewritten": lambda outcome: outcome.round("rebuild", 1, REWRITTEN)})
