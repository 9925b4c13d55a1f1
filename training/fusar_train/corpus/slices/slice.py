"""A slice, a piece of a scene that covers the same ground whatever the sensor, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from fusar_gpt.frames import SceneWindow

Scale = str
"""One of ``SCALES``."""

SCALES: tuple[Scale, ...] = ("large", "medium", "small")
"""FUSAR-KLIP's three, from the region's layout to a target's details."""


class Fate(str, Enum):
    """Why a slice was kept or dropped; the values are words for readers."""

    KEPT = "kept"
    NO_DATA = "too little data"
    OUTSIDE = "outside the regions"
    WATER = "water"
    MONOTONOUS = "monotonous ground"
    POOR = "poor in information"
    SMALL = "too few pixels"
    DAMAGED = "cannot be read"


@dataclass(frozen=True, kw_only=True)
class Slice:
    """Where a slice lies, and what is known of how it was taken.

    Attributes:
        id: The id of its record: scene/scale-row-col.
        scene: Name of its scene.
        scale: Of ``SCALES``.
        parent: The id of the slice of the next larger scale that holds its centre; None for the largest.
        window: Its part of the scene; may reach outside.
        width, height: Of the stored image in pixels.
        footprint: Its outline in WGS 84 degrees (lon, lat), closed; longitudes run on beyond 180 across the
            antimeridian.
        crs: CRS of ``affine``, as EPSG:n where it has a code, else WKT.
        affine: (a, b, c, d, e, f): x = a * col + b * row + c, y = d * col + e * row + f, from pixels of the stored
            image to ``crs``, (x, y) order; None where only control points tell.
        pixel_m: Metres to a pixel of the stored image.
        sensor, polarisation: As the scene's tags or its name say, where they do.
        acquired: Day of acquisition, ISO 8601, where known.
    """

    id: str
    scene: str
    scale: Scale
    parent: str | None
    window: SceneWindow
    width: int
    height: int
    footprint: tuple[tuple[float, float], ...]
    crs: str
    affine: tuple[float, float, float, float, float, float] | None
    pixel_m: float
    sensor: str | None = None
    polarisation: str | None = None
    acquired: str | None = None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Why a slice is kept or dropped.

    Attributes:
        fate: The reason.
        region: The kind of region it belongs to: the name of a polygon, "port", "built-up", "textured"; None where
            regions were not asked for.
        richness: Share of the nearest labelled examples that are rich, 0 to 1; None where it was not screened.
        features: What was measured, by name.
    """

    fate: Fate
    region: str | None = None
    richness: float | None = None
    features: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SliceRow:
    """One row of a corpus's index.

    Attributes:
        slice: Where it lies.
        verdict: Why it was kept or dropped.
        data_share: Share of its pixels with data; None where it was dropped before it was read.
        prior: Name of the source of its AEF vectors; "none" without.
        prior_nodes: Their number S.
        thumbnail: A PNG of at most 96 px, for pictures of what was kept and dropped; empty where nothing was read.
        group: Scenes over the same ground have one: records of one group never lie in different splits.
        split: "train", "val" or "test".
    """

    slice: Slice
    verdict: Verdict
    data_share: float | None
    prior: str
    prior_nodes: int
    thumbnail: bytes
    group: str = ""
    split: str | None = None

    @property
    def kept(self) -> bool:
        """Whether its record is in the corpus."""
        return self.verdict.fate is Fate.KEPT
