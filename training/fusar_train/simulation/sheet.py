"""A contact sheet of simulated chips, to look at."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw

from fusar_train.simulation.chip import CHIP_PX, simulate_chip

COLOURS = {"ship": (255, 70, 70), "plane": (70, 255, 70)}


def write_sheet(folder: Path, first: int, shape: tuple[int, int], stream: int = 0) -> Path:
    """Writes ``chips.png``: columns x rows chips from number ``first`` on, with their boxes drawn around them."""
    cols, rows = shape
    step = CHIP_PX + 6
    sheet = Image.new("RGB", (cols * step, rows * step))
    for i in range(cols * rows):
        record = simulate_chip(first + i, stream)
        chip = Image.fromarray(record.image).convert("RGB")
        pen = ImageDraw.Draw(chip)
        for item in record.objects:
            box = item.box
            pen.rectangle((box.left - 1, box.top - 1, box.right, box.bottom), outline=COLOURS[item.label])
        sheet.paste(chip, (i % cols * step, i // cols * step))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "chips.png"
    sheet.save(path)
    return path
