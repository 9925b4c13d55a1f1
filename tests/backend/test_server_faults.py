"""Bad days of a server over real HTTP: clients that vanish, dawdle, talk nonsense, come in crowds; odd clocks."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import requests
from rasterio.windows import Window
from rasters import NORTH_UP, UTM, speckle
from scripted_server import AUTH, RUN, TOKEN, ApiServer, ask, finding, serve_api, until

from fusar_gpt.client import ServerError, decode_events
from fusar_gpt.contract import Finished, Found, Progress, Started
from fusar_gpt.errors import Cancelled
from fusar_gpt.server import jobs as jobs_module
from fusar_gpt.server.options import Options

WATCHERS = 200
CHIPS = 400
WORDS = "dark sea " * 2000
UPLOAD_SIDE = 2**14


@dataclass
class WordyServer:
    """A server whose jobs find a lot, once ``gate`` is open."""

    api: ApiServer
    gate: threading.Event
    begun: list[str] = field(default_factory=list)

    def submit(self, name: str = "a", client: str = "one") -> str:
        body = {"inputs": self.api.inputs | {"question": name}}
        headers = AUTH | {"X-Client": client}
        reply = ask(self.api, "POST", "/processes/interpret/execution", json=body, headers=headers)
        assert reply.status_code == 201
        return str(reply.json()["jobID"])

    def status(self, job: str) -> str:
        return str(self.api.client.status(job)["status"])

    def connect(self, room: int = 2**20) -> socket.socket:
        host, port = self.api.url.removeprefix("http://").split(":")
        connection = socket.socket()
        connection.settimeout(20)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        connection.connect((host, int(port)))
        return connection


@contextlib.contextmanager
def wordy_server(folder: Path, chips: int = 3, **options: object) -> Iterator[WordyServer]:
    gate, begun = threading.Event(), []

    def talk(request, engine, cancelled, settings, run):
        begun.append(request.question)
        yield Started(RUN, chips)
        while not gate.wait(0.005):
            if cancelled():
                raise Cancelled("cancelled")
        wordy = replace(finding("f"), properties={"label": "ship", "text": WORDS})
        for chip in range(chips):
            yield Found((replace(wordy, id=f"f{chip}"),))
            yield Progress(chip + 1, chips)
        yield Finished(RUN, ())

    with serve_api(folder, interpreter=talk, **options) as api:
        yield WordyServer(api, gate, begun)


def request_events(job: str) -> bytes:
    """HTTP/1.0: the stream ends with the connection, and has no chunks."""
    lines = [f"GET /jobs/{job}/events HTTP/1.0", "Host: localhost", f"Authorization: Bearer {TOKEN}", "", ""]
    return "\r\n".join(lines).encode()


def body(raw: bytes) -> bytes:
    return raw.partition(b"\r\n\r\n")[2]


def test_two_hundred_watchers_of_one_job_hear_the_same(tmp_path: Path) -> None:
    async def listen(server: WordyServer, job: str, connected: asyncio.Semaphore) -> bytes:
        host, port = server.api.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(request_events(job))
        head = await reader.readuntil(b"\n\n")  # what was told so far
        connected.release()
        rest = await reader.read(-1)
        writer.close()
        return body(head) + rest

    async def crowd(server: WordyServer, job: str) -> list[bytes]:
        connected = asyncio.Semaphore(0)
        tasks = [asyncio.create_task(listen(server, job, connected)) for _ in range(WATCHERS)]
        for _ in range(WATCHERS):
            await connected.acquire()
        server.gate.set()
        return await asyncio.gather(*tasks)

    with wordy_server(tmp_path) as server:
        heard = asyncio.run(crowd(server, server.submit()))
    assert len({*heard}) == 1, "watchers of one job were told different things"
    events = list(decode_events(heard[:1]))
    assert [number for number, _, _ in events] == list(range(1, len(events) + 1))
    assert [name for _, name, _ in events] == ["started", *["findings", "progress"] * 3, "end"]


def test_watchers_that_vanish_leave_nothing_behind_and_the_job_goes_on(tmp_path: Path) -> None:
    with wordy_server(tmp_path) as server:
        job = server.submit()
        watched = server.api.client.watch(job)
        assert next(watched)[0] == "started"
        for number in range(20):
            connection = server.connect()
            connection.sendall(request_events(job)[: -1 if number % 4 == 0 else None])
            if number % 4:
                assert connection.recv(10)
            if number % 2:  # the machine was switched off: no farewell, a reset
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
        until(lambda: len(server.api.server.server_state.connections) == 1)
        server.gate.set()
        assert [name for name, _ in watched][-1] == "end"
        assert server.status(job) == "successful"


def test_a_slow_reader_holds_up_nobody_and_hears_everything_in_the_end(tmp_path: Path) -> None:
    with wordy_server(tmp_path, CHIPS) as server:
        job = server.submit()
        with server.connect(room=2**14) as slow:
            slow.sendall(request_events(job))
            server.gate.set()
            quick = list(server.api.client.watch(job))
            assert server.status(job) == "successful"
            assert len(quick) == 2 * CHIPS + 2
            raw = bytearray()
            while piece := slow.recv(2**20):
                raw += piece
    assert len(raw) > CHIPS * len(WORDS), "the buffers of the system may hold all of this"
    assert [(name, data) for _, name, data in decode_events([body(bytes(raw))])] == quick


GARBAGE = {
    "nothing": b"",
    "noise": random.Random(0).randbytes(4096),
    "zeros": bytes(10_000),
    "half a line": b"GET /hea",
    "TLS": bytes.fromhex("1603010200010001fc0303") + bytes(100),
    "no host": b"GET /health HTTP/1.1\r\n\r\n",
    "endless header": b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 2_000_000,
    "many headers": b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + b"X: a\r\n" * 20_000 + b"\r\n",
    "negative length": b"POST /scenes?name=a.tif HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    "two lengths": b"POST /scenes HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 9\r\n\r\na",
    "bad chunks": b"POST /scenes HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "smuggled": b"POST /scenes HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /info HTTP/1.1\r\n\r\n",
    "upgrade": b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WordyServer]:
    with wordy_server(tmp_path_factory.mktemp("house")) as opened:
        yield opened


@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_is_refused_or_ignored(server: WordyServer, garbage: str) -> None:
    raw = b""
    with server.connect() as connection, contextlib.suppress(OSError):  # it may hang up on us
        connection.sendall(GARBAGE[garbage])
        connection.shutdown(socket.SHUT_WR)
        while piece := connection.recv(65536):
            raw += piece
    statuses = [int(line.split()[1]) for line in raw.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]
    assert all(status < 500 for status in statuses)
    assert b'"api"' not in raw, "what needs a token was answered without one"
    assert requests.get(f"{server.api.url}/health", timeout=20).json() == {"status": "ok"}


def test_events_cannot_be_asked_for_from_nowhere(server: WordyServer) -> None:
    job = server.submit()
    for number in ("-1", "x", "1" * 30, "1.5", ""):
        headers = {"Authorization": f"Bearer {TOKEN}", "Last-Event-ID": number}
        reply = requests.get(f"{server.api.url}/jobs/{job}/events", headers=headers, timeout=20)
        assert reply.status_code == 422
    server.api.client.cancel(job)


def test_fifty_jobs_of_ten_clients_take_turns(tmp_path: Path) -> None:
    with wordy_server(tmp_path, options=Options(jobs=1)) as server:
        first = server.submit("greedy", "greedy")
        until(lambda: server.begun == ["greedy"])
        jobs = [server.submit("greedy", "greedy") for _ in range(22)]
        jobs += [server.submit(name, name) for _ in range(3) for name in map(str, range(9))]
        server.gate.set()
        until(lambda: all(server.status(job) == "successful" for job in [first, *jobs]))
    assert len(server.begun) == 50
    turns = server.begun[1:]
    rounds = [Counter(turns[start : start + 10]) for start in range(0, 30, 10)]
    assert all(set(each.values()) == {1} and len(each) == 10 for each in rounds), turns
    assert set(turns[30:]) == {"greedy"}


def resident() -> int:
    """Bytes of this process, server and client, that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@contextlib.contextmanager
def highest() -> Iterator[list[int]]:
    """The most bytes in memory meanwhile, above what there was before."""
    before, peak, over = resident(), [0], threading.Event()

    def look() -> None:
        while not over.wait(0.01):
            peak[0] = max(peak[0], resident() - before)

    thread = threading.Thread(target=look)
    thread.start()
    yield peak
    over.set()
    thread.join()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="measures memory on Linux")
def test_a_large_upload_takes_little_memory(tmp_path: Path, server: WordyServer) -> None:
    path = tmp_path / "large.tif"
    profile = {"width": UPLOAD_SIDE, "height": UPLOAD_SIDE, "count": 1, "dtype": "uint8", "tiled": True}
    with rasterio.open(path, "w", driver="GTiff", crs=UTM, transform=NORTH_UP, **profile) as scene:
        corner = (speckle(4096, 4096) * 2000).clip(1, 255).astype(np.uint8)
        scene.write(corner, 1, window=Window(4096, 4096, 4096, 4096))
    assert path.stat().st_size > 200 * 2**20
    server.api.client.scenes()  # what is loaded with the first request is not counted
    with highest() as peak:
        kept = server.api.client.upload(path)
    assert kept["bytes"] == path.stat().st_size
    assert peak[0] < 100 * 2**20
    server.api.client.delete_scene(kept["scene"])


@pytest.mark.parametrize("years", [10, -10])
def test_a_jump_of_the_clock_forgets_nothing_and_keeps_nothing_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, years: int
) -> None:
    monkeypatch.setattr(jobs_module, "SWEEP_S", 0.02)
    now = time.time
    with wordy_server(tmp_path) as server:
        job = server.submit()
        events = server.api.client.watch(job)
        next(events)
        monkeypatch.setattr(time, "time", lambda: now() + years * 365 * 86400)
        server.gate.set()
        assert [name for name, _ in events][-1] == "end"
        later = server.submit()
        until(lambda: server.status(later) == "successful")
        time.sleep(0.2)  # several sweeps
        assert server.api.client.results(job)
    monkeypatch.undo()
    monkeypatch.setattr(jobs_module, "SWEEP_S", 0.02)
    with wordy_server(tmp_path, options=Options(keep_results_s=0.1)) as server:
        server.gate.set()
        monkeypatch.setattr(time, "time", lambda: now() - 10 * 365 * 86400)
        until(lambda: not known(server, job))


def known(server: WordyServer, job: str) -> bool:
    try:
        return bool(server.status(job))
    except ServerError:
        return False
