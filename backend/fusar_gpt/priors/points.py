"""AEF vectors as points: the ``.npz`` and ``.npy`` forms of the FUSAR-GPT authors."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusar_gpt.errors import PriorError
from fusar_gpt.frames import LonLatPoints, ScenePoints
from fusar_gpt.priors.field import DIMENSIONS, Footprint, Origin, PriorField
from fusar_gpt.priors.vectors import STORED_AS, vectors

_BEFORE_VECTOR = 6  # columns of a .npy: lon, lat, row, col, x, y
_FARTHEST = 2.0  # a fraction beyond this is a position in pixels


class PointVectors:
    """N vectors with a place each, all in memory.

    Args:
        path: ``.npz`` or ``.npy``.
        source: What the provenance calls it.

    Raises:
        PriorError: Unreadable, or of another form.
    """

    def __init__(self, path: Path, source: str) -> None:
        self._path = path
        arrays = _load(path)
        self._origin = _origin(arrays, source)
        self._values = vectors(self._array(arrays, "features", DIMENSIONS))
        self._on_ground = "lon" in arrays and "lat" in arrays
        if self._on_ground:
            places = [self._array(arrays, "lon", None), self._array(arrays, "lat", None)]
        else:
            places = list(self._array(arrays, "positions", 2).T)
        if any(len(place) != len(self._values) for place in places):
            raise PriorError(f"{path} has not one place for each of its features: export it again.")
        self._places = np.array(places, dtype=np.float64)
        self._places[~np.isfinite(self._places)] = np.nan  # nowhere, and quiet in any mapping
        if not self._on_ground and (np.abs(self._places) > _FARTHEST).any():
            raise PriorError(
                f"{path}: positions must be (y, x) as fractions 0 to 1 of the scene: divide by its size."
            )

    def _array(self, arrays: Mapping[str, NDArray[Any]], name: str, columns: int | None) -> NDArray[Any]:
        array = arrays.get(name)
        form = "[S]" if columns is None else f"[S, {columns}]"
        if array is None:
            raise PriorError(f"{self._path} has no {name}: it must hold {name} {form}.")
        wanted = (columns,) if columns else ()
        if array.ndim != 1 + len(wanted) or array.shape[1:] != wanted or str(array.dtype) not in STORED_AS:
            raise PriorError(
                f"{self._path}: {name} is {array.dtype} {list(array.shape)}, it must be floats {form}."
            )
        return array

    def on(self, footprint: Footprint) -> PriorField:
        """The points that fall on the chip."""
        if self._on_ground:
            lonlat = LonLatPoints(*self._places)
            chip = footprint.lonlat_to_chip(lonlat)
        else:
            y, x = self._places
            chip = footprint.scene_to_chip(ScenePoints(x * footprint.scene_width, y * footprint.scene_height))
            lonlat = LonLatPoints(np.full(len(x), np.nan), np.full(len(x), np.nan))
        return footprint.field(self._values, chip, lonlat, self._origin)


def _load(path: Path) -> Mapping[str, NDArray[Any]]:
    """The arrays of the file by name; the columns of a ``.npy`` by the names that a ``.npz`` would have."""
    try:
        with path.open("rb") as stream:
            content = np.load(stream, allow_pickle=False)
            if not isinstance(content, np.ndarray):
                return {name: content[name] for name in content.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise PriorError(
            f"{path} is damaged, or holds Python objects, which are never loaded: export plain arrays."
        ) from error
    if content.ndim != 2 or content.shape[1] != _BEFORE_VECTOR + DIMENSIONS:
        raise PriorError(
            f"{path} is {list(content.shape)}, it must be [S, 70]: lon, lat, row, col, x, y, A00 to A63."
        )
    return {"lon": content[:, 0], "lat": content[:, 1], "features": content[:, _BEFORE_VECTOR:]}


def _origin(arrays: Mapping[str, NDArray[Any]], source: str) -> Origin:
    """The optional single values ``year``, ``version``, ``attribution`` and ``simulated``."""
    said = {name: array.item() for name, array in arrays.items() if array.size == 1}
    year, version, attribution = (said.get(name) for name in ("year", "version", "attribution"))
    return Origin(
        source,
        version=None if version is None else str(version),
        year=year if isinstance(year, int) else None,
        attribution=None if attribution is None else str(attribution),
        simulated=str(said.get("simulated", "")).upper() in ("YES", "TRUE", "1"),
    )
