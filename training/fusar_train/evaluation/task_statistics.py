"""The metrics of every task as statistics over images, from predictions alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fusar_gpt.frames import ChipBox
from fusar_gpt.tasks import ANY, Task
from fusar_train.evaluation.average_precision import (
    THRESHOLDS,
    ScoredChip,
    average_precision,
    mean_average_precision,
)
from fusar_train.evaluation.bootstrap import Statistic, mean, ratio
from fusar_train.evaluation.captions import caption_statistics
from fusar_train.evaluation.java_captions import JavaCaptions
from fusar_train.evaluation.metrics import grid_score, pair
from fusar_train.evaluation.predictions import Found, Name, Prediction, Target

ALL = "all"
"""All classes together; the class-blind target ``any`` is not among them."""

WITH_ANY = "with any"
"""The images that hold the target."""

IOUS = (0.25, 0.5, 0.75)
OTHER, UNREADABLE = "another name", "unreadable"

T = TypeVar("T")


@dataclass(frozen=True)
class Key:
    """Which figure: ``cases`` is ``ALL`` images, or those ``WITH_ANY`` target in them."""

    task: Task
    target: str
    metric: str
    cases: str = ALL


Statistics = dict[Key, Statistic]


@dataclass(frozen=True)
class Confusion:
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


def statistics(cases: Cases, java: JavaCaptions | None = None) -> tuple[Statistics, list[str]]:
    """All figures of one condition as functions of how often each image counts, and notices of what is left out.

    Args:
        cases: the answers of one condition.
        java: runs METEOR and SPICE; None leaves them out silently.
    """
    found: Statistics = {}
    for task, take in _TAKEN_BY.items():
        mine = cases.of_task(task)
        if mine.predictions:
            found |= take(mine)
    captions = cases.of_task(Task.DESCRIBE)
    if not (captions.predictions and java):
        return found, []
    texts, notices = java.statistics(*_texts(captions))
    return found | _over_images(captions, texts), notices


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
    return prediction.asked.target or ANY


def _with_any(cases: Cases) -> Cases:
    """The answers about images that hold the target: neither 0 nor an empty set is true."""
    return cases.pick([bool(p.asked.truth) for p in cases.predictions])


def _counting(cases: Cases) -> Statistics:
    """Share of exact counts, and the mean absolute error of those that could be read."""
    found: Statistics = {}
    for target, mine in _by_target(cases):
        for name, some in ((ALL, mine), (WITH_ANY, _with_any(mine))):
            pairs = [(p.answer, p.asked.truth) for p in some.predictions]
            right = [said == truth for said, truth in pairs]
            readable = [isinstance(said, int) for said, _ in pairs]
            error = [abs(a - b) if isinstance(a, int) and isinstance(b, int) else 0 for a, b in pairs]
            found[Key(Task.COUNT, target, "accuracy", name)] = some.share(right)
            found[Key(Task.COUNT, target, "MAE", name)] = some.share(error, readable)
    return found


def _locating(cases: Cases) -> Statistics:
    """The three shares of the 3 x 3 grid task."""
    found: Statistics = {}
    for target, mine in _by_target(cases):
        for name, some in ((ALL, mine), (WITH_ANY, _with_any(mine))):
            scores = [
                grid_score(_typed(p.answer, frozenset), _typed(p.asked.truth, frozenset) or frozenset())
                for p in some.predictions
            ]
            for mark in ("acc100", "acc50", "top1"):
                marks = [getattr(score, mark) for score in scores]
                found[Key(Task.LOCATE, target, mark, name)] = some.share(marks)
    return found


def _typed(value: object, kind: type[T]) -> T | None:
    return value if isinstance(value, kind) else None


def plain(name: str) -> str:
    """A class name as compared: case and spacing do not matter."""
    return " ".join(name.casefold().split())


@dataclass(frozen=True)
class Level:
    """One depth of class names: the true name (None if unknown), and the name that an answer amounts to."""

    metric: str
    true: Callable[[Name], str | None]
    amounts_to: Mapping[str, str]

    def said(self, prediction: Prediction) -> str:
        """The true class that was named, else ``OTHER`` or ``UNREADABLE``."""
        if not isinstance(prediction.answer, str):
            return UNREADABLE
        return self.amounts_to.get(plain(prediction.answer), OTHER)


def levels(predictions: Sequence[Prediction]) -> list[Level]:
    """The coarse level, where naming the fine class is right too, and the fine one if any is known."""
    names = [p.asked.truth for p in predictions if isinstance(p.asked.truth, Name)]
    coarse = {plain(n.fine): n.label for n in names if n.fine} | {plain(n.label): n.label for n in names}
    fine = {plain(n.fine): n.fine for n in names if n.fine}
    found = [Level("accuracy", lambda name: name.label, coarse)]
    return [*found, Level("fine accuracy", lambda name: name.fine, fine)] if fine else found


def _true(level: Level, prediction: Prediction) -> str | None:
    truth = prediction.asked.truth
    return level.true(truth) if isinstance(truth, Name) else None


def _classifying(cases: Cases) -> Statistics:
    """Share of right names: over all boxes, for each true class, and as the mean over classes."""
    found: Statistics = {}
    for level in levels(cases.predictions):
        known = cases.pick([_true(level, p) is not None for p in cases.predictions])
        true = [_true(level, p) for p in known.predictions]
        right = [level.said(p) == name for p, name in zip(known.predictions, true, strict=True)]
        each = {}
        for name in sorted({name for name in true if name}):
            mine = [other == name for other in true]
            marks = [mark for mark, keep in zip(right, mine, strict=True) if keep]
            each[Key(Task.CLASSIFY, name, level.metric)] = known.pick(mine).share(marks)
        found[Key(Task.CLASSIFY, ALL, level.metric)] = known.share(right)
        found[Key(Task.CLASSIFY, ALL, f"mean class {level.metric}")] = mean(list(each.values()))
        found |= each
    return found


def confusions(predictions: Sequence[Prediction]) -> dict[str, Confusion]:
    """The confusion tables of the class answers among some predictions, coarse and fine."""
    asked = [p for p in predictions if p.task is Task.CLASSIFY]
    tables = {}
    for level in levels(asked) if asked else []:
        cells = Counter((_true(level, p) or "", level.said(p)) for p in asked if _true(level, p))
        rows = tuple(sorted({row for row, _ in cells}))
        columns = (*rows, OTHER, UNREADABLE)
        counts = np.array([[cells[row, column] for column in columns] for row in rows], dtype=np.int64)
        tables["fine" if level.metric.startswith("fine") else "coarse"] = Confusion(rows, columns, counts)
    return tables


def clip(box: ChipBox, frame: tuple[int, int]) -> ChipBox:
    """The part of a box inside the frame (width, height); an empty box on its edge if there is none."""
    width, height = frame
    x0, x1 = (min(max(x, 0.0), float(width)) for x in (box.left, box.right))
    y0, y1 = (min(max(y, 0.0), float(height)) for y in (box.top, box.bottom))
    return ChipBox(x0, y0, x1, y1)


@dataclass(frozen=True)
class Boxes:
    """One detect answer and its truth, clipped to the frame."""

    said: list[Found]
    truth: list[Target]

    @classmethod
    def of(cls, prediction: Prediction, classes: frozenset[str]) -> Boxes:
        """Leaves out the said boxes that name another of the classes asked about (in ``plain`` names)."""
        target = plain(target_of(prediction))
        others = frozenset[str]() if target == ANY else classes - {target}
        said, frame = prediction.answer, prediction.frame
        found = [f for f in said if isinstance(f, Found)] if isinstance(said, tuple) else []
        truth = prediction.asked.truth
        targets = [t for t in truth if isinstance(t, Target)] if isinstance(truth, tuple) else []
        return cls(
            [Found(clip(f.box, frame), f.label, f.score) for f in found if plain(f.label) not in others],
            [Target(clip(t.box, frame), t.label, t.fine, t.difficult) for t in targets],
        )


def classes_of(predictions: Sequence[Prediction]) -> frozenset[str]:
    """The ``plain`` names of the classes that detection was asked about."""
    return frozenset(plain(target_of(p)) for p in predictions if p.task is Task.DETECT) - {ANY}


def _detecting(cases: Cases) -> Statistics:
    """Precision, recall and F1 at three IoUs, and AP where every box has a score."""
    found: Statistics = {}
    classes = classes_of(cases.predictions)
    for target, mine in _by_target(cases):
        boxes = [Boxes.of(p, classes) for p in mine.predictions]
        there = [sum(not t.difficult for t in b.truth) for b in boxes]
        for iou in IOUS:
            pairings = [
                pair([f.box for f in b.said], [t.box for t in b.truth], iou, [t.difficult for t in b.truth])
                for b in boxes
            ]
            paired, said = [p.pairs for p in pairings], [p.said for p in pairings]
            sums = {"P": (paired, said), "R": (paired, there)}
            sums["F1"] = ([2 * n for n in paired], [a + b for a, b in zip(said, there, strict=True)])
            for name, (above, below) in sums.items():
                n = sum(said) if name == "P" else sum(there)
                found[Key(Task.DETECT, target, f"{name}@{iou:g}")] = Statistic(n, mine.share(above, below).of)
    return found | _average_precision(cases, classes)


def _average_precision(cases: Cases, classes: frozenset[str]) -> Statistics:
    """AP of each target; of ``ALL`` the mean over classes. Nothing where a box has no score."""
    at_ious: dict[str, list[Statistic]] = {}
    for target, mine in _by_target(cases):
        boxes = [Boxes.of(p, classes) for p in mine.predictions]
        if any(f.score is None for b in boxes for f in b.said):
            return {}
        if target != ALL:
            chips = [
                ScoredChip(
                    int(image),
                    [f.box for f in b.said],
                    [f.score or 0.0 for f in b.said],
                    [t.box for t in b.truth],
                    [t.difficult for t in b.truth],
                )
                for image, b in zip(mine.image, boxes, strict=True)
            ]
            at_ious[target] = [average_precision(chips, cases.images, iou) for iou in THRESHOLDS]
    named = {target: [aps] for target, aps in at_ious.items()}
    known = [aps for target, aps in at_ious.items() if target != ANY]
    groups = {ALL: known, **named} if len(known) > 1 else named
    found: Statistics = {}
    for target, some in groups.items():
        found[Key(Task.DETECT, target, "AP@0.5")] = mean_average_precision([aps[:1] for aps in some])
        found[Key(Task.DETECT, target, "AP@[.5:.95]")] = mean_average_precision(some)
    return found


def _texts(cases: Cases) -> tuple[list[str], list[list[str]]]:
    """The texts said ("" for none) and the texts that would be right."""
    said = [_typed(p.answer, str) or "" for p in cases.predictions]
    truth = [_typed(p.asked.truth, tuple) or () for p in cases.predictions]
    return said, [[text for text in texts if isinstance(text, str)] for texts in truth]


def _exact(cases: Cases) -> Statistics:
    """Share of texts that are right word for word, but for case and spacing."""
    pairs = zip(*_texts(cases), strict=True)
    right = [plain(said) in [plain(text) for text in truth] for said, truth in pairs]
    return {Key(cases.predictions[0].task, ALL, "exact"): cases.share(right)}


def _captions(cases: Cases) -> Statistics:
    """Word for word, BLEU and CIDEr."""
    return _exact(cases) | _over_images(cases, caption_statistics(*_texts(cases)))


def _over_images(cases: Cases, texts: dict[str, Statistic]) -> Statistics:
    """Statistics over captions as statistics over their images."""

    def lifted(statistic: Statistic) -> Statistic:
        return Statistic(statistic.n, lambda weights: statistic.of(weights[:, cases.image]))

    return {Key(Task.DESCRIBE, ALL, name): lifted(text) for name, text in texts.items()}


_TAKEN_BY: dict[Task, Callable[[Cases], Statistics]] = {
    Task.COUNT: _counting,
    Task.LOCATE: _locating,
    Task.CLASSIFY: _classifying,
    Task.DETECT: _detecting,
    Task.DESCRIBE: _captions,
    Task.ASK: _exact,
}
