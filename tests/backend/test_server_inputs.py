"""Inputs that are refused, each with one line that names what is wrong."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from scripted_server import (
    AUTH,
    CARD,
    INFO,
    ApiServer,
    ask,
    serve_api,
    submit,
)

SQUARE = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"task": "guess"}, "task"),
        ({"scene": 5}, "scene"),
        ({"scene": "/a\x00b"}, "scene"),
        ({"surprise": 1}, "surprise"),
        ({"task": "ask", "question": " "}, "question"),
        ({"task": "classify"}, "boxes"),
        ({"targets": ["ship"] * 51}, "targets"),
        ({"targets": ["s" * 101]}, "targets.0"),
        ({"area": {"type": "Point", "coordinates": [0, 0]}}, "area"),
        ({"area": {"type": "Polygon", "coordinates": [[[0, 0], [1, float("nan")], [1, 1], [0, 0]]]}}, "area"),
        ({"area": {"type": "Polygon", "coordinates": [[[0, 0], ["1", None], [1, 1], [0, 0]]]}}, "area"),
        ({"boxes": {"type": "FeatureCollection", "features": []}}, "boxes"),
        ({"year": 2020.5}, "year"),
        ({"year": True}, "year"),
        ({"overlap": 1.0}, "overlap"),
        ({"question": "\ud800"}, "question"),
    ],
)
def test_malformed_inputs_are_named_in_one_line(
    api: ApiServer, change: dict[str, object], where: str
) -> None:
    body = json.dumps({"inputs": api.inputs | change})
    headers = AUTH | {"Content-Type": "application/json"}
    reply = ask(api, "POST", "/processes/interpret/execution", data=body, headers=headers)
    problem = reply.json()
    assert (reply.status_code, problem["status"]) == (422, 422)
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert set(problem) == {"type", "title", "status", "detail", "code"}
    assert problem["code"] == "invalid-request"
    assert where in problem["detail"]
    assert "\n" not in problem["detail"]


@pytest.mark.parametrize(
    ("change", "status", "detail"),
    [
        ({"model": "other"}, 400, "it runs: scripted"),
        ({"area": SQUARE, "area_crs": "EPSG:1"}, 400, "EPSG:1"),
        ({"prior": "https://example.org/prior.tif"}, 403, "URLs"),
        ({"scene": "/etc/passwd"}, 403, "outside the folders"),
    ],
)
def test_inputs_that_make_no_sense_here(
    api: ApiServer, change: dict[str, object], status: int, detail: str
) -> None:
    reply = ask(api, "POST", "/processes/interpret/execution", json={"inputs": api.inputs | change})
    assert reply.status_code == status
    assert detail in reply.json()["detail"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"[" * 100_000, b'{"inputs": {}}', b"\xff"])
def test_garbage_bodies_are_refused(api: ApiServer, body: bytes) -> None:
    headers = AUTH | {"Content-Type": "application/json"}
    reply = ask(api, "POST", "/processes/interpret/execution", data=body, headers=headers)
    assert reply.status_code in (400, 422)
    assert reply.json()["detail"]


def test_what_is_not_there_is_a_problem_with_ogcs_name(api: ApiServer) -> None:
    for path in ("/jobs/none", "/jobs/none/results", "/jobs/none/events"):
        reply = ask(api, "GET", path)
        assert (reply.status_code, reply.json()["type"].rsplit("/", 1)[1]) == (404, "no-such-job")
    held = submit(api, question="held")
    reply = ask(api, "GET", f"/jobs/{held}/results")
    assert (reply.status_code, reply.json()["type"].rsplit("/", 1)[1]) == (404, "result-not-ready")
    api.client.cancel(held)
    assert ask(api, "GET", "/nothing").json()["status"] == 404
    assert ask(api, "PUT", "/info").json()["status"] == 405


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"task": "ask", "question": "how many ships are moored?"}, "was not taught to answer that question"),
        ({"task": "ask", "question": "有几艘油轮"}, "没有学过回答这个问题"),
        ({"task": "detect"}, "was not taught to detect; it can be asked to count"),
    ],
)
def test_what_was_not_taught_is_refused_before_a_job_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, object], said: str
) -> None:
    taught = asdict(CARD) | {"tasks": ["count"], "free_questions": False}
    monkeypatch.setitem(INFO, "models", [taught])
    with serve_api(tmp_path) as api:
        body = json.dumps({"inputs": api.inputs | change})
        headers = AUTH | {"Content-Type": "application/json"}
        reply = ask(api, "POST", "/processes/interpret/execution", data=body, headers=headers)
        assert (reply.status_code, reply.json()["code"]) == (400, "task-error")
        assert said in reply.json()["detail"]
        assert submit(api, task="ask", question="how many ships?")
