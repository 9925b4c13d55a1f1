"""A prior for the eye: three channels as red, green and blue, as in FUSAR-GPT Fig. 3."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from rasterio.enums import Resampling
from rasterio.errors import RasterioError

from fusar_gpt import lonlat
from fusar_gpt.errors import PriorError
from fusar_gpt.frames import LonLatPoints
from fusar_gpt.priors.field import Footprint, PriorField, dequantise
from fusar_gpt.priors.files import POINT_FILES, FilePrior

CHANNELS = (1, 16, 9)
"""A01, A16 and A09."""
LIMIT = 0.3
"""The channels are shown from -0.3 to 0.3 whatever the file, so that pictures of two years can be compared."""

_SIDE_PX = 768
_EMPTY = (13, 18, 26)
_INK = (232, 237, 243)

_WORLD = Footprint.of_box(-180.0, -90.0, 180.0, 90.0)
"""A chip that every prior lies on."""


def draw_prior(path: Path) -> tuple[Image.Image, list[str]]:
    """The picture of a prior file, and the lines that stand below it: year, coverage, attribution.

    Raises:
        PriorError: The file is missing or no prior.
    """
    field = FilePrior(path).prior(_WORLD, None)
    points = path.suffix.lower() in POINT_FILES
    values, aspect = _of_points(field, path) if points else _of_raster(path)
    covered = np.asarray(np.isfinite(values).all(axis=2))
    lines = [
        f"{path.name}: {'year ' + str(field.year) if field.year else 'year not stated'}, "
        f"{covered.mean():.1%} covered{', SIMULATED' if field.simulated else ''}",
        f"A01, A16, A09 as red, green, blue, {-LIMIT:g} to {LIMIT:g}",
        field.attribution or "no attribution stated in the file",
    ]
    rgb = np.where(covered[..., None], _colours(np.where(covered[..., None], values, 0.0)), _EMPTY)
    rgb = rgb.astype(np.uint8)
    rows, cols = covered.shape
    scale = _SIDE_PX / max(cols * aspect, rows)
    size = (max(round(cols * aspect * scale), 1), max(round(rows * scale), 1))
    return _captioned(Image.fromarray(rgb).resize(size, Image.Resampling.NEAREST), lines), lines


def draw_field(field: PriorField, width: int, height: int) -> Image.Image:
    """The picture of a chip's prior, as the chip lies: each node a patch as wide as the nodes are apart.

    Args:
        field: The prior, at least one node.
        width: Of the picture, in px.
        height: Of the picture, in px.
    """
    canvas = np.full((height, width, 3), _EMPTY, dtype=np.uint8)
    colours = _colours(field.values[:, CHANNELS])
    centres = field.positions.astype(np.float64) * (height, width)
    half = _apart(centres, 0.5 * math.hypot(width, height)) / 2
    low = np.floor(centres - half).clip(0).astype(int)
    high = np.ceil(centres + half).astype(int)
    for (top, left), (bottom, right), colour in zip(low, high, colours, strict=True):
        canvas[top:bottom, left:right] = colour
    return Image.fromarray(canvas)


def _apart(centres: NDArray[np.float64], most: float) -> float:
    """How far neighbouring nodes lie apart, px; of a grid the wider of its two spacings."""
    some = centres[:: max(len(centres) // 64, 1)]
    distances = np.sort(np.linalg.norm(some[:, None] - centres[None], axis=2), axis=1)
    return float(min(np.median(distances[:, min(4, len(centres) - 1)]) or most, most))


def _colours(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Channels [..., 3] as red, green and blue."""
    colours: NDArray[np.uint8] = np.rint(((values + LIMIT) / (2 * LIMIT)).clip(0, 1) * 255).astype(np.uint8)
    return colours


def _of_raster(path: Path) -> tuple[NDArray[np.float64], float]:
    """The channels [rows, cols, 3] of at most 768 x 768 pixels, NaN without data, and the aspect of a pixel."""
    try:
        with rasterio.open(path) as raster:
            step = max(raster.width, raster.height, _SIDE_PX) / _SIDE_PX
            shape = max(round(raster.height / step), 1), max(round(raster.width / step), 1)
            bands = [channel + 1 for channel in CHANNELS]
            stored = raster.read(bands, out_shape=(3, *shape), resampling=Resampling.nearest)
            transform, nodata = raster.transform, raster.nodata
    except RasterioError as error:
        raise PriorError(f"{path} cannot be read, it is damaged or gone: fetch it again.") from error
    values = dequantise(stored.reshape(3, -1).T, nodata).reshape(*shape, 3)
    if transform.e > 0:  # south-up: the first row is the southernmost
        values = values[::-1]
    return values, math.hypot(transform.a, transform.d) / math.hypot(transform.b, transform.e)


def _of_points(field: PriorField, path: Path) -> tuple[NDArray[np.float64], float]:
    """Likewise for points: their own grid if they form one, else squares with about one point each."""
    if not len(field):
        raise PriorError(f"{path} holds no vectors: there is nothing to show.")
    x, y, aspect = _plane(field)
    columns, rows = np.unique(x), np.unique(y)
    if columns.size * rows.size > 4 * len(field):
        side = math.ceil(math.sqrt(len(field)))
        columns, rows = np.linspace(x.min(), x.max(), side), np.linspace(y.min(), y.max(), side)
    values = np.full((rows.size, columns.size, 3), np.nan)
    values[_nearest(rows, y), _nearest(columns, x)] = field.values[:, CHANNELS]
    width, height = np.ptp(x) * aspect, np.ptp(y)
    if not (width and height):
        return values, 1.0
    return values, float(width / max(columns.size - 1, 1) / (height / max(rows.size - 1, 1)))


def _plane(field: PriorField) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Coordinates: x to the right, y down, and how long a unit of x is in units of y."""
    points: LonLatPoints = field.lonlat
    if not np.isfinite(points.xy()).all():
        y, x = field.positions.astype(np.float64).T
        return x, y, 1.0
    west, east = lonlat.extent(points.x)
    lon = lonlat.around(points.x, west + lonlat.span(west, east) / 2)
    return lon, -points.y, max(math.cos(math.radians(float(points.y.mean()))), 0.01)


def _nearest(ticks: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.int_]:
    """The index of the tick next to each place; ticks rise."""
    middles = (ticks[1:] + ticks[:-1]) / 2
    return np.searchsorted(middles, at)


def _captioned(picture: Image.Image, lines: list[str]) -> Image.Image:
    """The picture with the lines below it, in Pillow's own font, the same on every machine."""
    font = ImageFont.load_default(15)
    width = max(picture.width, *(math.ceil(font.getlength(line)) + 24 for line in lines))
    page = Image.new("RGB", (width, picture.height + 24 + 22 * len(lines)), _EMPTY)
    page.paste(picture, ((width - picture.width) // 2, 0))
    pen = ImageDraw.Draw(page)
    for number, line in enumerate(lines):
        pen.text((12, picture.height + 12 + 22 * number), line, fill=_INK, font=font)
    return page
