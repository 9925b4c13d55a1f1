"""Answers as they are made, by the official openai client; who leaves stops the model."""

from __future__ import annotations

import json
import time
from pathlib import Path

import openai
import pytest
import requests
import shapely
from chat_client import (
    NEAR_FIRST,
    ChatClient,
    chat_at,
    outline,
    text_of,
)
from scripted_server import TOKEN

from fusar_gpt.errors import FusarError
from fusar_gpt.server.chat import routes


def test_a_stream_says_the_same_as_a_whole_answer(chat: ChatClient) -> None:
    whole = chat.ask("where are the ships?")
    stream = chat.ask("where are the ships?", stream=True, stream_options={"include_usage": True})
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


def test_an_answer_says_where_each_chip_lies_that_it_saw(chat: ChatClient) -> None:
    with chat.ask("how many ships are here?", stream=True) as stream:
        *most, last = list(stream)
    (chips,) = {chunk.fusar["progress"]["chips"] for chunk in most if hasattr(chunk, "fusar")}
    places = [shapely.from_geojson(json.dumps(chip["footprint"])) for chip in last.fusar["chips"]]
    assert {chip["crs"] for chip in last.fusar["chips"]} == {"EPSG:32631"}
    assert len(places) == chips > 1  # the run that checks saw the same ones
    scene = shapely.union_all(places)
    for feature in last.fusar["findings"]["features"]:
        assert scene.buffer(1).covers(shapely.from_geojson(json.dumps(feature["scene_geometry"])))


def test_words_arrive_as_they_are_made(chat: ChatClient) -> None:
    chat.engine.gate.clear()
    with chat.ask("describe the area", area=NEAR_FIRST, stream=True) as stream:
        said = ""
        for chunk in stream:
            said += chunk.choices[0].delta.content or ""
            if said:
                break
        assert said == "a"
        assert not chat.engine.gate.is_set()
        time.sleep(0.3)  # pings go by
        chat.engine.gate.set()
        for chunk in stream:
            said += chunk.choices[0].delta.content or ""
    assert said.startswith("a quiet  bay\nwith 船\n\nUnderstood as: describe the area.\nModel: ")


def test_silence_is_filled_with_comments(chat: ChatClient) -> None:
    chat.engine.gate.clear()
    body = {"model": "scripted", "stream": True, "messages": [{"role": "user", "content": "describe it"}]}
    body["fusar"] = {"scene": str(chat.scene), "area": outline(*NEAR_FIRST), "area_crs": "EPSG:32631"}
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with requests.post(
        f"{chat.api.url}/v1/chat/completions", json=body, headers=headers, stream=True, timeout=10
    ) as reply:
        assert reply.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        lines = reply.iter_lines()
        assert any(line == b": ping" for line in lines)
        chat.engine.gate.set()
        rest = list(lines)
    assert rest[-2:] == [b"data: [DONE]", b""] or rest[-1] == b"data: [DONE]"


def test_a_client_that_leaves_a_stream_stops_the_model(chat: ChatClient) -> None:
    chat.engine.gate.clear()
    with chat.ask("describe the area", area=NEAR_FIRST, stream=True) as stream:
        next(chunk for chunk in stream if chunk.choices[0].delta.content)
    assert chat.engine.stopped.wait(10)


def test_a_client_that_gives_up_waiting_stops_the_model(chat: ChatClient) -> None:
    chat.engine.gate.clear()
    with pytest.raises(openai.APITimeoutError):
        chat.ask("describe the area", area=NEAR_FIRST, timeout=0.5)
    assert chat.engine.stopped.wait(10)


def test_a_fault_in_the_middle_of_a_stream_is_told_to_the_client(
    chat: ChatClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def speak(say, cancelled):
        say("a quiet")
        raise FusarError("the lights went out; try again")

    monkeypatch.setattr(chat.engine, "speak", speak)
    heard = ""
    with chat.ask("describe it", area=NEAR_FIRST, stream=True) as stream:
        try:
            for chunk in stream:
                heard += chunk.choices[0].delta.content or ""
        except openai.APIError as error:
            heard += f"; {error.message}"
    assert heard == "a quiet; the lights went out; try again"


def test_too_many_conversations_at_once_are_asked_to_come_back(chat: ChatClient) -> None:
    chat.engine.gate.clear()
    streams = [chat.ask("describe it", area=NEAR_FIRST, stream=True) for _ in range(routes.AT_A_TIME)]
    try:
        with pytest.raises(openai.RateLimitError) as caught:
            chat.ask("describe it", area=NEAR_FIRST)
        assert caught.value.response.headers["Retry-After"] == "2"
    finally:
        chat.engine.gate.set()
        for stream in streams:
            stream.close()
    patient = chat.client.with_options(max_retries=5)
    completion = patient.chat.completions.create(
        model="scripted",
        messages=[{"role": "user", "content": "describe it"}],
        extra_body={"fusar": {"scene": str(chat.scene)}},
    )
    assert "quiet" in text_of(completion)


def test_a_server_that_stops_does_not_wait_for_a_long_answer(tmp_path: Path) -> None:
    with chat_at(tmp_path) as chat:
        chat.engine.gate.clear()
        with chat.ask("describe the area", area=NEAR_FIRST, stream=True) as stream:
            next(chunk for chunk in stream if chunk.choices[0].delta.content)
            chat.api.stop()
            assert chat.engine.stopped.wait(10)
