"""Plain images in a conversation: read from data: URIs and interpreted as scenes without georeference."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import re
import struct
import threading
import uuid
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple, replace

import numpy as np
import shapely
from numpy.typing import NDArray
from PIL import Image

from fusar_gpt.contract import (
    NO_PRIOR,
    Event,
    Finding,
    Finished,
    Found,
    Progress,
    Run,
    SceneBox,
    Started,
    Task,
)
from fusar_gpt.contract.stretch import to_decibel
from fusar_gpt.engine import Engine
from fusar_gpt.errors import SceneError, TooLarge
from fusar_gpt.imagery import Area, Stretch
from fusar_gpt.imagery.plain_image import PIXELS, plain_image
from fusar_gpt.interpret import RunIdentity, interpret
from fusar_gpt.planning import request_for

IMAGE_BYTES = 8 * 2**20
IMAGE_PIXELS = 25_000_000
ALL_PIXELS = 50_000_000
"""The most pixels of all images of one answer."""
IMAGES = 8
SIDE = 10_000
"""The longest side of an image in pixels."""
ASPECT = 20
"""The most times that one side may be as long as the other: the model's frame is filled up with black around it."""
SCANS = 100
"""The most scans of a progressive JPEG; each is decoded over the whole image, so a small file could take hours."""

_DATA_URI = re.compile(r"data:image/(?:png|jpe?g)(?:;[a-z-]+=[\w.-]*)*;base64,", re.IGNORECASE)
_START_OF_SCAN = b"\xff\xda"
_BROKEN = (
    OSError, ValueError, SyntaxError, EOFError, OverflowError, MemoryError, struct.error, zlib.error,
)  # fmt: skip
"""What Pillow raises on a damaged or malicious file."""
_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)

_decoding = threading.Lock()  # several large images at a time would take several times the memory

Pixels = NDArray[np.uint8]


class PictureError(SceneError):
    """The image cannot be read as one picture."""


def read_images(uris: Sequence[str]) -> dict[int, Pixels]:
    """The images of one question by number, from 1 on.

    Raises:
        PictureError, TooLarge: As :func:`read_image`; too large also for all images together.
    """
    if len(uris) > IMAGES:
        raise TooLarge(f"a message takes at most {IMAGES} images, this one has {len(uris)}: send fewer")
    images: dict[int, Pixels] = {}
    for number, uri in enumerate(uris, 1):
        images[number] = read_image(uri)
        if sum(pixels.size for pixels in images.values()) > ALL_PIXELS:
            raise TooLarge(
                f"the images have more than {ALL_PIXELS // 10**6} million pixels together: send fewer or smaller ones"
            )
    return images


def read_image(uri: str) -> Pixels:
    """The grey image, uint8 [height, width], of a data: URI. More than 8 bits are read as amplitude, as in a scene.

    Raises:
        PictureError: It is not a data: URI of one PNG or JPEG, or damaged. No address is ever fetched.
        TooLarge: It has too many bytes or pixels, or is too long for its width. Its pixels are not decoded.
    """
    head = _DATA_URI.match(uri[:200])
    if head is None:
        raise PictureError(
            "images are taken as data:image/png;base64,... or data:image/jpeg;base64,... only; no URL is fetched"
        )
    if (len(uri) - head.end()) * 3 // 4 > IMAGE_BYTES:
        raise TooLarge(f"the image is over {IMAGE_BYTES // 2**20} MiB: send a smaller one or upload a scene")
    try:
        content = base64.b64decode(uri[head.end() :], validate=True)
    except (binascii.Error, ValueError) as error:
        raise PictureError("the image is not valid base64: encode the file's bytes again") from error
    if content.count(_START_OF_SCAN) > SCANS:
        raise TooLarge(f"the image has over {SCANS} scans: save it as a plain (baseline) JPEG")
    try:
        with _decoding, Image.open(io.BytesIO(content), formats=("PNG", "JPEG")) as image:
            _check_size(image)
            return _grey(image)
    except _BOMBS as error:
        raise _too_many_pixels() from error
    except _BROKEN as error:
        raise PictureError("the image is not a readable PNG or JPEG: save it again") from error


def _check_size(image: Image.Image) -> None:
    """Raise unless an image that was opened but not decoded is one picture of a size that is taken."""
    short, long = sorted(image.size)
    if image.width * image.height > IMAGE_PIXELS:
        raise _too_many_pixels()
    if long > SIDE or long > ASPECT * short:
        raise TooLarge(
            f"the image of {image.width} x {image.height} px has a side over {SIDE} px, or over {ASPECT} times the "
            "other: cut it, or upload a scene"
        )
    if (frames := getattr(image, "n_frames", 1)) > 1:
        raise PictureError(f"the image is a sequence of {frames} pictures: save one of them alone")


def _too_many_pixels() -> TooLarge:
    return TooLarge(
        f"the image has more than {IMAGE_PIXELS // 10**6} million pixels: cut it, or upload a scene"
    )


def _grey(image: Image.Image) -> Pixels:
    if not image.mode.startswith("I"):
        return np.asarray(image.convert("L"))
    levels = to_decibel(np.asarray(image).astype(np.float32), "amplitude")
    if not np.isfinite(levels).any():
        raise PictureError("the image is black all over: send another one")
    return Stretch.of_samples(levels).quantise(levels)


def interpret_images(
    images: Mapping[int, Pixels],
    task: Task,
    engine: Engine,
    cancelled: Callable[[], bool],
    *,
    targets: Sequence[str] = (),
    question: str | None = None,
    boxes: Sequence[SceneBox] = (),
) -> Iterator[Event]:
    """Interpret each image as a scene without georeference, shown to the model whole: the events of one run.

    Findings have no ``lonlat``; their ``geometry`` and ``box`` are in pixels of the image whose number, from 1 on, is
    in the column ``image``.

    Args:
        images: The images by number, at least one.
        task: The task.
        engine: The engine.
        cancelled: Whether the client has left.
        targets: The classes; empty for all that the checkpoint knows.
        question: The question of the task ``ask``.
        boxes: The objects to classify, in pixels of every image.
    """
    name = "image" if len(images) == 1 else f"{len(images)} images"
    fingerprint = hashlib.sha256(b"".join(pixels.tobytes() for pixels in images.values())).hexdigest()
    identity = RunIdentity.new()
    run: Run | None = None
    findings: list[Finding] = []
    for done, (number, pixels) in enumerate(images.items(), 1):
        height, width = pixels.shape
        with plain_image(pixels, name) as path:
            request = request_for(
                path,
                task,
                targets=tuple(targets),
                question=question,
                boxes=[Area(shapely.box(*astuple(box)), PIXELS) for box in boxes],
                ground_m=max(width, height * engine.card.width / engine.card.height, engine.card.width),
                overlap=0.0,
                prior=NO_PRIOR,
            )
            for event in interpret(request, engine, cancelled, identity=identity):
                if isinstance(event, Started) and run is None:
                    run = replace(
                        event.run, scene_crs="", scene_fingerprint=fingerprint, chip_ground_m=0.0, area=""
                    )
                    yield Started(run, len(images))
                elif isinstance(event, Found):
                    found = tuple(_of_image(finding, number) for finding in event.added)
                    findings += found
                    yield Found(found)
                elif isinstance(event, Progress):
                    yield Progress(done, len(images))
    if run is not None:
        yield Finished(run, tuple(findings))


def _of_image(finding: Finding, number: int) -> Finding:
    """The finding in the pixels of its image, whose number is in its columns and its id."""
    columns = finding.properties | {"chip": number - 1, "image": number}
    name = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{finding.id} {number}"))
    return replace(finding, id=name, crs="", properties=columns)
