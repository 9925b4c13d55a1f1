"""Products of several rasters: subswaths of a SAFE, pages of a TIFF, variables of HDF5, bands of a BEAM-DIMAP."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import rasterio

_LISTED = 12
_RASTERS = (".tif", ".tiff", ".img", ".h5", ".nc", ".jp2", ".ntf", ".dim", ".safe")


@dataclass(frozen=True)
class Part:
    """One raster of several: its name for the analyst, and what GDAL opens."""

    name: str
    address: str


def parts_of(dataset: rasterio.DatasetReader) -> list[Part]:
    """The rasters that a dataset holds besides its own bands, each once, in the file's order."""
    tags = dataset.tags(ns="SUBDATASETS")
    found: dict[str, Part] = {}
    for key in sorted(
        (key for key in tags if key.endswith("_NAME")), key=lambda key: int(re.findall(r"\d+", key)[0])
    ):
        name = _name(tags[key])
        if name:
            found.setdefault(name, Part(name, tags[key]))
    return list(found.values())


def part_named(parts: list[Part], name: str | int | None) -> Part | None:
    """The part of that name, or whose name ends in it."""
    wanted = str(name or "").strip().strip("/").upper()
    whole = [part for part in parts if part.name.upper() == wanted]
    ends = [part for part in parts if part.name.upper().rsplit("/", 1)[-1] == wanted]
    only = whole or (ends if len(ends) == 1 else [])
    return only[0] if only else None


def listed(parts: list[Part]) -> str:
    """The names of parts, the first dozen."""
    names = [part.name for part in parts]
    return ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")


def parts_left_out(
    dataset: rasterio.DatasetReader, parts: list[Part], name: str, *, choosable: bool
) -> tuple[str, ...]:
    """What to say of a dataset of which only a part is read, in whole sentences; nothing where all of it is."""
    swath = dataset.tags().get("SWATH", "") if dataset.driver == "SAFE" else ""
    read = swath or "the first"
    # A subswath is read with all its polarisations; of wave mode, whose names end in a number, one image.
    others = [part for part in parts if not re.fullmatch(f"{swath}_[A-Z]+", part.name)]
    if not others or (not swath and len(parts) < 2):
        return ()
    kind = "subswaths" if swath else "pages" if dataset.driver == "GTiff" else "rasters"
    how = (
        f"name another with --band: {listed(parts)}"
        if choosable
        else "export the others to files of their own"
    )
    return (f"'{name}' has several {kind}, of which {read} is read; {how}.",)


def how_to_open(path: Path) -> str:
    """What to open instead of a folder or file that is no raster; empty where nothing is known."""
    if path.suffix.lower() == ".dim":
        inside = sorted(path.with_suffix(".data").glob("*.img"))
        what = "a BEAM-DIMAP of SNAP"
    elif path.is_dir():
        inside = sorted(_rasters_in(path))
        what = "a folder"
    else:
        return ""
    if not inside:
        return f"'{path.name}' is {what}, and no raster lies there: give the raster's own file"
    names = ", ".join(str(file.relative_to(path.parent)) for file in inside[:6])
    return f"'{path.name}' is {what}: give one of its rasters, such as {names}"


def _rasters_in(folder: Path) -> list[Path]:
    files = (file for file in folder.rglob("*") if file.suffix.lower() in _RASTERS and file.is_file())
    return list(islice(files, 1000))


def _name(address: str) -> str:
    """The name of a part in what GDAL calls it; empty for another view of the same pixels."""
    kind, _, rest = address.partition(":")
    if kind == "SENTINEL1_CALIB":
        calibration, _, rest = rest.partition(":")
        _, part, form = rest.rsplit(":", 2)
        return part if calibration == "UNCALIB" and form in ("COMPLEX", "AMPLITUDE") and "_" in part else ""
    if kind == "GTIFF_DIR":
        return f"page {rest.partition(':')[0]}"
    if '"' in rest:
        return rest.rpartition('"')[2].strip(":/")
    return rest.rpartition(":")[2].strip("/")
