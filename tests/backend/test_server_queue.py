"""Who runs when, what a cancel frees, and what a full disk costs."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from scripted_server import (
    AUTH,
    BEGUN,
    GATE,
    INFO,
    RUN,
    TOKEN,
    ApiServer,
    ScriptedEngine,
    ask,
    events,
    serve_api,
    submit,
    until,
)

from fusar_gpt.client import decode_events
from fusar_gpt.contract import Finished, Progress, Started
from fusar_gpt.engine import DecodeRequest
from fusar_gpt.errors import Cancelled
from fusar_gpt.server import jobs as jobs_module
from fusar_gpt.server.journal import Journal
from fusar_gpt.server.journal_file import FILE
from fusar_gpt.server.options import Options


def test_the_queue_is_bounded_for_each_client_and_in_all(
    api: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs_module, "QUEUE_LIMIT", 8)
    monkeypatch.setattr(jobs_module, "CLIENT_LIMIT", 5)
    jobs = [submit(api, question="held") for _ in range(2)]
    for job in jobs:
        until(lambda job=job: ask(api, "GET", f"/jobs/{job}").json()["status"] == "running")

    def outcome(client: str) -> int:
        headers = AUTH | {"X-Client": client}
        body = {"inputs": api.inputs}
        reply = ask(api, "POST", "/processes/interpret/execution", json=body, headers=headers)
        jobs.extend([reply.json()["jobID"]] if reply.status_code == 201 else [])
        return reply.status_code

    assert [outcome("a") for _ in range(6)] == [201] * 5 + [429]
    assert [outcome("b") for _ in range(4)] == [201] * 3 + [429]
    for job in reversed(jobs):
        api.client.cancel(job)
    for job in jobs:
        events(api, job)


def test_invented_names_do_not_fill_the_queue_and_a_token_has_one_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs_module, "QUEUE_LIMIT", 12)
    monkeypatch.setattr(jobs_module, "ACCOUNT_LIMIT", 5)
    tokens = {name: name * 20 for name in ("anna", "bert")}
    gate = threading.Event()
    BEGUN.clear()

    def load() -> ScriptedEngine:
        assert gate.wait(30)
        return ScriptedEngine()

    with serve_api(tmp_path, load=load, tokens=tokens, options=Options(jobs=1)) as api:
        jobs, told = [], set()

        def outcome(token: str, name: str) -> int:
            headers = {"Authorization": f"Bearer {token}", "X-Client": name}
            body = {"inputs": api.inputs | {"question": next(k for k, v in tokens.items() if v == token)}}
            reply = ask(api, "POST", "/processes/interpret/execution", json=body, headers=headers)
            if reply.status_code != 201:
                told.add(reply.json()["detail"].partition(" already")[0])
                return reply.status_code
            jobs.append(reply.json()["jobID"])
            return 201

        assert [outcome(tokens["anna"], f"invented {i}") for i in range(7)] == [201] * 5 + [429] * 2
        assert [outcome(tokens["bert"], "bert") for _ in range(3)] == [201] * 3
        tokens["shared"] = TOKEN
        assert [outcome(TOKEN, f"invented {i}") for i in range(5)] == [201] * 4 + [429]
        assert told == {"too many of your jobs are waiting", "12 jobs are waiting"}
        gate.set()
        for job in jobs:
            events(api, job)
    assert BEGUN[:2] == ["anna", "bert"], "one turn for a token, under whatever names"


def test_fifty_jobs_of_ten_clients_take_turns(tmp_path: Path) -> None:
    asked = {f"client {i}": 3 for i in range(9)}
    loaded = threading.Event()

    def load() -> ScriptedEngine:
        assert loaded.wait(30)
        return ScriptedEngine()

    BEGUN.clear()
    with serve_api(tmp_path, load=load, options=Options(jobs=1)) as api:
        jobs = []
        for client, count in ({"greedy": 23} | asked).items():  # the greedy one comes first, with half of all
            headers = AUTH | {"X-Client": client}
            body = {"inputs": api.inputs | {"question": client}}
            for _ in range(count):
                reply = ask(api, "POST", "/processes/interpret/execution", json=body, headers=headers)
                jobs.append(reply.json()["jobID"])
        loaded.set()
        for job in jobs:
            assert events(api, job)[-1][2]["status"] == "successful"
    assert len(BEGUN) == 50
    for turn in range(3):
        assert set(BEGUN[10 * turn : 10 * turn + 10]) == {"greedy", *asked}, "everybody once in every turn"
    assert BEGUN[30:] == ["greedy"] * 20


def test_several_jobs_run_at_a_time(api: ApiServer) -> None:
    GATE.clear()
    held, quick = submit(api, question="gated"), submit(api)
    assert events(api, quick)[-1][2]["status"] == "successful"
    assert ask(api, "GET", f"/jobs/{held}").json()["status"] == "running"
    GATE.set()
    assert events(api, held)[-1][2]["status"] == "successful"


def test_a_full_disk_fails_the_job_and_not_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs_module, "SWEEP_S", 0.05)
    GATE.clear()
    with serve_api(tmp_path) as api:
        running = submit(api, question="wordy")
        until(lambda: ask(api, "GET", f"/jobs/{running}").json()["progress"] > 0)
        with disk_full(api.journal):
            body = {"inputs": api.inputs | {"question": "held" * 500}}
            while True:  # there is some room left in the last pages; fill it up
                reply = ask(api, "POST", "/processes/interpret/execution", json=body)
                if reply.status_code != 201:
                    break
            assert reply.status_code == 507
            assert "disk is full; free some space" in reply.json()["detail"]
            GATE.set()
            ended = events(api, running)[-1]
            assert ended[1:] == ("end", {"status": "failed", "message": str(reply.json()["detail"])})
            assert ask(api, "GET", f"/jobs/{running}").json()["status"] == "failed"
            assert INFO.items() <= api.client.info().items()
        until(lambda: events_in(api.journal, running)[-1:] == [ended[1]])
        assert events(api, running)[-1] == ended
        assert events(api, submit(api))[-1][2]["status"] == "successful"


@pytest.mark.parametrize("state", ["failed", "running", "accepted"])
def test_a_deletion_that_cannot_be_written_is_refused_and_one_that_was_outlives_a_restart(
    tmp_path: Path, state: str
) -> None:
    GATE.clear()
    with serve_api(tmp_path, options=Options(jobs=1)) as api:
        job = submit(api, question="gated")
        until(lambda: ask(api, "GET", f"/jobs/{job}").json()["progress"] > 0)
        if state == "accepted":
            job = submit(api)
        api.journal._db.execute("PRAGMA query_only = ON")
        if state == "failed":
            GATE.set()
            assert events(api, job)[-1][2]["status"] == "failed"
        assert ask(api, "GET", f"/jobs/{job}").json()["status"] == state
        refused = ask(api, "DELETE", f"/jobs/{job}")
        assert refused.status_code == 507
        assert "a restart would run it again" in refused.json()["detail"]
        api.journal._db.execute("PRAGMA query_only = OFF")
        assert job in {record.id for record in api.journal.unfinished()}
        assert ask(api, "DELETE", f"/jobs/{job}").status_code == 200
        with connect(tmp_path / "state" / FILE, tmp_path / "copy") as copy:  # what a kill -9 would leave
            assert job not in {record.id for record in copy.unfinished() if record.status != "dismissed"}
        GATE.set()


@contextmanager
def connect(file: Path, folder: Path) -> Iterator[Journal]:
    """A copy of a journal that a server has open."""
    shutil.copytree(file.parent, folder)
    journal = Journal(folder)
    yield journal
    journal.close()


def test_results_of_a_job_that_is_deleted_meanwhile_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve_api(tmp_path) as api:
        job = submit(api)
        assert events(api, job)[-1][2]["status"] == "successful"
        read = Journal.results

        def deleted(journal: Journal, name: str) -> str | None:
            journal.delete(name)
            return read(journal, name)

        monkeypatch.setattr(Journal, "results", deleted)
        assert ask(api, "GET", f"/jobs/{job}/results").status_code == 404


def test_what_was_wrong_with_the_journal_is_told_in_info(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / FILE).write_bytes(b"no database" * 1000)
    with serve_api(tmp_path) as api:
        (notice,) = ask(api, "GET", "/info").json()["notices"]
        assert notice.startswith(
            "the journal was damaged (file is not a database): it is kept as jobs.sqlite."
        )
    with serve_api(tmp_path) as api:
        assert ask(api, "GET", "/info").json()["notices"] == []


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
        while not request.aborted() and request.prompt == "endless":
            if cancelled():
                raise Cancelled("cancelled")
            self.tokens += 1
            time.sleep(0.002)
        return super().answer(requests)


def asking(order, engine, cancelled, settings, run):
    yield Started(RUN, 1)
    image, nothing = np.zeros((64, 64), np.uint8), np.zeros((0, 64), np.float32)
    engine.answer([DecodeRequest(image, nothing, nothing[:, :2], order.question or "", None, 9)], cancelled)
    yield Progress(1, 1)
    yield Finished(RUN, ())


def test_a_cancel_frees_the_engine_within_a_few_tokens(tmp_path: Path) -> None:
    engine = Talkative()
    with serve_api(tmp_path, interpreter=asking, load=lambda: engine) as api:
        endless, next_one = submit(api, question="endless"), submit(api, question="short")
        until(lambda: engine.tokens > 5)
        before = engine.tokens
        api.client.cancel(endless)
        assert events(api, next_one)[-1][2]["status"] == "successful"
        assert events(api, endless)[-1][2]["status"] == "dismissed"
        stopped = engine.tokens
        time.sleep(0.05)
        assert engine.tokens == stopped
        assert stopped - before < 5000  # it was left to go on for ever
