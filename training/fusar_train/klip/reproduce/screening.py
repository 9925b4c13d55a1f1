"""How well a screen finds planted noise, and what became of what was rewritten: figures that only known noise gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusar_train.evaluation.confidence import auroc
from fusar_train.klip.data import KlipData
from fusar_train.klip.reproduce.chips import Spot, Truth
from fusar_train.klip.scio.rebuild import Rebuilt
from fusar_train.klip.scio.screen import Judged

TENTH = 0.1
Shares = dict[str, float]
"""Figures by name; those that are undefined, such as recall without noise, are missing."""


@dataclass(frozen=True)
class Found:
    """A screen's M sub-texts: their scores [M], which it calls noise [M], which are wrong [M]."""

    scores: NDArray[np.float64]
    noisy: NDArray[np.bool_]
    wrong: NDArray[np.bool_]

    @classmethod
    def of(cls, data: KlipData, judged: Sequence[Judged], truth: Truth) -> Found:
        """What a screen found in some data."""
        wrong = [spot_of(data, one.record, one.place) in truth.planted for one in judged]
        return cls(
            np.array([one.score for one in judged]),
            np.array([one.noisy for one in judged], bool),
            np.array(wrong, bool),
        )

    def figures(self) -> Shares:
        """AUC; what is flagged, its precision and recall; precision at a tenth and at as many as there are planted."""
        wrong, noisy = self.wrong, self.noisy
        found = {"flagged": noisy.mean(), "planted": wrong.mean()}
        if not wrong.any():
            return {name: float(value) for name, value in found.items()}
        one_image = np.zeros(len(wrong), np.int64)
        found |= {
            "AUC": auroc(self.scores, wrong, one_image).of(np.ones((1, 1)))[0],
            "recall": (noisy & wrong).sum() / wrong.sum(),
            "precision at 10 %": self._precision(round(TENTH * len(wrong))),
            "precision at the planted share": self._precision(int(wrong.sum())),
        }
        if noisy.any():
            found["precision"] = wrong[noisy].mean()
        return {name: float(value) for name, value in found.items() if np.isfinite(value)}

    def _precision(self, count: int) -> float:
        """The share of wrong ones among those with the highest scores."""
        return float(self.wrong[np.argsort(-self.scores, kind="stable")[: max(count, 1)]].mean())


def rewritten_figures(data: KlipData, rebuilt: Sequence[Rebuilt], truth: Truth) -> Shares:
    """What became of the sub-texts that were written again.

    Args:
        data: With the texts before.
        rebuilt: Of all of it.
        truth: Of its chips.
    """
    written = [one for one in rebuilt if one.after is not None]
    spots = [spot_of(data, one.record, one.place) for one in written]
    true = np.array([truth.is_true(s, one.after or "") for s, one in zip(spots, written, strict=True)], bool)
    accepted = np.array([one.accepted for one in written], bool)
    wrong = np.array([spot in truth.planted for spot in spots], bool)
    all_texts = sum(map(len, data.sub_texts))
    planted = sum(
        spot_of(data, record, place) in truth.planted
        for record, several in enumerate(data.sub_texts)
        for place in range(len(several))
    )
    left = planted - int((accepted & wrong & true).sum()) + int((accepted & ~wrong & ~true).sum())
    found: Shares = {
        "written again": len(written) / max(all_texts, 1),
        "wrong before": planted / max(all_texts, 1),
        "wrong after": left / max(all_texts, 1),
    }
    for name, share, of in (
        ("accepted", accepted, np.ones(len(written), bool)),
        ("true of written", true, np.ones(len(written), bool)),
        ("true of accepted", true, accepted),
        ("repaired of planted", accepted & true, wrong),
        ("spoiled of right", accepted & ~true, ~wrong),
    ):
        if of.any():
            found[name] = float(share[of].mean())
    return found


def spot_of(data: KlipData, record: int, place: int) -> Spot:
    """Where a sub-text stands, whatever it says by now."""
    return data.records[record].id, data.sub_texts[record][place].slot
