"""How sure the model is of an answer: token probabilities, which rank, and calibrated confidences."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fusar_gpt.contract import NO_PRIOR, Run
from fusar_gpt.tasks import Answer, Boxes, FrameSize, LabelledBox, Question, Task

if TYPE_CHECKING:  # the room would bring torch and transformers to all who write findings
    from fusar_gpt.model import Card
    from fusar_gpt.model.calibration import Calibration

Probability = Callable[..., float]
"""The geometric mean probability of the tokens in some ranges of an answer's characters."""


@dataclass(frozen=True)
class BoxCertainty:
    """Of one detected object.

    Attributes:
        objectness: Probability of the tokens that say that it is here, rather than none or one elsewhere.
        confidence: The calibrated probability that it is right; None where the checkpoint has no calibration.
    """

    objectness: float
    confidence: float | None


@dataclass(frozen=True)
class Certainty:
    """Of one answer.

    Attributes:
        probability: Geometric mean probability of all its tokens; None where it has none.
        confidence: The calibrated probability that it is right as a whole; None without a calibration of its task.
        boxes: Of each object that it lists, in its order.
    """

    probability: float | None
    confidence: float | None
    boxes: tuple[BoxCertainty, ...] = ()


def calibration_of(card: Card, checkpoint_hash: str) -> tuple[Calibration | None, str | None]:
    """The calibration of a checkpoint, or None and, if its card holds another checkpoint's, a sentence about that."""
    found = card.calibration
    if found is None or found.model_hash == checkpoint_hash:
        return found, None
    return None, (
        f"The calibration on the card of {card.name} is of another checkpoint ({found.model_hash[:12]}, this one is "
        f"{checkpoint_hash[:12]}), so no confidence is given: fit one with fusar-train calibrate."
    )


def with_calibration(
    run: Run, questions: Iterable[Question], calibration: Calibration | None, other: str | None
) -> Run:
    """The run with what its confidences mean, and ``other``, the sentence about a calibration of another checkpoint."""
    said, tasks = [other] if other else [], dict.fromkeys(question.task.value for question in questions)
    if calibration and run.prior == NO_PRIOR:
        said += [doubt for task in tasks for doubt in calibration.doubts_without_prior(task)]
    meanings = [meaning for task in tasks if calibration and (meaning := calibration.said_of(task))]
    return replace(run, confidence_meaning="; ".join(meanings) or None, warnings=(*run.warnings, *said))


def certainty(
    task: Task,
    answer: Answer,
    probability: Probability,
    calibration: Calibration | None,
    frame_size: FrameSize,
) -> Certainty:
    """How sure the model is of an answer about a chip of (width, height)."""
    from fusar_gpt.model.calibration import Inputs

    whole = probability((0, len(answer.raw))) if answer.raw else None
    known = calibration.tasks.get(task.value) if calibration else None
    if isinstance(answer, Boxes):
        seen = [
            Inputs.of_box(objectness(box, probability), probability(box.span), box.box, frame_size)
            for box in answer.boxes
        ]
        return Certainty(
            whole,
            None,
            tuple(BoxCertainty(i.probability, known.confidence(i) if known else None) for i in seen),
        )
    if known is None or whole is None or not answer.complete:
        return Certainty(whole, None)
    return Certainty(whole, known.confidence(Inputs(whole)))


def objectness(box: LabelledBox, probability: Probability) -> float:
    """The probability that an object is here, rather than none or one elsewhere.

    It is the product over the deciding ranges, each with the geometric mean of its tokens, so that a number is not less
    probable for having more digits.
    """
    return math.prod(probability(part) for part in box.deciding)
