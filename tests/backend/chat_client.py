"""A server whose engine sees bright blobs, and an analyst who talks to it by the official openai client."""

from __future__ import annotations

import base64
import io
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from openai import OpenAI
from PIL import Image
from scripted_server import TOKEN, ApiServer, serve_api
from test_interpret import CHIP, ThresholdEngine, blobs, scene_file

from fusar_gpt.engine import Reply
from fusar_gpt.errors import Cancelled
from fusar_gpt.tasks import cell_of
from fusar_gpt.tasks.compact import render_boxes, render_count, render_grid

WORDS = "a quiet  bay\nwith 船\n"


class Seeing(ThresholdEngine):
    """Answers every task from the pixels; free text comes word by word, and stops where ``gate`` is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.miscounts = 0
        self.gate = threading.Event()
        self.gate.set()
        self.stopped = threading.Event()
        self.prompts: list[str] = []
        self.last = None

    def answer(self, requests, cancelled=lambda: False, on_text=None):
        self.asked += len(requests)
        replies = []
        for place, request in enumerate(requests):
            self.prompts.append(request.prompt)
            self.last = request
            text = self.see(request)
            if text is None:
                text = WORDS
                self.speak(lambda piece, i=place: on_text and on_text(i, piece), cancelled)
            ends = tuple(range(1, len(text) + 1))[: request.max_tokens]
            finished = len(ends) == len(text)
            replies.append(Reply(text[: len(ends)], ends, np.full(len(ends), np.log(0.75)), finished))
        return replies

    def see(self, request) -> str | None:
        boxes = blobs(request.image > 200)
        task = request.prompt.split()[0]
        if task == "count":
            return render_count(len(boxes) + self.miscounts)
        if task == "detect":
            return render_boxes([(box, "ship") for box in boxes], (CHIP, CHIP))
        if task == "locate":
            return render_grid(cell_of(box, (CHIP, CHIP)) for box in boxes)
        return "ship" if task == "classify" else None

    def speak(self, say, cancelled) -> None:
        say("  a")
        while not self.gate.is_set():
            if cancelled():
                self.stopped.set()
                raise Cancelled("cancelled")
            time.sleep(0.002)
        for piece in (" quiet  ", "bay\n", "with 船", "\n"):
            say(piece)


class ChatClient:
    """A server with a scene, and an analyst who talks to it by the openai client."""

    def __init__(self, api: ApiServer, engine: Seeing, scene: Path, client: OpenAI) -> None:
        self.api, self.engine, self.scene, self.client = api, engine, scene, client

    def ask(self, *messages: object, area: list | None = None, fusar: dict | None = None, **options: object):
        """A completion about the scene; messages are the user's and the assistant's in turn."""
        grounded = {"scene": str(self.scene), "area_crs": "EPSG:32631", "prior": "none"} | (fusar or {})
        if area:
            grounded["area"] = outline(*area)
        return self.talk(messages, extra_body={"fusar": grounded}, **options)

    def talk(self, messages, **options):
        turns = [
            {"role": ("user", "assistant")[place % 2], "content": content}
            for place, content in enumerate(messages)
        ]
        return self.client.chat.completions.create(model="scripted", messages=turns, **options)


def outline(left: float, top: float, right: float, bottom: float) -> dict:
    """A rectangle of scene pixels as a polygon in the scene's CRS."""
    corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    return {"type": "Polygon", "coordinates": [[[593000 + 10 * x, 5749000 - 10 * y] for x, y in corners]]}


NEAR_FIRST = [10, 20, 60, 60]

BESIDE_SECOND = [100, 25, 118, 75]


@contextmanager
def chat_at(folder: Path, **options: object) -> Iterator[ChatClient]:
    engine = Seeing()
    folder.mkdir(exist_ok=True)
    scene = scene_file(folder).rename(folder / "harbour.tif")
    with (
        serve_api(folder, load=lambda: engine, **options) as api,
        OpenAI(base_url=f"{api.url}/v1", api_key=TOKEN, max_retries=0, timeout=20) as client,
    ):
        yield ChatClient(api, engine, scene, client)


def text_of(completion) -> str:
    return completion.choices[0].message.content


def words_of(completion) -> str:
    """The answer without its last line, which names model and prior."""
    return text_of(completion).rpartition("\n\n")[0]


def meant(completion) -> dict[str, list[str]]:
    """The words of the answer that mean findings, by the findings' ids."""
    text = text_of(completion)
    return {
        feature["id"]: [text[start:end] for start, end in feature["spans"]]
        for feature in completion.fusar["findings"]["features"]
        if feature["spans"]
    }


def features(completion, layer: str) -> list[dict]:
    found = completion.fusar["findings"]["features"]
    return [feature for feature in found if feature["properties"]["layer"] == layer]


def uri(image: Image.Image, kind: str = "PNG") -> str:
    content = io.BytesIO()
    image.save(content, kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(content.getvalue()).decode('ascii')}"


def picture(*boxes: tuple[int, int, int, int], size: tuple[int, int] = (CHIP, CHIP)) -> Image.Image:
    pixels = np.full(size[::-1], 20, np.uint8)
    for left, top, right, bottom in boxes:
        pixels[top:bottom, left:right] = 255
    return Image.fromarray(pixels)


def shown(*uris: str, text: str = "find the ships") -> list[dict]:
    images = [{"type": "image_url", "image_url": {"url": address, "detail": "high"}} for address in uris]
    return [{"type": "text", "text": text}, *images]


PNG = uri(picture())
