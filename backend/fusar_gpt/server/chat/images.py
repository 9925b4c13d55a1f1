"""Plain images in a conversation: read from data: URIs and interpreted as scenes without georeference."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import re
import struct
import uuid
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple, replace

import numpy as np
import shapely
from numpy.typing import NDArray
from PIL import Image

from fusar_gpt.contract import Event, Finding, Finished, Found, Progress, Run, SceneBox, Started, Task
from fusar_gpt.contract.stretch import to_decibel
from fusar_gpt.engine import Engine
from fusar_gpt.errors import SceneError
from fusar_gpt.imagery import Area, Stretch
from fusar_gpt.imagery.plain_image import PIXELS, plain_image
from fusar_gpt.interpret import RunIdentity, interpret
from fusar_gpt.planning import request_for

IMAGE_BYTES = 8 * 2**20
IMAGE_PIXELS = 25_000_000
IMAGES = 8

_DATA_URI = re.compile(r"data:image/(?:png|jpe?g)(?:;[a-z-]+=[\w.-]*)*;base64,", re.IGNORECASE)
_BROKEN = (
    OSError, ValueError, SyntaxError, EOFError, OverflowError, MemoryError, struct.error, zlib.error,
    Image.DecompressionBombError, Image.DecompressionBombWarning,
)  # fmt: skip
"""What Pillow raises on a damaged or malicious file."""

Pixels = NDArray[np.uint8]


def read_image(uri: str) -> Pixels:
    """The grey image, uint8 [height, width], of a data: URI. More than 8 bits are read as amplitude, as in a scene.

    Raises:
        SceneError: It is not a data: URI of a PNG or JPEG, or too large, or damaged. No address is ever fetched.
    """
    head = _DATA_URI.match(uri[:200])
    if head is None:
        raise SceneError(
            "images are taken as data:image/png;base64,... or data:image/jpeg;base64,... only; no URL is fetched"
        )
    if (len(uri) - head.end()) * 3 // 4 > IMAGE_BYTES:
        raise SceneError(
            f"the image is over {IMAGE_BYTES // 2**20} MiB: send a smaller one or upload a scene"
        )
    try:
        content = base64.b64decode(uri[head.end() :], validate=True)
    except (binascii.Error, ValueError) as error:
        raise SceneError("the image is not valid base64: encode the file's bytes again") from error
    try:
        with Image.open(io.BytesIO(content), formats=("PNG", "JPEG")) as image:
            if image.width * image.height > IMAGE_PIXELS:
                raise SceneError(
                    f"the image has more than {IMAGE_PIXELS // 10**6} million pixels: cut it, or upload a scene"
                )
            return _grey(image)
    except _BROKEN as error:
        raise SceneError("the image is not a readable PNG or JPEG: save it again") from error


def _grey(image: Image.Image) -> Pixels:
    if not image.mode.startswith("I"):
        return np.asarray(image.convert("L"))
    levels = to_decibel(np.asarray(image).astype(np.float32), "amplitude")
    if not np.isfinite(levels).any():
        raise SceneError("the image is black all over: send another one")
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
                ground_m=max(width, height * engine.card.width / engine.card.height),
                overlap=0.0,
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
