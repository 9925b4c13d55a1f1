"""Connections that send nothing, or slowly, keep nobody else out."""

from __future__ import annotations

import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
import requests
from scripted_server import AUTH, TOKEN, ApiServer, ask, serve_api, submit, until

from fusar_gpt.server import connections, security
from fusar_gpt.server.connections import IdleConnections
from fusar_gpt.server.options import Options

HANGING = (
    b"",
    b"GET /hea",
    b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ",
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n{",
    b"POST /processes/interpret/execution HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b"Content-Length: 99\r\nAuthorization: Bearer " + TOKEN.encode() + b"\r\n\r\n{",
)


@contextmanager
def open_files(number: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < number:
        pytest.skip("the system does not allow so many open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, number), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def connect(api: ApiServer, said: bytes = b"") -> socket.socket:
    host, port = api.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=10)
    connection.sendall(said)
    return connection


def closed(connection: socket.socket) -> bool:
    """Whether the server closes a connection within its time-out; what it says first is left out."""
    try:
        while connection.recv(65536):
            continue
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    return True


def health_s(api: ApiServer) -> float:
    began = time.monotonic()
    assert requests.get(f"{api.url}/health", timeout=10).json() == {"status": "ok"}
    return time.monotonic() - began


def test_health_answers_while_a_thousand_connections_hang_and_a_stream_goes_on(tmp_path: Path) -> None:
    with open_files(5000), serve_api(tmp_path) as api, ExitStack() as stack:
        job = submit(api, question="held")
        stream = stack.enter_context(
            requests.get(f"{api.url}/jobs/{job}/events", headers=AUTH, stream=True, timeout=20)
        )
        pieces = stream.iter_content(None)
        assert b"started" in next(pieces)
        for number in range(1000):
            stack.enter_context(connect(api, HANGING[number % len(HANGING)]))
        health_s(api)  # the server has taken them all in
        assert max(health_s(api) for _ in range(5)) < 1
        assert ask(api, "GET", "/info").status_code == 200
        assert ask(api, "DELETE", f"/jobs/{job}").status_code == 200
        assert b'"dismissed"' in b"".join(pieces)


@pytest.mark.parametrize("said", HANGING[:4])
def test_the_head_of_a_request_must_come_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(connections, "HEAD_S", 0.3)
    with serve_api(tmp_path) as api, connect(api, said) as connection:
        assert closed(connection)


def test_dripping_does_not_lengthen_the_time_nor_does_a_request_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD_S", 0.5)
    with serve_api(tmp_path) as api, connect(api) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        began = time.monotonic()
        with suppress(OSError):  # a reset or a broken pipe
            for byte in b"GET /health HTTP/1.1\r\nX-Slow: " + b"x" * 1000:
                connection.sendall(bytes([byte]))
                time.sleep(0.02)
        assert time.monotonic() - began < 5


def test_what_is_being_answered_is_not_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_S", 0.2)
    with serve_api(tmp_path, heartbeat_s=0.1) as api:
        job = submit(api, question="held")
        with requests.get(f"{api.url}/jobs/{job}/events", headers=AUTH, stream=True, timeout=20) as stream:
            pieces, began = stream.iter_content(None), time.monotonic()
            while time.monotonic() - began < 1:
                assert next(pieces)
            ask(api, "DELETE", f"/jobs/{job}")
            assert b'"dismissed"' in b"".join(pieces)


def test_those_that_wait_longest_give_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(IdleConnections.__init__, "__defaults__", (connections.CONNECTIONS, 5))
    with serve_api(tmp_path) as api, ExitStack() as stack:
        opened = []
        for _ in range(12):
            opened.append(stack.enter_context(connect(api, b"GET /")))
            health_s(api)
        assert all(map(closed, opened[:6]))
        for connection in opened[8:]:
            connection.sendall(b"health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")


def test_requests_beyond_their_number_are_refused_and_health_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(security, "REQUESTS", 3)
    with serve_api(tmp_path, options=Options(jobs=1)) as api, ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(connect(api, HANGING[4]))
        until(lambda: ask(api, "GET", "/info").status_code == 503)
        refused = ask(api, "GET", "/info")
        assert refused.json()["detail"] == "the server answers 3 requests already; try again"
        assert refused.headers["Retry-After"] == "2"
        assert health_s(api) < 1
    assert not api.thread.is_alive()  # hanging bodies do not hold up the end either


def test_the_end_of_the_server_waits_for_no_slow_body(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with serve_api(tmp_path) as api, ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(connect(api, HANGING[4]))
        health_s(api)
        began = time.monotonic()
        api.stop()
        assert time.monotonic() - began < 2
    assert "Traceback" not in caplog.text
    assert not [record for record in caplog.records if record.exc_info]


def test_the_server_may_open_as_many_files_as_the_system_allows() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
        assert connections.raise_file_limit() == min(hard, connections.FILES)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == min(hard, connections.FILES)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
