"""The latest scenes' samples: each area of a batch, and each question of a chat, opens its scene anew."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from pathlib import Path

import rasterio

from fusar_gpt.contract.sample import BandSample

_KEPT = 16  # of at most 5 MB
_SAMPLES: dict[Hashable, BandSample] = {}
_LOCK = threading.Lock()


def cached_sample(
    dataset: rasterio.DatasetReader, indexes: tuple[int, ...], read: Callable[[], BandSample]
) -> BandSample:
    """What ``read`` returned for these bands of a dataset last, while its files are unchanged."""
    try:
        states = [(name, Path(name).stat()) for name in dataset.files]
    except OSError:  # in an archive, or in memory
        return read()
    files = tuple((name, state.st_ino, state.st_size, state.st_mtime_ns) for name, state in states)
    key = (dataset.name, indexes, files)
    with _LOCK:
        found = _SAMPLES.get(key)
    if found is None:
        found = read()
        with _LOCK:
            _SAMPLES[key] = found
            while len(_SAMPLES) > _KEPT:
                del _SAMPLES[next(iter(_SAMPLES))]
    return found
