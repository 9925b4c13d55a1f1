"""Product metadata from tags and the file's name: bands, polarisations, day of acquisition."""

from __future__ import annotations

import re

import rasterio

from fusar_gpt.errors import SceneError


def tokens(text: str) -> list[str]:
    """The words of a name in upper case: 'S1_vv-db.tif' -> S1, VV, DB, TIF."""
    return re.findall(r"[A-Z0-9]+", text.upper())


def band_names(dataset: rasterio.DatasetReader, stem: str) -> tuple[str, ...]:
    """Each band's description or polarisation tag, else the polarisations that file tags or name list."""
    tags = dataset.tags()
    listed = [
        _polarisations(" ".join(tags[key] for key in tags if "POLAR" in key.upper())),
        _polarisations(stem),
    ]
    fallback = next((found for found in listed if len(found) == dataset.count), [])
    fallback = fallback or [f"band {number}" for number in dataset.indexes]
    return tuple(
        dataset.descriptions[number - 1] or _polarisation_tag(dataset.tags(number)) or fallback[number - 1]
        for number in dataset.indexes
    )


def choose_band(names: tuple[str, ...], band: str | int | None) -> int:
    """The 1-based number of the band meant by a number, a whole name, or one word of a name (a polarisation).

    Raises:
        SceneError: There is no such band; the message lists those there are.
    """
    wanted = ["VV", "HH"] if band is None else [str(band).strip().upper()]
    for word in wanted:
        if word.isdecimal() and 1 <= int(word) <= len(names):
            return int(word)
        whole = [number for number, name in enumerate(names, 1) if name.upper() == word]
        part = [number for number, name in enumerate(names, 1) if word in tokens(name)]
        if whole or part:
            return (whole or part)[0]
    if band is None:
        return 1
    have = ", ".join(f"{number} = {name}" for number, name in enumerate(names, 1))
    raise SceneError(f"the scene has no band '{band}'; it has: {have}")


def _polarisations(text: str) -> list[str]:
    return list(dict.fromkeys(word for word in tokens(text) if word in ("VV", "VH", "HH", "HV")))


def _polarisation_tag(tags: dict[str, str]) -> str | None:
    return next((word for key in tags if "POLAR" in key.upper() for word in _polarisations(tags[key])), None)
