"""What the image of a simulated place shows, whatever the ground really is: for texts that an image must bear out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fusar_train.corpus.chip import Looks, clip_objects
from fusar_train.corpus.texts.cover import BUILT, CROPS, OPEN, QUAYS, ROADS, TRUTH, WATER, Cover, count_cells
from fusar_train.simulation.targets import Site

_SMOOTH_GROUND = 11
_OPEN = 10
NAMES = (
    WATER, "trees", "grass", "wetland", CROPS, "shrubland", BUILT, "bare ground", QUAYS, ROADS, OPEN, "smooth ground",
)  # fmt: skip
"""Of 0, water that shows its wind; of each ``Surface`` 1 to 9; of smooth ground where ships, or planes, may be."""


def looks_of(site: Site, margin: int) -> Looks:
    """The look-alikes among the targets with the true ones, and the land cover as far as the image tells it.

    Only water with wind on it shows that it is water; every other flat is as dark and smooth as those that are none.

    Args:
        site: The place with its targets.
        margin: Pixels that are cut off on every side.
    """
    flats = site.land.flats
    height, width = (side - 2 * margin for side in site.land.shape)
    boxes = [tuple(edge - margin for edge in target.box) for target in site.targets]
    labels = [flats[target.flat].hosts for target in site.targets]
    objects, _ = clip_objects(boxes, labels, width, height)  # type: ignore[arg-type]
    calm = {flats[target.flat].hosts for target in site.targets if not flats[target.flat].wind}
    cover = Cover.of_cells(count_cells(shown_cover(site, margin), len(NAMES)), NAMES, TRUTH)
    return Looks(objects, tuple(sorted(calm & {item.label for item in objects})), cover.to_json())


def shown_cover(site: Site, margin: int) -> NDArray[np.uint8]:
    """The number in ``NAMES`` of what the image shows at each pixel, uint8 [h, w], without its margin."""
    flats = site.land.flats
    height, width = (side - 2 * margin for side in site.land.shape)
    code = {True: _SMOOTH_GROUND, False: _OPEN}
    kinds = np.array([0 if flat.wind else code[flat.hosts == "plane"] for flat in flats], np.uint8)
    inside = (slice(margin, margin + height), slice(margin, margin + width))
    flat = site.land.flat[inside]
    return np.where(flat > 0, kinds[flat], site.land.surface[inside]).astype(np.uint8)
