"""The figures of the tiny model's card: every task on simulated chips and held-out SSDD images it never saw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from fusar_gpt.engine import Engine
from fusar_gpt.tasks import Answer, Question, Task
from fusar_train.corpus.chip import LabelledChip
from fusar_train.evaluation.asking import ask, replies
from fusar_train.evaluation.baselines import commonest, neighbour
from fusar_train.evaluation.examples import Examples, SimulatedExamples, SsddExamples, example_of
from fusar_train.evaluation.figures import Measured, measure
from fusar_train.evaluation.misses import misses
from fusar_train.evaluation.predictions import Condition, Prediction
from fusar_train.evaluation.task_statistics import ALL, WITH_ANY, Key
from fusar_train.simulation import simulate_chip
from fusar_train.simulation.chip import TEST_STREAM

Figures = dict[str, float]

TWIN = "no prior, twin"
MISSES = "simulated ships"
PRIOR_COLUMNS = {"own": "right prior", "none": "no prior", "wrong": "wrong prior"}
_IOUS = ("0.25", "0.5")


def simulated_test(count: int) -> list[LabelledChip]:
    """Simulated chips of the stream that training never draws from."""
    return [simulate_chip(number, TEST_STREAM) for number in range(count)]


def answers(engine: Engine, records: Sequence[LabelledChip], questions: Sequence[Question]) -> list[Answer]:
    """What the engine says to one question a record, parsed as when serving."""
    examples = [example_of("", record, (), ()) for record in records]
    return [answer for _, answer, _ in replies(engine, list(zip(examples, questions, strict=True)))]


def measure_all(
    engine: Engine,
    count: int,
    real: Path | None,
    tell: Callable[[str], None] = print,
    twin: Engine | None = None,
) -> dict[str, dict[str, Figures]]:
    """The figures of a model on simulated chips (right, no and wrong prior) and on real held-out images.

    Under ``MISSES`` stands which ships it misses with the right prior.

    ``twin`` is the same model trained without any prior: what a model that may get one loses when it gets none.
    """
    simulated = SimulatedExamples(count, "test", engine.card)
    asked = {PRIOR_COLUMNS[prior]: _asked(engine, simulated, prior, tell) for prior in PRIOR_COLUMNS}
    if twin:
        asked[TWIN] = _asked(twin, simulated, "none", tell)
    results = {"simulated": _columns(asked), MISSES: misses(asked[PRIOR_COLUMNS["own"]], "ship")}
    if real:
        held_out = SsddExamples(real, "test", engine.card)
        results["ssdd"] = _columns({PRIOR_COLUMNS["none"]: _asked(engine, held_out, "none", tell)})
    return results


def _asked(engine: Engine, examples: Examples, prior: str, tell: Callable[[str], None]) -> list[Prediction]:
    """What the engine says with one kind of prior."""
    tell(f"{len(examples)} images of {examples.name}, {PRIOR_COLUMNS[prior]}")
    condition = Condition(engine.card.name, "", prior, examples.name)
    return [one for batch in ask(engine, examples, condition) for one in batch]


def _columns(columns: dict[str, list[Prediction]]) -> dict[str, Figures]:
    """The figures of each column, and those of two blind guessers."""
    asked = next(iter(columns.values()))
    guessers = {
        "commonest answer": commonest(asked, [p.asked for p in asked], "of these"),
        "next chip's truth": neighbour(asked),
    }
    return {name: flat(measure(mine, java=False)[0]) for name, mine in (columns | guessers).items()}


def flat(measured: Measured) -> Figures:
    """The figures the card may show, by name."""
    found = {}
    for key, figure in measured.figures.items():
        name = _name(key)
        if name and figure.value is not None:
            found[name] = figure.value
    return found


def _name(key: Key) -> str | None:
    """The card's name of a figure; None for one it does not show."""
    task, metric = key.task, key.metric
    cases = ", chips with any" if key.cases == WITH_ANY else ""
    if task is Task.CLASSIFY and metric == "accuracy":
        return "classify" if key.target == ALL else f"classify {key.target}"
    if task is Task.DESCRIBE and metric == "exact":
        return "describe exact"
    if key.target == ALL:
        return None
    if task is Task.COUNT and metric == "accuracy":
        return f"count {key.target}{cases}"
    if task is Task.LOCATE and (metric == "acc100" or not cases):
        return f"locate {key.target} {metric}{cases}"
    if task is Task.DETECT and metric.partition("@")[2] in _IOUS and metric[0] != "A":
        kind, _, iou = metric.partition("@")
        return f"detect {key.target} @{iou} {kind}"
    return None
