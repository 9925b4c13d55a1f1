"""A search survives kill -9 in mid-index: it tells the same again, and embeds no slice that it has embedded."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest
import requests
from rasters import write
from scripted_server import AUTH, INFO, TOKEN, ScriptedEngine, scripted
from small_klip import write_small_klip
from test_resume_jobs import Lives, processes, watching

from fusar_gpt.client import Client, decode_events
from fusar_gpt.contract import SEARCH_EXECUTION, Ended, SearchRequest
from fusar_gpt.imagery import RasterPolicy
from fusar_gpt.interpret import RunIdentity
from fusar_gpt.retrieval.encoder import KlipEncoder, open_encoder
from fusar_gpt.search import search
from fusar_gpt.server import serve, wire
from fusar_gpt.server.app import create_app
from fusar_gpt.server.encoders import Encoders
from fusar_gpt.server.inputs import request_of
from fusar_gpt.server.journal import Journal
from fusar_gpt.server.security import Roots
from fusar_gpt.server.serve import StoppableServer

processes.set_forkserver_preload([Path(__file__).stem])

SIZE, SLICES = 640, 39 * 39
KILLS = 3
BATCH_S = 0.03
MOST_AGAIN = 256
"""Slices that a kill may cost: those that were embedded and not yet in the index. Losing all would cost more."""


@pytest.fixture(scope="module", autouse=True)
def _this_path_for_the_fork_server() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:  # Python 3.11 does not hand its own path on
        patch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
        forkserver.ensure_running()
        yield


class NotingEncoder(KlipEncoder):
    """Embeds slowly, and writes a byte into a file for each image."""

    def embed_images(self, images):
        time.sleep(BATCH_S)
        found = super().embed_images(images)
        with NOTES[0].open("ab") as notes:
            notes.write(b"." * len(images))
        return found


NOTES: list[Path] = []
"""The file that this process notes in."""


def slow(source: str, *, device: str) -> NotingEncoder:
    return NotingEncoder(open_encoder(source, device=device).klip)


def live(folder: Path, port: int, ready: Connection) -> None:
    """One life of a server."""
    NOTES[:] = [folder / "embedded"]
    app = create_app(
        scripted,
        ScriptedEngine,
        INFO,
        token=TOKEN,
        roots=Roots.of([folder]),
        state=folder / "state",
        encoders=Encoders(str(folder / "small"), load=slow),
        indexes=folder / "indexes",
    )
    with serve.bind("127.0.0.1", port) as listener:
        server = StoppableServer(app, on_ready=lambda: ready.send(listener.getsockname()[1]))
        server.run(sockets=[listener])


class SearchLives(Lives):
    """One server after the other, which search."""

    def begin(self) -> Connection:
        ours, theirs = processes.Pipe()
        self._process = processes.Process(target=live, args=(self._folder, self._port, theirs))
        self._process.start()
        theirs.close()
        return ours


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_search_that_is_killed_in_mid_index_goes_on_and_tells_the_same(tmp_path: Path) -> None:
    write_small_klip(tmp_path / "small")
    power = np.random.default_rng(3).gamma(20.0, 0.0005, (SIZE, SIZE)).astype(np.float32)
    power[100:140, 200:260] = 30.0
    scene = write(tmp_path / "scene.tif", power)
    notes = tmp_path / "embedded"
    notes.touch()
    lives = SearchLives(tmp_path)
    lives.ready()
    inputs = SearchRequest(str(scene), ("Three ships lie in the harbour.",), top=5).to_json()
    reply = requests.post(lives.url + SEARCH_EXECUTION, json={"inputs": inputs}, headers=AUTH, timeout=20)
    assert reply.status_code == 201
    job = str(reply.json()["jobID"])
    with watching(lambda: lives.url, job) as heard:
        for kill in range(1, KILLS + 1):
            enough = kill * SLICES // (KILLS + 2)
            until(lambda enough=enough: notes.stat().st_size > enough)
            assert not heard or heard[-1][1] != "end", "nothing left to kill"
            lives.kill()
            lives.ready()
    with Client(lives.url, TOKEN) as client:
        results = client.results(job)
    lives.kill()

    assert SLICES <= notes.stat().st_size <= SLICES + KILLS * MOST_AGAIN
    journal = Journal(tmp_path / "state")
    record = journal.find(job)
    identity = RunIdentity(record.run, record.started)
    request, encoder = request_of(record), open_encoder(str(tmp_path / "small"))
    undisturbed = tmp_path / "other"
    *told, finished = search(request, encoder, identity=identity, policy=RasterPolicy(), folder=undisturbed)
    told.append(Ended("successful", "Done.", finished.run.warnings))
    events = [wire.sse(i, event.name, wire.encode(event.to_json())) for i, event in enumerate(told, 1)]
    assert heard == list(decode_events(journal.events(job, 0, 1000)))
    assert [name for _, name, _ in heard] == [event.name for event in told]
    assert heard == list(decode_events(events))
    assert results == json.loads(wire.encode(finished.to_json()))
    journal.close()
