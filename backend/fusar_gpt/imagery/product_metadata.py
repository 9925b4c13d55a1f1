"""Product metadata from tags and the file's name: bands, polarisations, day of acquisition."""

from __future__ import annotations

import rasterio

from fusar_gpt.contract.bands import words
from fusar_gpt.contract.evidence import StoredBand


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


def describe_band(dataset: rasterio.DatasetReader, index: int, name: str, stem: str) -> StoredBand:
    """What the file says of a band's numbers: their type, scale, unit, and words that may tell what they are."""
    return StoredBand(
        dtype=dataset.dtypes[index - 1],
        name=f"{name} {dataset.units[index - 1] or ''}".strip(),
        context=StoredBand.context_of(stem, dataset.tags() | dataset.tags(index)),
        scale=dataset.scales[index - 1],
        offset=dataset.offsets[index - 1],
    )


def _polarisations(text: str) -> list[str]:
    return list(dict.fromkeys(word for word in words(text) if word in ("VV", "VH", "HH", "HV")))


def _polarisation_tag(tags: dict[str, str]) -> str | None:
    return next((word for key in tags if "POLAR" in key.upper() for word in _polarisations(tags[key])), None)
