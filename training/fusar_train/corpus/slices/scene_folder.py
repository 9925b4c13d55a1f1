"""A folder searched for scenes: products and rasters, without all that lies beside them and is no scene."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

from fusar_gpt.contract.bands import words
from fusar_gpt.priors.beside import BESIDE
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.files import is_litter
from fusar_train.corpus.record import RECORDS_FILE
from fusar_train.corpus.slices.candidates import Candidate, Tell, name_of
from fusar_train.corpus.slices.sensors import POLARISATIONS, polarisations_in

RASTERS = (
    ".tif", ".tiff", ".img", ".jp2", ".ntf", ".nitf", ".h5", ".hdf5", ".hdf", ".he5", ".nc", ".n1", ".e1", ".e2",
    ".png", ".jpg", ".jpeg",
)  # fmt: skip
OUTPUTS = (RECORDS_FILE, "corpus.json", "index.parquet")
"""A folder with one of these holds data made from scenes, such as a corpus."""

_PICTURES = {".png": (".pgw", ".pngw"), ".jpg": (".jgw", ".jpgw"), ".jpeg": (".jgw", ".jpegw")}
_PACKED = (".zip", ".tgz", ".gz", ".7z", ".rar")
_VIEWS = (".vrt",)
_PRODUCTS = ("manifest.safe", "product.xml")
_DIMAP, _DIMAP_DATA = ".dim", ".data"
_LISTED = 6
_OTHER = "no raster"

_NO_SCENES = {
    "a quick-look or picture": {
        "THUMBNAIL", "THUMBNAILS", "THUMB", "QUICKLOOK", "QUICKLOOKS", "PREVIEW", "BROWSE", "OVERLAY", "ICON", "ICONS",
        "LEGEND", "RGB",
    },
    "a mask or label": {
        "MASK", "MASKS", "LABEL", "LABELS", "LABELHAND", "LULC", "LANDCOVER", "WATERMASK", "GROUNDTRUTH",
    },
    "a prior": {"PRIOR", "PRIORS", "AEF"},
    "other ground data": {
        "DEM", "DSM", "DTM", "ELEVATION", "HEIGHT", "SLOPE", "NDVI", "INCIDENCE", "INCIDENCEANGLE", "LIA", "LAYOVER",
        "COHERENCE", "COH", "PHASE", "S2L1C", "S2L2A", "S2RGB", "S2A", "S2B", "S2C",
    },
}  # fmt: skip
_HYP3 = re.compile(r"_(ls_map|inc_map|rgb|dem|area)$", re.IGNORECASE)
_QUICK_LOOK = re.compile(r"quick[-_ ]?look", re.IGNORECASE)
_NUMBERED = re.compile(r"^S1[A-D]$")
"""Sentinel-1's measurements end in a number of their own for each polarisation."""


def search(folder: Path, tell: Tell) -> Iterator[Candidate | CorpusError]:
    """What may be a scene below a folder, in order of path, whatever the order on disk.

    Of rasters whose names differ only in the polarisation, one is taken: VV, then HH, VH, HV. Links are followed, once.

    Args:
        folder: Searched with all folders in it.
        tell: Takes what was left out, one sentence a kind.
    """
    left_out: dict[str, list[str]] = defaultdict(list)
    found: list[Path] = []
    for path in _gathered(folder, left_out):
        if isinstance(path, CorpusError):
            yield path
        else:
            found.append(path)
    chosen = _one_polarisation(found, folder, left_out)
    _tell_left_out(folder, left_out, tell)
    for path in chosen:
        yield Candidate(path=path, where=str(path), name=name_of(path.relative_to(folder)), searched=True)


def _gathered(folder: Path, left_out: dict[str, list[str]]) -> Iterator[Path | CorpusError]:
    """Products and rasters; what is none goes to ``left_out``, by why."""
    locked: list[OSError] = []
    for here, folders, files in _walked(folder, locked.append):
        place = here.relative_to(folder)
        if _is_product(files):
            folders.clear()
            yield here
            continue
        if here != folder and (reason := _why_no_folder(place, files)):
            folders.clear()
            left_out[reason].append(str(place))
            continue
        beside, inside = {name.lower() for name in files}, {name.lower() for name in folders}
        for path in (place / name for name in files):
            if path.suffix.lower() in _PACKED:
                yield CorpusError(f"{folder / path} is packed, and not looked into: unpack it first.")
            elif reason := _why_no_scene(path, beside, inside):
                left_out[reason].append(str(path))
            else:
                yield folder / path
    for error in locked:
        why = f"cannot be searched ({error.strerror}): allow it, or move it elsewhere"
        yield CorpusError(f"{error.filename} {why}.")


def _tell_left_out(folder: Path, left_out: dict[str, list[str]], tell: Tell) -> None:
    endings = Counter(Path(name).suffix.lower() or "without ending" for name in left_out.pop(_OTHER, ()))
    if endings:
        listed = ", ".join(f"{number} {ending}" for ending, number in sorted(endings.items()))
        tell(f"{folder}: left out, being no rasters: {listed}.")
    for reason, names in sorted(item for item in left_out.items() if item[1]):
        more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        tell(f"{folder}: left out, being {reason}: {', '.join(sorted(names)[:_LISTED])}{more}.")


def is_product(folder: Path) -> bool:
    """Whether a folder is the product of a mission, which GDAL opens as one raster, such as SAFE."""
    return any((folder / name).is_file() for name in _PRODUCTS)


def _is_product(files: list[str]) -> bool:
    return any(name in files for name in _PRODUCTS)


def _walked(folder: Path, failed: Callable[[OSError], None]) -> Iterator[tuple[Path, list[str], list[str]]]:
    """As ``os.walk``, in order of name, each folder once though links may lead to it again."""
    seen: set[Path] = set()
    for here, folders, files in os.walk(folder, onerror=failed, followlinks=True):
        real = Path(here).resolve()
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        yield Path(here), folders, sorted(name for name in files if (Path(here) / name).is_file())


def _why_no_folder(place: Path, files: list[str]) -> str | None:
    """Why a folder is not searched, said of it; None where it is."""
    if is_litter(place):
        return "no part of the data"
    if any(name in OUTPUTS for name in files):
        return "data made from scenes"
    return _kind_of(place.name)


def _why_no_scene(path: Path, beside: set[str], folders: set[str]) -> str | None:
    """Why a file is no scene, said of it; None where it may be one."""
    suffix, stem = path.suffix.lower(), path.stem.lower()
    if is_litter(path):
        return "no part of the data"
    if suffix == _DIMAP and f"{stem}{_DIMAP_DATA}" in folders:
        return "the index of a BEAM-DIMAP whose rasters are taken"
    if suffix in _VIEWS:
        return "a view of other rasters (name it by itself if it is meant)"
    header = bool({f"{path.name.lower()}.hdr", f"{stem}.hdr"} & beside)  # ENVI's rasters may have any ending
    if suffix not in RASTERS and (suffix == ".hdr" or not header):
        return _OTHER
    if path.name.lower().endswith(BESIDE):
        return "a prior"
    if suffix in _PICTURES:
        placed = {f"{stem}{world}" for world in (*_PICTURES[suffix], ".wld")} | {
            f"{path.name.lower()}.aux.xml"
        }
        return None if placed & beside and not _kind_of(stem) else "a plain picture without georeferencing"
    return _kind_of(path.stem)


def _kind_of(stem: str) -> str | None:
    """What a name says that is no scene."""
    if _QUICK_LOOK.search(stem):
        return "a quick-look or picture"
    if _HYP3.search(stem):
        return "other ground data"
    named = set(words(stem))
    return next((kind for kind, telling in _NO_SCENES.items() if named & telling), None)


def _one_polarisation(found: list[Path], folder: Path, left_out: dict[str, list[str]]) -> list[Path]:
    """Of rasters of one folder that differ only in the polarisation, the one that the backend would choose."""
    alike: dict[object, list[Path]] = defaultdict(list)
    for path in found:
        alike[_without_polarisation(path)].append(path)
    chosen: set[Path] = set()
    for paths in alike.values():
        best = min(map(_rank, paths))
        chosen.update(path for path in paths if _rank(path) == best)
        reason = f"another polarisation of a scene that is taken in {POLARISATIONS[best]}"
        left_out[reason] += [str(path.relative_to(folder)) for path in paths if _rank(path) > best]
    return [path for path in found if path in chosen]


def _without_polarisation(path: Path) -> object:
    """What rasters of one scene have in common: place and name but for the polarisation, which a folder may tell."""
    if path.parent.name.upper() in POLARISATIONS:
        return path.parent.parent, path.name
    if len(polarisations_in(path.stem)) != 1:
        return path
    named = words(path.stem)
    if named and _NUMBERED.match(named[0]):
        named = named[:-1]
    return path.parent, tuple("" if word in POLARISATIONS else word for word in named), path.suffix.lower()


def _rank(path: Path) -> int:
    named = polarisations_in(path.parent.name if path.parent.name.upper() in POLARISATIONS else path.stem)
    return POLARISATIONS.index(named[0]) if named else 0
