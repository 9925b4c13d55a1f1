"""The HTTP door's protocol: a real server on loopback over a scripted interpreter, and once the real one."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import requests
from fresh_model import CARD, fresh_model, fresh_processor
from hypothesis import given
from hypothesis import strategies as st
from scripted_door import BEGUN, GATE, INFO, RUN, TOKEN, Door, ScriptedEngine, open_door

from fusar_gpt.client import Client, ServerError, decode_events
from fusar_gpt.contract import Finished, Progress, Started
from fusar_gpt.engine import Request
from fusar_gpt.errors import Cancelled
from fusar_gpt.model import save_checkpoint
from fusar_gpt.model.card import CARD_FILE
from fusar_gpt.model.store import BUNDLED
from fusar_gpt.server import jobs as jobs_module
from fusar_gpt.server.journal import Journal
from fusar_gpt.server.options import Options

AUTH = {"Authorization": f"Bearer {TOKEN}"}
SQUARE = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with open_door(tmp_path_factory.mktemp("root"), heartbeat_s=0.1) as opened:
        yield opened


def ask(door: Door, method: str, path: str, **options: object) -> requests.Response:
    options.setdefault("headers", AUTH)
    with requests.request(method, door.url + path, timeout=10, **options) as reply:
        _ = reply.content
        return reply


def submit(door: Door, **inputs: object) -> str:
    return door.client.submit(door.inputs | inputs)


def events(door: Door, job: str, after: int = 0) -> list[tuple[int, str, dict]]:
    reply = ask(door, "GET", f"/jobs/{job}/events", headers=AUTH | {"Last-Event-ID": str(after)})
    return list(decode_events([reply.content]))


def until(condition: object) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_job_from_order_to_results(door: Door) -> None:
    reply = ask(door, "POST", "/processes/interpret/execution", json={"inputs": door.inputs})
    state = reply.json()
    assert reply.status_code == 201
    assert reply.headers["Location"] == f"/jobs/{state['jobID']}"
    assert (state["type"], state["processID"]) == ("process", "interpret")
    assert state["status"] in ("accepted", "running", "successful")

    heard = events(door, state["jobID"])
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

    state = ask(door, "GET", f"/jobs/{state['jobID']}").json()
    assert (state["status"], state["progress"]) == ("successful", 100)
    results = door.client.results(state["jobID"])
    assert [feature["id"] for feature in results["findings"]["features"]] == ["c", "d"]
    assert results["run"]["id"] == "run-1"


def test_the_stream_is_utf8_unbuffered_and_never_cached(door: Door) -> None:
    reply = ask(door, "GET", f"/jobs/{submit(door)}/events")
    assert reply.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert "no-cache" in reply.headers["Cache-Control"]
    assert reply.headers["X-Accel-Buffering"] == "no"


def test_watchers_resume_where_they_left(door: Door) -> None:
    job = submit(door)
    whole = events(door, job)
    for after in range(len(whole) + 1):
        assert events(door, job, after) == whole[after:]
    assert ask(door, "GET", f"/jobs/{job}/events", headers=AUTH | {"Last-Event-ID": "-1"}).status_code == 422


def test_several_watchers_hear_the_same_as_it_happens_with_pings_in_between(door: Door) -> None:
    job = submit(door, question="held")
    heard: list[bytes] = []

    def listen() -> None:
        heard.append(ask(door, "GET", f"/jobs/{job}/events").content)

    threads = [threading.Thread(target=listen) for _ in range(5)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    assert heard == []
    door.client.cancel(job)
    for thread in threads:
        thread.join(10)
    assert len({tuple(name for _, name, _ in decode_events([raw])) for raw in heard}) == 1
    assert all(raw.count(b": ping\n\n") >= 2 for raw in heard)
    assert events(door, job)[-1][1:] == ("end", {"status": "dismissed", "message": "Cancelled."})


def test_cancel_stops_the_running_and_the_waiting_job_and_frees_the_worker(door: Door) -> None:
    running, other, waiting = submit(door, question="held"), submit(door, question="held"), submit(door)
    for job in (running, other):
        until(lambda job=job: ask(door, "GET", f"/jobs/{job}").json()["progress"] > 0)
    assert ask(door, "GET", f"/jobs/{waiting}").json()["status"] == "accepted"
    for job in (waiting, running, other):
        reply = ask(door, "DELETE", f"/jobs/{job}")
        assert (reply.status_code, reply.json()["status"]) == (200, "dismissed")
    assert [name for _, name, _ in events(door, waiting)] == ["end"]
    assert events(door, submit(door))[-1][2]["status"] == "successful"
    assert ask(door, "GET", f"/jobs/{running}").json()["status"] == "dismissed"
    assert ask(door, "GET", f"/jobs/{running}/results").status_code == 409


def test_leaving_the_clients_loop_cancels(door: Door) -> None:
    stream = door.client.interpret(door.inputs | {"question": "held"})
    assert next(stream)[0] == "started"
    stream.close()
    assert [name for name, _ in door.client.interpret(door.inputs)][-1] == "end"


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ("unhappy", "the scene ends here; get the rest \u2028 \u8239"),
        ("broken", "unexpected RuntimeError; the server's log says more"),
    ],
)
def test_a_failed_job_says_why_and_the_next_one_runs(door: Door, question: str, message: str) -> None:
    job = submit(door, question=question)
    assert events(door, job)[-1][2] == {"status": "failed", "message": message}
    state = ask(door, "GET", f"/jobs/{job}").json()
    assert (state["status"], state["message"]) == ("failed", message)
    with pytest.raises(ServerError, match="no results"):
        door.client.results(job)
    assert events(door, submit(door))[-1][2]["status"] == "successful"


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
def test_malformed_inputs_are_named_in_one_line(door: Door, change: dict[str, object], where: str) -> None:
    body = json.dumps({"inputs": door.inputs | change})
    headers = AUTH | {"Content-Type": "application/json"}
    reply = ask(door, "POST", "/processes/interpret/execution", data=body, headers=headers)
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
    door: Door, change: dict[str, object], status: int, detail: str
) -> None:
    reply = ask(door, "POST", "/processes/interpret/execution", json={"inputs": door.inputs | change})
    assert reply.status_code == status
    assert detail in reply.json()["detail"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"[" * 100_000, b'{"inputs": {}}', b"\xff"])
def test_garbage_bodies_are_refused(door: Door, body: bytes) -> None:
    headers = AUTH | {"Content-Type": "application/json"}
    reply = ask(door, "POST", "/processes/interpret/execution", data=body, headers=headers)
    assert reply.status_code in (400, 422)
    assert reply.json()["detail"]


def test_what_is_not_there_is_a_problem_with_ogcs_name(door: Door) -> None:
    for path in ("/jobs/none", "/jobs/none/results", "/jobs/none/events"):
        reply = ask(door, "GET", path)
        assert (reply.status_code, reply.json()["type"].rsplit("/", 1)[1]) == (404, "no-such-job")
    held = submit(door, question="held")
    reply = ask(door, "GET", f"/jobs/{held}/results")
    assert (reply.status_code, reply.json()["type"].rsplit("/", 1)[1]) == (404, "result-not-ready")
    door.client.cancel(held)
    assert ask(door, "GET", "/nothing").json()["status"] == 404
    assert ask(door, "PUT", "/info").json()["status"] == 405


def test_a_finished_job_is_forgotten_on_request(door: Door) -> None:
    first, second = submit(door), submit(door)
    for job in (first, second):
        events(door, job)
    assert ask(door, "DELETE", f"/jobs/{first}").json()["status"] == "dismissed"
    assert ask(door, "GET", f"/jobs/{first}").status_code == 404
    assert door.client.results(second)


def test_results_are_kept_for_a_set_time(tmp_path: Path) -> None:
    with open_door(tmp_path, options=Options(keep_results_s=0.4)) as door:
        held, job = submit(door, question="held"), submit(door)
        events(door, job)
        assert door.client.results(job)
        until(lambda: ask(door, "GET", f"/jobs/{job}").status_code == 404)
        assert ask(door, "GET", f"/jobs/{held}").json()["status"] == "running"


def test_the_list_of_jobs_is_paged_and_the_newest_comes_first(door: Door) -> None:
    jobs = [submit(door) for _ in range(3)]
    for job in jobs:
        events(door, job)
    listed = ask(door, "GET", "/jobs?limit=2").json()["jobs"]
    assert [state["jobID"] for state in listed] == jobs[:0:-1]
    assert [state["status"] for state in listed] == ["successful"] * 2
    (third,) = ask(door, "GET", "/jobs?limit=1&offset=2").json()["jobs"]
    assert third["jobID"] == jobs[0]
    assert ask(door, "GET", "/jobs?limit=0").status_code == 422


def test_the_queue_is_bounded_for_each_client_and_in_all(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs_module, "QUEUE_LIMIT", 8)
    monkeypatch.setattr(jobs_module, "CLIENT_LIMIT", 5)
    jobs = [submit(door, question="held") for _ in range(2)]
    for job in jobs:
        until(lambda job=job: ask(door, "GET", f"/jobs/{job}").json()["status"] == "running")

    def outcome(client: str) -> int:
        headers = AUTH | {"X-Client": client}
        body = {"inputs": door.inputs}
        reply = ask(door, "POST", "/processes/interpret/execution", json=body, headers=headers)
        jobs.extend([reply.json()["jobID"]] if reply.status_code == 201 else [])
        return reply.status_code

    assert [outcome("a") for _ in range(6)] == [201] * 5 + [429]
    assert [outcome("b") for _ in range(4)] == [201] * 3 + [429]
    for job in reversed(jobs):
        door.client.cancel(job)
    for job in jobs:
        events(door, job)


def test_fifty_jobs_of_ten_clients_take_turns(tmp_path: Path) -> None:
    asked = {f"client {i}": 3 for i in range(9)}
    loaded = threading.Event()

    def load() -> ScriptedEngine:
        assert loaded.wait(30)
        return ScriptedEngine()

    BEGUN.clear()
    with open_door(tmp_path, load=load, options=Options(jobs=1)) as door:
        jobs = []
        for client, count in ({"greedy": 23} | asked).items():  # the greedy one comes first, with half of all
            headers = AUTH | {"X-Client": client}
            body = {"inputs": door.inputs | {"question": client}}
            for _ in range(count):
                reply = ask(door, "POST", "/processes/interpret/execution", json=body, headers=headers)
                jobs.append(reply.json()["jobID"])
        loaded.set()
        for job in jobs:
            assert events(door, job)[-1][2]["status"] == "successful"
    assert len(BEGUN) == 50
    for turn in range(3):
        assert set(BEGUN[10 * turn : 10 * turn + 10]) == {"greedy", *asked}, "everybody once in every turn"
    assert BEGUN[30:] == ["greedy"] * 20


def test_several_jobs_run_at_a_time(door: Door) -> None:
    GATE.clear()
    held, quick = submit(door, question="gated"), submit(door)
    assert events(door, quick)[-1][2]["status"] == "successful"
    assert ask(door, "GET", f"/jobs/{held}").json()["status"] == "running"
    GATE.set()
    assert events(door, held)[-1][2]["status"] == "successful"


def test_a_full_disk_fails_the_job_and_not_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs_module, "SWEEP_S", 0.05)
    GATE.clear()
    with open_door(tmp_path) as door:
        running = submit(door, question="gated")
        until(lambda: ask(door, "GET", f"/jobs/{running}").json()["progress"] > 0)
        with disk_full(door.journal):
            body = {"inputs": door.inputs | {"question": "held" * 500}}
            while True:  # there is some room left in the last pages; fill it up
                reply = ask(door, "POST", "/processes/interpret/execution", json=body)
                if reply.status_code != 201:
                    break
            assert reply.status_code == 507
            assert "disk is full; free some space" in reply.json()["detail"]
            GATE.set()
            ended = events(door, running)[-1]
            assert ended[1:] == ("end", {"status": "failed", "message": str(reply.json()["detail"])})
            assert ask(door, "GET", f"/jobs/{running}").json()["status"] == "failed"
            assert INFO.items() <= door.client.info().items()
        until(lambda: events_in(door.journal, running)[-1:] == [ended[1]])
        assert events(door, running)[-1] == ended
        assert events(door, submit(door))[-1][2]["status"] == "successful"


@contextmanager
def disk_full(journal: Journal) -> Iterator[None]:
    """SQLite may take no more pages, and says what it says on a full disk."""
    db = journal._db
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    db.execute(f"PRAGMA max_page_count = {pages}")
    yield
    db.execute("PRAGMA max_page_count = 1000000")


def events_in(journal: Journal, job: str) -> list[str]:
    return [name for _, name, _ in decode_events(journal.events(job, 0))]


class Talkative(ScriptedEngine):
    """Makes tokens for as long as it is let; counts them."""

    batch_size = 1

    def __init__(self) -> None:
        self.tokens = 0

    def answer(self, requests, cancelled=lambda: False, on_text=None):
        (request,) = requests
        while not request.called_off() and request.prompt == "endless":
            if cancelled():
                raise Cancelled("cancelled")
            self.tokens += 1
            time.sleep(0.002)
        return super().answer(requests)


def asking(order, engine, cancelled, settings, run):
    yield Started(RUN, 1)
    image, nothing = np.zeros((64, 64), np.uint8), np.zeros((0, 64), np.float32)
    engine.answer([Request(image, nothing, nothing[:, :2], order.question or "", None, 9)], cancelled)
    yield Progress(1, 1)
    yield Finished(RUN, ())


def test_a_cancel_frees_the_engine_within_a_few_tokens(tmp_path: Path) -> None:
    engine = Talkative()
    with open_door(tmp_path, interpreter=asking, load=lambda: engine) as door:
        endless, next_one = submit(door, question="endless"), submit(door, question="short")
        until(lambda: engine.tokens > 5)
        before = engine.tokens
        door.client.cancel(endless)
        assert events(door, next_one)[-1][2]["status"] == "successful"
        assert events(door, endless)[-1][2]["status"] == "dismissed"
        stopped = engine.tokens
        time.sleep(0.05)
        assert engine.tokens == stopped
        assert stopped - before < 5000  # it was left to go on for ever


def test_health_and_info_answer_while_the_model_loads_and_a_failed_load_stops_nothing(tmp_path: Path) -> None:
    loaded = threading.Event()
    failures = [RuntimeError("no weights")]

    def load() -> ScriptedEngine:
        loaded.wait(10)
        if failures:
            raise failures.pop()
        return ScriptedEngine()

    with open_door(tmp_path, load=load) as door:
        try:
            assert ask(door, "GET", "/health", headers={}).json() == {"status": "ok"}
            assert INFO.items() <= door.client.info().items()
            job = submit(door)
            assert ask(door, "GET", f"/jobs/{job}").json()["status"] == "accepted"
        finally:
            loaded.set()
        assert events(door, job)[-1][2]["status"] == "successful"


@pytest.mark.parametrize("lasting", [True, False])
def test_shutdown_ends_the_streams_and_a_lasting_server_leaves_its_jobs(
    tmp_path: Path, lasting: bool
) -> None:
    with open_door(tmp_path, lasting=lasting, options=Options(jobs=1)) as door:
        jobs = [submit(door, question="held") for _ in range(2)]
        until(lambda: ask(door, "GET", f"/jobs/{jobs[0]}").json()["progress"] > 0)
        heard: dict[str, list[tuple[int, str, dict]]] = {}
        threads = [
            threading.Thread(target=lambda job=job: heard.update({job: events(door, job)})) for job in jobs
        ]
        for thread in threads:
            thread.start()
        time.sleep(0.2)
        door.stop()
        for thread in threads:
            thread.join(5)
        ends = [[data["status"] for _, name, data in heard[job] if name == "end"] for job in jobs]
        assert ends == ([[], []] if lasting else [["dismissed"]] * 2)
        assert len(heard[jobs[0]]) > 1
        with pytest.raises(ServerError, match="no server answers"):
            door.client.info()
    journal = Journal(tmp_path / "state")
    assert len(journal.unfinished()) == (2 if lasting else 0)
    journal.close()


@given(st.lists(st.integers(0, 10_000), max_size=6), st.text(max_size=40))
def test_the_decoder_does_not_care_where_the_stream_is_cut(cuts: list[int], text: str) -> None:
    data = json.dumps({"text": text}, ensure_ascii=False).encode("utf-8", "replace")
    raw = b": ping\n\nid: 1\nevent: a\ndata: " + data + b"\n\nid: 2\nevent: b\ndata: {}\n\nid: 3\nevent: cut"
    edges = sorted({0, len(raw), *(cut % len(raw) for cut in cuts)})
    heard = list(decode_events(raw[a:b] for a, b in pairwise(edges)))
    assert [(number, name) for number, name, _ in heard] == [(1, "a"), (2, "b")]
    assert heard[0][2] == json.loads(data)


@contextmanager
def process(*command: object) -> Iterator[subprocess.Popen[str]]:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([str(part) for part in command], **pipes) as child:
        try:
            yield child
        finally:
            child.kill()


SCRIPTED = (sys.executable, Path(__file__).with_name("scripted_door.py"))


def test_a_child_ends_with_its_parent_even_where_its_job_hears_no_cancel(tmp_path: Path) -> None:
    (tmp_path / "scene.tif").touch()
    with process(*SCRIPTED, tmp_path, "--child") as child:
        ready = json.loads(child.stdout.readline())
        assert set(ready) == {"url", "token", "api", "version"}
        with Client(ready["url"], ready["token"]) as client:
            inputs = {"scene": str(tmp_path / "scene.tif"), "task": "detect", "question": "deaf"}
            stream = client.interpret(inputs)
            assert next(stream)[0] == "started"
            child.stdin.close()
            assert child.wait(30) == 0
            stream.close()
        assert child.stdout.read() == ""


def test_a_signal_ends_a_server_cleanly_and_its_token_file_goes_with_it(tmp_path: Path) -> None:
    file = tmp_path / "cache" / "server.json"
    with process(*SCRIPTED, tmp_path, "--token-file", file) as server:
        line = server.stderr.readline()
        assert "serving at http://127.0.0.1:" in line
        assert TOKEN not in line
        assert file.stat().st_mode & 0o777 == 0o600
        place = json.loads(file.read_text())
        with Client(**place) as client:
            assert INFO.items() <= client.info().items()
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0
        assert not file.exists()
        assert server.stdout.read() == ""


SAMPLES = Path(__file__).parents[2] / "backend" / "fusar_gpt" / "samples"


def checkpoint(folder: Path) -> str:
    """The bundled model, or a random one of its kind in a source tree that has none yet."""
    if (BUNDLED["tiny"] / CARD_FILE).exists():
        return "tiny"
    processor = fresh_processor()
    save_checkpoint(folder, fresh_model(processor.tokenizer), processor, CARD)
    return str(folder)


def test_end_to_end_with_the_real_command_scene_and_model(tmp_path: Path) -> None:
    west, south, east, north = 169.4500, -19.5285, 169.4502, -19.5283
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    area = {"type": "Polygon", "coordinates": [ring]}
    command = [sys.executable, "-c", "import sys; from fusar_gpt.cli import main; sys.exit(main())", "serve"]
    with process(*command, "--child", "--root", SAMPLES, "--model", checkpoint(tmp_path / "model")) as child:
        ready = json.loads(child.stdout.readline())
        with Client(ready["url"], ready["token"]) as client:
            info = client.info()
            inputs = {"scene": str(SAMPLES / "yasur_umbra.tif"), "area": area, "task": "count"}
            inputs |= {"model": info["models"][0]["name"], "targets": info["targets"][:1]}
            heard = list(client.interpret(inputs))
            assert client.info()["device"] in ("cpu", "cuda")
        child.stdin.close()
        assert child.wait(30) == 0
    assert heard[-1] == ("end", {"status": "successful", "message": "Done."})
    assert heard[0][0] == "started"
    assert heard[0][1]["run"]["demonstration"] is True
    found = [feature for name, data in heard if name == "findings" for feature in data["added"]["features"]]
    assert {feature["properties"]["layer"] for feature in found} == {"answers"}
    for feature in found:
        longitudes = [x for x, _ in feature["geometry"]["coordinates"][0]]
        assert min(longitudes) < east
        assert max(longitudes) > west
