"""A plain image as a scene without georeference: its ground coordinates are its own pixels."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pyproj import CRS

from fusar_gpt.contract.radiometry import Radiometry
from fusar_gpt.contract.stretch import Stretch
from fusar_gpt.frames import GroundPoints, LonLatPoints, ScenePoints, SceneWindow
from fusar_gpt.imagery.scene import IN_MEMORY, Scene

PIXELS = CRS.from_wkt(
    'ENGCRS["Pixels of an image",EDATUM["Upper left corner"],CS[Cartesian,2],'
    'AXIS["x",east],AXIS["y",south],LENGTHUNIT["pixel",1]]'
)
"""The CRS of a plain image. No transformation leads from it to any other."""


class PlainImage(Scene):
    """Grey levels in memory that lie nowhere on Earth.

    ``crs`` is ``PIXELS``, so ground coordinates equal scene pixels, longitude and latitude are NaN, and what is given
    in metres elsewhere (``pixel_size_m`` is 1) is in pixels.
    """

    georeferenced = False

    def __init__(self, pixels: NDArray[np.uint8], name: str) -> None:
        """An image of shape [height, width]; ``name`` is what the run calls its scene."""
        self.path, self.name = Path(name), name
        self.height, self.width = pixels.shape
        self.bands, self.band = ("1",), "1"
        self.tags, self.acquired, self.simulated, self.attribution = {}, None, False, None
        self.pixel_size_m = 1.0
        self.block = pixels.shape
        self._notes, self._pixels = (), pixels

    @property
    def crs(self) -> CRS:
        """``PIXELS``."""
        return PIXELS

    def close(self) -> None:
        """Nothing is open."""

    @cached_property
    def radiometry(self) -> Radiometry:
        """Grey levels, which reach the model as they are."""
        return Radiometry("grey", "grey levels: a plain image")

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of size and pixels."""
        return hashlib.sha256(repr(self._pixels.shape).encode() + self._pixels.tobytes()).hexdigest()

    def stretch(self) -> Stretch:
        """None: grey 0 to 255."""
        return Stretch(0.0, 255.0)

    def to_ground(self, points: ScenePoints) -> GroundPoints:
        """The same numbers."""
        return GroundPoints(points.x, points.y)

    def to_scene(self, points: GroundPoints) -> ScenePoints:
        """The same numbers."""
        return ScenePoints(points.x, points.y)

    def to_lonlat(self, points: ScenePoints) -> LonLatPoints:
        """NaN."""
        return LonLatPoints(np.full(len(points), np.nan), np.full(len(points), np.nan))

    def from_lonlat(self, points: LonLatPoints) -> ScenePoints:
        """NaN."""
        return ScenePoints(np.full(len(points), np.nan), np.full(len(points), np.nan))

    def _stored(
        self, window: SceneWindow, shape: tuple[int, ...], *, exact: bool = False
    ) -> NDArray[np.float32]:
        rows = slice(window.row, window.row + window.height)
        inside = self._pixels[rows, window.col : window.col + window.width]
        if inside.shape != shape:
            inside = np.asarray(Image.fromarray(inside).resize((shape[1], shape[0]), Image.Resampling.BOX))
        return inside.astype(np.float32)


@contextmanager
def plain_image(pixels: NDArray[np.uint8], name: str) -> Iterator[Path]:
    """An image, uint8 [height, width], as a scene that ``open_scene`` opens by the yielded path; no file is made."""
    path = Path(f"{name} {uuid.uuid4().hex}")
    IN_MEMORY[path] = PlainImage(pixels, name)
    try:
        yield path
    finally:
        del IN_MEMORY[path]
