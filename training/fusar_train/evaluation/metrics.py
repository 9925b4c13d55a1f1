"""The metrics of every task as statistics over images, from predictions alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from fusar_gpt.frames import ChipBox
from fusar_gpt.tasks import ANY, Task
from fusar_train.evaluation.bootstrap import Statistic, mean, ratio
from fusar_train.evaluation.captions import JavaCaptions, caption_statistics
from fusar_train.evaluation.matching import AP_IOUS, Detections, average_precision, mean_average_precision
from fusar_train.evaluation.predictions import PredictedBox, Prediction, TrueClass
from fusar_train.evaluation.sarlang import is_closed, judged

ALL = "all"
"""All classes together; the class-blind target ``any`` is not among them."""

WITH_ANY = "with any"
"""The images that hold the target."""

IOUS = (0.25, 0.5, 0.75)
OTHER, UNREADABLE = "another name", "unreadable"

T = TypeVar("T")


@dataclass(frozen=True)
class MetricKey:
    """Which figure: ``cases`` is ``ALL`` images, or those ``WITH_ANY`` target in them."""

    task: Task
    target: str
    metric: str
    cases: str = ALL


Metrics = dict[MetricKey, Statistic]


@dataclass(frozen=True)
class ConfusionMatrix:
    """How often each true class (row) was given each name (column): ``counts`` int64 [rows, columns]."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    counts: NDArray[np.int64]


@dataclass(frozen=True)
class Cases:
    """The answers of one condition: ``image`` int64 [N] numbers the image of each, 0 up to ``images``."""

    predictions: Sequence[Prediction]
    image: NDArray[np.int64]
    images: int

    def pick(self, wanted: Sequence[bool]) -> Cases:
        """The answers marked [N] as wanted; the images stay."""
        kept = [prediction for prediction, keep in zip(self.predictions, wanted, strict=True) if keep]
        return Cases(kept, self.image[np.asarray(wanted, dtype=bool)], self.images)

    def of_task(self, *tasks: Task) -> Cases:
        """The answers to some tasks."""
        return self.pick([p.task in tasks for p in self.predictions])

    def share(self, values: Sequence[float], counted: Sequence[float] | None = None) -> Statistic:
        """The sum of one value an answer over the sum of another (default: how many answers)."""
        below = np.ones(len(self.predictions)) if counted is None else np.asarray(counted, dtype=float)
        return ratio(self._sum(np.asarray(values, dtype=float)), self._sum(below))

    def _sum(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.bincount(self.image, weights=values, minlength=self.images).astype(np.float64)


def compute_metrics(cases: Cases, java: JavaCaptions | None = None) -> tuple[Metrics, list[str]]:
    """All figures of one condition as functions of how often each image counts, and notices of what is left out.

    Args:
        cases: The answers of one condition.
        java: Runs METEOR and SPICE; None leaves them out silently.
    """
    found: Metrics = {}
    for task, compute in _OF_TASK.items():
        mine = cases.of_task(task)
        if mine.predictions:
            found |= compute(mine)
    left_out = _undecided(cases.of_task(Task.ASK))
    captions = cases.of_task(Task.DESCRIBE)
    if not (captions.predictions and java):
        return found, left_out
    texts, notices = java.statistics(*_texts(captions))
    return found | _over_images(captions, texts), [*left_out, *notices]


def _by_target(cases: Cases) -> Iterator[tuple[str, Cases]]:
    """The answers for each target, before them those for all if there are several."""
    asked = [target_of(p) for p in cases.predictions]
    targets = list(dict.fromkeys(asked))
    if len(set(targets) - {ANY}) > 1:
        yield ALL, cases.pick([target != ANY for target in asked])
    for target in targets:
        yield target, cases.pick([other == target for other in asked])


def target_of(prediction: Prediction) -> str:
    """The class a question looks for."""
    return prediction.target or ANY


def _by_target_and_cases(cases: Cases) -> Iterator[tuple[str, str, Cases]]:
    """The answers for each target about all images, and those about images that hold it."""
    for target, mine in _by_target(cases):
        yield target, ALL, mine
        yield target, WITH_ANY, mine.pick([bool(p.truth) for p in mine.predictions])


def _counting(cases: Cases) -> Metrics:
    """Share of exact counts, and the mean absolute error of those that could be read."""
    found: Metrics = {}
    for target, name, mine in _by_target_and_cases(cases):
        pairs = [(p.answer, p.truth) for p in mine.predictions]
        right = [said == truth for said, truth in pairs]
        readable = [isinstance(said, int) for said, _ in pairs]
        error = [abs(a - b) if isinstance(a, int) and isinstance(b, int) else 0 for a, b in pairs]
        found[MetricKey(Task.COUNT, target, "accuracy", name)] = mine.share(right)
        found[MetricKey(Task.COUNT, target, "MAE", name)] = mine.share(error, readable)
    return found


class GridMarks(NamedTuple):
    """The three marks of one answer to the 3 x 3 grid task; without a true cell, all three want an empty answer.

    Attributes:
        acc100: Exactly the right cells.
        acc50: Cells of IoU at least 0.5.
        top1: At least one cell in common.
    """

    acc100: bool
    acc50: bool
    top1: bool


def grid_marks(said: frozenset[int] | None, truth: frozenset[int]) -> GridMarks:
    """Marks an answer; one that could not be read (None) is wrong."""
    if said is None:
        return GridMarks(acc100=False, acc50=False, top1=False)
    return GridMarks(
        acc100=said == truth,
        acc50=2 * len(said & truth) >= len(said | truth),
        top1=bool(said & truth) if truth else not said,
    )


def _locating(cases: Cases) -> Metrics:
    """The three shares of the 3 x 3 grid task."""
    found: Metrics = {}
    for target, name, mine in _by_target_and_cases(cases):
        marks = [
            grid_marks(_typed(p.answer, frozenset), _typed(p.truth, frozenset) or frozenset())
            for p in mine.predictions
        ]
        for place, mark in enumerate(GridMarks._fields):
            found[MetricKey(Task.LOCATE, target, mark, name)] = mine.share([one[place] for one in marks])
    return found


def _typed(value: object, kind: type[T]) -> T | None:
    return value if isinstance(value, kind) else None


def plain(name: str) -> str:
    """A class name as compared: case and spacing do not matter."""
    return " ".join(name.casefold().split())


def true_and_given(predictions: Sequence[Prediction]) -> dict[str, list[tuple[str | None, str]]]:
    """The true class (None if unknown) and the one given of each class answer, by metric.

    "accuracy" is of the coarse classes, where naming the fine class is right too; "fine accuracy" is left out when no
    fine class is known. A name of no true class is ``OTHER``, no name ``UNREADABLE``.
    """
    truths = [truth for p in predictions if isinstance(truth := p.truth, TrueClass)]
    fine = {plain(t.fine): t.fine for t in truths if t.fine}
    coarse = {plain(t.fine): t.label for t in truths if t.fine} | {plain(t.label): t.label for t in truths}

    def given(names: Mapping[str, str]) -> list[str]:
        answers = [p.answer for p in predictions]
        return [names.get(plain(a), OTHER) if isinstance(a, str) else UNREADABLE for a in answers]

    levels: dict[str, tuple[list[str | None], dict[str, str]]] = {
        "accuracy": ([t.label for t in truths], coarse),
        "fine accuracy": ([t.fine for t in truths], fine),
    }
    return {
        metric: list(zip(true, given(names), strict=True))
        for metric, (true, names) in levels.items()
        if names
    }


def _classifying(cases: Cases) -> Metrics:
    """Share of right names: over all boxes, for each true class, and as the mean over classes."""
    found: Metrics = {}
    for metric, pairs in true_and_given(cases.predictions).items():
        known = cases.pick([true is not None for true, _ in pairs])
        classes = [true for true, _ in pairs if true is not None]
        right = [true == given for true, given in pairs if true is not None]
        each = {}
        for name in sorted(set(classes)):
            mine = [true == name for true in classes]
            marks = [mark for mark, keep in zip(right, mine, strict=True) if keep]
            each[MetricKey(Task.CLASSIFY, name, metric)] = known.pick(mine).share(marks)
        found[MetricKey(Task.CLASSIFY, ALL, metric)] = known.share(right)
        found[MetricKey(Task.CLASSIFY, ALL, f"mean class {metric}")] = mean(list(each.values()))
        found |= each
    return found


def confusion_matrices(predictions: Sequence[Prediction]) -> dict[str, ConfusionMatrix]:
    """Those of the class answers among some predictions, "coarse" and, if any is known, "fine"."""
    asked = [p for p in predictions if p.task is Task.CLASSIFY]
    tables = {}
    for metric, pairs in true_and_given(asked).items() if asked else ():
        cells = Counter((true, given) for true, given in pairs if true is not None)
        rows = tuple(sorted({true for true, _ in cells}))
        columns = (*rows, OTHER, UNREADABLE)
        counts = np.array([[cells[row, column] for column in columns] for row in rows], dtype=np.int64)
        tables["fine" if metric.startswith("fine") else "coarse"] = ConfusionMatrix(rows, columns, counts)
    return tables


def clip(box: ChipBox, frame: tuple[int, int]) -> ChipBox:
    """The part of a box inside the frame (width, height); an empty box on its edge if there is none."""
    width, height = frame
    x0, x1 = (min(max(x, 0.0), float(width)) for x in (box.left, box.right))
    y0, y1 = (min(max(y, 0.0), float(height)) for y in (box.top, box.bottom))
    return ChipBox(x0, y0, x1, y1)


def boxes_asked_for(prediction: Prediction, classes: frozenset[str]) -> list[PredictedBox]:
    """The predicted boxes but those that name another of the ``classes`` asked about (``plain`` names)."""
    target = plain(target_of(prediction))
    others = frozenset[str]() if target == ANY else classes - {target}
    return [one for one in prediction.predicted_boxes if plain(one.label) not in others]


def detections_of(prediction: Prediction, classes: frozenset[str], image: int = 0) -> Detections:
    """A detect answer, as ``boxes_asked_for``, and its truth, clipped to the frame."""
    predicted = boxes_asked_for(prediction, classes)
    return Detections(
        image,
        [clip(one.box, prediction.frame) for one in predicted],
        [one.score for one in predicted],
        [clip(one.box, prediction.frame) for one in prediction.true_boxes],
        [one.difficult for one in prediction.true_boxes],
    )


def classes_of(predictions: Sequence[Prediction]) -> frozenset[str]:
    """The ``plain`` names of the classes that detection was asked about."""
    return frozenset(plain(target_of(p)) for p in predictions if p.task is Task.DETECT) - {ANY}


def _detecting(cases: Cases) -> Metrics:
    """Precision, recall and F1 at three IoUs, and AP where every box has a score."""
    found: Metrics = {}
    chips: dict[str, list[Detections]] = {}
    classes = classes_of(cases.predictions)
    for target, mine in _by_target(cases):
        numbered = zip(mine.predictions, mine.image.tolist(), strict=True)
        chips[target] = [detections_of(p, classes, image) for p, image in numbered]
        found |= _precision_and_recall(target, mine, chips[target])
    if any(score is None for some in chips.values() for chip in some for score in chip.scores):
        return found
    chips.pop(ALL, None)
    return found | _average_precision(chips, cases.images)


def _precision_and_recall(target: str, cases: Cases, chips: Sequence[Detections]) -> Metrics:
    found: Metrics = {}
    true = [sum(not difficult for difficult in chip.difficult) for chip in chips]
    for iou in IOUS:
        matchings = [chip.match(iou) for chip in chips]
        right, predicted = [m.true_positives for m in matchings], [m.predicted for m in matchings]
        sums = {"P": (right, predicted), "R": (right, true)}
        sums["F1"] = ([2 * n for n in right], [a + b for a, b in zip(predicted, true, strict=True)])
        for name, (above, below) in sums.items():
            n = sum(predicted) if name == "P" else sum(true)
            found[MetricKey(Task.DETECT, target, f"{name}@{iou:g}")] = Statistic(
                n, cases.share(above, below).of
            )
    return found


def _average_precision(chips: Mapping[str, Sequence[Detections]], images: int) -> Metrics:
    """AP of each target; of ``ALL`` the mean over classes."""
    at_ious = {
        target: [average_precision(mine, images, iou) for iou in AP_IOUS] for target, mine in chips.items()
    }
    groups = {target: [aps] for target, aps in at_ious.items()}
    known = [aps for target, aps in at_ious.items() if target != ANY]
    found: Metrics = {}
    for target, some in ({ALL: known, **groups} if len(known) > 1 else groups).items():
        found[MetricKey(Task.DETECT, target, "AP@0.5")] = mean_average_precision([aps[:1] for aps in some])
        found[MetricKey(Task.DETECT, target, "AP@[.5:.95]")] = mean_average_precision(some)
    return found


def _texts(cases: Cases) -> tuple[list[str], list[list[str]]]:
    """The texts said ("" for none) and the texts that would be right."""
    said = [_typed(p.answer, str) or "" for p in cases.predictions]
    truth = [_typed(p.truth, tuple) or () for p in cases.predictions]
    return said, [[text for text in texts if isinstance(text, str)] for texts in truth]


def _exact(cases: Cases) -> Metrics:
    """Share of texts that are right word for word, but for case and spacing."""
    pairs = zip(*_texts(cases), strict=True)
    right = [plain(said) in [plain(text) for text in truth] for said, truth in pairs]
    return {MetricKey(cases.predictions[0].task, ALL, "exact"): cases.share(right)}


def _asking(cases: Cases) -> Metrics:
    """Word for word, and by SARLANG's rule: what that decides, and its closed questions, which it decides both ways."""
    texts = list(zip(*_texts(cases), strict=True))
    marks = [judged(*each) for each in texts]
    closed = [is_closed(truth) for _, truth in texts]
    return _exact(cases) | {
        MetricKey(Task.ASK, ALL, "SARLANG"): cases.share(
            [mark is True for mark in marks], [mark is not None for mark in marks]
        ),
        MetricKey(Task.ASK, ALL, "SARLANG closed"): cases.share(
            [mark is True and kept for mark, kept in zip(marks, closed, strict=True)], closed
        ),
    }


def _undecided(cases: Cases) -> list[str]:
    """The sentence on answers that SARLANG's rule leaves to a judge."""
    count = sum(judged(*each) is None for each in zip(*_texts(cases), strict=True))
    if not count:
        return []
    return [
        f"SARLANG's rule leaves {count} of {len(cases.predictions)} free answers to a judge (a language model): they "
        "are left out of its figure, and only answers that hold the true one stand for open questions."
    ]


def _captions(cases: Cases) -> Metrics:
    """Word for word, BLEU and CIDEr."""
    return _exact(cases) | _over_images(cases, caption_statistics(*_texts(cases)))


def _over_images(cases: Cases, texts: dict[str, Statistic]) -> Metrics:
    """Metrics over captions as statistics over their images."""

    def lifted(statistic: Statistic) -> Statistic:
        return Statistic(statistic.n, lambda weights: statistic.of(weights[:, cases.image]))

    return {MetricKey(Task.DESCRIBE, ALL, name): lifted(text) for name, text in texts.items()}


_OF_TASK: dict[Task, Callable[[Cases], Metrics]] = {
    Task.COUNT: _counting,
    Task.LOCATE: _locating,
    Task.CLASSIFY: _classifying,
    Task.DETECT: _detecting,
    Task.DESCRIBE: _captions,
    Task.ASK: _asking,
}
