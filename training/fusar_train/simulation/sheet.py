"""A contact sheet of simulated chips, to look at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from fusar_train.corpus.chip import LabelledChip
from fusar_train.simulation.chip import CHIP_PX, MARGIN, compose, simulate_chip

COLOURS = {"ship": (255, 70, 70), "plane": (70, 255, 70)}
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
    step = CHIP_PX + 6
    across = step * (1 + prior)
    sheet = Image.new("RGB", (cols * across, rows * step))
    for i in range(cols * rows):
        left, top = i % cols * across, i // cols * step
        record = simulate_chip(first + i, stream)
        sheet.paste(marked(record, first + i, stream), (left, top))
        if prior:
            sheet.paste(Image.fromarray(prior_picture(record)), (left + CHIP_PX, top))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "chips.png"
    sheet.save(path, optimize=True)
    return path


def marked(record: LabelledChip, number: int, stream: int) -> Image.Image:
    """A chip with its truth and its look-alikes."""
    chip = Image.fromarray(record.image).convert("RGB")
    pen = ImageDraw.Draw(chip)
    canvas, _, _ = compose(number, stream)
    for target in canvas.targets:
        x0, y0, x1, y1 = (edge - MARGIN for edge in target.box)
        if not canvas.land.flats[target.flat].real:
            pen.rectangle((x0 - 1, y0 - 1, x1, y1), outline=LOOK_ALIKE)
    for item in record.objects:
        box = item.box
        pen.rectangle((box.left - 1, box.top - 1, box.right, box.bottom), outline=COLOURS[item.label])
    return chip


def prior_picture(record: LabelledChip) -> NDArray[np.uint8]:
    """Three dimensions of the prior as colours, uint8 [224, 224, 3]; every pixel shows its nearest node."""
    if not len(record.values):
        return np.zeros((CHIP_PX, CHIP_PX, 3), np.uint8)
    places = (np.arange(CHIP_PX, dtype=np.float32) + 0.5) / CHIP_PX
    across = (places[:, None] - record.positions[:, 1]) ** 2
    down = (places[:, None] - record.positions[:, 0]) ** 2
    nearest = np.stack([(row + across).argmin(1) for row in down])
    colours = record.values[nearest][:, :, BANDS] / REACH
    return np.asarray(np.rint(np.clip(colours / 2 + 0.5, 0, 1) * 255), np.uint8)
