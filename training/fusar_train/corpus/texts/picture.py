"""The picture of a slice as it is sent: grey or RGB, no larger than wanted, without anything but pixels."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

from PIL import Image

from fusar_train.corpus.record import Record

_QUALITY = 90  # speckle as PNG is three times as large, and models reduce pictures anyway


@dataclass(frozen=True)
class Picture:
    """A JPEG file without metadata, its (width, height), and that of the record's window."""

    jpeg: bytes
    size: tuple[int, int]
    stored: tuple[int, int]

    def url(self) -> str:
        """As a data URL, which is how OpenAI-compatible endpoints take pictures."""
        return "data:image/jpeg;base64," + base64.b64encode(self.jpeg).decode()


def picture_of(record: Record, max_px: int) -> Picture:
    """The record's window, reduced so that neither side is longer than ``max_px``.

    Raises:
        CorpusError: The image cannot be read.
    """
    image = Image.fromarray(record.pixels())
    stored = image.size
    size = sent_size(stored, max_px)
    if size != stored:
        image = image.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=_QUALITY)
    return Picture(stream.getvalue(), size, stored)


def sent_size(size: tuple[int, int], max_px: int) -> tuple[int, int]:
    """The (width, height) that a picture of that size is sent with."""
    share = min(max_px / max(size), 1.0)
    return max(round(size[0] * share), 1), max(round(size[1] * share), 1)
