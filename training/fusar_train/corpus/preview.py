"""A contact sheet of a data set: images with the truth drawn on, to look at before training on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from fusar_gpt.output import whole_file
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.record import Record, whole_window

TILE_PX, TEXT_PX, GAP_PX = 224, 36, 6
COLOURS = {"ship": (255, 70, 70), "plane": (70, 255, 70)}
OTHER_COLOUR = (255, 200, 60)
PRIOR_COLOUR = (90, 200, 255)
TEXT_COLOUR = (235, 235, 235)

_COLUMNS = 6
_LONGEST_LINE = 36
_MOST_NAMED = 6  # objects, beyond which their names would hide the image


def write_preview(records: Sequence[Record], path: Path, count: int = 24) -> list[str]:
    """Draws ``count`` records, spread evenly over the list, and returns their ids.

    Boxes have the colour of their class, and a ? where difficult; blue dots are the prior's nodes. Below
    stand the id, the split, how many objects there are, and how many nodes.

    Raises:
        CorpusError: There are no records, or one of those shown cannot be read.
        OutputError: The picture cannot be written.
    """
    if not records or count < 1:
        raise CorpusError("There is nothing to show: give a folder with records, and --count 1 or more.")
    chosen = [records[int(i)] for i in np.unique(np.linspace(0, len(records) - 1, count).round())]
    with whole_file(path) as temporary:
        contact_sheet([tile(record) for record in chosen], min(_COLUMNS, len(chosen))).save(temporary, "PNG")
    return [record.id for record in chosen]


def contact_sheet(tiles: Sequence[Image.Image], columns: int) -> Image.Image:
    """Pictures of one size side by side, row by row, with a gap after each."""
    across, down = tiles[0].width + GAP_PX, tiles[0].height + GAP_PX
    sheet = Image.new("RGB", (columns * across, -(-len(tiles) // columns) * down))
    for i, picture in enumerate(tiles):
        sheet.paste(picture, (i % columns * across, i // columns * down))
    return sheet


def tile(record: Record) -> Image.Image:
    """One record: its window, undistorted, with its boxes, over two lines of text."""
    pixels = Image.fromarray(record.pixels()).convert("RGB")
    scale = TILE_PX / max(pixels.size)
    shown = pixels.resize((max(round(pixels.width * scale), 1), max(round(pixels.height * scale), 1)))
    pen = ImageDraw.Draw(shown)
    features, positions = record.vectors()
    for y, x in positions:
        at = (float(x) * (shown.width - 1), float(y) * (shown.height - 1))
        pen.point([at, (at[0] + 1, at[1])], fill=PRIOR_COLOUR)
    window = whole_window(record)
    for item in record.objects:
        box = item.box
        left, top = (box.left - window.col) * scale - 1, (box.top - window.row) * scale - 1
        right, bottom = (box.right - window.col) * scale, (box.bottom - window.row) * scale
        colour = COLOURS.get(item.label, OTHER_COLOUR)
        pen.rectangle((left, top, max(right, left), max(bottom, top)), outline=colour)
        if len(record.objects) <= _MOST_NAMED:
            name = _ascii(item.fine or item.label) + ("?" if item.difficult else "")
            pen.text((left, max(top - 11, 0)), name, fill=colour)
    framed = Image.new("RGB", (TILE_PX, TILE_PX + TEXT_PX))
    framed.paste(shown, ((TILE_PX - shown.width) // 2, (TILE_PX - shown.height) // 2))
    for line, text in enumerate(_lines(record, len(features))):
        ImageDraw.Draw(framed).text((2, TILE_PX + 3 + 15 * line), text, fill=TEXT_COLOUR)
    return framed


def _ascii(text: str) -> str:
    return text.encode("ascii", "replace").decode()


def _lines(record: Record, nodes: int) -> list[str]:
    counts = Counter(item.label for item in record.objects)
    objects = ", ".join(f"{number} {label}" for label, number in sorted(counts.items())) or "nothing"
    known = f"prior {nodes}" if nodes else "no prior"
    lines = (f"{record.id[-26:]}  {record.split or ''}", f"{objects}; {known}")
    return [_ascii(line)[:_LONGEST_LINE] for line in lines]
