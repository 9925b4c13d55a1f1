"""AEF vectors as they are stored."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

NODATA_CODE = -128
"""The int8 code that stands for no data in every AEF file."""

STORED_AS = ("int8", "float16", "float32", "float64")
"""The types an AEF vector may be stored in."""


def vectors(stored: NDArray[Any], nodata: float | None = None) -> NDArray[np.float64]:
    """The vectors of stored rows [N, 64], NaN for rows without data.

    int8 codes v are de-quantised as AEF defines it, (v / 127.5)^2 with the sign of v; floats are left alone.

    Args:
        stored: int8 codes or floats.
        nodata: The file's own value for no data. One that a vector may hold too, such as 0, counts only where
            it fills a whole row.
    """
    values = stored.astype(np.float64)
    missing = np.zeros(len(values), dtype=bool)
    limit = 1.0
    if stored.dtype == np.int8:
        limit = 127.0
        missing = (stored == NODATA_CODE).any(axis=1)
    if nodata is not None:
        equal = values == nodata
        missing |= equal.any(axis=1) if abs(nodata) > limit else equal.all(axis=1)
    if stored.dtype == np.int8:
        values = (values / 127.5) ** 2 * np.sign(values)
    values[missing] = np.nan
    return values
