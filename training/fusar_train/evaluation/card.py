"""The tiny model's card: what it is, what it was trained on, its figures on unseen chips, how to make it again."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fusar_gpt.engine import Engine
from fusar_gpt.findings.report import load_template
from fusar_gpt.frames import Box
from fusar_gpt.tasks import Task
from fusar_train.evaluation.baselines import commonest, neighbour
from fusar_train.evaluation.false_alarms import false_alarms, rates, scenes_in
from fusar_train.evaluation.inference import ask
from fusar_train.evaluation.labelled_images import (
    SHARED_GROUND,
    SHIP,
    LabelledImages,
    simulated_images,
    ssdd_images,
)
from fusar_train.evaluation.metrics import ALL, WITH_ANY, MetricKey, detections_of
from fusar_train.evaluation.predictions import Condition, Prediction, PriorKind
from fusar_train.evaluation.results import evaluate_predictions
from fusar_train.evaluation.slices import CROWD, SLICES

Figures = Mapping[str, float]
"""By the card's name of each."""

TWIN = "no prior, twin"
MISSES = "simulated ships"
SLICED, FALSE_ALARMS = "slices", "false alarms"
SSDD_SHARED = "ssdd, ground of the training images"
PRIOR_COLUMNS: dict[PriorKind, str] = {"own": "right prior", "none": "no prior", "wrong": "wrong prior"}
_IOUS = ("0.25", "0.5")

ROWS = (
    ("count {0}", "exact count"),
    ("count {0}, chips with any", "exact count, chips with any"),
    ("locate {0} acc100", "grid Acc@100"),
    ("locate {0} acc100, chips with any", "grid Acc@100, chips with any"),
    ("locate {0} acc50", "grid Acc@50"),
    ("locate {0} top1", "grid Top1"),
    ("detect {0} @0.25 F1", "detection F1 at IoU .25"),
    ("detect {0} @0.5 F1", "detection F1 at IoU .5"),
)
TITLES = {
    **{key.format(label): f"{label}: {name}" for label in ("ship", "plane") for key, name in ROWS},
    "classify": "class of a given box",
    "describe exact": "caption, word for word",
}
"""What a figure of the tables is called, by its name."""

GOALS = {
    ("simulated", "right prior"): {
        "count ship": 0.95,
        "locate ship acc100": 0.92,
        "classify": 0.98,
        "detect ship @0.5 F1": 0.85,
        "detect plane @0.5 F1": 0.85,
    },
    ("ssdd", "no prior"): {"count ship": 0.75, "locate ship acc100": 0.75, "detect ship @0.5 F1": 0.8},
}

SMALL_PX = 24.0
NEAR_PX = 32.0
SMALL, CROWDED, PLAIN = f"under {SMALL_PX:.0f} px long", "larger, crowded", "larger, alone"
FOUND, LOOSE, UNSEEN = "box of IoU .5", "only of IoU .2 to .5", "none"
_MATCHED_AT = {FOUND: 0.5, LOOSE: 0.2}

_SSDD_SLICED = "ssdd, slices"
_SLICE_ROWS = (
    ("exact count", Task.COUNT, "accuracy"),
    ("P at IoU .5", Task.DETECT, "P@0.5"),
    ("R at IoU .5", Task.DETECT, "R@0.5"),
    ("F1 at IoU .5", Task.DETECT, "F1@0.5"),
)


def measure_all(
    engine: Engine,
    count: int,
    real: Path | None,
    tell: Callable[[str], None] = print,
    twin: Engine | None = None,
    without_targets: Path | None = None,
) -> dict[str, dict[str, Figures]]:
    """The figures of a model on simulated chips (right, no and wrong prior) and on real held-out images.

    Under ``MISSES`` stands which ships it misses with the right prior.

    Args:
        engine: The model.
        count: How many simulated chips, of the stream that training never draws from.
        real: The folder of SSDD, if its held-out images are measured.
        tell: Takes a line for each part.
        twin: The same model trained without any prior: what a model that may get one loses when it gets none.
        without_targets: Scenes that hold no target, if false alarms are measured.
    """
    simulated = simulated_images(count, "test", engine.card)
    asked = {PRIOR_COLUMNS[prior]: _asked(engine, simulated, prior, tell) for prior in PRIOR_COLUMNS}
    if twin:
        asked[TWIN] = _asked(twin, simulated, "none", tell)
    results = {"simulated": _columns(asked), MISSES: misses(asked[PRIOR_COLUMNS["own"]], "ship")}
    results[SLICED] = sliced("simulated, right prior", asked[PRIOR_COLUMNS["own"]])
    if real:
        results |= measure_real(engine, real, tell)
        results[SLICED] |= results.pop(_SSDD_SLICED)
    if without_targets:
        scenes = false_alarms(engine, scenes_in(without_targets))
        results[FALSE_ALARMS] = dict(rates(list(scenes)))
    return results


def measure_real(
    engine: Engine, real: Path, tell: Callable[[str], None] = print
) -> dict[str, dict[str, Figures]]:
    """The figures on SSDD's held-out images, those of new ground apart, and on their slices."""
    asked: list[Prediction] = []
    results = {}
    for split, name in (("test", "ssdd"), (SHARED_GROUND, SSDD_SHARED)):
        held_out = ssdd_images(real, split, engine.card)
        if len(held_out):
            answers = _asked(engine, held_out, "none", tell)
            asked += answers
            results[name] = _columns({PRIOR_COLUMNS["none"]: answers})
    results[_SSDD_SLICED] = sliced("SSDD, held out", asked)
    return results


def sliced(data: str, predictions: Sequence[Prediction]) -> dict[str, Figures]:
    """For each slice of some images: how many there are, exact counts of ships, P, R and F1 of detection."""
    together = [p.model_copy(update={"data": data}) for p in predictions]
    figures = evaluate_predictions(together, java=False)[0].figures
    found: dict[str, Figures] = {}
    for name in SLICES:
        mine = {
            title: figure.value
            for title, task, metric in _SLICE_ROWS
            if (figure := figures.get(MetricKey(task, SHIP, metric, name))) and figure.value is not None
        }
        if mine:
            images = len({p.image for p in predictions if name in p.slices})
            found[f"{data}: {name}"] = {"images": images, **mine}
    return found


def _asked(
    engine: Engine, images: LabelledImages, prior: PriorKind, tell: Callable[[str], None]
) -> list[Prediction]:
    """What the engine says with one kind of prior."""
    tell(f"{len(images)} images of {images.name}, {PRIOR_COLUMNS[prior]}")
    condition = Condition(engine.card.name, "", prior, images.name)
    return [one for batch in ask(engine, images, condition) for one in batch]


def _columns(columns: dict[str, list[Prediction]]) -> dict[str, Figures]:
    """The figures of each column, and those of two blind guessers."""
    asked = next(iter(columns.values()))
    guessers = {
        "commonest answer": commonest(asked, [p.labelled_question for p in asked], "of these"),
        "next chip's truth": neighbour(asked),
    }
    columns = columns | guessers
    return {name: _named(evaluate_predictions(mine, java=False)[0].figures) for name, mine in columns.items()}


def _named(figures: Mapping[MetricKey, Any]) -> Figures:
    """The figures the card may show, by name."""
    named = ((_name(key), figure.value) for key, figure in figures.items())
    return {name: value for name, value in named if name and value is not None}


def _name(key: MetricKey) -> str | None:
    """The card's name of a figure; None for one it does not show."""
    task, metric = key.task, key.metric
    if key.cases in SLICES:
        return None  # they have a table of their own
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


def misses(predictions: Iterable[Prediction], target: str) -> dict[str, Figures]:
    """How many true boxes of a class there are of every kind, and which box the detect answers give them.

    A kind is ``SMALL``, ``CROWDED`` (another one's centre within ``NEAR_PX``), ``PLAIN`` or ``ALL``; its figures are
    ``number`` and the shares ``FOUND``, ``LOOSE`` and ``UNSEEN``. A kind of which there is none is left out.
    """
    seen: dict[str, Counter[str]] = {kind: Counter() for kind in (ALL, PLAIN, CROWDED, SMALL)}
    for prediction in predictions:
        if prediction.task is Task.DETECT and prediction.target == target:
            chip = replace(detections_of(prediction, frozenset([target])), difficult=())
            found = {how: set(chip.match(iou).partner.tolist()) for how, iou in _MATCHED_AT.items()}
            for number, box in enumerate(chip.truth):
                how = next((how for how in _MATCHED_AT if number in found[how]), UNSEEN)
                for kind in (ALL, _kind(box, chip.truth)):
                    seen[kind][how] += 1
    return {
        kind: {"number": n.total(), **{how: n[how] / n.total() for how in (*_MATCHED_AT, UNSEEN)}}
        for kind, n in seen.items()
        if n
    }


def _kind(box: Box, boxes: Iterable[Box]) -> str:
    """Whether a box in pixels is small, crowded by others among ``boxes`` or plain to see."""
    if max(box.right - box.left, box.bottom - box.top) < SMALL_PX:
        return SMALL
    near = sum(
        abs(box.left + box.right - other.left - other.right) <= 2 * NEAR_PX
        and abs(box.top + box.bottom - other.top - other.bottom) <= 2 * NEAR_PX
        for other in boxes
    )
    return CROWDED if near > 1 else PLAIN  # it is one of them itself


def write_card(
    folder: Path, results: Mapping[str, Mapping[str, Figures]], facts: Mapping[str, object]
) -> None:
    """Writes ``figures.json`` and ``README.md`` into a checkpoint's folder.

    Args:
        folder: The checkpoint.
        results: What ``measure_all`` returned.
        facts: ``parameters`` (millions), ``questions``, ``count`` (simulated test chips), ``run`` (how long it was
            trained), if there is a twin, ``twin`` (how it was trained), if there is a calibration, ``calibration``
            (pairs of a task and a set that it was measured on) and, when real images were used, the numbers of those
            in ``train``, held out in ``test``, and of the latter on ``shared_ground``.
    """
    (folder / "figures.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    simulated, missed = results["simulated"], results[MISSES]
    text = load_template("fusar_train.evaluation", "card.md").render(
        **{"twin": "", "calibration": None, **facts},
        simulated=simulated,
        ssdd=results.get("ssdd"),
        shared=results.get(SSDD_SHARED),
        rows=_rows,
        points={name: 100 * figures["count ship"] for name, figures in simulated.items()},
        goals=list(_goals(results)),
        shares=list(next(iter(missed.values()), {})),
        missed=missed,
        sliced=results.get(SLICED, {}),
        slice_columns=[title for title, _, _ in _SLICE_ROWS],
        alarms=results.get(FALSE_ALARMS, {}),
        crowd=CROWD,
    )
    (folder / "README.md").write_text(text, encoding="utf-8")


def _rows(columns: Mapping[str, Figures]) -> Iterator[tuple[str, list[str]]]:
    """The rows of a table: the name of a figure, and the figure in each column that has it."""
    for key, name in TITLES.items():
        if any(key in figures for figures in columns.values()):
            yield name, [f"{figures[key]:.3f}" if key in figures else "" for figures in columns.values()]


def _goals(results: Mapping[str, Mapping[str, Figures]]) -> Iterator[tuple[str, float, float]]:
    """What was wanted beside what was reached."""
    for (data, column), wanted in GOALS.items():
        for key, goal in wanted.items():
            if data in results and key in results[data][column]:
                yield f"{data}, {TITLES[key]}", goal, results[data][column][key]
