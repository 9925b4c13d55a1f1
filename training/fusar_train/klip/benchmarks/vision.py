"""What the vision benchmarks are asked: which encoders, on what, how long; and what they share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from fusar_train.corpus.cover_classes import Classes
from fusar_train.evaluation.bootstrap import Estimate
from fusar_train.klip.benchmarks.encoders import Starts, find_starts
from fusar_train.klip.benchmarks.section import Figure


@dataclass(frozen=True)
class VisionOptions:
    """The vision benchmarks of a FUSAR-KLIP.

    Attributes:
        model: A name in the store, a folder or a hub id.
        vision_start: File of its supervised start; None looks for that of the run that made it.
        open_clip: Folders of CLIPs to compare with.
        classes: Records of one object each, to classify.
        boxes: Records with ships and planes, to detect.
        masks: Folders of scenes with masks, to segment, and what the codes mean.
        simulated: Simulated chips to learn from in each benchmark; a third as many test. 0 leaves simulation out.
        epochs: Times that each example is seen; None takes each benchmark's own.
        seed: Of all chance: splits, starts, order, bootstrap.
        device: "auto" or "cpu".
    """

    model: str
    vision_start: Path | None = None
    open_clip: tuple[Path, ...] = ()
    classes: tuple[Path, ...] = ()
    boxes: tuple[Path, ...] = ()
    masks: tuple[tuple[Path, Classes], ...] = ()
    simulated: int = 1500
    epochs: int | None = None
    seed: int = 0
    device: str = "auto"

    @cached_property
    def starts(self) -> Starts:
        """The encoders to compare; FusarError where one cannot be had."""
        return find_starts(self.model, self.vision_start, self.open_clip, self.seed)

    @property
    def where(self) -> torch.device:
        """Where to compute."""
        return torch.device("cuda" if self.device == "auto" and torch.cuda.is_available() else "cpu")


def figures_of(estimates: Iterable[tuple[str, Estimate]]) -> Iterator[tuple[str, Figure]]:
    """The figures that are defined, by column."""
    for column, one in estimates:
        if one.value is not None:
            yield column, Figure(one.value, one.n, one.low, one.high)
