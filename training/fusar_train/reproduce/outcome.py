"""What came of the runs: figures with bootstrap intervals, means over seeds, differences between rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from fusar_train.evaluation.bootstrap import Estimate, Statistic, difference, estimate, mean
from fusar_train.evaluation.metrics import ALL, MetricKey, compute_metrics
from fusar_train.evaluation.predictions import PREDICTIONS_FILE, read_predictions
from fusar_train.evaluation.results import cases_of
from fusar_train.evaluation.seeds import SeedMean, over_seeds, percent
from fusar_train.reproduce.experiment import (
    METRICS,
    RESULT_FILE,
    UNTRAINED,
    Experiment,
    ReproduceError,
    TrainingRun,
    work_folder,
)
from fusar_train.stages.run_log import read_log

_BOOTSTRAP_SEED = 0


@dataclass(frozen=True)
class RunOutcome:
    """A finished run.

    Attributes:
        run: Which.
        images: The ids of the test chips.
        statistics: Its figures as functions of how often each chip counts; of ``METRICS`` for all classes and each.
        figures: The same with their bootstrap intervals over chips.
        losses: (step, loss) of each stage.
        facts: ``result.json``.
    """

    run: TrainingRun
    images: tuple[str, ...]
    statistics: Mapping[MetricKey, Statistic]
    figures: Mapping[MetricKey, Estimate]
    losses: Mapping[int, list[tuple[float, float]]]
    facts: Mapping[str, object]

    def value(self, key: MetricKey) -> float | None:
        """A figure."""
        return self.figures[key].value if key in self.figures else None

    def said(self) -> str:
        """The figures in a line."""
        return ", ".join(f"{title} {percent(self.value(key))}" for key, title in METRICS.items())


def read_outcome(experiment: Experiment, run: TrainingRun) -> RunOutcome:
    """Reads a finished run.

    Raises:
        ReproduceError: Its files are broken.
        PredictionsError: Its predictions cannot be read.
    """
    folder = experiment.folder(run)
    predictions = read_predictions(folder / PREDICTIONS_FILE)
    images = list(dict.fromkeys(p.image for p in predictions))
    taken, _ = compute_metrics(cases_of(predictions, images))
    kinds = {(key.task, key.metric) for key in METRICS}
    kept = {key: one for key, one in taken.items() if (key.task, key.metric) in kinds and key.cases == ALL}
    try:
        facts = json.loads((folder / RESULT_FILE).read_text(encoding="utf-8"))
        losses = {
            stage: [(line["step"], line["loss"]) for line in read_log(work_folder(folder, stage))]
            for stage in experiment.settings(run)
        }
    except (OSError, ValueError, KeyError) as error:
        raise ReproduceError(f"{folder} makes no sense ({error}): remove it and repeat.") from error
    figures = dict(zip(kept, estimate(list(kept.values()), len(images), _BOOTSTRAP_SEED), strict=True))
    return RunOutcome(run, tuple(images), kept, figures, losses, facts)


@dataclass(frozen=True)
class RowDifference:
    """A row minus another, seed by seed on the same chips: over seeds, and the bootstrap interval over chips."""

    seeds: SeedMean
    chips: Estimate

    @property
    def decided(self) -> bool:
        """Whether both intervals leave out 0: few seeds that happen to agree prove nothing."""
        low, high = self.chips.low, self.chips.high
        return self.seeds.decided and low is not None and high is not None and (low > 0 or high < 0)


def row_mean(outcomes: Mapping[TrainingRun, RunOutcome], row: str, key: MetricKey) -> SeedMean | None:
    """The mean of a row's figure over its seeds; None when none is measured."""
    mine = (outcome.value(key) for run, outcome in outcomes.items() if run.row == row)
    known = [value for value in mine if value is not None]
    return over_seeds(known) if known else None


def row_difference(
    outcomes: Mapping[TrainingRun, RunOutcome], row: str, other: str, key: MetricKey
) -> RowDifference | None:
    """How a row differs from another on the seeds that both have; None without any.

    Raises:
        ReproduceError: They were measured on different chips.
    """
    pairs = [
        (mine, outcomes[TrainingRun(other, run.seed)])
        for run, mine in outcomes.items()
        if run.row == row and TrainingRun(other, run.seed) in outcomes
    ]
    if not pairs or row in (other, UNTRAINED):
        return None
    images = {one.images for pair in pairs for one in pair}
    if len(images) > 1:
        raise ReproduceError(
            f"{row} and {other} were measured on different chips: remove their runs and repeat."
        )
    both = [(a, b) for a, b in pairs if a.value(key) is not None and b.value(key) is not None]
    if not both:
        return None
    apart = mean([difference(a.statistics[key], b.statistics[key]) for a, b in both])
    (chips,) = estimate([apart], len(both[0][0].images), _BOOTSTRAP_SEED)
    return RowDifference(over_seeds([(a.value(key) or 0.0) - (b.value(key) or 0.0) for a, b in both]), chips)
