"""From the bytes of an answer to int8 codes."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

from fusar_gpt.errors import PriorError
from fusar_gpt.priors.field import DIMENSIONS
from fusar_gpt.priors.tiles import Codes
from fusar_gpt.priors.vectors import NODATA_CODE

BANDS = [f"A{band:02d}" for band in range(DIMENSIONS)]
SIDE_PX = 256
"""Side of an answer. At 64 doubles and 64 mask bytes a pixel, Earth Engine's 48 MB allow 295."""
NOWHERE = 2.0
"""Asked for in place of no data: no coordinate of a unit vector is that large."""

_PIXEL = np.dtype([(band, "<f8") for band in BANDS])
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}

_ROUNDING = 1e-6  # Earth Engine's doubles are the codes' values exactly; the closest two differ by 6e-5
_UNIT = 0.02  # how far quantising may move a length from 1; 0.006 among 2,560 real vectors
_ROWS = 32  # rows quantised at a time, so that fetches side by side need little memory


class Truncated(Exception):  # noqa: N818 - it never leaves this package
    """The answer ends too early: asking again may help."""


def doubles(content: bytes) -> NDArray[np.float64]:
    """The values of an NPY with the fields A00 to A63, float64 [256, 256, 64].

    Raises:
        PriorError: It is no NPY, or of another form.
        Truncated: It ends too early.
    """
    stream = io.BytesIO(content)
    try:
        shape, fortran, dtype = _HEADERS[np.lib.format.read_magic(stream)](stream)
    except (ValueError, KeyError) as error:
        raise PriorError(
            "What answers in Earth Engine's place sends no pixels: a proxy or a login page may be in between."
        ) from error
    if dtype != _PIXEL or fortran or shape != (SIDE_PX, SIDE_PX):
        raise PriorError(
            "Earth Engine's answer is no AEF, 256 x 256 pixels of 64 doubles: try another source."
        )
    missing = SIDE_PX * SIDE_PX * _PIXEL.itemsize - (len(content) - stream.tell())
    if missing:
        raise Truncated(f"{missing} bytes are missing")
    return np.frombuffer(content, "<f8", offset=stream.tell()).reshape(SIDE_PX, SIDE_PX, DIMENSIONS)


def quantised(values: NDArray[np.float64]) -> Codes:
    """The int8 codes that the values stand for, exactly: the inverse of ``priors.vectors.vectors``.

    Args:
        values: [H, W, 64]; ``NOWHERE`` in any band, or 0 in all as masked pixels are filled, is no data.

    Returns:
        int8 [64, H, W], -128 in all bands where there is no data.

    Raises:
        PriorError: A value is no code's, or a vector is not of unit length: this is no AEF.
    """
    codes = np.empty((DIMENSIONS, *values.shape[:2]), np.int8)
    for top in range(0, len(values), _ROWS):
        part = values[top : top + _ROWS]
        codes[:, top : top + _ROWS] = _quantised(part).transpose(2, 0, 1)
    return codes


def _quantised(values: NDArray[np.float64]) -> NDArray[np.int8]:
    missing = (values == NOWHERE).any(axis=2) | (values == 0).all(axis=2)
    values = np.where(missing[..., None], 0.0, values)
    steps = np.rint(np.sqrt(np.abs(values)) * 127.5)
    back = np.copysign((steps / 127.5) ** 2, values)
    with np.errstate(invalid="ignore"):  # a value that is not finite is no code's
        exact = (steps <= 127).all() and (np.abs(back - values) <= _ROUNDING).all()
    if not exact or (np.abs(np.linalg.norm(back[~missing], axis=1) - 1) > _UNIT).any():
        raise PriorError(
            "Earth Engine's vectors are no AEF, quantised and of unit length: try another source."
        )
    codes = np.copysign(steps, values).astype(np.int8)
    codes[missing] = NODATA_CODE
    return codes
