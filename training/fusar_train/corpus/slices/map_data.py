"""What the map page knows of a corpus: columns as typed arrays, small pictures, all of bounded size."""

from __future__ import annotations

import base64
import io
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray
from PIL import Image, UnidentifiedImageError
from pyproj.exceptions import ProjError

from fusar_gpt.lonlat import around, transformer
from fusar_train.corpus.slices.sampling import EvenSample, evenly, fair_shares
from fusar_train.corpus.slices.slice import SCALES, Fate, Scale, Slice, SliceRow

MAX_SLICES = 200_000
"""Slices on one page; of more, an even sample."""
MAX_PICTURES = 2_000
"""Thumbnails in one page, chosen evenly among the slices of each fate."""

_NAMES = (
    "scale", "fate", "scene", "region", "split", "group", "sensor", "polarisation", "acquired", "prior",
)  # fmt: skip
_NUMBERS = ("width", "height", "pixel_m", "data_share", "prior_nodes", "richness", "seen")
_MICRODEGREES = 1e6
_MOST_CORNERS = 12
_MOST_FEATURES = 32
_PICTURE_PX = 96
_JPEG_QUALITY = 80


class _Placed(NamedTuple):
    """One slice; a thumbnail would be too much to hold for all."""

    id: str
    parent: str | None
    codes: tuple[int, ...]
    ring: NDArray[np.int32]
    numbers: tuple[float, ...]
    features: Mapping[str, float]


class _Pictured(NamedTuple):
    slice: Slice
    thumbnail: bytes


class MapData:
    """Takes the rows one by one, and gives what the page embeds."""

    def __init__(self, max_slices: int = MAX_SLICES, max_pictures: int = MAX_PICTURES) -> None:
        self.counts: Counter[tuple[Fate, Scale]] = Counter()
        self.scenes: set[str] = set()
        self.nowhere = 0
        self._max_pictures = max_pictures
        self._codes: dict[str, dict[str, int]] = {name: {} for name in _NAMES}
        self._codes["scale"] = {scale: code for code, scale in enumerate(SCALES)}
        self._codes["fate"] = {fate.value: code for code, fate in enumerate(Fate)}
        self._slices = EvenSample[_Placed](max_slices)
        self._pictures = {fate: EvenSample[_Pictured](max_pictures) for fate in Fate}

    def add(self, row: SliceRow) -> None:
        """Counts a row and keeps what is shown of it; one whose footprint is nowhere is only counted."""
        self.counts[row.verdict.fate, row.slice.scale] += 1
        self.scenes.add(row.slice.scene)
        ring = _ring(row.slice.footprint)
        if ring is None:
            self.nowhere += 1
            return
        self._slices.offer(lambda: self._placed(row, ring))
        if row.thumbnail:
            self._pictures[row.verdict.fate].offer(lambda: _Pictured(row.slice, row.thumbnail))

    @property
    def shown(self) -> int:
        """How many slices the page holds."""
        return len(self._slices.kept)

    @property
    def sampled(self) -> bool:
        """Whether the page shows fewer slices than there are."""
        return self._slices.seen > self.shown

    def embedded(self) -> dict[str, Any]:
        """What map.js reads, of plain JSON types; arrays as base64 of little-endian numbers."""
        slices = self._slices.kept
        index = {one.id: i for i, one in enumerate(slices)}
        away = {i: one.parent for i, one in enumerate(slices) if one.parent and one.parent not in index}
        codes = np.array([one.codes for one in slices], np.uint32).reshape(-1, len(_NAMES))
        numbers = np.array([one.numbers for one in slices], np.float32).reshape(-1, len(_NUMBERS))
        rings = [one.ring for one in slices]
        features = list(dict.fromkeys(name for one in slices for name in one.features))[:_MOST_FEATURES]
        return {
            "ids": [one.id for one in slices],
            "parents": _array([index.get(one.parent or "", -1) for one in slices], np.int32),
            "parents_away": away,
            "names": {name: list(codes) for name, codes in self._codes.items()},
            "codes": {name: _array(codes[:, i], _least(codes[:, i])) for i, name in enumerate(_NAMES)},
            "numbers": {name: _array(numbers[:, i], np.float32) for i, name in enumerate(_NUMBERS)},
            "features": {
                name: _array([one.features.get(name, math.nan) for one in slices], np.float32)
                for name in features
            },
            "starts": _array(np.cumsum([0, *map(len, rings)]), np.uint32),
            "rings": _array(np.concatenate(rings) if rings else [], np.int32),
            "pictures": self._chosen(index),
        }

    def _placed(self, row: SliceRow, ring: NDArray[np.int32]) -> _Placed:
        one, verdict = row.slice, row.verdict
        said = {
            "scale": one.scale, "fate": verdict.fate.value, "scene": one.scene, "region": verdict.region,
            "split": row.split, "group": row.group, "sensor": one.sensor, "polarisation": one.polarisation,
            "acquired": one.acquired, "prior": row.prior,
        }  # fmt: skip
        codes = tuple(
            self._codes[name].setdefault(said[name] or "", len(self._codes[name])) for name in _NAMES
        )
        richness = math.nan if verdict.richness is None else verdict.richness
        numbers = (
            one.width,
            one.height,
            one.pixel_m,
            math.nan if row.data_share is None else row.data_share,
            row.prior_nodes,
            richness,
            bool(row.thumbnail),
        )
        return _Placed(one.id, one.parent, codes, ring, numbers, dict(verdict.features))

    def _chosen(self, index: Mapping[str, int]) -> dict[int, dict[str, Any]]:
        """By the number of the slice: its picture, and where the picture's corners lie, if known."""
        groups = [[p for p in sample.kept if p.slice.id in index] for sample in self._pictures.values()]
        shares = fair_shares([len(group) for group in groups], self._max_pictures)
        chosen = [p for group, share in zip(groups, shares, strict=True) for p in evenly(group, share)]
        return {
            index[p.slice.id]: {"jpeg": jpeg, "corners": _image_corners(p.slice)}
            for p in chosen
            if (jpeg := _jpeg(p.thumbnail))
        }


def _ring(footprint: Sequence[tuple[float, float]]) -> NDArray[np.int32] | None:
    """The outline's corners [n, 2], open, in millionths of a degree as (lon, lat); None where it is nowhere."""
    points = np.array(footprint, np.float64).reshape(-1, 2)
    points = points[:-1] if len(points) and (points[0] == points[-1]).all() else points
    if len(points) < 3 or not np.isfinite(points).all() or (np.abs(points) > (540, 90)).any():
        return None
    if len(points) > _MOST_CORNERS:
        size = float(np.ptp(points, axis=0).max())
        points = shapely.get_coordinates(shapely.Polygon(points).simplify(0.005 * size))[:-1]
    return np.round(points * _MICRODEGREES).astype(np.int32)


def _jpeg(thumbnail: bytes) -> str:
    """A thumbnail as JPEG, a third of the PNG for speckle, in base64; empty where it is damaged."""
    stream = io.BytesIO()
    try:
        with Image.open(io.BytesIO(thumbnail), formats=("PNG",)) as picture:
            picture.thumbnail((_PICTURE_PX, _PICTURE_PX))
            picture.convert("L").save(stream, "JPEG", quality=_JPEG_QUALITY)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        return ""
    return base64.b64encode(stream.getvalue()).decode()


def _image_corners(one: Slice) -> list[int] | None:
    """Where the image's corners lie, (lon, lat) of top left, top right, bottom right, bottom left; None if unknown."""
    if one.affine is None:
        return None
    a, b, c, d, e, f = one.affine
    pixels = np.array([(0, 0), (one.width, 0), (one.width, one.height), (0, one.height)], np.float64)
    x, y = a * pixels[:, 0] + b * pixels[:, 1] + c, d * pixels[:, 0] + e * pixels[:, 1] + f
    try:
        lon, lat = transformer(one.crs, "EPSG:4326").transform(x, y)
    except ProjError:
        return None
    corners = np.stack([around(lon, one.footprint[0][0]), lat], axis=1) * _MICRODEGREES
    return [int(value) for value in corners.ravel().round()] if np.isfinite(corners).all() else None


def _least(codes: NDArray[np.uint32]) -> type[np.unsignedinteger[Any]]:
    most = int(codes.max(initial=0))
    return np.uint8 if most < 2**8 else np.uint16 if most < 2**16 else np.uint32


def _array(values: ArrayLike, kind: type[np.number[Any]]) -> dict[str, str]:
    numbers = np.asarray(values, np.dtype(kind).newbyteorder("<"))
    return {"type": np.dtype(kind).name, "base64": base64.b64encode(numbers.tobytes()).decode()}


def counts_by_fate(counts: Mapping[tuple[Fate, Scale], int]) -> Iterable[tuple[Fate, list[int]]]:
    """Each fate that occurs, with how many slices of each scale have it."""
    for fate in Fate:
        numbers = [counts.get((fate, scale), 0) for scale in SCALES]
        if any(numbers):
            yield fate, numbers
