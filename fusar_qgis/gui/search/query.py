"""What the analyst looks for: words, examples on the ground, where to look, and how many places are wanted."""

from __future__ import annotations

from dataclasses import dataclass

from qgis.core import QgsCoordinateReferenceSystem, QgsCoordinateTransform, QgsGeometry, QgsProject

from ...contract import Example, SearchRequest, read_outline
from ...contract.geometry import read_example
from ...layers.scene import Scene, crs_text, geojson
from ..areas import Area

USUAL_TOP = 20


@dataclass(frozen=True)
class ShownExample:
    """A point or a polygon whose like is wanted, or not wanted.

    Attributes:
        name: What it is called to the analyst, such as ``place 3``.
        ground: Where it is.
        is_like: Whether its like is wanted.
    """

    name: str
    ground: Area
    is_like: bool

    @property
    def label(self) -> str:
        """Its name behind a sign that says whether its like is wanted."""
        return f"{'+' if self.is_like else '-'} {self.name}"

    def is_at_place_of(self, other: ShownExample) -> bool:
        """Whether both are the same place."""
        mine, others = self.ground, other.ground
        return bool(mine.crs == others.crs and mine.outline.equals(others.outline))

    def on(self, crs: QgsCoordinateReferenceSystem) -> Example:
        """Return it in another CRS. Raises QgsCsException."""
        outline = QgsGeometry(self.ground.outline)
        outline.transform(QgsCoordinateTransform(self.ground.crs, crs, QgsProject.instance()))
        return read_example(geojson(outline))


@dataclass(frozen=True)
class Query:
    """One search, before the scene is known to a backend.

    Attributes:
        text: What to find, in words; may be empty where there is an example of it.
        examples: What is and is not meant.
        area: Where to look; None means the whole scene.
        top: How many places to find at most.
        encoder: What compares; None leaves it to the backend.
    """

    text: str = ""
    examples: tuple[ShownExample, ...] = ()
    area: Area | None = None
    top: int = USUAL_TOP
    encoder: str | None = None

    @property
    def says_nothing(self) -> bool:
        """Whether it names nothing to find; what is not meant alone is not enough."""
        return not self.text and not any(one.is_like for one in self.examples)

    @property
    def title(self) -> str:
        """What its results are called."""
        return self.text or ", ".join(one.label for one in self.examples)

    def is_same(self, other: Query) -> bool:
        """Whether both ask the same."""
        return self._key() == other._key()

    def _key(self) -> tuple[object, ...]:
        area = None if self.area is None else self.area.outline.asWkt()
        return self.text, self.examples, area, self.top, self.encoder

    def request(self, scene: Scene, known: str) -> SearchRequest:
        """Return what the backend is asked.

        Args:
            scene: Where to look; examples are given in its CRS.
            known: What the backend knows it as.

        Raises:
            QgsCsException: An example lies where the scene's CRS does not reach.
            ValueError: It says nothing.
        """
        return SearchRequest(
            scene=known,
            texts=(self.text,) if self.text else (),
            like=tuple(one.on(scene.crs) for one in self.examples if one.is_like),
            unlike=tuple(one.on(scene.crs) for one in self.examples if not one.is_like),
            examples_crs=crs_text(scene.crs),
            area=None if self.area is None else read_outline(geojson(self.area.outline)),
            area_crs=crs_text(scene.crs if self.area is None else self.area.crs),
            top=self.top,
            encoder=self.encoder,
            band=scene.band if scene.bands > 1 else None,
        )
