"""``fusar-train evaluate``: ask a model about data, take all figures, write predictions, figures and a report."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from fusar_gpt.certainty import calibration_of
from fusar_gpt.cli.terminal import progress_bar
from fusar_gpt.errors import OutputError
from fusar_gpt.model import Card
from fusar_gpt.model.folder import CARD_FILE, digest
from fusar_gpt.model.store import find_folder
from fusar_gpt.output import check_writable, whole_file
from fusar_train.evaluation import baselines, false_alarms
from fusar_train.evaluation.answer_files import read_answers
from fusar_train.evaluation.bootstrap import LEVEL, RESAMPLES
from fusar_train.evaluation.calibration import calibrate, lines
from fusar_train.evaluation.captions import TOKENIZER
from fusar_train.evaluation.cfar import Cfar
from fusar_train.evaluation.false_alarms import SceneAlarms
from fusar_train.evaluation.inference import ask
from fusar_train.evaluation.labelled_images import LabelledImages, open_images
from fusar_train.evaluation.papers import NOTE, PAPERS
from fusar_train.evaluation.predictions import (
    PREDICTIONS_FILE,
    Condition,
    LabelledQuestion,
    Prediction,
    PredictionsError,
    PriorKind,
    read_predictions,
    write_predictions,
)
from fusar_train.evaluation.reliability import RELIABILITY_FILE, draw_reliability
from fusar_train.evaluation.report import column, interval, models_of, overall, render, shown, title_of
from fusar_train.evaluation.results import EvaluationResult, evaluate_predictions, to_json

if TYPE_CHECKING:
    from fusar_gpt.engine import Engine

FIGURES_FILE, REPORT_FILE, XVIEW3_FILE = "figures.json", "report.html", "xview3.json"
CALIBRATION_FILE = "calibration.json"
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
    given = args.recompute or (None if args.checkpoint else args.predictions)
    if args.benchmark == "xview3":
        run_xview3(given, args.truth, args.shore, args.out)
        return
    images, alarms = None, list[SceneAlarms]()
    predictions, notices = list[Prediction](), tuple[str, ...]()
    if given:
        predictions, notices = read_given(given, args.benchmark)
    elif args.checkpoint and args.data:
        images, predictions = evaluate(args)
        notices = images.notices
    elif not (args.checkpoint and args.without_targets):
        raise PredictionsError("Give a checkpoint and data to evaluate, or answers with --predictions.")
    if args.without_targets:
        alarms = measure_alarms(args)
    results = [
        replace(result, notices=(*notices, *result.notices))
        for result in evaluate_predictions(predictions, args.seed)
    ]
    told = dict.fromkeys(notice for result in results for notice in result.notices)
    for line in (*summary(results), *false_alarms.told(alarms), *told):
        print(line)
    if args.out:
        write_results(args.out, results, predictions, images, args.seed, alarms)


def read_given(path: Path, benchmark: str | None) -> tuple[list[Prediction], tuple[str, ...]]:
    """The predictions of a file of answers, and what of it is left out; PredictionsError when nothing is left."""
    answers = read_answers(path, benchmark)
    if not answers.predictions:
        raise PredictionsError(" ".join((f"{path} holds nothing to measure.", *answers.notices)))
    return answers.predictions, answers.notices


def measure_alarms(args: argparse.Namespace) -> list[SceneAlarms]:
    """What the model finds in scenes that hold no target."""
    if args.checkpoint in (None, _CFAR):
        raise PredictionsError("--without-targets needs a checkpoint: CA-CFAR and predictions ask no scene.")
    scenes = false_alarms.scenes_in(args.without_targets)
    return list(false_alarms.false_alarms(load_engine(args.checkpoint), scenes))


def run_xview3(detections: Path | None, labels: Path | None, shore: Path | None, out: Path | None) -> None:
    """Scores points at sea as xView3 does, and writes ``xview3.json`` to ``out``.

    Raises:
        PredictionsError: A file is missing or is not of xView3's columns.
    """
    from fusar_train.evaluation import xview3

    if not (detections and labels):
        raise PredictionsError(
            "xView3's scoring needs detections and labels: give --predictions and --truth."
        )
    found = xview3.read_points(detections)
    score = asdict(
        xview3.score(xview3.with_shore(found, shore) if shore else found, xview3.read_points(labels))
    )
    for line in xview3.lines(score):
        print(line)
    if out:
        with whole_file(out / XVIEW3_FILE) as path:
            path.write_text(json.dumps(score, indent=1, allow_nan=False) + "\n", "utf-8")


def calibrate_checkpoint(args: argparse.Namespace) -> None:
    """Fits a calibration on predictions; writes it with its diagrams and, with ``--write``, puts it on the card.

    Raises:
        FusarError: The predictions are not the checkpoint's or too few, or a file cannot be read or written.
    """
    folder = find_folder(args.checkpoint)
    card = Card.read(folder)
    predictions = [one for path in args.predictions for one in read_predictions(path)]
    calibration, notices = calibrate(predictions, digest(folder, card))
    for line in (*lines(calibration.tasks), *notices):
        print(line)
    make_folder(args.out)
    drawing = draw_reliability({name: task.reliability for name, task in calibration.tasks.items()})
    with whole_file(args.out / RELIABILITY_FILE) as path:
        path.write_text(drawing, "utf-8")
    with whole_file(args.out / CALIBRATION_FILE) as path:
        path.write_text(json.dumps(asdict(calibration), indent=1) + "\n", "utf-8")
    if args.write:
        with whole_file(folder / CARD_FILE) as path:
            path.write_text(replace(card, calibration=calibration).to_json(), "utf-8")
        print(f"written: {folder / CARD_FILE}")


def make_folder(folder: Path) -> None:
    """Makes the folder for the results; OutputError when it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"Cannot make {folder}: {error.strerror}. Give another --out.") from error


def evaluate(args: argparse.Namespace) -> tuple[LabelledImages, list[Prediction]]:
    """Asks the model and the baselines; answers are written while they come, so that a stop loses none."""
    engine = None if args.checkpoint == _CFAR else load_engine(args.checkpoint)
    card = engine.card if engine else None
    if engine and (other := calibration_of(engine.card, engine.hash)[1]):
        print(f"note: {other}", file=sys.stderr)
    images = shown_images(args, card)
    path = args.predictions or (args.out / PREDICTIONS_FILE if args.out else None)
    if path:
        check_writable(path)
    append(path, [], "w")
    predictions: list[Prediction] = []
    for batch in answers(engine, images, args):
        predictions += batch
        append(path, batch)
    if not predictions:
        raise PredictionsError(
            f"{args.data} has nothing that {args.checkpoint} could answer: take other tasks."
        )
    return images, predictions


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
    engine: Engine | None, images: LabelledImages, args: argparse.Namespace
) -> Iterator[list[Prediction]]:
    """All answers: the model's with each kind of prior, then those of the baselines to the same questions."""
    first: list[Prediction] = []
    if engine:
        kinds: tuple[PriorKind, ...] = args.prior if engine.card.uses_prior else ("none",)
        if kinds != args.prior:
            print(f"{engine.card.name} was trained on images alone: asked without a prior.")
        for prior in kinds:
            condition = Condition(engine.card.name, engine.hash, prior, images.name)
            with progress_bar(len(images), "images", f"{prior} prior") as show:
                for batch in ask(engine, images, condition, args.tasks, show):
                    first += batch if prior == kinds[0] else []
                    yield batch
    native = shown_images(args, None)
    classical = list(baselines.detect_by_cfar(native, args.tasks, Cfar()))
    yield classical
    asked = first or classical
    if not asked:
        return
    seen, origin = train_questions(args, asked)
    yield baselines.always_one(asked)
    yield baselines.commonest(asked, seen, origin)
    yield baselines.neighbour(asked)


def shown_images(args: argparse.Namespace, card: Card | None) -> LabelledImages:
    """The images that are asked about, as bright as they are to be."""
    images = open_images(args.data, args.split, card, args.limit, args.seed, overlaps=args.overlaps)
    return images.brighter(args.brighter) if args.brighter else images


def train_questions(
    args: argparse.Namespace, asked: Sequence[Prediction]
) -> tuple[list[LabelledQuestion], str]:
    """Questions of the train split and its name; the questions asked, where there is none."""
    data = f"simulated:{_TRAIN_IMAGES}" if args.data.startswith("simulated:") else args.data
    try:
        train = open_images(data, "train", None, _TRAIN_IMAGES, args.seed)
    except PredictionsError:
        train = None
    if train is None or train.name == asked[0].condition.data:
        return [p.labelled_question for p in asked], "of this split"
    return [question for i in range(len(train)) for question in train[i].questions], "of train"


def summary(results: Sequence[EvaluationResult]) -> Iterator[str]:
    """The figures that the papers give too, one a line, of the models; of the first baseline without one."""
    for result in models_of(results):
        yield f"{column(result)} on {result.condition.data}, {result.images} images, {result.questions} questions"
        for key in PAPERS:
            figure = overall(key, result.figures)
            if figure and figure.value is not None:
                name = f"{key.task.value} {title_of(key)}"
                yield f"  {name:26} {shown(key, figure.value):>6}  ({interval(key, figure)}; n = {figure.n})"


def write_results(
    folder: Path,
    results: Sequence[EvaluationResult],
    predictions: Sequence[Prediction],
    images: LabelledImages | None,
    seed: int,
    alarms: Sequence[SceneAlarms] = (),
) -> None:
    """Writes ``figures.json`` and ``report.html``; pictures need the images."""
    figures = {
        "format": 1,
        "interval": {"method": "percentile bootstrap over images", "level": LEVEL, "resamples": RESAMPLES},
        "seed": seed,
        "caption_words": TOKENIZER,
        "conditions": to_json(results),
        "papers": {
            "note": NOTE,
            "figures": [
                {"task": key.task.value, "target": key.target, "metric": key.metric, "values": values}
                for key, values in PAPERS.items()
            ],
        },
    }
    if alarms:
        figures["false_alarms"] = false_alarms.to_json(alarms)
    page = render(results, predictions, pixels_of(images), seed, list(false_alarms.told(alarms)))
    with whole_file(folder / FIGURES_FILE) as path:
        path.write_text(json.dumps(figures, indent=1, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")
    with whole_file(folder / REPORT_FILE) as path:
        path.write_text(page, "utf-8")


def pixels_of(images: LabelledImages | None) -> Callable[[str], NDArray[np.uint8] | None]:
    """Gives the chip of an image's id."""
    number = {images.id_of(i): i for i in range(len(images))} if images else {}

    def pixels(image: str) -> NDArray[np.uint8] | None:
        return images[number[image]].pixels if images and image in number else None

    return pixels
