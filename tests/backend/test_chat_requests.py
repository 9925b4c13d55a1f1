"""Which chat requests are refused and how, in OpenAI's words and ours."""

from __future__ import annotations

import openai
import pytest
import requests
from chat_client import (
    NEAR_FIRST,
    PNG,
    ChatClient,
    shown,
    words_of,
)
from openai import OpenAI
from scripted_server import TOKEN

from fusar_gpt.server.chat import grounding

ASKED = [{"role": "user", "content": "count ships"}]
CONTENT = "messages.0.content.constrained-str"


def test_the_models_are_listed_as_openai_lists_them(chat: ChatClient) -> None:
    (model,) = chat.client.models.list().data
    assert (model.id, model.object, model.owned_by) == ("scripted", "model", "fusar-gpt")
    assert model.fusar["demonstration"] is True
    assert chat.client.models.retrieve("scripted").id == "scripted"
    with pytest.raises(openai.NotFoundError, match="it runs: scripted"):
        chat.client.models.retrieve("some/other")


def test_a_bug_says_nothing_about_the_server(chat: ChatClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def see(request):
        raise RuntimeError("a secret of the server")

    monkeypatch.setattr(chat.engine, "see", see)
    with pytest.raises(openai.InternalServerError) as caught:
        chat.ask("describe the area", area=NEAR_FIRST)
    assert caught.value.body["message"] == "unexpected RuntimeError; the server's log says more"


def test_an_area_that_is_a_jobs_work_is_refused_before_the_model_is_asked(
    chat: ChatClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grounding, "CHIPS", 2)
    asked = chat.engine.asked
    with pytest.raises(openai.BadRequestError, match="draw a smaller area, or start a job"):
        chat.ask("describe the area", stream=True)
    assert chat.engine.asked == asked


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
        ({"messages": [{"role": "user", "content": "x" * 4001}]}, 413, None, "over 4000 characters"),
        ({"messages": [{"role": "user", "content": "\ufdfa" * 300}]}, 413, None, "over 4000 characters"),
        (
            {"messages": [{"role": "user", "content": "\ufdfa" * 300}, *ASKED]},
            413,
            None,
            "over 4000 characters",
        ),
        (
            {"messages": [*[{"role": "assistant", "content": "x" * 190_000}] * 6, *ASKED]},
            413,
            None,
            "1000000",
        ),
        (
            {"messages": [{"role": "assistant", "content": "x" * 200_001}, *ASKED]},
            413,
            CONTENT,
            "at most 200000",
        ),
        ({"messages": ASKED * 201}, 413, "messages", "at most 200 items"),
        ({"tools": [{"type": "function"}]}, 400, None, "tools is not supported"),
        ({"n": 2}, 400, None, "n is not supported"),
        ({"logprobs": True}, 400, None, "logprobs is not supported"),
        ({"temperature": -1}, 400, "temperature", "greater than or equal"),
        ({"max_tokens": 10**9}, 400, "max_tokens", "less than or equal to 1048576"),
        ({"max_tokens": 0}, 400, "max_tokens", "greater than or equal"),
        ({"fusar": {"scene": "/etc/passwd"}}, 403, None, "outside the folders"),
        ({"fusar": {"scene": "https://example.org/a.tif"}}, 403, None, "URLs"),
        ({"fusar": {"scene": 5}}, 400, "fusar.scene", "valid string"),
        ({"fusar": {"scene": "/x", "surprise": 1}}, 400, "fusar.surprise", "not permitted"),
    ],
)
def test_refusals_are_openais_and_ours(
    chat: ChatClient, change: dict, status: int, param: str | None, detail: str
) -> None:
    body = {"model": "scripted", "messages": [{"role": "user", "content": "count ships"}]}
    body = body | {"fusar": {"scene": str(chat.scene)}} | change
    with pytest.raises(openai.APIStatusError) as caught:
        chat.client.post("/chat/completions", body=body, cast_to=object)
    error = caught.value
    assert (error.status_code, error.body["param"]) == (status, param)
    assert detail in error.body["message"]
    assert error.body["type"] == "invalid_request_error"
    assert error.response.headers["Content-Type"] == "application/problem+json"
    problem = error.response.json()
    assert (problem["status"], problem["detail"]) == (status, error.body["message"])
    assert problem["code"] == {404: "not-found", 403: "path-refused", 413: "too-large"}.get(
        status, "invalid-request"
    )
    assert "\n" not in problem["detail"]


def test_what_is_harmless_is_let_pass(chat: ChatClient) -> None:
    completion = chat.ask(
        "count ships", area=NEAR_FIRST, n=1, top_p=1.0, stop=[], user="me", response_format={"type": "text"}
    )
    assert words_of(completion).startswith("1 ship.")


def test_nobody_talks_without_the_token(chat: ChatClient) -> None:
    with (
        OpenAI(base_url=f"{chat.api.url}/v1", api_key="wrong", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError),
    ):
        client.models.list()


def test_an_area_beside_the_scene_is_a_plain_refusal_even_of_a_stream(chat: ChatClient) -> None:
    with pytest.raises(openai.BadRequestError, match="the area lies outside the scene"):
        chat.ask("describe it", area=[9000, 9000, 9100, 9100], stream=True)


def test_odd_characters_in_a_request_come_back_in_a_plain_refusal(chat: ChatClient) -> None:
    body = '{"model": "scripted", "messages": [{"role": "user", "content": "x"}], "fusar": {"\\ud800\\n": 1}}'
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    with requests.post(f"{chat.api.url}/v1/chat/completions", body, headers=headers, timeout=10) as reply:
        assert reply.status_code == 400
        assert reply.json()["error"]["param"]


def test_a_body_of_millions_of_empty_lists_is_not_even_parsed(chat: ChatClient) -> None:
    body = b'{"model": "scripted", "messages": [' + b",".join([b"[]"] * 400_000) + b"]}"
    reply = requests.post(
        f"{chat.api.url}/v1/chat/completions", body, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=20
    )
    assert (reply.status_code, reply.json()["detail"]) == (
        413,
        "the request has over 500000 values; send fewer messages",
    )
