"""Conversations between the official openai client and a real server.

The engine sees bright blobs in the chips it is shown; the bundled model talks once, at the end.
"""

# ruff: noqa: RUF001 - Chinese has its own punctuation

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import openai
import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import OpenAI
from PIL import Image
from scripted_door import TOKEN, Door, open_door
from test_interpret import CHIP, TRUTH, ThresholdEngine, blobs, scene_file

from fusar_gpt.engine import Reply
from fusar_gpt.errors import Cancelled, FusarError, SceneError
from fusar_gpt.server.chat import grounding, routes
from fusar_gpt.server.chat.pictures import IMAGE_BYTES, read_picture
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


class Desk:
    """A door with a scene behind it, and an analyst who talks by the openai client."""

    def __init__(self, door: Door, engine: Seeing, scene: Path, client: OpenAI) -> None:
        self.door, self.engine, self.scene, self.client = door, engine, scene, client

    def ask(self, *messages: object, area: list | None = None, fusar: dict | None = None, **options: object):
        """A completion about the scene; messages are the user's and the assistant's in turn."""
        grounded = {"scene": str(self.scene), "area_crs": "EPSG:32631"} | (fusar or {})
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
def desk_at(folder: Path, **options: object) -> Iterator[Desk]:
    engine = Seeing()
    folder.mkdir(exist_ok=True)
    scene = scene_file(folder).rename(folder / "harbour.tif")
    with (
        open_door(folder, load=lambda: engine, **options) as door,
        OpenAI(base_url=f"{door.url}/v1", api_key=TOKEN, max_retries=0, timeout=20) as client,
    ):
        yield Desk(door, engine, scene, client)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with desk_at(tmp_path_factory.mktemp("desk"), heartbeat_s=0.1) as opened:
        yield opened


@pytest.fixture
def desk(shared: Desk) -> Desk:
    shared.engine.miscounts = 0
    shared.engine.gate.set()
    shared.engine.stopped.clear()
    return shared


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


def test_the_models_are_listed_as_openai_lists_them(desk: Desk) -> None:
    (model,) = desk.client.models.list().data
    assert (model.id, model.object, model.owned_by) == ("scripted", "model", "fusar-gpt")
    assert model.fusar["demonstration"] is True
    assert desk.client.models.retrieve("scripted").id == "scripted"
    with pytest.raises(openai.NotFoundError, match="it runs: scripted"):
        desk.client.models.retrieve("some/other")


def test_a_count_says_what_was_counted_and_checks_itself(desk: Desk) -> None:
    completion = desk.ask("count the ships here", area=NEAR_FIRST)
    assert completion.object == "chat.completion"
    assert completion.id.startswith("chatcmpl-")
    assert completion.choices[0].finish_reason == "stop"
    assert completion.choices[0].message.role == "assistant"
    assert text_of(completion) == (
        "1 ship.\nSelf-check: count and detections agree.\n\n"
        "Model: threshold (demonstration only). Prior: none."
    )
    usage = completion.usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert usage.completion_tokens > 0
    assert completion.fusar["run"]["task"] == "count"
    assert completion.fusar["run"]["prior"] == "none"
    check = completion.fusar["self_check"]
    assert check["agree"] is True
    assert check["targets"] == {"ship": {"counted": 1, "detected": 1, "agree": True}}
    assert check["run"]["task"] == "detect"
    (row,), (ship,) = features(completion, "answers"), features(completion, "detections")
    assert row["properties"]["count"] == 1
    assert ship["geometry"]["type"] == "Polygon"
    assert ship["scene_crs"] == "EPSG:32631"
    said = meant(completion)
    assert said[row["id"]] == ["1 ship"]
    assert said[ship["id"]] == ["Self-check: count and detections agree."]


def test_a_count_that_the_detections_contradict_says_so(desk: Desk) -> None:
    completion = desk.ask("how many ships?", area=BESIDE_SECOND)
    assert "Self-check: 1 ship counted, but 0 ships detected in the same area." in text_of(completion)
    assert "They disagree" in text_of(completion)
    assert completion.fusar["self_check"]["agree"] is False
    calm = desk.ask("how many ships?", area=BESIDE_SECOND, fusar={"self_check": False})
    assert calm.fusar["self_check"] is None
    assert words_of(calm) == "1 ship."


def test_every_chip_of_a_large_area_has_its_say(desk: Desk) -> None:
    completion = desk.ask("how many ships?")
    lines = words_of(completion).splitlines()
    chips = len([row for row in features(completion, "answers") if "chip" in row["properties"]])
    assert chips > 1
    assert all(line.startswith("Chip ") and f" of {chips}: " in line for line in lines[:-2])
    total = sum(
        row["properties"]["count"] for row in features(completion, "answers") if "chip" in row["properties"]
    )
    assert lines[-2] == f"In all: {total} ships."
    assert sum(int(line.split(": ")[1].split()[0]) for line in lines[:-2]) == total


def test_detections_are_listed_and_each_line_means_its_finding(desk: Desk) -> None:
    completion = desk.ask("Where are the ships?")
    ships = features(completion, "detections")
    assert len(ships) == len(TRUTH)
    said = meant(completion)
    for number, ship in enumerate(ships, 1):
        line = next(words for words in said[ship["id"]] if words.startswith(f"{number}. "))
        p = ship["properties"]
        assert line == (
            f"{number}. ship at {p['lat']:.5f}° N, {p['lon']:.5f}° E, "
            f"{p['length_m']:.0f} x {p['width_m']:.0f} m, score 0.75"
        )
    assert "4 ships detected; scores are token probabilities:" in text_of(completion)


def test_follow_ups_speak_of_the_same_findings(desk: Desk) -> None:
    first = desk.ask("find the ships", area=NEAR_FIRST)
    asked = desk.engine.asked
    again = desk.ask("find the ships", text_of(first), "what is the first one?", area=NEAR_FIRST)
    assert desk.engine.asked == asked + 1  # the classification alone
    (before,) = features(first, "detections")
    (after,) = features(again, "detections")
    assert before["id"] == after["id"]
    assert words_of(again).startswith("No. 1, at ")
    assert words_of(again).endswith("is taken for: ship.")
    assert meant(again)[after["id"]] == [words_of(again)]
    where = desk.ask("how many ships?", "1 ship.", "where are they?", area=NEAR_FIRST)
    assert features(where, "detections")[0]["id"] == before["id"]
    none = desk.ask("find the ships", "...", "what is the second one?", area=NEAR_FIRST)
    assert words_of(none) == "Only 1 detected here."
    size = desk.ask("find the ships", "...", "how long is the largest one?")
    longest = max(features(size, "detections"), key=lambda ship: ship["properties"]["length_m"])
    assert list(meant(size)) == [longest["id"]]


def test_cells_that_hold_something(desk: Desk) -> None:
    completion = desk.ask("which cells hold ships?", area=NEAR_FIRST)
    hits = [cell for cell in features(completion, "grid") if cell["properties"]["hit"]]
    (hit,) = hits
    cell = hit["properties"]["cell"]
    assert words_of(completion) == (
        f"Cells with ships: {cell}.\nCells are numbered 1 to 9, row by row from the top left."
    )
    assert meant(completion) == {hit["id"]: [f"Cells with ships: {cell}."]}
    nothing = desk.ask("which cells hold ships?", area=[150, 10, 170, 30])
    assert words_of(nothing).splitlines()[0] == "No cell holds ships."
    many = desk.ask("which cells hold ships?")
    hits = [cell for cell in features(many, "grid") if cell["properties"]["hit"]]
    assert f"Cells with ships in all: {len(hits)}." in words_of(many)


def test_a_small_area_or_a_box_is_one_object_and_a_large_one_is_described(desk: Desk) -> None:
    small = desk.ask("what is this?", area=[19, 29, 35, 39])
    assert words_of(small) == "The model takes it for: ship."
    assert small.fusar["run"]["task"] == "classify"
    box = {"type": "Feature", "geometry": outline(19, 29, 35, 39)}
    boxes = {"boxes": {"type": "FeatureCollection", "features": [box, box]}}
    assert words_of(desk.ask("what are these?", fusar=boxes)).count("ship") == 2
    large = desk.ask("what is this?", area=NEAR_FIRST)
    assert large.fusar["run"]["task"] == "describe"
    assert words_of(large) == WORDS.strip()
    (row,) = features(large, "answers")
    assert meant(large)[row["id"]] == [WORDS.strip()]


def test_a_free_question_takes_the_conversation_and_the_callers_settings_along(desk: Desk) -> None:
    options = {"temperature": 0.5, "seed": 7, "max_completion_tokens": 3}
    completion = desk.ask("is it busy?", "quite", "why?", area=NEAR_FIRST, **options)
    assert desk.engine.prompts[-1] == "ask user: is it busy? assistant: quite user: why?"
    assert (desk.engine.last.temperature, desk.engine.last.seed, desk.engine.last.max_tokens) == (0.5, 7, 3)
    assert completion.choices[0].finish_reason == "length"
    assert completion.usage.completion_tokens == 3
    desk.ask("count the ships", area=[11, 20, 60, 60], **options)
    assert (desk.engine.last.temperature, desk.engine.last.max_tokens > 3) == (0.0, True)


def test_chinese_is_answered_in_chinese(desk: Desk) -> None:
    completion = desk.ask("这里有多少艘船？", "1 艘舰船。", "它们在哪里？", area=NEAR_FIRST)
    (ship,) = features(completion, "detections")
    line = next(iter(meant(completion)[ship["id"]]))
    assert line.startswith("1. 舰船，位于 ")
    assert "自检：计数与检测一致。" in text_of(completion)
    assert text_of(completion).endswith("模型：threshold（仅供演示）。先验：无。")
    tanks = desk.ask("有多少坦克？", area=NEAR_FIRST)
    assert "does not know 'tank'; it knows: ship" in text_of(tanks)
    assert tanks.fusar == {
        "run": None,
        "findings": {"type": "FeatureCollection", "features": []},
        "self_check": None,
    }


def test_a_stream_says_the_same_as_a_whole_answer(desk: Desk) -> None:
    whole = desk.ask("where are the ships?")
    stream = desk.ask("where are the ships?", stream=True, stream_options={"include_usage": True})
    with stream:
        chunks = list(stream)
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(c.choices[0].delta.content or "" for c in chunks[:-1]) == text_of(whole)
    *most, last, usage = chunks
    assert [chunk.choices[0].finish_reason for chunk in [*most, last]] == [None] * len(most) + ["stop"]
    assert last.fusar["findings"] == whole.fusar["findings"]
    assert usage.choices == []
    assert usage.usage.total_tokens >= 0
    progress = [chunk.fusar["progress"] for chunk in most if hasattr(chunk, "fusar")]
    detections = [step["done"] for step in progress if step["task"] == "detect"]
    assert detections == list(range(progress[0]["chips"] + 1))


def test_words_arrive_as_they_are_made(desk: Desk) -> None:
    desk.engine.gate.clear()
    with desk.ask("describe the area", area=NEAR_FIRST, stream=True) as stream:
        said = ""
        for chunk in stream:
            said += chunk.choices[0].delta.content or ""
            if said:
                break
        assert said == "a"
        assert not desk.engine.gate.is_set()
        time.sleep(0.3)  # pings go by
        desk.engine.gate.set()
        for chunk in stream:
            said += chunk.choices[0].delta.content or ""
    assert said.startswith("a quiet  bay\nwith 船\n\nModel: ")


def test_silence_is_filled_with_comments(desk: Desk) -> None:
    desk.engine.gate.clear()
    body = {"model": "scripted", "stream": True, "messages": [{"role": "user", "content": "describe it"}]}
    body["fusar"] = {"scene": str(desk.scene), "area": outline(*NEAR_FIRST), "area_crs": "EPSG:32631"}
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with requests.post(
        f"{desk.door.url}/v1/chat/completions", json=body, headers=headers, stream=True, timeout=10
    ) as reply:
        assert reply.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        lines = reply.iter_lines()
        assert any(line == b": ping" for line in lines)
        desk.engine.gate.set()
        rest = list(lines)
    assert rest[-2:] == [b"data: [DONE]", b""] or rest[-1] == b"data: [DONE]"


def test_a_client_that_leaves_a_stream_stops_the_model(desk: Desk) -> None:
    desk.engine.gate.clear()
    with desk.ask("describe the area", area=NEAR_FIRST, stream=True) as stream:
        next(chunk for chunk in stream if chunk.choices[0].delta.content)
    assert desk.engine.stopped.wait(10)


def test_a_client_that_gives_up_waiting_stops_the_model(desk: Desk) -> None:
    desk.engine.gate.clear()
    with pytest.raises(openai.APITimeoutError):
        desk.ask("describe the area", area=NEAR_FIRST, timeout=0.5)
    assert desk.engine.stopped.wait(10)


def test_a_fault_in_the_middle_of_a_stream_is_told_to_the_client(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def speak(say, cancelled):
        say("a quiet")
        raise FusarError("the lights went out; try again")

    monkeypatch.setattr(desk.engine, "speak", speak)
    heard = ""
    with desk.ask("describe it", area=NEAR_FIRST, stream=True) as stream:
        try:
            for chunk in stream:
                heard += chunk.choices[0].delta.content or ""
        except openai.APIError as error:
            heard += f"; {error.message}"
    assert heard == "a quiet; the lights went out; try again"


def test_a_bug_says_nothing_about_the_server(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def see(request):
        raise RuntimeError("a secret of the server")

    monkeypatch.setattr(desk.engine, "see", see)
    with pytest.raises(openai.InternalServerError) as caught:
        desk.ask("describe the area", area=NEAR_FIRST)
    assert caught.value.body["message"] == "unexpected RuntimeError; the server's log says more"


def test_too_many_conversations_at_once_are_asked_to_come_back(desk: Desk) -> None:
    desk.engine.gate.clear()
    streams = [desk.ask("describe it", area=NEAR_FIRST, stream=True) for _ in range(routes.AT_A_TIME)]
    try:
        with pytest.raises(openai.RateLimitError) as caught:
            desk.ask("describe it", area=NEAR_FIRST)
        assert caught.value.response.headers["Retry-After"] == "2"
    finally:
        desk.engine.gate.set()
        for stream in streams:
            stream.close()
    patient = desk.client.with_options(max_retries=5)
    completion = patient.chat.completions.create(
        model="scripted",
        messages=[{"role": "user", "content": "describe it"}],
        extra_body={"fusar": {"scene": str(desk.scene)}},
    )
    assert "quiet" in text_of(completion)


def test_an_area_that_is_a_jobs_work_is_refused_before_the_model_is_asked(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grounding, "CHIPS", 2)
    asked = desk.engine.asked
    with pytest.raises(openai.BadRequestError, match="draw a smaller area, or start a job"):
        desk.ask("describe the area", stream=True)
    assert desk.engine.asked == asked


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


def test_plain_images_are_looked_at_and_findings_are_in_their_pixels(desk: Desk) -> None:
    wide = picture((100, 40, 130, 56), size=(4 * CHIP, CHIP))
    completion = desk.talk([shown(uri(picture()), uri(wide))])
    (ship,) = features(completion, "detections")
    assert ship["geometry"] is None
    assert ship["properties"]["image"] == 2
    xs, ys = zip(*ship["scene_geometry"]["coordinates"][0], strict=True)
    np.testing.assert_allclose((min(xs), min(ys), max(xs), max(ys)), (100, 40, 130, 56), atol=4.01)
    assert "Image 2 of 2: 1 ship\n" in text_of(completion)
    assert text_of(completion).endswith("Prior: none.")
    assert completion.fusar["run"]["scene"] == "2 images"
    follow = desk.talk([shown(uri(picture()), uri(wide)), "...", "what is the first one?"])
    assert words_of(follow).endswith("is taken for: ship.")
    described = desk.talk([shown(uri(wide, "JPEG"), text="what is this?")])
    assert words_of(described) == WORDS.strip()


def test_sixteen_bits_are_taken_for_amplitude(desk: Desk) -> None:
    pixels = np.random.default_rng(0).rayleigh(40, (CHIP, CHIP)).astype(np.uint16)
    pixels[40:50, 40:60] = 40_000
    completion = desk.talk([shown(uri(Image.fromarray(pixels)), text="how many ships?")])
    assert words_of(completion).startswith("1 ship.")
    black = Image.fromarray(np.zeros((9, 9), np.uint16))
    with pytest.raises(openai.BadRequestError, match="black all over"):
        desk.talk([shown(uri(black))])


PNG = uri(picture())


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("http://127.0.0.1:1/ship.png", "no URL is fetched"),
        ("https://example.org/ship.png", "no URL is fetched"),
        ("file:///etc/passwd", "no URL is fetched"),
        ("/etc/passwd", "no URL is fetched"),
        ("data:image/svg+xml;base64,PHN2Zy8+", "no URL is fetched"),
        (PNG.replace("image/png", "image/gif"), "no URL is fetched"),
        (PNG.replace(";base64", ""), "no URL is fetched"),
        (uri(picture(), "GIF").replace("image/gif", "image/png"), "no PNG or JPEG"),
        (uri(picture(), "TIFF").replace("image/tiff", "image/png"), "no PNG or JPEG"),
        (PNG[:-40], "no PNG or JPEG"),
        (PNG[:60] + "!!!!" + PNG[60:], "not valid base64"),
        ("data:image/png;base64,", "no PNG or JPEG"),
        (uri(Image.new("1", (20_000, 2_000))), "million pixels"),
    ],
)
def test_images_that_are_not_taken(desk: Desk, address: str, why: str) -> None:
    with pytest.raises(openai.BadRequestError, match=why):
        desk.talk([shown(address)])


def test_an_image_that_is_too_large_is_not_even_decoded() -> None:
    with pytest.raises(SceneError, match="over 8 MiB"):
        read_picture("data:image/png;base64," + "A" * (IMAGE_BYTES * 4 // 3 + 8))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_image_is_refused_or_read_and_nothing_else(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["PNG", "JPEG"]))
    content = bytearray(base64.b64decode(uri(picture((3, 3, 9, 9), size=(16, 16)), kind).partition(",")[2]))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(1, len(content)))]
    try:
        pixels = read_picture(f"data:image/png;base64,{base64.b64encode(content).decode('ascii')}")
    except SceneError:
        return
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 2


@pytest.mark.parametrize(
    ("change", "status", "param", "detail"),
    [
        ({"model": "other"}, 404, "model", "it runs: scripted"),
        ({"messages": []}, 400, "messages", "at least 1"),
        ({"messages": [{"role": "tool", "content": "x"}]}, 400, "messages.0.role", "Input should be"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, 400, None, "the last message must be"),
        ({"messages": [{"role": "user", "content": " "}]}, 400, None, "the last message must be"),
        ({"fusar": None}, 400, None, "nothing to look at"),
        ({"messages": [{"role": "user", "content": shown(PNG)}]}, 400, None, "not both"),
        ({"fusar": None, "messages": [{"role": "user", "content": shown(*[PNG] * 9)}]}, 400, None, "at most"),
        ({"tools": [{"type": "function"}]}, 400, None, "tools is not supported"),
        ({"n": 2}, 400, None, "n is not supported"),
        ({"logprobs": True}, 400, None, "logprobs is not supported"),
        ({"temperature": -1}, 400, "temperature", "greater than or equal"),
        ({"max_tokens": 0}, 400, "max_tokens", "greater than or equal"),
        ({"fusar": {"scene": "/etc/passwd"}}, 403, None, "outside the folders"),
        ({"fusar": {"scene": "https://example.org/a.tif"}}, 403, None, "URLs"),
        ({"fusar": {"scene": 5}}, 400, "fusar.scene", "valid string"),
        ({"fusar": {"scene": "/x", "surprise": 1}}, 400, "fusar.surprise", "not permitted"),
    ],
)
def test_refusals_are_openais_and_ours(
    desk: Desk, change: dict, status: int, param: str | None, detail: str
) -> None:
    body = {"model": "scripted", "messages": [{"role": "user", "content": "count ships"}]}
    body = body | {"fusar": {"scene": str(desk.scene)}} | change
    with pytest.raises(openai.APIStatusError) as caught:
        desk.client.post("/chat/completions", body=body, cast_to=object)
    error = caught.value
    assert (error.status_code, error.body["param"]) == (status, param)
    assert detail in error.body["message"]
    assert error.body["type"] == "invalid_request_error"
    assert error.response.headers["Content-Type"] == "application/problem+json"
    problem = error.response.json()
    assert (problem["status"], problem["detail"]) == (status, error.body["message"])
    assert "\n" not in problem["detail"]


def test_what_is_harmless_is_let_pass(desk: Desk) -> None:
    completion = desk.ask(
        "count ships", area=NEAR_FIRST, n=1, top_p=1.0, stop=[], user="me", response_format={"type": "text"}
    )
    assert words_of(completion).startswith("1 ship.")


def test_nobody_talks_without_the_token(desk: Desk) -> None:
    with (
        OpenAI(base_url=f"{desk.door.url}/v1", api_key="wrong", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError),
    ):
        client.models.list()


def test_an_area_beside_the_scene_is_a_plain_refusal_even_of_a_stream(desk: Desk) -> None:
    with pytest.raises(openai.BadRequestError, match="the area lies outside the scene"):
        desk.ask("describe it", area=[9000, 9000, 9100, 9100], stream=True)


def test_odd_characters_in_a_request_come_back_in_a_plain_refusal(desk: Desk) -> None:
    body = '{"model": "scripted", "messages": [{"role": "user", "content": "x"}], "fusar": {"\\ud800\\n": 1}}'
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    with requests.post(f"{desk.door.url}/v1/chat/completions", body, headers=headers, timeout=10) as reply:
        assert reply.status_code == 400
        assert reply.json()["error"]["param"]


def test_a_server_that_stops_does_not_wait_for_a_long_answer(tmp_path: Path) -> None:
    with desk_at(tmp_path) as desk:
        desk.engine.gate.clear()
        with desk.ask("describe the area", area=NEAR_FIRST, stream=True) as stream:
            next(chunk for chunk in stream if chunk.choices[0].delta.content)
            desk.door.stop()
            assert desk.engine.stopped.wait(10)


SAMPLES = Path(__file__).parents[2] / "backend" / "fusar_gpt" / "samples"


def test_the_bundled_model_talks_about_the_bundled_scene(tmp_path: Path) -> None:
    ring = [[3.0105, 55.0318], [3.0160, 55.0318], [3.0160, 55.0372], [3.0105, 55.0372], [3.0105, 55.0318]]
    command = [sys.executable, "-c", "import sys; from fusar_gpt.cli import main; sys.exit(main())", "serve"]
    command += ["--child", "--root", str(SAMPLES), "--state", str(tmp_path), "--device", "cpu"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as child:
        ready = json.loads(child.stdout.readline())
        with OpenAI(base_url=f"{ready['url']}/v1", api_key=ready["token"], timeout=300) as client:
            fusar = {
                "scene": str(SAMPLES / "harbour_simulated.tif"),
                "area": {"type": "Polygon", "coordinates": [ring]},
            }
            completion = client.chat.completions.create(
                model=client.models.list().data[0].id,
                messages=[{"role": "user", "content": "How many ships are here?"}],
                extra_body={"fusar": fusar | {"prior": str(SAMPLES / "harbour_simulated_prior.tif")}},
            )
        child.stdin.close()
        assert child.wait(30) == 0
    assert set(completion.fusar["self_check"]["targets"]) == {"ship"}
    assert features(completion, "detections")
    assert "(demonstration only)" in text_of(completion)
    assert "The scene is simulated." in text_of(completion)
    assert "Prior: none" not in text_of(completion)
