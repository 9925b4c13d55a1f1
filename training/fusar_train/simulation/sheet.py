"""A contact sheet of simulated chips, to look at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from fusar_train.corpus.chip import LabelledChip
from fusar_train.corpus.preview import COLOURS, GAP_PX, contact_sheet
from fusar_train.simulation.chip import CHIP_PX, MARGIN, compose, simulate_chip

LOOK_ALIKE = (255, 190, 0)
BANDS, REACH = (1, 16, 9), 0.3
"""The prior's dimensions shown as red, green and blue, and the value that is brightest."""


def write_sheet(
    folder: Path, first: int, shape: tuple[int, int], stream: int = 0, prior: bool = False
) -> Path:
    """Writes ``chips.png``: columns x rows chips from number ``first`` on, with their boxes drawn around them.

    Ships are red, planes green, and what only looks like them amber. With ``prior``, its picture follows each chip.
    """
    cols, rows = shape
    tiles = [tile(first + i, stream, prior) for i in range(cols * rows)]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "chips.png"
    contact_sheet(tiles, cols).save(path, optimize=True)
    return path


def tile(number: int, stream: int, prior: bool) -> Image.Image:
    """A chip with its truth and its look-alikes, and beside it its prior."""
    chip = simulate_chip(number, stream)
    picture = Image.new("RGB", (2 * CHIP_PX + GAP_PX if prior else CHIP_PX, CHIP_PX))
    picture.paste(Image.fromarray(chip.image))
    pen = ImageDraw.Draw(picture)
    site, _, _ = compose(number, stream)
    for target in site.targets:
        x0, y0, x1, y1 = (edge - MARGIN for edge in target.box)
        if not site.land.flats[target.flat].real:
            pen.rectangle((x0 - 1, y0 - 1, x1, y1), outline=LOOK_ALIKE)
    for item in chip.objects:
        box = item.box
        pen.rectangle((box.left - 1, box.top - 1, box.right, box.bottom), outline=COLOURS[item.label])
    if prior:
        picture.paste(Image.fromarray(prior_picture(chip)), (CHIP_PX, 0))
    return picture


def prior_picture(chip: LabelledChip) -> NDArray[np.uint8]:
    """Three dimensions of the prior as colours, uint8 [224, 224, 3]; every pixel shows its nearest node."""
    if not len(chip.values):
        return np.zeros((CHIP_PX, CHIP_PX, 3), np.uint8)
    places = (np.arange(CHIP_PX, dtype=np.float32) + 0.5) / CHIP_PX
    across = (places[:, None] - chip.positions[:, 1]) ** 2
    down = (places[:, None] - chip.positions[:, 0]) ** 2
    nearest = np.stack([(row + across).argmin(1) for row in down])
    colours = chip.values[nearest][:, :, BANDS] / REACH
    return np.asarray(np.rint(np.clip(colours / 2 + 0.5, 0, 1) * 255), np.uint8)
