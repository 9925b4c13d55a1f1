"""What the four numbers of COCO's boxes are, by the evidence of all boxes of a file together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fusar_train.corpus.dataset import BoxFormat
from fusar_train.corpus.errors import CorpusError

Numbers = tuple[float, float, float, float]
Size = tuple[float, float]

_SLACK = 0.02  # of the image's side, and at least _SLACK_PX: rounding, and objects that the edge cuts
_SLACK_PX = 2.0
_MOST_OUTSIDE = 0.2


@dataclass(frozen=True)
class BoxEvidence:
    """The numbers of a box, the width and height of its image, and the object's area where it is stated."""

    numbers: Numbers
    size: Size
    area: float | None = None


def told_format(boxes: Sequence[BoxEvidence], where: str) -> BoxFormat:
    """COCO's own format, [x, y, width, height] in pixels, unless the boxes speak against it.

    Args:
        boxes: All boxes of the file.
        where: The file, for errors.

    Raises:
        CorpusError: They look like corners, like shares of the image, or like pixels of other images.
    """
    if not boxes:
        return "xywh"
    numbers = np.array([box.numbers for box in boxes])
    room = np.array([box.size for box in boxes])
    area = np.array([-1.0 if box.area is None else box.area for box in boxes])
    between = numbers[:, 2:] - numbers[:, :2]
    slack = np.maximum(_SLACK * room, _SLACK_PX)
    outside = (numbers[:, :2] + numbers[:, 2:] > room + slack).any(axis=1)
    corners = ((between > 0) & (numbers[:, 2:] <= room + slack)).all(axis=1)
    of_corners = np.isclose(between.prod(axis=1), area, 0.02, 1) & ~np.isclose(
        numbers[:, 2:].prod(axis=1), area, 0.02, 1
    )
    many = f"{where}: {int(outside.sum())} of {len(boxes)} boxes reach out of their images"
    if all(is_share(box.numbers) for box in boxes):
        raise CorpusError(
            f"{where}: all boxes lie between 0 and 1, as shares of the image's sides do: "
            "give --box-format xywh-share, or xyxy-share if they are two corners."
        )
    if outside.any() and corners.all():
        raise CorpusError(
            f"{many} when read as [x, y, width, height], and none does as [x1, y1, x2, y2]: "
            "give --box-format xyxy, or xywh if they do reach out."
        )
    if of_corners.mean() > _MOST_OUTSIDE and corners.all():
        raise CorpusError(
            f"{where}: the areas of {int(of_corners.sum())} of {len(boxes)} boxes are those of [x1, y1, x2, y2], "
            "not of [x, y, width, height]: give --box-format xyxy, or xywh if the areas are wrong."
        )
    if outside.mean() > _MOST_OUTSIDE:
        raise CorpusError(
            f"{many}, so they are not [x, y, width, height] in the pixels of these images: mend the file, "
            "or give --box-format if they are as it says."
        )
    return "xywh"


def is_share(numbers: Sequence[float]) -> bool:
    """Whether a box is smaller than a pixel and in the first one: its numbers are shares of the image's sides."""
    return all(0 <= n <= 1 for n in numbers) and any(n % 1 for n in numbers)


def edges_of(numbers: Numbers, form: BoxFormat, size: Size) -> Numbers:
    """Left, top, right and bottom in pixels of an image of that width and height."""
    x, y, third, fourth = numbers
    if form.startswith("xywh"):
        third, fourth = x + third, y + fourth
    across, down = size if form.endswith("share") else (1.0, 1.0)
    return x * across, y * down, third * across, fourth * down
