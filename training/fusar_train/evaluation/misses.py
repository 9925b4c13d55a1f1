"""Which true objects are missed: by how large they are and how close to each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from fusar_gpt.frames import Box
from fusar_gpt.tasks import Task
from fusar_train.evaluation.metrics import pair
from fusar_train.evaluation.predictions import Prediction
from fusar_train.evaluation.task_statistics import Boxes

SMALL_PX = 24.0
NEAR_PX = 32.0
ALL, SMALL, CROWDED, PLAIN = "all", f"under {SMALL_PX:.0f} px long", "larger, crowded", "larger, alone"
FOUND, LOOSE, UNSEEN = "box of IoU .5", "only of IoU .2 to .5", "none"
_IOU = {FOUND: 0.5, LOOSE: 0.2}


def misses(predictions: Iterable[Prediction], target: str) -> dict[str, dict[str, float]]:
    """How many true boxes of a class there are of every kind, and which box the detect answers give them.

    A kind is ``SMALL``, ``CROWDED`` (another one's centre within ``NEAR_PX``), ``PLAIN`` or ``ALL``; its figures are
    ``number`` and the shares ``FOUND``, ``LOOSE`` and ``UNSEEN``. A kind of which there is none is left out.
    """
    seen: dict[str, Counter[str]] = {kind: Counter() for kind in (ALL, PLAIN, CROWDED, SMALL)}
    for prediction in predictions:
        if prediction.task is Task.DETECT and prediction.asked.target == target:
            boxes = Boxes.of(prediction, frozenset([target]))
            said, truth = [f.box for f in boxes.said], [t.box for t in boxes.truth]
            partners = {how: set(pair(said, truth, iou).partner.tolist()) for how, iou in _IOU.items()}
            for number, box in enumerate(truth):
                how = next((how for how in _IOU if number in partners[how]), UNSEEN)
                for kind in (ALL, kind_of(box, truth)):
                    seen[kind][how] += 1
    return {
        kind: {"number": count.total(), **{how: count[how] / count.total() for how in (*_IOU, UNSEEN)}}
        for kind, count in seen.items()
        if count
    }


def kind_of(box: Box, boxes: Iterable[Box]) -> str:
    """Whether a box in pixels is small, crowded by others among ``boxes`` or plain to see."""
    if max(box.right - box.left, box.bottom - box.top) < SMALL_PX:
        return SMALL
    near = sum(
        abs(box.left + box.right - other.left - other.right) <= 2 * NEAR_PX
        and abs(box.top + box.bottom - other.top - other.bottom) <= 2 * NEAR_PX
        for other in boxes
    )
    return CROWDED if near > 1 else PLAIN  # it is one of them itself
