"""Which slices are worth keeping: those in the wanted regions that are neither water, nor monotonous, nor poor.

FUSAR-KLIP 3.1, steps 1 (regions) and 5 (GLCM and statistics, KNN). The order is: enough data, regions, water, monotony,
KNN; the first that fails is the fate.

Water is told by the prior's land cover, unless the picture is rich, and without a prior by the picture: dark, without
structure. A single compact echo keeps a slice of water, and one of other ground without structure, which may be a
bright sea: a ship is worth a slice. A slice that a switch lets through (water, monotonous ground) is not dropped again
by the KNN filter for being just that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from fusar_gpt.priors import PriorField
from fusar_train.corpus.slices.examples import Examples, labelled_pictures
from fusar_train.corpus.slices.features import as_rows, measure
from fusar_train.corpus.slices.regions import LANDCOVER, Cover, Prototype, Regions
from fusar_train.corpus.slices.screening_picture import write_screening_picture
from fusar_train.corpus.slices.slice import Fate, Slice, Verdict

__all__ = ["Screen", "ScreenOptions", "write_screening_picture"]

RICH = 0.5
"""Share of the nearest examples that must be rich."""
MOST_WATER = 0.9
"""Share of a slice's nodes that makes it water."""
DARK = 64.0
"""Mean grey level below which a picture without structure is taken for water: a quarter of the stretch."""
PLAIN_DENSITY, PLAIN_STD = 0.02, 8.0
"""Between its compact echoes, a picture without structure has fewer blocks with any, and their means differ less."""
SHIPS = 1
"""So many compact echoes keep a slice of water or of ground without structure."""


@dataclass(frozen=True, kw_only=True)
class ScreenOptions:
    """How slices are screened; plain values, which other processes can be sent.

    Attributes:
        screen: Whether the KNN filter drops slices that are poor in information.
        regions: The regions wanted: "landcover", "texture", paths of polygon files; empty takes all ground.
        like: Kinds of regions given by example.
        drop_water: Whether to drop water without ships.
        drop_monotonous: Whether to drop ground without structure.
        min_data: Least share of pixels with data.
        richness: Least share of the nearest examples that are rich.
        examples: A folder with ``rich`` and ``poor`` pictures, instead of the examples that ship.
    """

    screen: bool = True
    regions: tuple[str, ...] = ()
    like: tuple[Prototype, ...] = ()
    drop_water: bool = True
    drop_monotonous: bool = True
    min_data: float = 0.5
    richness: float = RICH
    examples: Path | None = None

    @property
    def needs_prior(self) -> bool:
        """Whether regions are to be found that only a prior shows."""
        return LANDCOVER in self.regions or bool(self.like)


@dataclass(frozen=True, eq=False)
class Screen:
    """Judges slices. Make it with :meth:`of`; it may be used by one thread at a time."""

    options: ScreenOptions
    regions: Regions | None
    nearest: Pipeline | None

    @classmethod
    def of(cls, options: ScreenOptions, report: Callable[[str], None] = lambda line: None) -> Screen:
        """Reads the examples and polygons; ``report`` takes lines about polygon files.

        Raises:
            AreaError: A polygon file is missing or holds none.
            CorpusError: The examples cannot be read.
        """
        nearest = None
        if options.screen:
            examples = Examples.read() if options.examples is None else labelled_pictures(options.examples)
            nearest = examples.classifier()
        return cls(options, Regions.of(options.regions, options.like, report), nearest)

    def judge(
        self, pixels: NDArray[np.uint8], has_data: NDArray[np.bool_], prior: PriorField, slice: Slice
    ) -> Verdict:
        """What becomes of a slice. Any picture gets a verdict; none raises.

        Args:
            pixels: Grey levels of the backend's stretch, uint8 [h, w].
            has_data: Where they are data, bool [h, w].
            prior: The AEF vectors on it; empty without.
            slice: Where it lies.
        """
        if not has_data.any() or has_data.mean() < self.options.min_data:
            return Verdict(fate=Fate.NO_DATA)
        seen = _Seen(pixels, has_data, prior)
        region = None
        if self.regions is not None:
            region = self.regions.name(slice, prior, seen.cover, lambda: seen.features["texture_density"])
            if region is None:
                return Verdict(fate=Fate.OUTSIDE, features=seen.known())
        fate, richness = self._fate(seen)
        return Verdict(fate=fate, region=region, richness=richness, features=seen.known())

    def _fate(self, seen: _Seen) -> tuple[Fate, float | None]:
        options = self.options
        if not (options.drop_water or options.drop_monotonous or options.screen):
            return Fate.KEPT, None
        if (seen.water or seen.plain) and seen.features["echoes"] >= SHIPS:
            return Fate.KEPT, None
        if seen.water and not options.drop_water:
            return Fate.KEPT, None
        if seen.plain or (seen.water and self.nearest is None):
            drop = seen.water or options.drop_monotonous
            return (Fate.KEPT if not drop else Fate.WATER if seen.water else Fate.MONOTONOUS), None
        if self.nearest is None:
            return Fate.KEPT, None
        richness = float(self.nearest.predict_proba(as_rows([seen.features]))[0, 1])
        poor = Fate.WATER if seen.water else Fate.POOR
        return (Fate.KEPT if richness >= options.richness else poor), richness


@dataclass(frozen=True, eq=False)
class _Seen:
    """What is known of one slice, measured when it is first asked for."""

    pixels: NDArray[np.uint8]
    has_data: NDArray[np.bool_]
    prior: PriorField
    measured: dict[str, float] = field(default_factory=dict)

    @property
    def features(self) -> Mapping[str, float]:
        if not self.measured:
            self.measured.update(measure(self.pixels, self.has_data))
        return self.measured

    @cached_property
    def cover(self) -> Cover | None:
        return Cover.of(self.prior)

    @cached_property
    def plain(self) -> bool:
        """No structure at all, apart from compact echoes."""
        found = self.features
        return found["background_density"] <= PLAIN_DENSITY and found["background_std"] <= PLAIN_STD

    @cached_property
    def water(self) -> bool:
        if self.cover is not None:
            return self.cover.water >= MOST_WATER
        return self.plain and self.features["mean"] <= DARK

    def known(self) -> dict[str, float]:
        """What was measured; ``prior_nodes`` 0 says that water was told by the picture alone."""
        found = dict(self.measured)
        found["prior_nodes"] = float(len(self.prior))
        if "cover" in self.__dict__ and self.cover is not None:
            found |= {
                "water_share": self.cover.water,
                "built_share": self.cover.built,
                "shore_share": self.cover.shore,
            }
        return found
