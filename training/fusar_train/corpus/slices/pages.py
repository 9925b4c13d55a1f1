"""A corpus to look at: a map of kept and dropped slices, one HTML file, and a contact sheet, one picture."""

from __future__ import annotations

import base64
import hashlib
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from markupsafe import Markup
from PIL import Image, ImageDraw, UnidentifiedImageError

from fusar_gpt.findings.caption import GROUND, Colour, font
from fusar_gpt.findings.report import load_template
from fusar_gpt.output import whole_file
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.slices.map_data import MAX_PICTURES, MapData, counts_by_fate
from fusar_train.corpus.slices.sampling import EvenSample, evenly
from fusar_train.corpus.slices.slice import SCALES, Fate, Scale, SliceRow

FATE_COLOURS: Mapping[Fate, Colour] = MappingProxyType(
    {
        Fate.KEPT: (0, 158, 115),
        Fate.NO_DATA: (148, 112, 184),
        Fate.OUTSIDE: (204, 121, 167),
        Fate.WATER: (86, 180, 233),
        Fate.MONOTONOUS: (140, 148, 158),
        Fate.POOR: (230, 159, 0),
        Fate.SMALL: (176, 122, 72),
        Fate.DAMAGED: (213, 60, 40),
    }
)
"""The colour of each fate on map and sheet, after Okabe and Ito."""

TILES = 24
"""Slices that the sheet shows of each fate and scale."""

_SCRIPTS = ("map.js", "map_panel.js")
_TILE_PX, _GAP_PX, _LINE_PX, _HEAD_PX, _COLUMNS = 128, 10, 14, 34, 8
_INK: Colour = (232, 237, 243)
_SOFT: Colour = (165, 176, 190)
_WORDS_PX = 11


def write_map(rows: Iterable[SliceRow], path: Path, title: str) -> None:
    """Writes one page that opens from disk and asks no network: where slices lie, and why each was kept or dropped.

    The rows are read once. The page holds at most ``MAX_SLICES`` slices and ``MAX_PICTURES`` thumbnails, chosen
    evenly, and says so.

    Raises:
        CorpusError: There are no rows.
        OutputError: The file cannot be written. What stood there is untouched.
    """
    data = MapData()
    for row in rows:
        data.add(row)
    total = sum(data.counts.values())
    if not total:
        raise CorpusError("There is no slice to show on a map: build the corpus first.")
    script = "\n".join((files("fusar_train.corpus.slices") / name).read_text("utf-8") for name in _SCRIPTS)
    kept = sum(number for (fate, _), number in data.counts.items() if fate is Fate.KEPT)
    embedded = data.embedded()
    html = load_template("fusar_train.corpus.slices", "map.html").render(
        title=title,
        subtitle=f"{_number(total, 'slice')} of {_number(len(data.scenes), 'scene')}; "
        f"{kept:,} kept ({kept / total:.0%})",
        data=embedded,
        colours={fate.value: f"rgb{colour}" for fate, colour in FATE_COLOURS.items()},
        counts=list(counts_by_fate(data.counts)),
        scales=SCALES,
        kept_fate=Fate.KEPT,
        total=total,
        shown=data.shown,
        sampled=data.sampled,
        nowhere=data.nowhere,
        pictures=len(embedded["pictures"]),
        max_pictures=MAX_PICTURES,
        script=Markup(script),  # noqa: S704 - our own, and only it may run, known by its hash
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
    with whole_file(path) as temporary:
        temporary.write_text(html, "utf-8", newline="\n")


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


class _Tile(NamedTuple):
    thumbnail: bytes
    lines: tuple[str, ...]


def write_sheet(rows: Iterable[SliceRow], path: Path) -> None:
    """Writes a PNG: the slices of each fate, kept ones first, by scale, each with its place and reason below.

    The rows are read once; of each fate and scale ``TILES`` are shown at most, chosen evenly. Slices of which nothing
    was read have no picture and are only counted.

    Raises:
        CorpusError: There are no rows.
        OutputError: The file cannot be written. What stood there is untouched.
    """
    counts: Counter[tuple[Fate, Scale]] = Counter()
    samples = {(fate, scale): EvenSample[_Tile](2 * TILES) for fate in Fate for scale in SCALES}
    for row in rows:
        key = row.verdict.fate, row.slice.scale
        counts[key] += 1
        if row.thumbnail:
            samples[key].offer(lambda row=row: _Tile(row.thumbnail, _lines(row)))  # type: ignore[misc]
    total = sum(counts.values())
    if not total:
        raise CorpusError("There is no slice to show on a sheet: build the corpus first.")
    parts = []
    for fate, numbers in counts_by_fate(counts):
        parts.append(_heading(fate, sum(numbers), total))
        for scale, number in zip(SCALES, numbers, strict=True):
            if number:
                parts.append(_row_of_tiles(_chosen(samples[fate, scale]), fate, scale, number))
    sheet = Image.new("RGB", (parts[0].width, sum(part.height for part in parts)), GROUND)
    top = 0
    for part in parts:
        sheet.paste(part, (0, top))
        top += part.height
    with whole_file(path) as temporary:
        sheet.save(temporary, "PNG")


def reason(row: SliceRow) -> str:
    """Why a slice was kept or dropped, with the number that decided, where there is one."""
    verdict = row.verdict
    if verdict.fate is Fate.NO_DATA and row.data_share is not None:
        return f"{verdict.fate.value}: {row.data_share:.0%}"
    if verdict.fate is Fate.SMALL:
        return f"{verdict.fate.value}: {row.slice.width} x {row.slice.height}"
    return str(verdict.fate.value)


def _lines(row: SliceRow) -> tuple[str, ...]:
    """What stands below a tile: the scene, the place in it, the reason, the richness, the region."""
    place, verdict = row.slice.id.rpartition("/")[2], row.verdict
    richness = "" if verdict.richness is None else f"richness {verdict.richness:.2f}"
    region = _shortened(verdict.region) if verdict.region else ""
    return _shortened(row.slice.scene), _shortened(place), reason(row), richness, region


def _chosen(sample: EvenSample[_Tile]) -> list[_Tile]:
    return evenly(sample.kept, min(TILES, len(sample.kept)))


def _shortened(name: str) -> str:
    """The name, or its end, as wide as a tile."""
    words, shown = font(_WORDS_PX), name[-_TILE_PX:]
    while words.getlength(shown) > _TILE_PX:
        shown = f"...{shown.removeprefix('...')[1:]}"
    return shown


def _strip(height: int) -> Image.Image:
    return Image.new("RGB", (_COLUMNS * (_TILE_PX + _GAP_PX) + _GAP_PX, height), GROUND)


def _heading(fate: Fate, number: int, total: int) -> Image.Image:
    strip = _strip(_HEAD_PX + _GAP_PX)
    pen = ImageDraw.Draw(strip)
    pen.rectangle((_GAP_PX, _GAP_PX, _GAP_PX + 5, _GAP_PX + _HEAD_PX), fill=FATE_COLOURS[fate])
    words = "Kept" if fate is Fate.KEPT else f"Dropped: {fate.value}"
    at = (_GAP_PX + 16, _GAP_PX + _HEAD_PX / 2)
    pen.text(at, f"{words}  {number:,} of {total:,} slices ({number / total:.1%})", _INK, font(19), "lm")
    return strip


def _row_of_tiles(tiles: Sequence[_Tile], fate: Fate, scale: Scale, number: int) -> Image.Image:
    """The tiles of one fate and scale below a line that says how many there are."""
    texts = max((sum(map(bool, tile.lines)) for tile in tiles), default=0)
    down = _TILE_PX + texts * _LINE_PX + 2 * _GAP_PX
    strip = _strip(2 * _LINE_PX + _GAP_PX + -(-len(tiles) // _COLUMNS) * down)
    pen, words = ImageDraw.Draw(strip), font(_WORDS_PX)
    shown = f", {len(tiles)} shown" if tiles else ", dropped before they were read"
    said = f"{scale}: {number:,}" + (shown if len(tiles) < number else "")
    pen.text((_GAP_PX, _GAP_PX), said, _SOFT, font(14))
    for i, tile in enumerate(tiles):
        left = _GAP_PX + i % _COLUMNS * (_TILE_PX + _GAP_PX)
        top = 2 * _LINE_PX + _GAP_PX + i // _COLUMNS * down
        frame = (left - 2, top - 2, left + _TILE_PX + 1, top + _TILE_PX + 1)
        pen.rectangle(frame, outline=FATE_COLOURS[fate], width=2)
        strip.paste(_picture(tile.thumbnail), (left, top))
        for line, text in enumerate(filter(None, tile.lines)):
            pen.text((left, top + _TILE_PX + 4 + line * _LINE_PX), text, _INK if line == 2 else _SOFT, words)
    return strip


def _picture(thumbnail: bytes) -> Image.Image:
    """A thumbnail in the middle of a square."""
    square = Image.new("RGB", (_TILE_PX, _TILE_PX), (0, 0, 0))
    try:
        with Image.open(io.BytesIO(thumbnail), formats=("PNG",)) as opened:
            scale = _TILE_PX / max(opened.size)
            size = (max(round(opened.width * scale), 1), max(round(opened.height * scale), 1))
            shown = opened.convert("L").resize(size)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        return square
    square.paste(shown, ((_TILE_PX - shown.width) // 2, (_TILE_PX - shown.height) // 2))
    return square
