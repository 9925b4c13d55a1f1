"""Where the scene has data: no data is not an empty sea."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from fusar_gpt.contract.prior import WITHOUT_PRIOR
from fusar_gpt.frames import ChipBox
from fusar_gpt.imagery import Chip, area_mask

ALL = 0.99
"""From this share on nothing is missing but pixels at the edge of the data."""


@dataclass(frozen=True)
class Coverage:
    """Where on a chip the scene has data.

    Attributes:
        mask: Of the chip's pixels, bool [height, width].
        share: Of the ground asked about, in [0, 1].
        ground_px: Size of the ground asked about in scene pixels.
    """

    mask: NDArray[np.bool_]
    share: float
    ground_px: float

    @classmethod
    def of(
        cls, mask: NDArray[np.bool_], chip: Chip, area_px: BaseGeometry, box: ChipBox | None = None
    ) -> Coverage:
        """The ground asked about is the box, else the part of the chip that lies in the area."""
        plan = chip.plan
        asked = _box_mask(mask, box) if box else area_mask(plan, area_px)
        per_pixel = plan.window.width * plan.window.height / asked.size
        return cls(mask, float(mask[asked].mean()) if asked.any() else 0.0, float(asked.sum() * per_pixel))

    def share_of(self, box: ChipBox) -> float:
        """The share of a box of the chip."""
        return float(self.mask[_box_mask(self.mask, box)].mean())


class AreaCoverage:
    """What was seen of an area, chip by chip.

    Attributes:
        chips: How many chips were looked at.
        asked: About how many of them the model was asked.
    """

    def __init__(self) -> None:
        self.chips = self.asked = 0
        self._seen_px = self._ground_px = 0.0
        self._without_prior = self._no_prior = 0
        self._why_no_prior = ""

    def add(self, coverage: Coverage, *, asked: bool, lacks_prior: bool, no_prior: str = "") -> None:
        """One more chip.

        ``lacks_prior``: a source was to give its prior, and had no vectors there. ``no_prior``: why no source gave one.
        """
        self.chips += 1
        self.asked += asked
        self._seen_px += coverage.share * coverage.ground_px
        self._ground_px += coverage.ground_px
        self._without_prior += asked and lacks_prior
        if asked and no_prior:
            self._no_prior += 1
            self._why_no_prior = no_prior

    @property
    def share(self) -> float:
        """The share of the area that has data; ground that several chips see counts as often."""
        return self._seen_px / self._ground_px if self._ground_px else 0.0

    def warnings(self) -> list[str]:
        """Sentences about what was not seen."""
        said = []
        if self.share < ALL:
            said.append(
                f"No data on {without_data(self.share)} of the area: nothing is known of that ground."
            )
        if self._without_prior:
            said.append(
                f"The prior has no vectors on {self._without_prior} of {self.asked} chips: there the model saw the "
                "radar image alone."
            )
        if self._no_prior:
            everywhere = self._no_prior == self.asked
            said.append(
                without_prior(
                    self._why_no_prior, "" if everywhere else f" on {self._no_prior} of {self.asked} chips"
                )
            )
        return said


def without_prior(why: str, where: str = "") -> str:
    """The sentence that the model had no prior although one was asked for."""
    there = " there" if where else ""
    return f"{WITHOUT_PRIOR}{where}: {why}; answers{there} are from the radar image alone."


def without_data(share: float) -> str:
    """The share of ground without data in words; never 0 % or 100 % unless it is exactly that."""
    percent = 100 * (1 - share)
    return f"{percent if share in (0, 1) else min(max(percent, 1), 99):.0f} %"


def _box_mask(mask: NDArray[np.bool_], box: ChipBox) -> NDArray[np.bool_]:
    """The chip pixels that a box touches, at least one, also where it lies beside the chip."""
    inside = np.zeros(mask.shape, dtype=bool)
    spans = []
    for low, high, side in (box.top, box.bottom, mask.shape[0]), (box.left, box.right, mask.shape[1]):
        first = min(max(math.floor(low), 0), side - 1)
        spans.append(slice(first, max(math.ceil(high), first + 1)))
    inside[spans[0], spans[1]] = True
    return inside
