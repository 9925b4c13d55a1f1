"""STAC on disk: an Item, a list of Items (FeatureCollection, JSON lines), or a static Catalog or Collection.

Links are followed within the folder of the file that was given, never over a network. Of an Item's assets the one with
the radar image is taken (STAC 1.0 and 1.1; SAR extension ``sar:``; common metadata).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlparse

from fusar_gpt.contract.bands import shows_ground, words
from fusar_train.corpus.errors import CorpusError, naming
from fusar_train.corpus.files import json_file, json_lines
from fusar_train.corpus.slices.candidates import Candidate, Stated, Tell, day_in, name_of
from fusar_train.corpus.slices.scene_list import is_remote, placed
from fusar_train.corpus.slices.sensors import POLARISATIONS, polarisations_in, sensor_of

JSON = (".json", ".geojson")
JSON_LINES = (".ndjson", ".jsonl", ".geojsonl")

_LINKS = ("child", "item", "items")
_NO_DATA_ROLES = {
    "thumbnail",
    "overview",
    "metadata",
    "visual",
    "graphic",
    "calibration",
    "noise",
    "mask",
    "saved",
}
_NO_DATA_WORDS = {"CSI", "CPHD", "THUMBNAIL", "PREVIEW", "QUICKLOOK", "BROWSE", "METADATA", "RGB"}
_MEDIA = ("geotiff", "image/tiff", "image/jp2", "application/x-hdf", "nitf")
_ENDINGS = (".tif", ".tiff", ".jp2", ".h5", ".ntf", ".nitf", ".img", ".nc", ".safe")

Json = Mapping[str, Any]


def read_stac(file: Path, tell: Tell) -> Iterator[Candidate | CorpusError]:
    """The scenes of a STAC file, in its order.

    Args:
        file: The file.
        tell: Takes which of several polarisations of an Item was taken.

    Raises:
        CorpusError: The file cannot be read, or is no STAC.
    """
    if file.suffix.lower() in JSON_LINES:
        for where, raw in json_lines(file):
            yield raw if isinstance(raw, CorpusError) else _item(raw, file, where.rstrip(","), tell, Stated())
        return
    yield from _followed(file, tell)


def _followed(root: Path, tell: Tell) -> Iterator[Candidate | CorpusError]:
    """The Items of a file and of those that it links to, each file once, children in the order of their links."""
    waiting = [(root, str(root), Stated())]
    seen: set[Path] = set()
    while waiting:
        file, where, inherited = waiting.pop()
        if file.resolve() in seen:
            continue
        seen.add(file.resolve())
        try:
            raw = _stac_of(file)
            inherited = _inherited(raw, inherited)
            links = _links(raw, file, root, tell)
        except CorpusError as error:
            if file == root:
                raise
            yield CorpusError(f"{where}: {error}")
            continue
        if raw["type"] == "Feature":
            yield _item(raw, file, str(file), tell, inherited)
        for number, item in enumerate(raw["features"] if raw["type"] == "FeatureCollection" else (), 1):
            yield _item(item, file, f"{file}, item {number}", tell, inherited)
        yield from (link for link in links if isinstance(link, CorpusError))
        waiting += [
            (link, f"linked in {file}", inherited) for link in reversed(links) if isinstance(link, Path)
        ]


def _stac_of(file: Path) -> Json:
    raw = json_file(file)
    kind = raw.get("type") if isinstance(raw, dict) else None
    if kind not in ("Feature", "FeatureCollection", "Catalog", "Collection"):
        raise CorpusError(
            f"{file} is no STAC Item, list of Items, Catalog or Collection: its type is {str(kind)[:40]}."
        )
    if kind == "FeatureCollection" and not isinstance(raw.get("features"), list):
        raise CorpusError(f"{file} is no list of STAC Items: its features are none.")
    assert isinstance(raw, dict)
    return raw


def _links(raw: Json, file: Path, root: Path, tell: Tell) -> list[Path | CorpusError]:
    """The files of a catalogue's children and Items; links that lead elsewhere come as errors."""
    found: list[Path | CorpusError] = []
    with naming(f"{file}, links"):
        for link in raw.get("links") or ():
            if link.get("rel") == "next":
                tell(
                    f"{file} is one page of a search; the next is not followed: join all pages into one file."
                )
            if link.get("rel") not in _LINKS or raw["type"] not in ("Catalog", "Collection"):
                continue
            try:
                path = _path_of(str(link["href"]), file, f"{file}, link {link['rel']}")
                if not path.resolve().is_relative_to(root.resolve().parent):
                    raise CorpusError(
                        f"{file}, link {link['rel']}: {link['href']} leads out of {root.parent}, and is not followed."
                    )
                found.append(path)
            except CorpusError as error:
                found.append(error)
    return found


def _item(raw: Any, file: Path, where: str, tell: Tell, inherited: Stated) -> Candidate | CorpusError:
    try:
        with naming(where):
            if not isinstance(raw, dict) or not isinstance(raw.get("assets"), dict):
                raise ValueError("it is no STAC Item, for it has no assets")
            where = f"{where}, {str(raw['id'])[:80]}" if str(raw.get("id", "")) not in where else where
            return _candidate(raw, file, where, tell, inherited)
    except CorpusError as error:
        return error


def _candidate(raw: Json, file: Path, where: str, tell: Tell, inherited: Stated) -> Candidate:
    properties = raw.get("properties") or {}
    assets = {key: asset for key, asset in raw["assets"].items() if _may_be_image(key, asset)}
    if not assets:
        listed = ", ".join(raw["assets"]) or "none"
        raise CorpusError(f"{where}: none of its assets is a radar image (it has: {listed[:200]}).")
    here = {key: asset for key, asset in assets.items() if not is_remote(_local(str(asset["href"])))}
    key = min(here or assets, key=lambda key: _rank(key, assets[key]))
    asset, of_asset = assets[key], _asset_polarisations(key, assets[key])
    path = _path_of(str(asset["href"]), file, where)
    if len(assets) > 1:
        tell(f"{where}: of its images {', '.join(assets)} one is taken, {key}.")
    polarisations = of_asset or [str(one).upper() for one in properties.get("sar:polarizations") or ()]
    names = [str(properties.get(field) or "") for field in ("platform", "constellation")]
    facts = _about(properties)
    stated = Stated(
        sensor=sensor_of(names) or next((name for name in names if name), None),
        acquired=day_in(properties.get("datetime")) or day_in(properties.get("start_datetime")),
        polarisation=polarisations[0]
        if len(polarisations) == 1 and polarisations[0] in POLARISATIONS
        else None,
        licence=facts.licence or inherited.licence,
        attribution=facts.attribution or inherited.attribution,
    )
    where = f"{where}, {key}"
    return Candidate(path=path, where=where, name=name_of(str(raw["id"])), trusted=False, stated=stated)


def _may_be_image(key: str, asset: Json) -> bool:
    roles = {str(role).lower() for role in asset.get("roles") or ()}
    if "data" not in roles and roles & _NO_DATA_ROLES:
        return False
    file = PurePosixPath(urlparse(str(asset["href"])).path)
    named = {*words(key), *words(file.stem)}
    if not shows_ground(key) or named & _NO_DATA_WORDS:
        return False
    kind = str(asset.get("type") or "").lower()
    return any(media in kind for media in _MEDIA) or (not kind and file.suffix.lower() in _ENDINGS)


def _rank(key: str, asset: Json) -> tuple[int, int, int]:
    """Of several images: VV, HH, VH, HV, then those without; georeferenced before other forms; data before others."""
    named = _asset_polarisations(key, asset)
    ranks = [POLARISATIONS.index(one) for one in named if one in POLARISATIONS]
    kind = f"{asset.get('type') or ''} {asset['href']}".lower()
    media = next((number for number, media in enumerate((*_MEDIA, ".tif")) if media in kind), len(_MEDIA))
    return min(ranks, default=len(POLARISATIONS)), media, "data" not in (asset.get("roles") or ())


def _asset_polarisations(key: str, asset: Json) -> list[str]:
    said = asset.get("sar:polarizations")
    if said:
        return [str(one).upper() for one in said]
    texts = (key, PurePosixPath(str(asset["href"])).stem, str(asset.get("title") or ""))
    return next((found for text in texts if (found := polarisations_in(text))), [])


def _inherited(raw: Json, before: Stated) -> Stated:
    """Licence and credit of a Collection, for its Items."""
    with naming(f"the licence of {raw.get('id')}"):
        facts = _about(raw)
        return Stated(
            licence=facts.licence or before.licence, attribution=facts.attribution or before.attribution
        )


def _about(raw: Json) -> Stated:
    providers = [
        str(one["name"])
        for one in raw.get("providers") or ()
        if {"licensor", "producer"} & set(one.get("roles") or ())
    ]
    credit = raw.get("attribution") or raw.get("sci:citation") or ", ".join(providers)
    return Stated(licence=str(raw["license"]) if raw.get("license") else None, attribution=credit or None)


def _path_of(href: str, file: Path, where: str) -> Path:
    path = _local(href)  # a relative one may be a file's name as it is, or percent-encoded
    if not is_remote(path) and not (file.parent / path[:4096]).exists():
        path = unquote(path)
    return placed(file.parent, path, where)


def _local(href: str) -> str:
    """The path of a file: address; others stay as they are."""
    parsed = urlparse(href)
    if parsed.scheme == "file" and parsed.netloc in ("", "localhost"):
        path = unquote(parsed.path)
        return path[1:] if len(path) > 2 and path[2] == ":" else path  # /C:/scenes
    return href
