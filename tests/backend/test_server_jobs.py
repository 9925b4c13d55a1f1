"""A job over HTTP, from its request to its results: a real server over a scripted interpreter."""

from __future__ import annotations

import json
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_server import (
    AUTH,
    BEGUN,
    GATE,
    ApiServer,
    ask,
    events,
    serve_api,
    submit,
    until,
)

from fusar_gpt.client import ServerError, decode_events
from fusar_gpt.server.options import Options


def test_a_job_from_order_to_results(api: ApiServer) -> None:
    reply = ask(api, "POST", "/processes/interpret/execution", json={"inputs": api.inputs})
    state = reply.json()
    assert reply.status_code == 201
    assert reply.headers["Location"] == f"/jobs/{state['jobID']}"
    assert (state["type"], state["processID"]) == ("process", "interpret")
    assert state["status"] in ("accepted", "running", "successful")

    heard = events(api, state["jobID"])
    assert [number for number, _, _ in heard] == [1, 2, 3, 4, 5, 6, 7]
    names = ["started", "findings", "progress", "progress", "findings", "progress", "end"]
    assert [name for _, name, _ in heard] == names
    data = [data for _, _, data in heard]
    assert data[0]["chips"] == 3
    assert data[0]["run"]["model"] == "scripted"
    # b was replaced by c within the event that added it, so a client hears of c alone
    assert [feature["id"] for feature in data[1]["added"]["features"]] == ["a", "c"]
    assert data[1]["replaced"] == []
    assert data[2] == {"done": 1, "total": 3, "message": "1 of 3 chips"}
    assert [feature["id"] for feature in data[4]["added"]["features"]] == ["d"]
    assert data[4]["replaced"] == ["a"]
    assert data[6]["status"] == "successful"
    feature = data[1]["added"]["features"][0]
    assert feature["scene_crs"] == "EPSG:32633"
    assert feature["properties"]["layer"] == "detections"
    assert feature["geometry"]["type"] == feature["scene_geometry"]["type"] == "Polygon"

    state = ask(api, "GET", f"/jobs/{state['jobID']}").json()
    assert (state["status"], state["progress"]) == ("successful", 100)
    results = api.client.results(state["jobID"])
    assert [feature["id"] for feature in results["findings"]["features"]] == ["c", "d"]
    assert results["run"]["id"] == "run-1"


def test_the_stream_is_utf8_unbuffered_and_never_cached(api: ApiServer) -> None:
    reply = ask(api, "GET", f"/jobs/{submit(api)}/events")
    assert reply.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert "no-cache" in reply.headers["Cache-Control"]
    assert reply.headers["X-Accel-Buffering"] == "no"


def test_watchers_resume_where_they_left(api: ApiServer) -> None:
    job = submit(api)
    whole = events(api, job)
    for after in range(len(whole) + 1):
        assert events(api, job, after) == whole[after:]
    assert ask(api, "GET", f"/jobs/{job}/events", headers=AUTH | {"Last-Event-ID": "-1"}).status_code == 422


def test_several_watchers_hear_the_same_as_it_happens_with_pings_in_between(api: ApiServer) -> None:
    job = submit(api, question="held")
    heard: list[bytes] = []

    def listen() -> None:
        heard.append(ask(api, "GET", f"/jobs/{job}/events").content)

    threads = [threading.Thread(target=listen) for _ in range(5)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    assert heard == []
    api.client.cancel(job)
    for thread in threads:
        thread.join(10)
    assert len({tuple(name for _, name, _ in decode_events([raw])) for raw in heard}) == 1
    assert all(raw.count(b": ping\n\n") >= 2 for raw in heard)
    assert events(api, job)[-1][1:] == ("end", {"status": "dismissed", "message": "Cancelled."})


def test_cancel_stops_the_running_and_the_waiting_job_and_frees_the_worker(api: ApiServer) -> None:
    running, other, waiting = submit(api, question="held"), submit(api, question="held"), submit(api)
    for job in (running, other):
        until(lambda job=job: ask(api, "GET", f"/jobs/{job}").json()["progress"] > 0)
    assert ask(api, "GET", f"/jobs/{waiting}").json()["status"] == "accepted"
    for job in (waiting, running, other):
        reply = ask(api, "DELETE", f"/jobs/{job}")
        assert (reply.status_code, reply.json()["status"]) == (200, "dismissed")
    assert [name for _, name, _ in events(api, waiting)] == ["end"]
    assert events(api, submit(api))[-1][2]["status"] == "successful"
    assert ask(api, "GET", f"/jobs/{running}").json()["status"] == "dismissed"
    assert ask(api, "GET", f"/jobs/{running}/results").status_code == 409


def test_a_job_that_waits_is_paused_and_begins_when_it_is_resumed(api: ApiServer) -> None:
    blocking = [submit(api, question="held") for _ in range(2)]
    for job in blocking:
        until(lambda job=job: ask(api, "GET", f"/jobs/{job}").json()["progress"] > 0)
    waiting = submit(api, question="after the pause")
    assert api.client.pause(waiting)["paused"]
    for job in blocking:
        api.client.cancel(job)
    assert events(api, submit(api))[-1][2]["status"] == "successful"
    assert "after the pause" not in BEGUN
    state = api.client.status(waiting)
    assert (state["status"], state["paused"], state["message"]) == ("accepted", True, "Paused.")
    assert "paused" not in api.client.pause(waiting, paused=False)
    assert events(api, waiting)[-1][2]["status"] == "successful"
    assert "paused" not in api.client.pause(waiting), "a job that has ended stays as it is"


def test_a_running_job_stops_after_its_chip_and_a_paused_one_can_be_cancelled(api: ApiServer) -> None:
    GATE.clear()
    job = submit(api, question="gated")
    until(lambda: api.client.status(job)["progress"] > 0)
    state = api.client.pause(job)
    assert (state["status"], state["paused"]) == ("running", True)
    GATE.set()
    until(lambda: api.client.status(job)["status"] == "accepted")
    assert api.client.status(job)["progress"] == 66
    api.client.cancel(job)
    heard = [name for _, name, _ in events(api, job)]
    assert heard == ["started", "findings", "progress", "progress", "end"]
    assert api.client.status(job)["status"] == "dismissed"


def test_a_pause_that_is_taken_back_at_once_changes_nothing(api: ApiServer) -> None:
    GATE.clear()
    job = submit(api, question="gated")
    until(lambda: api.client.status(job)["progress"] > 0)
    api.client.pause(job)
    assert "paused" not in api.client.pause(job, paused=False)
    GATE.set()
    assert [name for _, name, _ in events(api, job)][-2:] == ["progress", "end"]


@pytest.mark.parametrize("body", [{}, {"paused": None}, {"paused": True, "status": "successful"}])
def test_what_cannot_be_changed_of_a_job_is_refused(api: ApiServer, body: dict[str, object]) -> None:
    assert ask(api, "PATCH", f"/jobs/{submit(api)}", json=body).status_code == 422
    assert ask(api, "PATCH", "/jobs/unknown", json={"paused": True}).status_code == 404


def test_a_server_that_holds_jobs_pauses_what_an_earlier_one_left(tmp_path: Path) -> None:
    with serve_api(tmp_path) as api:
        job = submit(api, question="held")
        until(lambda: api.client.status(job)["progress"] > 0)
    begun = len(BEGUN)
    with serve_api(tmp_path, options=Options(hold_jobs=True)) as api:
        assert api.client.status(job)["paused"]
        assert len(BEGUN) == begun
        api.client.cancel(job)


def test_a_job_that_nobody_resumes_is_cancelled_when_results_would_be_deleted(tmp_path: Path) -> None:
    with serve_api(tmp_path, options=Options(keep_results_s=0.2, hold_jobs=True)) as api:
        GATE.clear()
        job = submit(api, question="gated")
        api.client.pause(job)
        GATE.set()
        until(lambda: ask(api, "GET", f"/jobs/{job}").status_code == 404)


def test_leaving_the_clients_loop_cancels(api: ApiServer) -> None:
    stream = api.client.interpret(api.inputs | {"question": "held"})
    assert next(stream)[0] == "started"
    stream.close()
    assert [name for name, _ in api.client.interpret(api.inputs)][-1] == "end"


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ("unhappy", "the scene ends here; get the rest \u2028 \u8239"),
        ("broken", "unexpected RuntimeError; the server's log says more"),
    ],
)
def test_a_failed_job_says_why_and_the_next_one_runs(api: ApiServer, question: str, message: str) -> None:
    job = submit(api, question=question)
    assert events(api, job)[-1][2] == {"status": "failed", "message": message}
    state = ask(api, "GET", f"/jobs/{job}").json()
    assert (state["status"], state["message"]) == ("failed", message)
    with pytest.raises(ServerError, match="no results"):
        api.client.results(job)
    assert events(api, submit(api))[-1][2]["status"] == "successful"


def test_a_finished_job_is_forgotten_on_request(api: ApiServer) -> None:
    first, second = submit(api), submit(api)
    for job in (first, second):
        events(api, job)
    assert ask(api, "DELETE", f"/jobs/{first}").json()["status"] == "dismissed"
    assert ask(api, "GET", f"/jobs/{first}").status_code == 404
    assert api.client.results(second)


def test_results_are_kept_for_a_set_time(tmp_path: Path) -> None:
    with serve_api(tmp_path, options=Options(keep_results_s=0.4)) as api:
        held, job = submit(api, question="held"), submit(api)
        events(api, job)
        assert api.client.results(job)
        until(lambda: ask(api, "GET", f"/jobs/{job}").status_code == 404)
        assert ask(api, "GET", f"/jobs/{held}").json()["status"] == "running"


def test_the_list_of_jobs_is_paged_and_the_newest_comes_first(api: ApiServer) -> None:
    jobs = [submit(api) for _ in range(3)]
    for job in jobs:
        events(api, job)
    listed = ask(api, "GET", "/jobs?limit=2").json()["jobs"]
    assert [state["jobID"] for state in listed] == jobs[:0:-1]
    assert [state["status"] for state in listed] == ["successful"] * 2
    (third,) = ask(api, "GET", "/jobs?limit=1&offset=2").json()["jobs"]
    assert third["jobID"] == jobs[0]
    assert ask(api, "GET", "/jobs?limit=0").status_code == 422


@given(st.lists(st.integers(0, 10_000), max_size=6), st.text(max_size=40))
def test_the_decoder_does_not_care_where_the_stream_is_cut(cuts: list[int], text: str) -> None:
    data = json.dumps({"text": text}, ensure_ascii=False).encode("utf-8", "replace")
    raw = b": ping\n\nid: 1\nevent: a\ndata: " + data + b"\n\nid: 2\nevent: b\ndata: {}\n\nid: 3\nevent: cut"
    edges = sorted({0, len(raw), *(cut % len(raw) for cut in cuts)})
    heard = list(decode_events(raw[a:b] for a, b in pairwise(edges)))
    assert [(number, name) for number, name, _ in heard] == [(1, "a"), (2, "b")]
    assert heard[0][2] == json.loads(data)
