"""Plain images in a conversation: read from data: URIs, asked about like chips, found things in image pixels."""

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
from dataclasses import dataclass
from datetime import datetime, timezone

import numpy as np
import shapely
from numpy.typing import NDArray
from PIL import Image

from fusar_gpt import __version__
from fusar_gpt.contract import (
    NO_PRIOR,
    Event,
    Finding,
    Finished,
    Found,
    Layer,
    Progress,
    Run,
    SceneBox,
    Started,
    Value,
    read_outline,
)
from fusar_gpt.engine import Engine, Reply, Request
from fusar_gpt.errors import SceneError
from fusar_gpt.frames import ChipBox, SceneWindow, chip_corners
from fusar_gpt.imagery import Stretch
from fusar_gpt.imagery.chips import ResizePlan
from fusar_gpt.imagery.quantise import to_decibel
from fusar_gpt.model import Card
from fusar_gpt.tasks import Answer, Boxes, Count, Grid, Label, Question, Text, prompt_set

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


@dataclass(frozen=True, eq=False)
class View:
    """An image as the model sees it: ``pixels`` [card.height, card.width] of one that is width x height."""

    pixels: Pixels
    plan: ResizePlan
    width: int
    height: int

    @classmethod
    def of(cls, uri: str, card: Card) -> View:
        """The view of a data: URI. Raises SceneError as :func:`read_picture` does."""
        picture = read_picture(uri)
        pixels, plan = fit(picture, card)
        return cls(pixels, plan, picture.shape[1], picture.shape[0])


def read_picture(uri: str) -> Pixels:
    """The grey image [h, w] uint8 of a data: URI. More than 8 bits are taken for amplitude, as in a scene.

    Raises:
        SceneError: It is no data: URI of a PNG or JPEG, or too large, or damaged. No address is ever fetched.
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
        raise SceneError("the image is no PNG or JPEG that can be read: save it again") from error


def _grey(image: Image.Image) -> Pixels:
    if not image.mode.startswith("I"):
        return np.asarray(image.convert("L"))
    levels = to_decibel(np.asarray(image).astype(np.float32), "amplitude")
    if not np.isfinite(levels).any():
        raise SceneError("the image is black all over: send another one")
    return Stretch.of_samples(levels).quantise(levels)


def fit(pixels: Pixels, card: Card) -> tuple[Pixels, ResizePlan]:
    """An image as the model sees it: uint8 [card.height, card.width], and the way back to image pixels.

    The whole image is shown, stretched to the frame or with black beside it as the card says, and magnified at
    most twofold, as scenes are.
    """
    height, width = pixels.shape
    least_width, least_height = -(-card.width // 2), -(-card.height // 2)
    if card.aspect == "stretched":
        width, height = max(width, least_width), max(height, least_height)
    else:
        width = max(width, -(-height * card.width // card.height), least_width)
        height = max(-(-width * card.height // card.width), height)
    plan = ResizePlan(
        SceneWindow(0, 0, width, height), card.width, card.height, card.token_rows, card.token_cols
    )
    whole = np.zeros((height, width), np.uint8)
    whole[: pixels.shape[0], : pixels.shape[1]] = pixels
    factor = max(min(width // (2 * card.width), height // (2 * card.height)), 1)
    reduced = Image.fromarray(whole).reduce(factor)
    box = (0.0, 0.0, width / factor, height / factor)
    return np.array(reduced.resize((card.width, card.height), Image.Resampling.BICUBIC, box=box)), plan


def interpret_pictures(
    views: Mapping[int, View],
    ask: Callable[[ResizePlan], Sequence[Question]],
    engine: Engine,
    cancelled: Callable[[], bool],
) -> Iterator[Event]:
    """Ask about images as :func:`~fusar_gpt.interpret.interpret` asks about a scene: the same events.

    Findings have no ``lonlat``; their ``geometry`` and ``box`` are in image pixels, their column ``image`` is
    the image's number.

    Args:
        views: The images by number, at least one.
        ask: What to ask of an image that is shown so.
        engine: Who answers.
        cancelled: Whether the client has left.
    """
    wording = prompt_set(engine.card.prompt_set)
    run = _run(views, ask(next(iter(views.values())).plan), engine)
    yield Started(run, len(views))
    found: list[Finding] = []
    for done, (number, view) in enumerate(views.items(), 1):
        size = (view.plan.width, view.plan.height)
        questions = ask(view.plan)
        none = np.zeros((0, 64), np.float32), np.zeros((0, 2), np.float32)
        requests = [
            Request(view.pixels, *none, wording.prompt(q, size), wording.grammar(q), wording.max_tokens(q))
            for q in questions
        ]
        place = _Place(number, view, run)
        here: list[Finding] = []
        for question, reply in zip(questions, engine.answer(requests, cancelled), strict=True):
            answer = wording.parse(question, reply.text, size, finished=reply.finished)
            here += place.findings(answer, question, reply)
        found += here
        if here:
            yield Found(tuple(here))
        yield Progress(done, len(views))
    yield Finished(run, tuple(found))


class _Place:
    """Puts answers about one image into its pixels."""

    def __init__(self, number: int, view: View, run: Run) -> None:
        self._number, self._plan, self._run = number, view.plan, run
        self._bounds = shapely.box(0, 0, view.width, view.height)
        self._made = 0

    def findings(self, answer: Answer, question: Question, reply: Reply) -> list[Finding]:
        """As :func:`~fusar_gpt.findings.georeference`, but in the pixels of the image."""
        found: list[Finding | None] = []
        if isinstance(answer, Boxes):
            for seen in answer.boxes:
                row: dict[str, Value] = {"label": seen.label, "score": reply.score(seen.span)}
                found.append(self._finding("detections", seen.box, row, question))
        elif isinstance(answer, Grid) and answer.complete:
            width, height = self._plan.width / 3, self._plan.height / 3
            for cell in range(1, 10):
                down, right = divmod(cell - 1, 3)
                box = ChipBox(right * width, down * height, (right + 1) * width, (down + 1) * height)
                found.append(
                    self._finding("grid", box, {"cell": cell, "hit": cell in answer.cells}, question)
                )
        if not (isinstance(answer, (Boxes, Grid)) and answer.complete):
            box = question.box or ChipBox(0, 0, self._plan.width, self._plan.height)
            found.append(self._finding("answers", box, _columns(answer, question, reply), question))
        return [finding for finding in found if finding is not None]

    def _finding(
        self, layer: Layer, box: ChipBox, columns: dict[str, Value], question: Question
    ) -> Finding | None:
        """The finding, cut to the image: there is nothing beside it."""
        self._made += 1
        corners = self._plan.chip_to_scene(chip_corners(box))
        at = shapely.box(corners.x.min(), corners.y.min(), corners.x.max(), corners.y.max())
        inside = at.intersection(self._bounds)
        if inside.area == 0:
            return None
        shared: dict[str, Value] = {
            "target": question.target,
            "chip": self._number - 1,
            "image": self._number,
        }
        name = f"{self._run.id} {self._number} {question} {self._made}"
        return Finding(
            id=str(uuid.uuid5(uuid.NAMESPACE_OID, name)),
            layer=layer,
            geometry=read_outline(shapely.geometry.mapping(inside)),
            crs="",
            lonlat=None,
            box=SceneBox(*inside.bounds),
            properties=columns | shared | {"prior_nodes": 0} | self._run.provenance(),
        )


def _columns(answer: Answer, question: Question, reply: Reply) -> dict[str, Value]:
    """The row of an answer that is no box and no grid."""
    return {
        "task": question.task.value,
        "question": question.text,
        "count": answer.value if isinstance(answer, Count) else None,
        "label": answer.label if isinstance(answer, Label) else None,
        "text": answer.text if isinstance(answer, Text) else None if answer.complete else answer.raw,
        "score": reply.score((0, len(reply.text))),
        "complete": answer.complete,
    }


def _run(views: Mapping[int, View], questions: Sequence[Question], engine: Engine) -> Run:
    """The provenance of answers about images: no place, no prior, grey levels as they are."""
    size = (engine.card.width, engine.card.height)
    wording = prompt_set(engine.card.prompt_set)
    return Run(
        id=uuid.uuid4().hex,
        version=__version__,
        model=engine.card.name,
        model_hash=engine.hash,
        demonstration=engine.card.demonstration,
        task=questions[0].task.value,
        targets=tuple(question.target for question in questions if question.target),
        prompts=tuple(wording.prompt(question, size) for question in questions),
        scene="image" if len(views) == 1 else f"{len(views)} images",
        scene_crs="",
        scene_fingerprint=hashlib.sha256(
            b"".join(view.pixels.tobytes() for view in views.values())
        ).hexdigest(),
        scene_simulated=False,
        band="1",
        quantity="grey",
        stretch_low_db=0.0,
        stretch_high_db=255.0,
        chip_ground_m=0.0,
        overlap=0.0,
        area="",
        started=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        prior=NO_PRIOR,
        aspect=engine.card.aspect,
    )
