"""``fusar-train evaluate``: ask a model about data, take all figures, write predictions, figures and a report."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from fusar_gpt.cli.terminal import progress_bar
from fusar_gpt.errors import OutputError
from fusar_gpt.findings.output import check_writable, whole_file
from fusar_train.evaluation import baselines
from fusar_train.evaluation.asking import ask
from fusar_train.evaluation.bootstrap import LEVEL, RESAMPLES
from fusar_train.evaluation.captions import TOKENIZER
from fusar_train.evaluation.cfar import Cfar
from fusar_train.evaluation.examples import Examples, open_examples
from fusar_train.evaluation.figures import Measured, measure, to_json
from fusar_train.evaluation.papers import NOTE, PAPERS
from fusar_train.evaluation.pictures import FALSE, MISSED, counting_errors, detection_errors
from fusar_train.evaluation.predictions import (
    PREDICTIONS_FILE,
    Asked,
    Condition,
    Prediction,
    PredictionsError,
    read_predictions,
    write_predictions,
)
from fusar_train.evaluation.report import (
    COUNTING_KINDS,
    DETECTION_KINDS,
    Errors,
    column,
    interval,
    models_of,
    overall,
    render,
    shown,
    title_of,
)

if TYPE_CHECKING:
    from fusar_gpt.engine import Engine

FIGURES_FILE, REPORT_FILE = "figures.json", "report.html"
_CFAR = "cfar"
_TRAIN_IMAGES = 300  # enough to know the commonest answers


def run(args: argparse.Namespace) -> None:
    """Evaluates, or takes the figures of given predictions again.

    Raises:
        FusarError: The model, the data, the predictions or the place for the results are not as they must be.
    """
    if args.out:
        make_folder(args.out)
        for name in (FIGURES_FILE, REPORT_FILE):
            check_writable(args.out / name)
    if args.recompute:
        examples, predictions = None, read_predictions(args.recompute)
    elif args.checkpoint and args.data:
        examples, predictions = evaluate(args)
    else:
        raise PredictionsError("Give a checkpoint and data to evaluate, or predictions with --recompute.")
    measured = measure(predictions, args.seed)
    for line in summary(measured):
        print(line)
    if args.out:
        write_results(args.out, measured, predictions, examples, args.seed)


def make_folder(folder: Path) -> None:
    """Makes the folder for the results; OutputError when it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"Cannot make {folder}: {error.strerror}. Give another --out.") from error


def evaluate(args: argparse.Namespace) -> tuple[Examples, list[Prediction]]:
    """Asks the model and the baselines; answers are written while they come, so that a stop loses none."""
    engine = None if args.checkpoint == _CFAR else load_engine(args.checkpoint)
    card = engine.card if engine else None
    examples = open_examples(args.data, args.split, card, args.limit, args.seed)
    path = args.predictions or (args.out / PREDICTIONS_FILE if args.out else None)
    if path:
        check_writable(path)
    append(path, [], "w")
    predictions: list[Prediction] = []
    for batch in answers(engine, examples, args):
        predictions += batch
        append(path, batch)
    if not predictions:
        raise PredictionsError(
            f"{args.data} has nothing that {args.checkpoint} could answer: take other tasks."
        )
    return examples, predictions


def load_engine(checkpoint: str) -> Engine:
    """The engine of a checkpoint."""
    from fusar_gpt.engine import LocalEngine
    from fusar_gpt.model import load_checkpoint

    return LocalEngine(load_checkpoint(checkpoint))


def append(path: Path | None, predictions: Sequence[Prediction], mode: Literal["a", "w"] = "a") -> None:
    """Adds predictions to the file, or begins it anew with mode "w"; OutputError when it cannot be written."""
    if path is None:
        return
    try:
        with path.open(mode, encoding="utf-8") as file:
            write_predictions(file, predictions)
    except OSError as error:
        raise OutputError(
            f"Cannot write {path}: {error.strerror}. What was answered before is in it."
        ) from error


def answers(
    engine: Engine | None, examples: Examples, args: argparse.Namespace
) -> Iterator[list[Prediction]]:
    """All answers: the model's with each kind of prior, then those of the baselines to the same questions."""
    first: list[Prediction] = []
    if engine:
        for prior in args.prior:
            condition = Condition(engine.card.name, engine.hash, prior, examples.name)
            with progress_bar(len(examples), "images", f"{prior} prior") as show:
                for batch in ask(engine, examples, condition, args.tasks, show):
                    first += batch if prior == args.prior[0] else []
                    yield batch
    native = open_examples(args.data, args.split, None, args.limit, args.seed)
    classical = list(baselines.detect_by_cfar(native, args.tasks, Cfar()))
    yield classical
    asked = first or classical
    if not asked:
        return
    seen, origin = train_questions(args, asked)
    yield baselines.always_one(asked)
    yield baselines.commonest(asked, seen, origin)
    yield baselines.neighbour(asked)


def train_questions(args: argparse.Namespace, asked: Sequence[Prediction]) -> tuple[list[Asked], str]:
    """Questions of the train split and its name; the questions asked, where there is none."""
    data = f"simulated:{_TRAIN_IMAGES}" if args.data.startswith("simulated:") else args.data
    try:
        train = open_examples(data, "train", None, _TRAIN_IMAGES, args.seed)
    except PredictionsError:
        train = None
    if train is None or train.name == asked[0].condition.data:
        return [p.asked for p in asked], "of this split"
    return [question for i in range(len(train)) for question in train[i].asked], "of train"


def summary(measured: Sequence[Measured]) -> Iterator[str]:
    """The figures that the papers give too, one a line, of the models; of the first baseline without one."""
    for m in models_of(measured):
        yield f"{column(m)} on {m.condition.data}, {m.images} images, {m.questions} questions"
        for key in PAPERS:
            figure = overall(key, m.figures)
            if figure and figure.value is not None:
                name = f"{key.task.value} {title_of(key)}"
                yield f"  {name:26} {shown(key, figure.value):>6}  ({interval(key, figure)}; n = {figure.n})"


def write_results(
    folder: Path,
    measured: Sequence[Measured],
    predictions: Sequence[Prediction],
    examples: Examples | None,
    seed: int,
) -> None:
    """Writes ``figures.json`` and ``report.html``; pictures need the examples."""
    figures = {
        "format": 1,
        "interval": {"method": "percentile bootstrap over images", "level": LEVEL, "resamples": RESAMPLES},
        "seed": seed,
        "caption_words": TOKENIZER,
        "conditions": to_json(measured),
        "papers": {
            "note": NOTE,
            "figures": [
                {"task": key.task.value, "target": key.target, "metric": key.metric, "values": values}
                for key, values in PAPERS.items()
            ],
        },
    }
    page = render(measured, errors(measured, predictions), pixels_of(examples), seed)
    with whole_file(folder / FIGURES_FILE) as path:
        path.write_text(json.dumps(figures, indent=1, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")
    with whole_file(folder / REPORT_FILE) as path:
        path.write_text(page, "utf-8")


def errors(measured: Sequence[Measured], predictions: Sequence[Prediction]) -> list[Errors]:
    """The errors to picture: those of the first condition, the model as it is meant to be used."""
    condition = measured[0].condition
    mine = [p for p in predictions if p.condition == condition]
    name = column(measured[0])
    return [
        Errors(f"Most missed: {name}", DETECTION_KINDS, detection_errors(mine, MISSED)),
        Errors(f"Most false alarms: {name}", DETECTION_KINDS, detection_errors(mine, FALSE)),
        Errors(f"Worst counts: {name}", COUNTING_KINDS, counting_errors(mine)),
    ]


def pixels_of(examples: Examples | None) -> Callable[[str], NDArray[np.uint8] | None]:
    """Gives the chip of an image's id."""
    number = {examples.id_of(i): i for i in range(len(examples))} if examples else {}

    def pixels(image: str) -> NDArray[np.uint8] | None:
        return examples[number[image]].image if examples and image in number else None

    return pixels
