"""From token probabilities to the chance of being right: a logistic regression that the checkpoint's card holds.

``fusar-train calibrate`` fits it on images that the model has not seen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from fusar_gpt.frames import Box

_HOLDS = 0.1
"""The farthest that mean confidence and share right may lie apart where confidences are said to hold."""
_LEAST = 1e-6
"""Probabilities nearer to 0 or 1 than this are taken for it, so that their log odds are finite."""


@dataclass(frozen=True)
class Inputs:
    """What the confidence of an answer, or of one detected object, may be computed from.

    Attributes:
        probability: Objectness of an object, token probability of another answer.
        spelling: Geometric mean probability of all tokens of the object.
        size: Side of a square as large as its box, as a share of the chip's side.
    """

    probability: float
    spelling: float = 1.0
    size: float = 1.0

    @classmethod
    def of_box(cls, objectness: float, spelling: float, box: Box, frame_size: tuple[int, int]) -> Inputs:
        """Those of an object of a chip of (width, height)."""
        return cls(objectness, spelling, math.sqrt(box.area / (frame_size[0] * frame_size[1])))

    def terms(self) -> dict[str, float]:
        """The inputs of the regression by name: log odds of the probability, logarithms of the others; all finite."""
        p = min(max(self.probability, _LEAST), 1 - _LEAST)
        return {
            "probability": math.log(p / (1 - p)),
            "spelling": math.log(max(self.spelling, _LEAST)),
            "size": math.log(max(self.size, _LEAST)),
        }


INPUTS = tuple(Inputs(0.5).terms())
"""The names of the inputs."""


@dataclass(frozen=True)
class ReliabilityBin:
    """Answers of like confidence: how many, their mean confidence, and the share of them that was right."""

    n: int
    confidence: float
    right: float

    def __post_init__(self) -> None:
        _check_shares(confidence=self.confidence, right=self.right)


@dataclass(frozen=True)
class MeasuredSet:
    """How well confidences held on one data set under one kind of prior (``own``, ``none``, ``wrong``).

    ``n`` answers of a mean ``confidence``, a share of them ``right``; ``sure`` of them at least .8 sure, a share of
    those right (``sure_right``). ``ece`` and ``auroc`` as in :class:`TaskCalibration`.
    """

    data: str
    prior: str
    n: int
    confidence: float
    right: float
    ece: float
    auroc: float | None
    sure: int
    sure_right: float | None

    def __post_init__(self) -> None:
        _check_shares(
            confidence=self.confidence,
            right=self.right,
            ece=self.ece,
            auroc=self.auroc,
            sure_right=self.sure_right,
        )


@dataclass(frozen=True)
class TaskCalibration:
    """How the confidence of one task is computed, and how well that was found to hold.

    The confidence is 1 / (1 + exp(-(intercept + sum of coefficient times input))). With the one input ``probability``
    this is Platt's scaling. All figures are of images that the coefficients were not fitted on: each image was judged
    by coefficients that were fitted without it.

    Attributes:
        method: ``logistic``.
        inputs: Some of ``INPUTS``.
        coefficients: One an input; that of ``probability`` is not negative, so that confidence never falls as it rises.
        intercept: The log odds where all inputs are 0.
        right: What being right means.
        n: On how many answers or boxes the figures were measured, ``images`` on how many images.
        ece: Expected calibration error: the mean over all of |mean confidence - share right| of their bin.
        auroc: The chance that one that is right has a higher confidence than one that is wrong; None without both.
        reliability: The bins, by rising confidence.
        sets: The same figures apart, also of kinds of prior that it was not fitted on.
    """

    method: str
    inputs: list[str]
    coefficients: list[float]
    intercept: float
    right: str
    n: int
    images: int
    ece: float
    auroc: float | None
    reliability: list[ReliabilityBin]
    sets: list[MeasuredSet] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.method != "logistic":
            raise ValueError(f"the calibration's method is {self.method!r}, and only logistic is known")
        unknown = sorted(set(self.inputs) - set(INPUTS))
        if unknown or len(set(self.inputs)) != len(self.inputs):
            raise ValueError(
                f"the calibration's inputs must be some of {', '.join(INPUTS)}, not {self.inputs}"
            )
        if len(self.coefficients) != len(self.inputs):
            raise ValueError("the calibration needs one coefficient an input")
        if not all(map(math.isfinite, (*self.coefficients, self.intercept))):
            raise ValueError("the calibration's coefficients must be finite")
        if dict(zip(self.inputs, self.coefficients, strict=True)).get("probability", 0.0) < 0:
            raise ValueError("the calibration's coefficient of probability must not be negative")
        if self.n < 1 or self.images < 1:
            raise ValueError("a calibration that was measured on nothing says nothing")
        _check_shares(ece=self.ece, auroc=self.auroc)

    def confidence(self, inputs: Inputs) -> float:
        """The probability of being right, in [0, 1]."""
        terms = inputs.terms()
        odds = self.intercept + sum(c * terms[n] for n, c in zip(self.inputs, self.coefficients, strict=True))
        return 1 / (1 + math.exp(-min(max(odds, -700.0), 700.0)))


@dataclass(frozen=True)
class Calibration:
    """The entry ``calibration`` of a card.

    Attributes:
        model_hash: SHA-256 of the checkpoint whose probabilities it is about.
        data: The images that it was fitted and measured on.
        tasks: By the task's name; a task that is not there has no confidence.
    """

    model_hash: str
    data: str
    tasks: dict[str, TaskCalibration]

    def doubts_without_prior(self, task: str) -> list[str]:
        """A sentence about each data set on which confidences did not hold when it was shown without a prior."""
        found = self.tasks.get(task)
        return [
            f"Confidences may not hold without a prior: of {one.n} answers about '{one.data}' shown without one, of a "
            f"mean confidence of {one.confidence:.2f}, a share of {one.right:.2f} was right."
            for one in (found.sets if found else [])
            if one.prior == "none" and abs(one.confidence - one.right) > _HOLDS
        ]

    def said_of(self, task: str) -> str | None:
        """On what the confidence of a task was calibrated and how well, in words; None where it has none."""
        if (found := self.tasks.get(task)) is None:
            return None
        ranked = "" if found.auroc is None else f", AUROC {found.auroc:.2f}"
        return (
            f"probability that {found.right}; calibrated on {found.n} answers about {found.images} images that the "
            f"model was not trained on ({self.data}); expected calibration error {found.ece:.2f}{ranked}"
        )


def _check_shares(**shares: float | None) -> None:
    for name, share in shares.items():
        if share is not None and not 0 <= share <= 1:
            raise ValueError(f"the calibration's {name} must be a share from 0 to 1, not {share}")
