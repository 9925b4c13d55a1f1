"""Finds scenes in files, folders, lists and STAC, opens each once and says what it is; what is none is said aloud."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import shapely
from rasterio.errors import RasterioIOError

from fusar_gpt.contract.bands import words
from fusar_gpt.errors import FusarError, SceneError
from fusar_gpt.findings.georeference import lonlat_polygon
from fusar_gpt.frames import SceneBox
from fusar_gpt.imagery import RasterPolicy, Scene, open_scene
from fusar_gpt.imagery.raster_policy import FORMATS
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.slices import scene_list, stac
from fusar_train.corpus.slices.candidates import Candidate, Names, Tell, name_of
from fusar_train.corpus.slices.scene_folder import is_product, search
from fusar_train.corpus.slices.sensors import POLARISATIONS, day_of, polarisation_of, sensor_of

MOST_UNNAMED_BANDS = 2
"""A raster of more bands, none of them called as radar's are, is taken for something else."""

_RADAR_WORDS = {
    *POLARISATIONS, "SIGMA", "SIGMA0", "GAMMA", "GAMMA0", "BETA", "BETA0", "NRCS", "AMPLITUDE", "AMP", "INTENSITY",
    "POWER", "MAGNITUDE", "I", "Q", "REAL", "IMAG", "RH", "RV", "LH", "LV",
}  # fmt: skip
_FEW_NUMBERS, _EVEN = 32, 0.5
"""A class map has few different numbers, and most pixels have that of their neighbour; speckle has neither."""

_AEF_BANDS = 64
_PRODUCTS = (".safe", ".data")
"""Folders of products, whose names tell more than those of the rasters in them."""


@dataclass(frozen=True)
class SceneEntry:
    """A scene that can be opened, and what is known of it; cheap to send to another process.

    Attributes:
        name: Unique among those found, of letters, digits, ``.``, ``_`` and ``-``; the same whenever they are found.
        path: The file, or the folder of a product.
        band: The band that was asked for, as for ``open_scene``; None takes VV, then HH, then the first.
        acquired: Day of acquisition, ISO 8601; None where nothing says it, as with the others.
        sensor: The satellite, such as "Sentinel-1A", "Gaofen-3" or "Umbra-04".
        polarisation: Of the band that is read: VV, HH, VH or HV.
        licence: As a list or catalogue says.
        attribution: Whom to credit, as a list, a catalogue or the file says.
        footprint: Outline of all its pixels in WGS 84 degrees (lon, lat), cut at the antimeridian (RFC 7946).
        trusted: Named by the user or found in a folder of theirs; if not, somebody's list or catalogue names it.
    """

    name: str
    path: Path
    band: str | None
    acquired: str | None
    sensor: str | None
    polarisation: str | None
    licence: str | None
    attribution: str | None
    footprint: shapely.Polygon | shapely.MultiPolygon
    trusted: bool = True

    def open(self) -> Scene:
        """Opens the scene, by a raster policy if it is not trusted; raises SceneError as ``open_scene``."""
        return _opened(self.path, self.band, self.trusted)


def find_scenes(
    sources: Sequence[Path], tell: Tell = lambda line: None
) -> Iterator[SceneEntry | CorpusError]:
    """The scenes of all sources, in order; what cannot be one comes as its error, and the rest goes on.

    Args:
        sources: Each a scene's file or product folder; a folder that is searched with all folders in it; a list of
            paths (``.txt``, ``.csv``); or STAC on disk (``.json``, ``.geojson``, ``.ndjson``). Nothing is downloaded.
        tell: Takes sentences about what was left out or chosen.
    """
    finder = _Finder(tell)
    for source in sources:
        known, nothing = finder.known_before, True
        for candidate in _candidates(source, tell):
            found = candidate if isinstance(candidate, CorpusError) else finder.judged(candidate)
            if found is not None:
                nothing = False
                yield found
        if nothing and finder.known_before == known:
            yield CorpusError(f"{source} holds no scene: give georeferenced SAR rasters, or a list of them.")


def _candidates(source: Path, tell: Tell) -> Iterator[Candidate | CorpusError]:
    suffix = source.suffix.lower()
    try:
        path = scene_list.placed(Path(), _address(source), "A source")
        if suffix in scene_list.LISTS + scene_list.TABLES:
            yield from scene_list.read_list(path, tell)
        elif suffix in stac.JSON + stac.JSON_LINES:
            yield from stac.read_stac(path, tell)
        elif path.is_dir() and suffix != ".safe" and not is_product(path):
            yield from search(path, tell)
        else:
            yield Candidate(path=path, where=str(source), name=name_of(path.absolute().name))
    except CorpusError as error:
        yield error


def _address(source: Path) -> str:
    """A source as it was written: Path makes one slash of the two in an address."""
    return re.sub(r"^([a-zA-Z][\w+.-]+:)/(?=[^/])", r"\1//", str(source))


class _Finder:
    """Opens candidates, each once, and gives names.

    Attributes:
        known_before: How many candidates were scenes that had been found by another route.
    """

    def __init__(self, tell: Tell) -> None:
        self.known_before = 0
        self._tell = tell
        self._names = Names()
        self._found: dict[tuple[Path, str | None], str] = {}

    def judged(self, candidate: Candidate) -> SceneEntry | CorpusError | None:
        """The scene, or why it is none; None where that was told, or the scene was found before."""
        if candidate.path.name == "manifest.safe":
            candidate = replace(candidate, path=candidate.path.parent)
        file = candidate.path.resolve()
        if self._was_found(candidate, (file, candidate.band)):
            return None
        name = self._names.take(candidate)
        self._found[file, candidate.band] = name
        try:
            with _opened(candidate.path, candidate.band, candidate.trusted) as scene:
                if scene.band != candidate.band and self._was_found(candidate, (file, scene.band)):
                    return None
                self._found[file, scene.band] = name
                if reason := _no_scene(scene, candidate):
                    if candidate.searched:
                        self._tell(f"{candidate.where} is left out: {reason}.")
                        return None
                    return CorpusError(f"{candidate.where} is no scene: {reason}.")
                entry = _entry(scene, candidate, name)
                if len(scene.bands) > 1 and candidate.band is None and not _is_named(scene):
                    self._tell(
                        f"{candidate.where} has {len(scene.bands)} bands without names, of which the first is read."
                    )
                return entry
        except FusarError as error:
            return CorpusError(f"{candidate.where}: {str(error).rstrip('.')}.")
        except Exception as error:  # noqa: BLE001 - whatever a damaged file makes of rasterio or PROJ
            return CorpusError(
                f"{candidate.where} cannot be opened, it is damaged ({type(error).__name__}): download it again."
            )

    def _was_found(self, candidate: Candidate, key: tuple[Path, str | None]) -> bool:
        if (name := self._found.get(key)) is None:
            return False
        self._tell(f"{candidate.where} was named before, and is the scene {name}.")
        self.known_before += 1
        return True


def _entry(scene: Scene, candidate: Candidate, name: str) -> SceneEntry:
    footprint = lonlat_polygon(SceneBox(0, 0, scene.width, scene.height), scene)
    if not np.isfinite(shapely.get_coordinates(footprint)).all() or footprint.is_empty:
        raise SceneError("a corner of the scene lies nowhere on the globe: cut it off")
    stated, path = candidate.stated, candidate.path
    names = [
        path.stem,
        *(above.name for above in path.absolute().parents if above.suffix.lower() in _PRODUCTS),
    ]
    day = day_of(names, scene.tags)
    tagged = [scene.tags[key] for key in sorted(scene.tags) if "POLAR" in key.upper()]
    folder = path.absolute().parent.name
    named = [*tagged, *names, folder if folder.upper() in POLARISATIONS else ""]
    said = [scene.band, *(named if len(scene.bands) == 1 else ())]
    return SceneEntry(
        name=name,
        path=path,
        band=candidate.band,
        acquired=stated.acquired or (day.isoformat() if day else None),
        sensor=stated.sensor or sensor_of(names, scene.tags),
        polarisation=polarisation_of(said) or stated.polarisation,
        licence=stated.licence,
        attribution=stated.attribution or scene.attribution,
        footprint=footprint,
        trusted=candidate.trusted,
    )


def _no_scene(scene: Scene, candidate: Candidate) -> str | None:
    """Why a raster that opens is no SAR scene: other bands, or the numbers of a class map.

    Raises:
        SceneError: It is damaged, empty, or of one value; or its numbers show no objects.
    """
    if candidate.band is None:
        named = _is_named(scene)
        if len(scene.bands) == _AEF_BANDS and not named:
            return "it has 64 bands, as AEF vectors have: it is a prior"
        if len(scene.bands) > MOST_UNNAMED_BANDS and not named:
            return (
                f"it has {len(scene.bands)} bands, and none is called by a polarisation: if one is a radar image, "
                "name it in a table with the columns path and band"
            )
    scene.check()
    numbers = scene.sample.numbers
    if numbers.min() == numbers.max():
        raise SceneError(f"all its pixels have one value, {numbers[0]:g}: it shows nothing")
    if len(np.unique(numbers)) <= _FEW_NUMBERS and _is_even(scene):
        return "it has few different numbers in even patches, as a mask or class map has, and no speckle"
    scene.stretch()
    return None


def _is_named(scene: Scene) -> bool:
    return any(_RADAR_WORDS & set(words(band)) for band in scene.bands)


def _is_even(scene: Scene) -> bool:
    patches = scene.sample.patches
    return not len(patches) or bool((patches[:, :, 1:] == patches[:, :, :-1]).mean() > _EVEN)


def _opened(path: Path, band: str | None, trusted: bool) -> Scene:
    if trusted:
        return open_scene(path, band=band)
    if path.is_dir():
        _check_product(path)
        return open_scene(path, band=band)
    try:
        return open_scene(path, band=band, policy=RasterPolicy())
    except SceneError as error:
        if not isinstance(error.__cause__, RasterioIOError):
            raise
        raise SceneError(
            f"it is damaged, or no raster that a list may name ({FORMATS}): name the file itself, "
            "or convert it to GeoTIFF"
        ) from error


def _check_product(folder: Path) -> None:
    """Refuses a product that is no SAFE, or in which somebody hid what leads elsewhere. Raises SceneError."""
    root, manifest = folder.resolve(), folder / "manifest.safe"
    if not manifest.is_file():
        raise SceneError(
            f"'{folder.name}' is no SAFE product, so a list may not name it: name the folder itself"
        )
    for file in sorted(folder.rglob("*")):
        if not file.resolve().is_relative_to(root):
            raise SceneError(
                f"'{file.name}' in '{folder.name}' is a link out of it: put the file itself there"
            )
        if file.suffix.lower() in (".tif", ".tiff") and file.is_file():
            RasterPolicy().check(file)
    for href in re.findall(rb"href=[\"']([^\"']*)", manifest.read_bytes()):
        if b".." in href or b":" in href or href.startswith((b"/", b"\\")):
            raise SceneError(
                f"the manifest of '{folder.name}' refers to other files: download the product again"
            )
