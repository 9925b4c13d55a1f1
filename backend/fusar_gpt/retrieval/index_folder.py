"""The folder of all indexes: what is in it, what may go, and how fast this machine fills it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fusar_gpt.imagery import Scene
    from fusar_gpt.retrieval.index import SceneIndex


@dataclass(frozen=True)
class IndexEntry:
    """An index that is kept.

    Attributes:
        key: Its name for :func:`remove`, 16 hexadecimal digits.
        scene: Name of the scene's file.
        encoder: Name of the encoder.
        band: Of the scene.
        side_m: Ground side of a slice in metres.
        slices: How many slices the scene has.
        done: How many of them were looked at.
        bytes: What it takes on the disk.
        used: When it was last opened, in UTC.
        folder: Where it lies.
    """

    key: str
    scene: str
    encoder: str
    band: str
    side_m: float
    slices: int
    done: int
    bytes: int
    used: datetime
    folder: Path


def entries(folder: Path | None = None) -> list[IndexEntry]:
    """The indexes that are kept, the last used first; None is the user's own folder. What is damaged is left out."""
    raise NotImplementedError


def remove(key: str, folder: Path | None = None) -> int:
    """Removes an index; returns the bytes that are free now.

    Raises:
        OutputError: There is no such index, it is in use, or it cannot be removed.
    """
    raise NotImplementedError


def remove_all(folder: Path | None = None) -> int:
    """Removes all indexes that are not in use, and nothing else; returns the bytes that are free now."""
    raise NotImplementedError


def seconds_a_slice(folder: Path | None = None, encoder_hash: str | None = None) -> float:
    """How long this machine took to index a slice when it last did, with that encoder; 0.005 where it never did."""
    raise NotImplementedError


def write_footprints(index: SceneIndex, scene: Scene, path: Path) -> None:
    """Writes the slices of an index as GeoParquet 1.1, whole or not at all: one row a slice, WGS 84 (lon, lat).

    Columns: slice, col, row (of the lattice), side_px, side_m, data_share (0 to 1; null: not looked at), scene,
    fingerprint, band, encoder, encoder_hash, geometry.

    Raises:
        OutputError: The file cannot be written.
        FusarError: pyarrow is not there, which ``fusar-gpt[parquet]`` brings, or the scene lies nowhere on Earth.
    """
    raise NotImplementedError
