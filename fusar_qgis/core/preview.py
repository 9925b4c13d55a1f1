"""What the backend shows before a run: how much it would look at, one chip, its prior."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

from .events import ProtocolError

_PNG = "data:image/png;base64,"


@dataclass(frozen=True)
class ShownChip:
    """A chip as the model sees it: ``png``, ``ground_m`` metres wide; ``low`` and ``high`` are black and white.

    They are decibels, but grey levels where ``quantity`` is ``grey``.
    """

    png: bytes
    ground_m: float
    band: str
    quantity: str
    low: float
    high: float


@dataclass(frozen=True)
class ShownPrior:
    """The prior of that chip; ``png`` is empty where it has no nodes, and ``said`` may tell why."""

    png: bytes
    nodes: int
    source: str
    year: int | None
    simulated: bool
    said: tuple[str, ...]


@dataclass(frozen=True)
class Preview:
    """The answer of ``POST /preview``; ``seconds`` is None where nothing was measured yet."""

    chips: int
    seconds: float | None
    chip: ShownChip
    prior: ShownPrior


def read_preview(body: bytes) -> Preview:
    """Read the answer of ``POST /preview``; raises ProtocolError."""
    try:
        data = json.loads(body)
        seconds = data["seconds"]
        return Preview(
            chips=int(data["chips"]),
            seconds=None if seconds is None else float(seconds),
            chip=_chip(data["chip"]),
            prior=_prior(data["prior"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ProtocolError(str(error)) from error


def _chip(data: dict[str, Any]) -> ShownChip:
    stretch = data["stretch"]
    return ShownChip(
        png=_png(data["image"]),
        ground_m=float(data["ground_m"]),
        band=str(data["band"]),
        quantity=str(stretch["quantity"]),
        low=float(stretch["low_db"]),
        high=float(stretch["high_db"]),
    )


def _prior(data: dict[str, Any]) -> ShownPrior:
    return ShownPrior(
        png=_png(data["image"]) if data["image"] else b"",
        nodes=int(data["nodes"]),
        source=str(data["source"]),
        year=None if data["year"] is None else int(data["year"]),
        simulated=bool(data["simulated"]),
        said=tuple(str(line) for line in data["said"]),
    )


def _png(uri: str) -> bytes:
    if not uri.startswith(_PNG):
        raise ValueError("no PNG")
    try:
        return base64.b64decode(uri[len(_PNG) :], validate=True)
    except binascii.Error as error:
        raise ValueError("no base64") from error
