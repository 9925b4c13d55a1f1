"""Which slices lie in a region that is wanted: drawn as polygons, found by land cover, or by texture.

Land cover is told from a slice's AEF vectors by their likeness to those of eight Dynamic World covers in four regions
(``AEF_ATTRIBUTION.txt``). That tells water and built-up land, and so a built waterfront ("port"). It does not tell an
airport from other paved and grassy ground: give an example of one (``Prototype``), or its polygon.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from shapely.affinity import translate

from fusar_gpt.errors import AreaError
from fusar_gpt.frames import LonLatPoints
from fusar_gpt.imagery import read_named_polygons
from fusar_gpt.priors import Footprint, PriorField, PriorSource
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.land_cover import BUILT, WATER, covers_of
from fusar_train.corpus.slices.slice import Slice

LANDCOVER, TEXTURE = "landcover", "texture"
"""The ways to find regions; any other is a file of polygons."""
PORT, BUILT_UP, TEXTURED = "port", "built-up", "textured"

LEAST_OVERLAP = 0.25
"""Of the slice, or of a polygon that is smaller."""
LEAST_BUILT, PORT_BUILT, PORT_WATER, PORT_SHORE = 0.3, 0.1, 0.1, 0.03
"""Shares of a slice's nodes: built ones of a built-up region; of a port the built ones, those of water, and the built
ones right beside water."""
LEAST_TEXTURE = 0.1
"""Share of blocks with structure in a textured region."""
LIKE_COSINE, LEAST_LIKE = 0.8, 0.3
"""A node is like an example from this cosine on, and a slice if so many of its nodes are. Vectors of one cover and one
of the four regions reach .8 in half of the pairs, those of other covers there in an eighth, other regions hardly."""
LIKE_M = 500.0
"""Side of the ground around the point of an example."""


@dataclass(frozen=True)
class Prototype:
    """An example of a kind of region: its name, and AEF vectors of unit length found there, of 64 numbers each."""

    name: str
    vectors: tuple[tuple[float, ...], ...]


def prototype_at(source: PriorSource, name: str, place: LonLatPoints, year: int | None) -> Prototype:
    """The example that a user names by a point: the vectors within ``LIKE_M`` / 2 of it.

    Raises:
        CorpusError: The source has none there.
        PriorError: It cannot be read.
    """
    lon, lat = float(place.x[0]), float(place.y[0])
    half = LIKE_M / 2 / 111_320
    wide = half / max(float(np.cos(np.radians(lat))), 1e-3)
    found = source.prior(Footprint.of_box(lon - wide, lat - half, lon + wide, lat + half), year)
    if not len(found):
        raise CorpusError(f"The prior has no vectors at {lon:g}, {lat:g} for {name!r}: choose another place.")
    return Prototype(name, tuple(tuple(map(float, vector)) for vector in found.values))


@dataclass(frozen=True)
class Cover:
    """The land cover of a slice by its prior: shares of its S nodes; ``shore`` of built ones right beside water."""

    water: float
    built: float
    shore: float

    @classmethod
    def of(cls, prior: PriorField) -> Cover | None:
        """Of a slice's prior; None without nodes."""
        if not len(prior):
            return None
        covers = covers_of(prior.values)
        built, water = prior.positions[covers == BUILT], prior.positions[covers == WATER]
        shore = 0
        if len(built) and len(water):
            beside = 1.6 / np.sqrt(len(prior))  # of the slice's side: neighbours across, down and diagonal
            apart = np.abs(built[:, None] - water[None]).max(axis=2)
            shore = int((apart.min(axis=1) <= beside).sum())
        return cls(len(water) / len(prior), len(built) / len(prior), shore / len(prior))

    @property
    def region(self) -> str | None:
        """The kind of region that it makes the slice; None for none."""
        if self.built >= PORT_BUILT and self.water >= PORT_WATER and self.shore >= PORT_SHORE:
            return PORT
        return BUILT_UP if self.built >= LEAST_BUILT else None


def like(prior: PriorField, examples: Sequence[Prototype]) -> str | None:
    """The example that most of a slice's nodes are like, if enough are."""
    shares = {}
    for example in examples if len(prior) else ():
        likeness = prior.values @ np.array(example.vectors, np.float32).T
        shares[example.name] = float((likeness.max(axis=1) >= LIKE_COSINE).mean())
    best = max(shares, key=lambda name: shares[name], default=None)
    return best if best is not None and shares[best] >= LEAST_LIKE else None


class Polygons:
    """Named polygons in WGS 84 degrees, asked for the one under a slice.

    Raises:
        AreaError: A file is missing, or holds no polygons; see ``read_named_polygons``.
    """

    def __init__(
        self, files: Sequence[Path | str], report: Callable[[str], None] = lambda line: None
    ) -> None:
        self._names, shapes = [], []
        for file in files:
            for area, name in read_named_polygons(file, ("name", "kind"), report, "EPSG:4326"):
                self._names.append(name or Path(file).stem)
                shapes.append(area.geometry)
        self._shapes = np.array(shapes, dtype=object)
        self._tree = shapely.STRtree(self._shapes)

    def under(self, footprint: Sequence[tuple[float, float]]) -> str | None:
        """The name of the polygon that covers most of a footprint (lon, lat), if it and the others cover enough."""
        ring = np.array(footprint, np.float64).reshape(-1, 2)
        if len(ring) < 4 or not np.isfinite(ring).all():
            return None
        ring[:, 0] -= 360 * np.round(ring[:, 0].mean() / 360)
        ground = shapely.make_valid(shapely.Polygon(ring))
        overlaps: dict[int, float] = {}
        for turn in (-360.0, 0.0, 360.0):  # longitudes of either may run on beyond 180
            moved = translate(ground, turn)
            for index in self._tree.query(moved, predicate="intersects"):
                shared = shapely.intersection(moved, self._shapes[index]).area
                overlaps[int(index)] = max(shared, overlaps.get(int(index), 0.0))
        if not overlaps or not ground.area:
            return None
        best = max(overlaps, key=lambda index: overlaps[index])
        enough = sum(overlaps.values()) >= LEAST_OVERLAP * ground.area
        whole = any(shared >= LEAST_OVERLAP * self._shapes[index].area for index, shared in overlaps.items())
        return self._names[best] if enough or whole else None


@dataclass(frozen=True, eq=False)
class Regions:
    """The regions that a user wants; a slice belongs if any way finds it.

    Attributes:
        polygons: Drawn ones; None without.
        landcover, texture: Whether to look for regions by land cover and by texture.
        examples: Kinds of regions given by example.
    """

    polygons: Polygons | None
    landcover: bool
    texture: bool
    examples: tuple[Prototype, ...]

    @classmethod
    def of(
        cls,
        wanted: Sequence[str],
        examples: Sequence[Prototype] = (),
        report: Callable[[str], None] = lambda line: None,
    ) -> Regions | None:
        """``wanted``: "landcover", "texture", files of polygons; None where nothing is, so that all ground is.

        Raises:
            AreaError: See ``Polygons``.
        """
        if not wanted and not examples:
            return None
        files = [each for each in wanted if each not in (LANDCOVER, TEXTURE)]
        try:
            polygons = Polygons(files, report) if files else None
        except AreaError as error:
            raise AreaError(f"{error} (or look for regions by '{LANDCOVER}' or '{TEXTURE}')") from error
        return cls(polygons, LANDCOVER in wanted, TEXTURE in wanted, tuple(examples))

    def name(
        self, slice_: Slice, prior: PriorField, cover: Cover | None, texture: Callable[[], float]
    ) -> str | None:
        """The region that a slice belongs to; None if none. ``texture`` gives its texture density when asked."""
        found = self.polygons.under(slice_.footprint) if self.polygons else None
        found = found or like(prior, self.examples)
        if found is None and self.landcover and cover is not None:
            found = cover.region
        if found is None and self.texture and texture() >= LEAST_TEXTURE:
            found = TEXTURED
        return found
