"""What the server shows before a run (``POST /preview``): how much it would look at, one chip, its prior."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .geometry import Polygon, read_outline
from .request import NO_PRIOR

_PNG = "data:image/png;base64,"


def png_uri(png: bytes) -> str:
    """A PNG as a data: URI."""
    return _PNG + base64.b64encode(png).decode("ascii")


def read_png(uri: str) -> bytes:
    """Back from :func:`png_uri`. Raises ValueError."""
    if not uri.startswith(_PNG):
        raise ValueError("not a PNG as a data: URI")
    return base64.b64decode(uri[len(_PNG) :], validate=True)


@dataclass(frozen=True)
class Grey:
    """How stored numbers become grey: ``low_db`` and ``high_db`` are black and white, in dB unless ``grey``.

    ``reason`` says in a phrase what the numbers were taken for and why.
    """

    quantity: str
    low_db: float
    high_db: float
    reason: str = ""


@dataclass(frozen=True)
class ShownChip:
    """The chip in the middle of the area: a PNG as the model sees it, its size in px, its place and ground width.

    ``warnings`` are those of a run, as far as they are known before it.
    """

    image: str
    size: tuple[int, int]
    footprint: Polygon
    crs: str
    ground_m: float
    band: str
    stretch: Grey
    warnings: tuple[str, ...] = ()

    @property
    def png(self) -> bytes:
        """The image's bytes."""
        return read_png(self.image)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ShownChip:
        """From the answer's ``chip``."""
        stretch = data["stretch"]
        chip = cls(
            image=data["image"],
            size=(int(data["size"][0]), int(data["size"][1])),
            footprint=Polygon("Polygon", read_outline(data["footprint"]).polygons[0]),
            crs=str(data["crs"]),
            ground_m=float(data["ground_m"]),
            band=str(data["band"]),
            stretch=Grey(
                quantity=str(stretch["quantity"]),
                low_db=float(stretch["low_db"]),
                high_db=float(stretch["high_db"]),
                reason=str(stretch.get("reason", "")),
            ),
            warnings=tuple(str(line) for line in data.get("warnings", ())),
        )
        read_png(chip.image)
        return chip


@dataclass(frozen=True)
class ShownPrior:
    """The prior of that chip: A01, A16, A09 as red, green, blue; no image where it has no nodes, ``said`` why."""

    image: str | None = None
    nodes: int = 0
    source: str = NO_PRIOR
    year: int | None = None
    simulated: bool = False
    said: tuple[str, ...] = ()

    @property
    def png(self) -> bytes:
        """The image's bytes; empty where there is none."""
        return read_png(self.image) if self.image else b""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ShownPrior:
        """From the answer's ``prior``."""
        prior = cls(
            image=data["image"],
            nodes=int(data["nodes"]),
            source=str(data["source"]),
            year=None if data["year"] is None else int(data["year"]),
            simulated=bool(data["simulated"]),
            said=tuple(str(line) for line in data["said"]),
        )
        read_png(prior.image or _PNG)
        return prior


@dataclass(frozen=True)
class Preview:
    """``seconds`` is how long the last jobs of that task would have taken; None where there were none."""

    chips: int
    seconds: float | None
    chip: ShownChip
    prior: ShownPrior

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Preview:
        """From the answer. Raises ValueError, KeyError or TypeError."""
        seconds = data["seconds"]
        return cls(
            chips=int(data["chips"]),
            seconds=None if seconds is None else float(seconds),
            chip=ShownChip.from_json(data["chip"]),
            prior=ShownPrior.from_json(data["prior"]),
        )
