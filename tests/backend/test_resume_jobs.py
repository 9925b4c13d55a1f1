"""Jobs survive kill -9: real server processes are killed in mid-job, and nothing is lost or told twice.

Every life of the server is a process of its own, forked from one that has the imports behind it. It runs the real
main path over an engine that finds bright blobs in the chips it is shown, a little slowly.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest
import requests
from rasters import write
from scripted_server import AUTH, CARD, TOKEN

from fusar_gpt.client import Client, decode_events
from fusar_gpt.contract import Ended, Finished
from fusar_gpt.engine import Reply
from fusar_gpt.errors import Cancelled
from fusar_gpt.frames import ChipBox
from fusar_gpt.interpret import RunIdentity, interpret
from fusar_gpt.server import job as job_module
from fusar_gpt.server import serve, wire
from fusar_gpt.server.app import create_app
from fusar_gpt.server.inputs import REQUEST, with_files
from fusar_gpt.server.journal import Journal
from fusar_gpt.server.security import Roots
from fusar_gpt.server.serve import StoppableServer
from fusar_gpt.tasks.compact import render_boxes

KILLS = 20
CHIP_S = 0.01
INFO = {"api": 1, "models": [{"name": "scripted", "demonstration": True}], "device": "cpu"}

processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload([Path(__file__).stem])


@pytest.fixture(scope="module", autouse=True)
def _this_folder_on_the_path_of_the_fork_server() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:  # Python 3.11 does not hand its own path on
        patch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
        forkserver.ensure_running()
        yield


class BlobEngine:
    """Says where bright pixels are, one token a chip; notes in a file how many chips it was asked about."""

    card, hash, device, batch_size = CARD, "0" * 64, "cpu", 2

    def __init__(self, notes: Path | None = None, pause_s: float = 0.0) -> None:
        self._notes = notes
        self._pause_s = pause_s

    def answer(self, requests, cancelled=lambda: False, on_text=None):
        return [self._reply(request, cancelled) for request in requests]

    def _reply(self, request, cancelled):
        time.sleep(self._pause_s)
        if cancelled():
            raise Cancelled("cancelled")
        if self._notes:
            with self._notes.open("ab") as notes:
                notes.write(b".")
        rows, columns = np.nonzero(request.image > 200)
        boxes = []
        if len(rows):
            blob = ChipBox(columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            boxes = [(blob, "ship")]
        text = render_boxes(boxes, request.image.shape[::-1])
        return Reply(text, (len(text),), np.log([0.5 + request.image.mean() / 1000]), finished=True)


def live(folder: Path, port: int, ready: Connection) -> None:
    """One life of a server."""
    job_module.TRIES = 10 * KILLS  # what is tested is not how soon it gives up
    app = create_app(
        lambda order, engine, cancelled, settings, run: interpret(
            order, engine, cancelled, settings, identity=run
        ),
        lambda: BlobEngine(folder / "asked", CHIP_S),
        INFO,
        token=TOKEN,
        roots=Roots.of([folder]),
        state=folder / "state",
    )
    with serve.bind("127.0.0.1", port) as listener:
        server = StoppableServer(app, on_ready=lambda: ready.send(listener.getsockname()[1]))
        signal.signal(signal.SIGTERM, lambda *_: server.stop())
        server.run(sockets=[listener])
    assert app.state.jobs.join(5)


class Lives:
    """One server after the other, on the same port and the same state."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = 0
        self._process: multiprocessing.process.BaseProcess | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def begin(self) -> Connection:
        """Start; the connection says when it answers."""
        ours, theirs = processes.Pipe()
        self._process = processes.Process(target=live, args=(self._folder, self._port, theirs))
        self._process.start()
        theirs.close()
        return ours

    def ready(self) -> None:
        with self.begin() as connection:
            assert connection.poll(120)  # the first one waits for the imports
            self._port = connection.recv()

    def kill(self) -> None:
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.join(10)
        assert self._process.exitcode == -signal.SIGKILL

    def stop(self) -> None:
        self._process.terminate()
        self._process.join(20)
        assert self._process.exitcode == 0


@contextlib.contextmanager
def watching(url: Callable[[], str], job: str) -> Iterator[list[tuple[int, str, dict]]]:
    """Follow a job across the lives of the server, each time from the event heard last."""
    heard: list[tuple[int, str, dict]] = []

    def listen() -> None:
        while not heard or heard[-1][1] != "end":
            headers = AUTH | {"Last-Event-ID": str(heard[-1][0] if heard else 0)}
            with (
                contextlib.suppress(requests.RequestException),  # killed in between
                requests.get(f"{url()}/jobs/{job}/events", headers=headers, stream=True, timeout=5) as reply,
            ):
                heard.extend(decode_events(reply.iter_content(None)))
            time.sleep(0.005)

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    yield heard
    thread.join(60)
    assert not thread.is_alive()


def scene(folder: Path) -> Path:
    """Dark sea with bright blobs, some of them on the seams between chips."""
    generator = np.random.default_rng(5)
    power = generator.gamma(20.0, 0.0005, (320, 320)).astype(np.float32)
    for top, left in generator.integers(0, 310, (25, 2)):
        power[top : top + 5, left : left + 9] = 30.0
    return write(folder / "scene.tif", power)


def undisturbed(inputs: str, folder: Path, identity: RunIdentity) -> tuple[list[bytes], str]:
    """The events and the results of the same run in this process, where nobody kills it."""
    request = with_files(REQUEST.validate_json(inputs), Roots.of([folder]))
    *told, finished = interpret(request, BlobEngine(), identity=identity)
    assert isinstance(finished, Finished)
    told.append(Ended("successful", "Done.", warnings=finished.run.warnings))
    events = [wire.sse(i, event.name, wire.encode(event.to_json())) for i, event in enumerate(told, 1)]
    return events, wire.encode(finished.to_json())


def submit(lives: Lives, inputs: dict[str, object], client: str) -> str:
    reply = requests.post(
        f"{lives.url}/processes/interpret/execution",
        json={"inputs": inputs},
        headers=AUTH | {"X-Client": client},
        timeout=10,
    )
    assert reply.status_code == 201
    return str(reply.json()["jobID"])


def applied(heard: list[tuple[int, str, dict]]) -> dict[str, dict]:
    """The findings on the map of a client that heard these events."""
    shown: dict[str, dict] = {}
    for _, name, data in heard:
        if name == "findings":
            for old in data["replaced"]:
                del shown[old]
            for feature in data["added"]["features"]:
                assert feature["id"] not in shown, "told twice"
                shown[feature["id"]] = feature
    return shown


def test_twenty_kills_at_random_moments_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    inputs = {"scene": str(scene(tmp_path)), "task": "detect", "targets": ["ship"], "overlap": 0.4}
    moments = random.Random(20)
    lives = Lives(tmp_path)
    lives.ready()
    jobs = [submit(lives, inputs, client) for client in ("anna", "anna", "ben")]
    heard: dict[str, list[tuple[int, str, dict]]] = {}
    with contextlib.ExitStack() as stack:
        for job in jobs:
            heard[job] = stack.enter_context(watching(lambda: lives.url, job))
        kills = 0
        while kills < KILLS:
            enough = sum(map(len, heard.values())) + moments.randrange(5)
            while sum(map(len, heard.values())) < enough:
                assert not all(told and told[-1][1] == "end" for told in heard.values()), (
                    "nothing left to kill"
                )
                time.sleep(0.001)
            time.sleep(moments.uniform(0.0, 3 * CHIP_S))
            lives.kill()
            kills += 1
            if moments.random() < 0.2:  # and one that has not even come to life
                with lives.begin():
                    time.sleep(moments.uniform(0.0, 0.05))
                    lives.kill()
                kills += 1
            lives.ready()
    with Client(lives.url, TOKEN) as client:
        results = {job: client.results(job) for job in jobs}
    lives.stop()

    journal = Journal(tmp_path / "state")
    for job in jobs:
        record = journal.find(job)
        events, expected = undisturbed(record.inputs, tmp_path, RunIdentity(record.run, record.started))
        assert journal.events(job, 0, 10_000) == events
        assert heard[job] == list(decode_events(events))
        assert journal.results(job) == expected
        assert results[job] == json.loads(expected)
        final = {feature["id"]: feature for feature in results[job]["findings"]["features"]}
        assert applied(heard[job]) == final
        assert len(final) > 15
    journal.close()
    chips = sum(told[0][2]["chips"] for told in heard.values())
    asked = (tmp_path / "asked").stat().st_size
    assert chips <= asked <= chips + kills * 2 * BlobEngine.batch_size, (
        "answered again what was in the journal"
    )


def pause(lives: Lives, job: str, *, paused: bool) -> dict[str, object]:
    reply = requests.patch(f"{lives.url}/jobs/{job}", json={"paused": paused}, headers=AUTH, timeout=10)
    assert reply.status_code == 200
    return dict(reply.json())


def state(lives: Lives, job: str) -> dict[str, object]:
    return dict(requests.get(f"{lives.url}/jobs/{job}", headers=AUTH, timeout=10).json())


def test_pauses_and_restarts_in_between_lose_nothing_and_ask_about_no_chip_twice(tmp_path: Path) -> None:
    inputs = {"scene": str(scene(tmp_path)), "task": "detect", "targets": ["ship"], "overlap": 0.4}
    lives = Lives(tmp_path)
    lives.ready()
    job = submit(lives, inputs, "anna")
    with watching(lambda: lives.url, job) as heard:
        for restart in (None, lives.stop, lives.kill, None):
            enough = len(heard) + 5
            while len(heard) < enough:
                assert not heard or heard[-1][1] != "end", "nothing left to pause"
                time.sleep(0.001)
            assert pause(lives, job, paused=True)["paused"]
            while state(lives, job)["status"] != "accepted":
                time.sleep(0.005)
            if restart is not None:
                restart()
                lives.ready()
            asked = (tmp_path / "asked").stat().st_size
            time.sleep(10 * CHIP_S)
            assert (tmp_path / "asked").stat().st_size == asked, "goes on although it is paused"
            said = state(lives, job)
            assert (said["status"], said["paused"], said["message"]) == ("accepted", True, "Paused.")
            assert "paused" not in pause(lives, job, paused=False)
    lives.stop()
    journal = Journal(tmp_path / "state")
    record = journal.find(job)
    events, expected = undisturbed(record.inputs, tmp_path, RunIdentity(record.run, record.started))
    assert heard == list(decode_events(events))
    assert journal.results(job) == expected
    journal.close()
    assert (tmp_path / "asked").stat().st_size == heard[0][2]["chips"]


def test_a_clean_stop_leaves_jobs_to_the_next_server_but_not_those_that_were_cancelled(
    tmp_path: Path,
) -> None:
    inputs = {"scene": str(scene(tmp_path)), "task": "detect", "targets": ["ship"]}
    lives = Lives(tmp_path)
    lives.ready()
    kept, waiting, dropped = (submit(lives, inputs, client) for client in "abc")
    with watching(lambda: lives.url, kept) as heard:
        while len(heard) < 3:
            time.sleep(0.005)
        lives.stop()
        assert heard[-1][1] != "end"
        lives.ready()
        requests.delete(f"{lives.url}/jobs/{dropped}", headers=AUTH, timeout=10).raise_for_status()
        lives.kill()
        lives.ready()
    with watching(lambda: lives.url, waiting) as other, watching(lambda: lives.url, dropped) as gone:
        pass
    lives.stop()
    assert heard[-1][2]["status"] == other[-1][2]["status"] == "successful"
    assert [(name, data["status"]) for _, name, data in gone][-1] == ("end", "dismissed")
    assert [number for number, _, _ in heard] == list(range(1, len(heard) + 1))


def test_a_job_whose_scene_is_gone_or_changed_fails_with_one_line(tmp_path: Path) -> None:
    inputs = {"scene": str(scene(tmp_path)), "task": "detect", "targets": ["ship"]}
    lives = Lives(tmp_path)
    lives.ready()
    job = submit(lives, inputs, "a")
    with watching(lambda: lives.url, job) as heard:
        while len(heard) < 3:
            time.sleep(0.005)
        lives.kill()
        path = tmp_path / "scene.tif"
        write(path, np.full((320, 320), 0.02, np.float32))
        lives.ready()
    lives.stop()
    assert heard[-1][2]["status"] == "failed"
    assert "changed since the job began; start it again" in heard[-1][2]["message"]
