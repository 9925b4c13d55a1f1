"""Georeferenced scenes with a map of land cover or water on their grid: TerraMesh's chips, Sen1Floods11 and others.

A mask boxes no objects; it tells what covers the ground, how much and where, from which terrain texts are made. Scenes
are opened and quantised as the backend does it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.crs
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.warp import Resampling, reproject
from rasterio.windows import Window

from fusar_gpt.contract.bands import words
from fusar_gpt.contract.dates import first_day
from fusar_gpt.errors import FusarError
from fusar_gpt.frames import GroundPoints, ScenePoints, SceneWindow, corner_array, scene_corners
from fusar_gpt.imagery import Scene, crs_text, open_scene
from fusar_gpt.imagery.raster_policy import NO_NETWORK
from fusar_gpt.lonlat import unwrap
from fusar_train.corpus.cover_classes import Classes
from fusar_train.corpus.dataset import Dataset, Read
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.files import check_links
from fusar_train.corpus.image_tables import SPLIT_NAMES
from fusar_train.corpus.mask_pairs import Pair, find_pairs
from fusar_train.corpus.record import Record
from fusar_train.corpus.texts.cover import TRUTH, Cover, count_cells

LARGEST_PX = 4096
"""Side of the largest scene that becomes one record."""

_POLARISATIONS = ("VV", "VH", "HH", "HV")
_SAME_GRID_PX = 0.1
_AFFINE_PX = 1e-3
_LEAST_KNOWN = 0.5  # share of an image's pixels with data that must have a class
_OUTSIDE = -(2**31)


@dataclass(frozen=True, kw_only=True)
class SceneRecord(Record):
    """A record of a scene, whose quantised pixels it holds: its image is no file that a record may name."""

    held: NDArray[np.uint8] = field(repr=False, compare=False)

    def pixels(self) -> NDArray[np.uint8]:
        """Those it holds, uint8 [h, w]."""
        return self.held


def read_masks(root: Path, dataset: Dataset) -> Iterator[Read]:
    """The scenes of a folder, or their tiles, with what their masks say in ``provenance["cover"]``.

    That is {"classes": {name: share}, "where": {name: [share of each cell of the 3 x 3 grid, row by row]}}, of the
    pixels that have data and a class; classes that could be there and are not have a share of 0.

    Raises:
        CorpusError: There are no pairs, or nobody says what the codes mean; a bad pair, or a file without a partner,
            comes as its error.
    """
    options = dataset.masks
    found = find_pairs(root, options.pair, dataset.notes)
    if options.classes is None:
        with _opened(found.pairs[0].mask) as mask:
            codes = np.unique(_codes(mask, SceneWindow(0, 0, mask.width, mask.height)))[:20].tolist()
        raise CorpusError(
            f"{found.pairs[0].mask} holds the codes {', '.join(map(str, codes))}: say with --classes what they mean."
        )
    yield from found.faults
    for pair in found.pairs:
        try:
            for path in (pair.image, pair.mask):
                check_links(root, path, str(path))
            yield from _records(pair, options.classes, dataset)
        except FusarError as error:
            told = str(error)
            yield (
                error
                if isinstance(error, CorpusError)
                else CorpusError(f"{pair.image}: {told.removesuffix('.')}.")
            )


@dataclass(frozen=True)
class MaskedWindow:
    """A scene, or a tile of it, with the class of each pixel.

    Attributes:
        scene, window: What was read.
        pixels: As the backend quantises them, uint8 [h, w].
        seen: Where there are data, bool [h, w].
        named: Number of each pixel's class in ``names``, int64 [h, w].
        known: Where there are a class and data, bool [h, w].
        names: Of the classes.
    """

    scene: Scene
    window: SceneWindow
    pixels: NDArray[np.uint8]
    seen: NDArray[np.bool_]
    named: NDArray[np.int64]
    known: NDArray[np.bool_]
    names: tuple[str, ...]


def _records(pair: Pair, classes: Classes, dataset: Dataset) -> Iterator[Record]:
    for one in read_windows(pair, classes, dataset):
        seen = one.seen
        if one.known.sum() <= _LEAST_KNOWN * seen.sum():
            told = f"only {one.known.sum():,} of {seen.sum():,} pixels with data have a class, too few to describe it"
            if dataset.masks.tile_px is None:
                raise CorpusError(f"{pair.mask}: {told}.")
            dataset.notes["a tile was left out, as at most half of its pixels with data have a class"] += 1
            continue
        counts = count_cells(np.where(one.known, one.named, -1), len(one.names))
        facts = _facts(one.scene, one.window, dataset) | {
            "cover": Cover.of_cells(counts, one.names, TRUTH).to_json(),
            "data_share": round(float(seen.mean()), 4),
        }
        yield _record(pair, one.window, one.pixels, facts, dataset)


def read_windows(pair: Pair, classes: Classes, dataset: Dataset) -> Iterator[MaskedWindow]:
    """The scene of a pair, or its tiles, each with the class of its pixels.

    Raises:
        FusarError: A file cannot be read, or the mask does not fit its scene or holds a code without a meaning.
    """
    options = dataset.masks
    names = tuple(name for name in dict.fromkeys(classes.values()) if name)
    with (
        open_scene(pair.image, band=options.band, quantity=options.quantity) as scene,
        _opened(pair.mask) as mask,
    ):
        for line in scene.warnings:
            dataset.notes[f"{scene.name}: {line}"] += 1
        grid = _MaskOnScene(mask, pair.mask, scene)
        if grid.resampled:
            dataset.notes["a mask of another grid was resampled to that of its image, nearest code"] += 1
        elif not grid.placed:
            dataset.notes[
                "a mask without georeferencing was taken for the grid of its image, having its size"
            ] += 1
        stretch = scene.stretch()
        for window in _windows(scene, pair, options.tile_px):
            db = scene.read(window)
            seen = np.isfinite(db)
            named, known = _named(grid.read(window), classes, pair.mask)
            yield MaskedWindow(scene, window, stretch.quantise(db), seen, named, known & seen, names)


def _record(
    pair: Pair, window: SceneWindow, pixels: NDArray[np.uint8], facts: dict[str, Any], dataset: Dataset
) -> Record:
    split = next((SPLIT_NAMES[word.lower()] for word in pair.words[:-1] if word.lower() in SPLIT_NAMES), None)
    tile = () if dataset.masks.tile_px is None else (f"{window.row}-{window.col}",)
    return SceneRecord(
        id=dataset.record_id(*pair.words, *tile),
        image=pair.image.absolute(),
        objects=(),
        scene=dataset.scene_of(pair.words),
        split=split,
        provenance=dataset.provenance(complete=[], **facts),
        held=pixels,
    )


def _windows(scene: Scene, pair: Pair, tile_px: int | None) -> Iterator[SceneWindow]:
    """The whole scene, or its tiles; those at its edges may be smaller by half.

    Raises:
        CorpusError: The scene is too large for one record.
    """
    if tile_px is None:
        if max(scene.width, scene.height) > LARGEST_PX:
            raise CorpusError(
                f"{pair.image} has {scene.width} x {scene.height} px, too many for one record: cut it into tiles with "
                "--tile-px 512."
            )
        yield SceneWindow(0, 0, scene.width, scene.height)
        return
    for row in range(0, scene.height, tile_px):
        for col in range(0, scene.width, tile_px):
            width, height = min(tile_px, scene.width - col), min(tile_px, scene.height - row)
            if 2 * min(width, height) >= min(tile_px, scene.width, scene.height):
                yield SceneWindow(col, row, width, height)


def _facts(scene: Scene, window: SceneWindow, dataset: Dataset) -> dict[str, Any]:
    """Where a window lies and how it was taken, in the words of a slice (``slices.slice.Slice``)."""
    outline = scene.to_lonlat(scene_corners(window.box())).xy()
    ring = np.concatenate([outline, outline[:1]])
    ring[:, 0] = unwrap(ring[:, 0])
    affine = _affine(scene)
    whole = (window.width, window.height) == (scene.width, scene.height)
    banded = [word for word in words(scene.band) if word in _POLARISATIONS]
    day = scene.acquired or _stated_day(scene.path)
    assumed = dataset.polarisation if dataset.masks.band is None else None
    return {
        "footprint": ring.round(7).tolist(),
        "crs": crs_text(scene.crs),
        "affine": None if affine is None else list(_cut(affine, window))[:6],
        "pixel_m": round(scene.pixel_size_m, 4),
        "polarisation": banded[0] if banded else assumed,
        "acquired": day.isoformat() if day else None,
        "year": day.year if day else dataset.year,
        "attribution": scene.attribution,
        "simulated": scene.simulated,
        "from": scene.name,
        "cut": None if whole else [window.col, window.row, window.width, window.height],
    }


def _stated_day(path: Path) -> date | None:
    """The day in the tag "datetime", which xarray and STAC's tools write for the time of acquisition."""
    try:
        with rasterio.Env(**NO_NETWORK), rasterio.open(path) as image:
            return first_day(image.tags().get("datetime", ""))
    except RasterioError:  # a product that the scene reads a part of
        return None


def _affine(scene: Scene) -> Affine | None:
    """From a scene's pixels to its CRS, where the relation is that simple."""
    width, height = scene.width, scene.height
    at = scene.to_ground(
        ScenePoints.of([(0, 0), (width, 0), (0, height), (width, height), (width / 2, height / 2)])
    )
    (x, right, down, *others), (y, right_y, down_y, *others_y) = at.x.tolist(), at.y.tolist()
    affine = Affine(
        (right - x) / width, (down - x) / height, x, (right_y - y) / width, (down_y - y) / height, y
    )
    ends = np.array([(width, height), (width / 2, height / 2)])
    back = scene.to_scene(_on_ground(affine, ends)).xy() - ends
    return affine if np.isfinite(others + others_y).all() and np.abs(back).max() < _AFFINE_PX else None


def _on_ground(affine: Affine, pixels: NDArray[np.float64]) -> GroundPoints:
    """Pixels [N, 2] as (x, y) in the CRS of a geotransform."""
    x, y = pixels.T
    return GroundPoints(affine.a * x + affine.b * y + affine.c, affine.d * x + affine.e * y + affine.f)


def _cut(affine: Affine, window: SceneWindow) -> Affine:
    """The geotransform of a window."""
    a, b, c, d, e, f = affine[:6]
    return Affine(a, b, c + a * window.col + b * window.row, d, e, f + d * window.col + e * window.row)


class _MaskOnScene:
    """A mask read in a scene's pixels.

    Attributes:
        placed: It says itself where it lies.
        resampled: It has another grid.
    """

    def __init__(self, mask: rasterio.DatasetReader, path: Path, scene: Scene) -> None:
        """CorpusError where the mask cannot be laid over the scene."""
        self._mask, self._path = mask, path
        self._scene, self._affine = scene, _affine(scene)
        same_size = (mask.width, mask.height) == (scene.width, scene.height)
        self.placed = bool(mask.crs) and not mask.transform.is_identity
        if not self.placed and not same_size:
            raise CorpusError(
                f"{path} has {mask.width} x {mask.height} px and no georeferencing, and its image {scene.width} x "
                f"{scene.height}: make the mask on the image's grid."
            )
        self.resampled = self.placed and not (same_size and self._on_grid())
        if self.resampled and self._affine is None:
            raise CorpusError(f"{path} has a grid, and its image control points: warp both to one grid.")

    def read(self, window: SceneWindow) -> NDArray[np.int64]:
        """The codes of a window inside the scene [h, w]; ``_OUTSIDE`` where the mask has none."""
        if not self.resampled:
            return _codes(self._mask, window)
        assert self._affine is not None
        codes = np.full((window.height, window.width), _OUTSIDE, np.float64)
        try:
            reproject(
                rasterio.band(self._mask, 1),
                codes,
                dst_transform=_cut(self._affine, window),
                dst_crs=rasterio.crs.CRS.from_wkt(self._scene.crs.to_wkt()),
                dst_nodata=_OUTSIDE,
                resampling=Resampling.nearest,
            )
        except RasterioError as error:
            raise CorpusError(
                f"{self._path} cannot be laid over its image: make it on the image's grid."
            ) from error
        if (codes == _OUTSIDE).all():
            raise CorpusError(f"{self._path} does not lie over its image: pair it with the right one.")
        return _whole(codes, self._path)

    def _on_grid(self) -> bool:
        """Whether its pixels are those of the scene."""
        if not CRS.from_wkt(self._mask.crs.to_wkt()).to_2d().equals(self._scene.crs, ignore_axis_order=True):
            return False
        corners = corner_array(SceneWindow(0, 0, self._mask.width, self._mask.height).box())
        on_scene = self._scene.to_scene(_on_ground(self._mask.transform, corners)).xy()
        return bool(np.abs(on_scene - corners).max() < _SAME_GRID_PX)


@contextmanager
def _opened(path: Path) -> Iterator[rasterio.DatasetReader]:
    """A mask of one band; CorpusError where it is none, or is damaged."""
    try:
        with warnings.catch_warnings(), rasterio.Env(**NO_NETWORK):
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path) as mask:
                if mask.count != 1:
                    raise CorpusError(
                        f"{path} has {mask.count} bands, and a mask has one of class codes: export that."
                    )
                yield mask
    except RasterioError as error:
        raise CorpusError(f"{path} is damaged or no raster: get it again.") from error


def _codes(mask: rasterio.DatasetReader, window: SceneWindow) -> NDArray[np.int64]:
    stored = mask.read(1, window=Window(window.col, window.row, window.width, window.height), masked=True)
    wide = stored.astype(np.float64 if stored.dtype.kind == "f" else np.int64)
    return _whole(wide.filled(_OUTSIDE), Path(mask.name))


def _whole(numbers: NDArray[Any], path: Path) -> NDArray[np.int64]:
    """Class codes of numbers that may be stored as floats, NaN for no data."""
    if numbers.dtype.kind != "f":
        return numbers.astype(np.int64)
    codes = np.where(np.isfinite(numbers), numbers, _OUTSIDE)
    if (odd := codes[codes != np.rint(codes)]).size:
        raise CorpusError(f"{path} holds {odd[0]:g}, which is no class code: give a mask of whole numbers.")
    return codes.astype(np.int64)


def _named(
    codes: NDArray[np.int64], classes: Classes, path: Path
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The number of each pixel's class among the different names, and where there is one.

    Raises:
        CorpusError: A code has no meaning.
    """
    present = np.unique(codes)
    if unknown := [int(code) for code in present if code != _OUTSIDE and code not in classes]:
        raise CorpusError(
            f"{path} holds the code {', '.join(map(str, unknown[:9]))}, which the classes do not name: name it with "
            "--classes, or null for no data."
        )
    names = [name for name in dict.fromkeys(classes.values()) if name]
    numbers = [-1 if (name := classes.get(int(code))) is None else names.index(name) for code in present]
    named = np.array(numbers, np.int64)[np.searchsorted(present, codes)]
    return named, named >= 0
