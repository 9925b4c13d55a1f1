"""A picture of the screening: what falls on each side of the richness threshold, and how many slices met which fate."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fusar_gpt.output import whole_file
from fusar_train.corpus.slices.slice import Fate, SliceRow

COLUMNS = 12
TILE_PX, GAP_PX, TEXT_PX, MARGIN_PX = 96, 6, 14, 24
BINS = 20
RESERVOIR = 400
"""Rows kept of each group to choose from: memory does not grow with the corpus."""
KEPT_COLOUR, DROPPED_COLOUR = (76, 201, 240), (255, 120, 90)
PAPER, INK, FAINT = (18, 20, 24), (235, 235, 235), (120, 125, 135)
RULES = (Fate.WATER, Fate.MONOTONOUS, Fate.NO_DATA, Fate.OUTSIDE)
"""The fates, beside the KNN filter's, of which examples are shown."""


@dataclass
class _Sample:
    """At most ``RESERVOIR`` rows of a stream, each as likely as the others (Vitter's algorithm R)."""

    rng: np.random.Generator
    rows: list[SliceRow] = field(default_factory=list)
    seen: int = 0

    def add(self, row: SliceRow) -> None:
        self.seen += 1
        if len(self.rows) < RESERVOIR:
            self.rows.append(row)
        elif (place := int(self.rng.integers(self.seen))) < RESERVOIR:
            self.rows[place] = row


@dataclass(frozen=True)
class _Strip:
    """A row of thumbnails under a title."""

    title: str
    rows: Sequence[SliceRow]
    kept: bool


def write_screening_picture(rows: Iterable[SliceRow], path: Path, threshold: float = 0.5) -> None:
    """Writes a PNG: fates and their numbers, the histogram of richness, and thumbnails in order of richness.

    The thumbnails are the poorest, those just below and just above the threshold, the richest, those kept without
    the KNN filter, and some of each other fate. Of many rows a sample of fixed seed is shown; all are counted.

    Args:
        rows: Slices of an index; read once, may be none.
        path: The file.
        threshold: The least richness that was kept.

    Raises:
        OutputError: The file cannot be written.
    """
    rng = np.random.default_rng(0)
    fates: Counter[Fate] = Counter()
    bins = np.zeros(BINS, np.int64)
    samples = {name: _Sample(rng) for name in ("poor", "rich", "kept", *(fate.name for fate in RULES))}
    for row in rows:
        verdict = row.verdict
        fates[verdict.fate] += 1
        richness = verdict.richness
        if richness is not None and np.isfinite(richness):
            bins[min(int(np.clip(richness, 0, 1) * BINS), BINS - 1)] += 1
            samples["rich" if richness >= threshold else "poor"].add(row)
        elif row.kept:
            samples["kept"].add(row)
        elif verdict.fate in RULES:
            samples[verdict.fate.name].add(row)
    picture = _page(fates, bins, threshold, _strips(samples, threshold))
    with whole_file(path) as temporary:
        picture.save(temporary, "PNG", optimize=True)


def _strips(samples: dict[str, _Sample], threshold: float) -> list[_Strip]:
    def by_richness(name: str) -> list[SliceRow]:
        return sorted(samples[name].rows, key=lambda row: (row.verdict.richness or 0.0, row.slice.id))

    poor, rich = by_richness("poor"), by_richness("rich")
    below, above = poor[len(poor) // 2 :][-COLUMNS:], rich[: len(rich) - len(rich) // 2][:COLUMNS]
    strips = [
        _Strip("dropped by KNN: the poorest", poor[: len(poor) // 2][:COLUMNS], False),
        _Strip(f"dropped by KNN: just below {threshold:g}", below, False),
        _Strip(f"kept by KNN: just above {threshold:g}", above, True),
        _Strip("kept by KNN: the richest", rich[len(above) :][-COLUMNS:], True),
        _Strip("kept without KNN", _spread(samples["kept"].rows), True),
    ]
    strips += [_Strip(f"dropped: {fate.value}", _spread(samples[fate.name].rows), False) for fate in RULES]
    return [strip for strip in strips if strip.rows]


def _spread(rows: Sequence[SliceRow]) -> list[SliceRow]:
    """As many as fit into a strip, from all over the rows."""
    return [rows[int(i)] for i in np.unique(np.linspace(0, len(rows) - 1, COLUMNS).round())] if rows else []


def _page(fates: Counter[Fate], bins: np.ndarray, threshold: float, strips: Sequence[_Strip]) -> Image.Image:
    width = 2 * MARGIN_PX + COLUMNS * (TILE_PX + GAP_PX) - GAP_PX
    strip_px = 22 + TILE_PX + TEXT_PX + GAP_PX
    chart_px = max(190, 60 + 24 * max(len(fates), 1))
    page = Image.new("RGB", (width, 2 * MARGIN_PX + chart_px + strip_px * len(strips)), PAPER)
    pen = ImageDraw.Draw(page)
    _fates(pen, fates, (MARGIN_PX, MARGIN_PX, width // 2 - MARGIN_PX))
    _histogram(pen, bins, threshold, (width // 2, MARGIN_PX, width - MARGIN_PX, MARGIN_PX + chart_px - 34))
    for number, strip in enumerate(strips):
        _draw_strip(page, pen, strip, MARGIN_PX + chart_px + number * strip_px)
    return page


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _fates(pen: ImageDraw.ImageDraw, fates: Counter[Fate], place: tuple[int, int, int]) -> None:
    """A bar for every fate that occurs, kept first."""
    left, top, right = place
    total = sum(fates.values())
    pen.text((left, top), f"{total:,} slices" if total else "no slices", fill=INK, font=_font(18))
    for number, fate in enumerate(fate for fate in Fate if fates[fate]):
        y, share = top + 36 + 24 * number, fates[fate] / total
        pen.text((left, y), fate.value, fill=INK, font=_font(13))
        start = left + 150
        length = max(round((right - start - 110) * share), 1)
        colour = KEPT_COLOUR if fate is Fate.KEPT else DROPPED_COLOUR
        pen.rectangle((start, y + 2, start + length, y + 15), fill=colour)
        pen.text((start + length + 6, y), f"{fates[fate]:,}  {share:.0%}", fill=FAINT, font=_font(13))


def _histogram(
    pen: ImageDraw.ImageDraw, bins: np.ndarray, threshold: float, box: tuple[int, int, int, int]
) -> None:
    """Slices by richness, dropped and kept in their colours, with the threshold as a line."""
    left, top, right, bottom = box
    pen.text((left, top), "richness: share of the nearest examples that are rich", fill=INK, font=_font(13))
    top += 30
    step, highest = (right - left) / BINS, max(int(bins.max()), 1)
    for number, count in enumerate(bins):
        x = left + number * step
        colour = KEPT_COLOUR if (number + 0.5) / BINS >= threshold else DROPPED_COLOUR
        if count:
            tall = max(round((bottom - top) * int(count) / highest), 1)
            pen.rectangle((x + 1, bottom - tall, x + step - 2, bottom), fill=colour)
    pen.line((left, bottom + 1, right, bottom + 1), fill=FAINT)
    at = left + threshold * (right - left)
    pen.line((at, top - 6, at, bottom), fill=INK, width=2)
    for share in (0.0, 0.5, 1.0):
        anchor = {0.0: "la", 0.5: "ma", 1.0: "ra"}[share]
        pen.text(
            (left + share * (right - left), bottom + 6),
            f"{share:g}",
            fill=FAINT,
            font=_font(12),
            anchor=anchor,
        )
    if not bins.any():
        pen.text(
            ((left + right) / 2, (top + bottom) / 2),
            "none was screened",
            fill=FAINT,
            font=_font(13),
            anchor="mm",
        )


def _draw_strip(page: Image.Image, pen: ImageDraw.ImageDraw, strip: _Strip, top: int) -> None:
    colour = KEPT_COLOUR if strip.kept else DROPPED_COLOUR
    pen.rectangle((MARGIN_PX, top + 4, MARGIN_PX + 9, top + 13), fill=colour)
    pen.text((MARGIN_PX + 16, top), strip.title, fill=INK, font=_font(13))
    for number, row in enumerate(strip.rows[:COLUMNS]):
        x, y = MARGIN_PX + number * (TILE_PX + GAP_PX), top + 22
        tile = _thumbnail(row.thumbnail)
        page.paste(tile, (x + (TILE_PX - tile.width) // 2, y + (TILE_PX - tile.height) // 2))
        pen.rectangle((x - 1, y - 1, x + TILE_PX, y + TILE_PX), outline=colour)
        pen.text((x, y + TILE_PX + 2), _caption(row), fill=FAINT, font=_font(10))


def _caption(row: SliceRow) -> str:
    richness = row.verdict.richness
    said = "" if richness is None else f"{richness:.2f} "
    return (said + (row.verdict.region or row.slice.scale)).encode("ascii", "replace").decode()[:18]


def _thumbnail(stored: bytes) -> Image.Image:
    """The thumbnail, at most a tile large; an empty tile where there is none."""
    try:
        with Image.open(io.BytesIO(stored)) as image:
            scale = TILE_PX / max(image.size)
            size = (max(round(image.width * scale), 1), max(round(image.height * scale), 1))
            how = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BOX
            return image.convert("RGB").resize(size, how)
    except (OSError, SyntaxError, ValueError):
        return Image.new("RGB", (TILE_PX, TILE_PX), PAPER)
