"""Places on the ground that a search is to find more, or less, of the like of: as the encoder sees them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pyproj.exceptions import ProjError

from fusar_gpt.contract import ENOUGH_DATA, Example, MapPoint
from fusar_gpt.errors import AreaError
from fusar_gpt.frames import GroundPoints
from fusar_gpt.imagery import Area, Scene, read_chip
from fusar_gpt.imagery.area import known_crs
from fusar_gpt.lonlat import transformer
from fusar_gpt.retrieval.slicing import Lattice, square_chip


def example_images(
    examples: Sequence[Example], crs: str, scene: Scene, lattice: Lattice
) -> NDArray[np.uint8]:
    """Images uint8 [N, image_px, image_px] of slices around points, or that hold polygons; moved into the scene.

    Raises:
        AreaError: One lies outside the scene, or on ground with too little data; the CRS is unknown.
    """
    images = [_image(example, crs, scene, lattice) for example in examples]
    return np.array(images, np.uint8).reshape(-1, lattice.image_px, lattice.image_px)


def larger_than_slices(examples: Sequence[Example], crs: str, scene: Scene, lattice: Lattice) -> list[str]:
    """The sentence about examples that are shown smaller than slices are."""
    sides = [_square(example, crs, scene, lattice)[2] for example in examples]
    if not sides or max(sides) <= lattice.side:
        return []
    large, slice_m = (side * scene.pixel_size_m for side in (max(sides), lattice.side))
    return [
        f"An example is {large:.0f} m wide and slices are {slice_m:.0f} m: it is shown smaller to be compared, so "
        "what is in it looks smaller, too."
    ]


def _image(example: Example, crs: str, scene: Scene, lattice: Lattice) -> NDArray[np.uint8]:
    x, y, side = _square(example, crs, scene, lattice)
    left, top = (
        min(max(round(middle - side / 2), 0), max(length - side, 0))
        for middle, length in ((x, scene.width), (y, scene.height))
    )
    seen = read_chip(scene, square_chip(0, left, top, side, lattice.image_px), scene.stretch())
    if seen.has_data.mean() < ENOUGH_DATA:
        raise AreaError(
            f"the scene has too little data {_at(example)}, so nothing can be like it: give an example where it has "
            "data"
        )
    return seen.grey


def _square(example: Example, crs: str, scene: Scene, lattice: Lattice) -> tuple[float, float, int]:
    """Centre x and y and side of a slice around it, in scene pixels."""
    if isinstance(example, MapPoint):
        return (*_on_scene(example, crs, scene), lattice.side)
    try:
        left, top, right, bottom = Area.from_geojson(example, crs).on_scene(scene).bounds
    except AreaError as error:
        raise AreaError(f"an example cannot be used: {error}") from error
    side = max(lattice.side, round(right - left), round(bottom - top))
    return (left + right) / 2, (top + bottom) / 2, side


def _on_scene(point: MapPoint, crs: str, scene: Scene) -> tuple[float, float]:
    """A point in scene pixels, x and y. Raises AreaError where it lies outside the scene."""
    x, y = point.coordinates[:2]
    try:
        ground = GroundPoints(*transformer(known_crs(crs), scene.crs).transform([x], [y]))
    except ProjError as error:
        raise AreaError(f"the example {_at(point)} cannot be placed on the scene from {crs}") from error
    # Far outside its own CRS it is nowhere.
    left, top = scene.to_scene(ground).xy()[0] if np.isfinite(ground.xy()).all() else (-1, -1)
    if not (0 <= left <= scene.width and 0 <= top <= scene.height):
        raise AreaError(
            f"the example {_at(point)} lies outside the scene: give a place on it, x before y, and the CRS that it "
            f"is in (taken for {crs[:40]})"
        )
    return float(left), float(top)


def _at(example: Example) -> str:
    if isinstance(example, MapPoint):
        return "at {:.10g}, {:.10g}".format(*example.coordinates[:2])
    return "in an example's polygon"
