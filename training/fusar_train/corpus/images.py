"""Image files to grey or RGB arrays of 8 bits, windows of them, and when two are the same picture."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from fusar_gpt.contract.stretch import Stretch, to_decibel
from fusar_gpt.frames import SceneWindow
from fusar_train.corpus.errors import CorpusError

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff")
AS_THEY_ARE = ("L", "RGB")
"""Pillow's modes that a record stores; others are converted."""

PNG_LEVEL = 1
"""Speckle hardly compresses: a higher level is several times slower and saves little."""

Source = Path | BinaryIO

Turn = Literal["left as stored", "turned"]
"""What became of an image whose EXIF orientation says that viewers should turn it."""

_ORIENTATION = 0x0112


def read_image(source: Source, name: str, *, turned: bool = False) -> NDArray[np.uint8]:
    """An image as uint8 [h, w], or [h, w, 3] if it has colours.

    More than 8 bits, or floats, are taken for amplitude and quantised as the backend quantises a scene. The pixels are
    those stored; with ``turned``, those that viewers show by the EXIF orientation.

    Raises:
        CorpusError: ``name`` is missing, no image, cut short, or larger than Pillow deems safe (89 Mpx).
    """
    with _open(source, name) as stored:
        image = ImageOps.exif_transpose(stored) if turned else stored
        if image.mode[0] in "IF":
            return _quantised(np.asarray(image, dtype=np.float32), name)
        if image.mode in ("RGB", "RGBA", "P", "CMYK", "YCbCr"):
            return _without_colour(image.convert("RGB"))
        return np.array(image.convert("L"))


def image_facts(source: Source, name: str) -> tuple[tuple[int, int], str]:
    """(width, height) and Pillow's mode, from the header alone; CorpusError as ``read_image``."""
    with _open(source, name) as image:
        return image.size, image.mode


def turn_of(source: Source, name: str = "") -> int:
    """The EXIF orientation, 2 to 8, of an image that viewers turn or mirror; 0 for all others."""
    with _open(source, name or str(source)) as image:
        orientation = image.getexif().get(_ORIENTATION, 1)
    return orientation if orientation in range(2, 9) else 0


def crop(image: NDArray[np.uint8], window: SceneWindow) -> NDArray[np.uint8]:
    """The window of an image [h, w(, 3)], 0 where it reaches outside."""
    height, width = image.shape[:2]
    left, top = max(window.col, 0), max(window.row, 0)
    right, bottom = min(window.col + window.width, width), min(window.row + window.height, height)
    if (left, top, right - left, bottom - top) == (window.col, window.row, window.width, window.height):
        return image[top:bottom, left:right]
    cut = np.zeros((window.height, window.width, *image.shape[2:]), np.uint8)
    if left < right and top < bottom:
        rows = slice(top - window.row, bottom - window.row)
        cut[rows, left - window.col : right - window.col] = image[top:bottom, left:right]
    return cut


def digest(image: NDArray[np.uint8]) -> bytes:
    """SHA-256 of the pixels, the same for the eight turned and mirrored forms of a picture and no other."""
    turned = [np.rot90(image, quarters) for quarters in range(4)]
    forms = (np.ascontiguousarray(form) for one in turned for form in (one, one[:, ::-1]))
    return min(hashlib.sha256(repr(form.shape).encode() + form.tobytes()).digest() for form in forms)


@contextmanager
def _open(source: Source, name: str) -> Iterator[Image.Image]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(source) as image:
                yield image
    except FileNotFoundError:
        raise CorpusError(f"{name} does not exist: check the path, or remove its record.") from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise CorpusError(f"{name} has more than 89 million pixels: cut it into pieces first.") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise CorpusError(f"{name} is no readable image ({error}): get it again.") from error


def _quantised(stored: NDArray[np.float32], name: str) -> NDArray[np.uint8]:
    db = to_decibel(stored, "amplitude")
    if not np.isfinite(db).any():
        raise CorpusError(f"{name} holds no data: remove its record.")
    return Stretch.of_samples(db, "amplitude").quantise(db)


def _without_colour(image: Image.Image) -> NDArray[np.uint8]:
    """One channel where all three are equal, as in SAR stored as JPEG."""
    channels = image.split()
    red, green, blue = (channel.tobytes() for channel in channels)
    return np.array(channels[0] if red == green == blue else image)
