"""Small scenes that GDAL reads, and what lies beside them."""

import json
import sys
from pathlib import Path

import numpy as np
import shapely
from affine import Affine

sys.path.append(str(Path(__file__).parents[1] / "backend"))

from rasters import NORTH_UP, speckle, swath_gcps, write
from safe_product import safe

from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.slices.scenes import SceneEntry, find_scenes

__all__ = [
    "NORTH_UP",
    "entry",
    "found",
    "numbers",
    "safe",
    "scene",
    "speckle",
    "swath_gcps",
    "write",
    "write_json",
]


def numbers(seed=0, size=(40, 60)):
    """Amplitudes of speckle, uint16 [h, w]."""
    return (np.sqrt(speckle(*size, seed)) * 1e4).astype(np.uint16) + 1


def scene(path, seed=0, east=0.0, size=(40, 60), **options):
    """A scene of 10 m pixels, ``east`` pixels away from the first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options.setdefault("transform", NORTH_UP @ Affine.translation(east, 0))
    return write(path, numbers(seed, size), **options)


def found(*sources):
    """The entries by name, the errors and what was told of sources."""
    told = []
    outcome = list(find_scenes([Path(source) for source in sources], told.append))
    errors = [str(one) for one in outcome if isinstance(one, CorpusError)]
    return {one.name: one for one in outcome if isinstance(one, SceneEntry)}, errors, told


def entry(name, footprint):
    """An entry that only lies somewhere: a polygon, or the bounds of a box in degrees."""
    outline = footprint if isinstance(footprint, shapely.Geometry) else shapely.box(*footprint)
    return SceneEntry(name, Path(f"{name}.tif"), None, None, None, None, None, None, outline)


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path
