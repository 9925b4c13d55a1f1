"""Who may use the HTTP API and which files they may name."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from scripted_server import AUTH, INFO, TOKEN, ApiServer, ScriptedEngine, scripted, serve_api
from serving import arguments, served, stage

from fusar_gpt.errors import FusarError
from fusar_gpt.server import security, serve
from fusar_gpt.server.app import create_app
from fusar_gpt.server.options import Options
from fusar_gpt.server.security import (
    BODY_LIMIT,
    PathRefused,
    Roots,
    host_allowed,
    is_loopback,
)
from fusar_gpt.server.serve import StoppableServer
from fusar_gpt.server.tokens import ServeError


def status(api: ApiServer, method: str, path: str, headers: dict[str, str], **options: object) -> int:
    with requests.request(method, api.url + path, headers=headers, timeout=10, **options) as reply:
        if reply.status_code >= 400:
            assert reply.json()["detail"]
        return reply.status_code


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/info"),
        ("GET", "/openapi.json"),
        ("GET", "/"),
        ("GET", "/metrics"),
        ("GET", "/scenes"),
        ("POST", "/scenes?name=a.tif"),
        ("DELETE", "/scenes/x"),
        ("POST", "/v1/chat/completions"),
        ("GET", "/docs"),
        ("GET", "/health/"),
        ("POST", "/processes/interpret/execution"),
        ("GET", "/jobs/x"),
        ("DELETE", "/jobs/x"),
        ("PATCH", "/jobs/x"),
        ("GET", "/jobs/x/results"),
        ("GET", "/jobs/x/events"),
        ("OPTIONS", "/info"),
    ],
)
@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        f"Basic {TOKEN}",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        "Bearer \xe9",
    ],
)
def test_nothing_but_health_answers_without_the_token(
    api: ApiServer, method: str, path: str, header: str
) -> None:
    assert status(api, method, path, {} if header is None else {"Authorization": header}) == 401


def test_health_is_open_and_the_openapi_document_is_for_holders_of_the_token(api: ApiServer) -> None:
    assert status(api, "GET", "/health", {}) == 200
    assert status(api, "GET", "/openapi.json", AUTH) == 200
    assert status(api, "GET", "/docs", AUTH) == 404


PAGE = "https://map.example"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A server that pages of one origin may call."""
    with serve_api(tmp_path_factory.mktemp("root"), options=Options(origins=(PAGE,))) as opened:
        yield opened


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "", "http://127.0.0.1", f"{PAGE}.evil.example", f"{PAGE}:444"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_no_other_origin_is_ever_let_in(api: ApiServer, shared: ApiServer, origin: str, method: str) -> None:
    headers = AUTH | {"Origin": origin, "Access-Control-Request-Method": "GET"}
    for each in (api, shared):
        with requests.request(method, each.url + "/health", headers=headers, timeout=10) as reply:
            assert reply.status_code == 403
            assert not any(name.lower().startswith("access-control") for name in reply.headers)
    assert status(api, "GET", "/info", AUTH | {"Origin": PAGE}) == 403


def test_a_named_origin_may_call_with_the_token_alone(shared: ApiServer) -> None:
    asked = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
    with requests.options(f"{shared.url}/scenes", headers=asked, timeout=10) as reply:
        assert (reply.status_code, reply.content) == (204, b"")
        assert reply.headers["Access-Control-Allow-Origin"] == PAGE
        assert "Authorization" in reply.headers["Access-Control-Allow-Headers"]
        assert "DELETE" in reply.headers["Access-Control-Allow-Methods"]
    for headers, code in ((AUTH, 200), ({}, 401)):
        with requests.get(f"{shared.url}/info", headers=headers | {"Origin": PAGE}, timeout=10) as reply:
            assert reply.status_code == code
            assert reply.headers["Access-Control-Allow-Origin"] == PAGE
            assert reply.headers["Vary"] == "Origin"
    with requests.get(f"{shared.url}/info", headers=AUTH, timeout=10) as reply:
        assert "Access-Control-Allow-Origin" not in reply.headers
    assert status(shared, "OPTIONS", "/info", {"Origin": PAGE}) == 401  # no preflight


def test_a_body_that_stands_still_is_given_up(api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(security, "SILENCE_S", 0.2)
    lines = [
        "POST /processes/interpret/execution HTTP/1.1",
        "Host: localhost",
        f"Authorization: Bearer {TOKEN}",
    ]
    lines += ["Content-Type: application/json", "Content-Length: 100", "", "{"]
    with socket.create_connection(("127.0.0.1", int(api.url.rsplit(":", 1)[1])), timeout=10) as raw:
        raw.sendall("\r\n".join(lines).encode())
        assert raw.recv(4096).startswith(b"HTTP/1.1 408 ")


def test_a_stream_may_be_silent_for_longer_than_a_body(
    api: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(security, "SILENCE_S", 0.1)
    job = api.client.submit(api.inputs | {"question": "held"})
    stream = api.client.watch(job)
    assert next(stream)[0] == "started"
    time.sleep(0.5)
    api.client.cancel(job)
    assert list(stream)[-1] == ("end", {"status": "dismissed", "message": "Cancelled."})


@pytest.mark.parametrize(
    "crs",
    [
        "+proj=longlat +nadgrids=/dev/tty", "+init=/etc/passwd:x", "+proj=longlat +geoidgrids = /etc/passwd",
        'BOUNDCRS[PARAMETERFILE["x","/etc/passwd"]]',
    ],
)  # fmt: skip
def test_a_crs_names_no_files(api: ApiServer, crs: str) -> None:
    area = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}
    order = {"inputs": api.inputs | {"area": area, "area_crs": crs}}
    assert status(api, "POST", "/processes/interpret/execution", AUTH, json=order) == 422


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.tif")
    with pytest.raises(FusarError, match="cannot be read"):
        Roots.of([tmp_path]).resolve(f"{tmp_path}/pipe.tif")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    files = [
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-keyout",
        folder / "key.pem",
        "-out",
        folder / "cert.pem",
    ]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    return folder / "cert.pem", folder / "key.pem"


def test_tls_by_flags(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    app = create_app(
        scripted, ScriptedEngine, INFO, token=TOKEN, roots=Roots.of([tmp_path]), state=tmp_path / "state"
    )
    ready = threading.Event()
    with serve.bind("127.0.0.1", 0) as listener:
        server = StoppableServer(app, ready.set, cert, key)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        assert ready.wait(20)
        url = serve.url_of("127.0.0.1", listener, tls=True)
        assert url.startswith("https://")
        headers = AUTH | {"Connection": "close"}
        with requests.get(f"{url}/info", headers=headers, timeout=10, verify=str(cert)) as reply:
            assert reply.status_code == 200
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(f"{url}/info", headers=headers, timeout=10)  # nobody vouches for it
        server.stop()
        thread.join(10)
    assert app.state.jobs.join(5)


def test_a_handshake_that_does_not_come_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, certificate: tuple[Path, Path]
) -> None:
    monkeypatch.setattr(serve, "HEAD_S", 0.5)
    with (
        served(stage(tmp_path), tls=certificate) as url,
        socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=10) as hanging,
    ):
        headers = {"Connection": "close"}
        with requests.get(f"{url}/health", headers=headers, timeout=10, verify=str(certificate[0])) as reply:
            assert reply.status_code == 200
        assert hanging.recv(1) == b""


def test_a_certificate_without_its_key_is_said_before_anything_starts(
    tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    cert, key = (str(path) for path in certificate)
    other = tmp_path / "other.pem"
    other.write_text("no key")
    for given in (["--tls-cert", cert], ["--tls-key", key], ["--tls-cert", cert, "--tls-key", str(other)]):
        with pytest.raises(ServeError, match="tls-key"):
            serve.run(arguments("--token", TOKEN, *given))


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "a@127.0.0.1"]
)
def test_a_rebound_name_is_refused_even_with_the_token(api: ApiServer, host: str) -> None:
    assert status(api, "GET", "/health", AUTH | {"Host": host}) == 403


def test_two_host_headers_are_refused(api: ApiServer) -> None:
    address = ("127.0.0.1", int(api.url.rsplit(":", 1)[1]))
    with socket.create_connection(address, timeout=10) as raw:
        raw.sendall(
            b"GET /health HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
        )
        assert raw.recv(4096).split(b" ", 2)[1] in (b"400", b"403")


@pytest.mark.parametrize(
    ("header", "bound", "allowed"),
    [
        ("127.0.0.1:8000", "127.0.0.1", True),
        ("localhost", "127.0.0.1", True),
        ("LOCALHOST:1", "127.0.0.1", True),
        ("[::1]:8000", "127.0.0.1", True),
        ("10.0.0.5", "127.0.0.1", False),
        ("10.0.0.5:80", "10.0.0.5", True),
        ("gpu.lab", "gpu.lab", True),
        ("other.lab", "gpu.lab", False),
        ("10.0.0.5:80", "0.0.0.0", True),
        ("evil.example", "0.0.0.0", False),
        (socket.gethostname(), "0.0.0.0", True),
        ("", "127.0.0.1", False),
        ("127.0.0.1:", "127.0.0.1", False),
    ],
)
def test_host_names(header: str, bound: str, allowed: bool) -> None:
    assert host_allowed(header, bound) is allowed


def chunks(size: int) -> Iterator[bytes]:
    for _ in range(size // 65536 + 1):
        yield b" " * 65536


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_over_the_limit_is_refused(api: ApiServer, declared: bool) -> None:
    body = b" " * (BODY_LIMIT + 1) if declared else chunks(BODY_LIMIT)
    headers = AUTH | {"Content-Type": "application/json"}
    assert status(api, "POST", "/processes/interpret/execution", headers, data=body) == 413


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "open" / "deep").mkdir(parents=True)
    (tmp_path / "open" / "deep" / "scene.tif").touch()
    (tmp_path / "open-not").mkdir()
    (tmp_path / "open-not" / "scene.tif").touch()
    (tmp_path / "secret").touch()
    (tmp_path / "open" / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "open" / "out").symlink_to(tmp_path)
    (tmp_path / "open" / "loop").symlink_to(tmp_path / "open" / "loop")
    (tmp_path / "alias").symlink_to(tmp_path / "open")
    return tmp_path


@pytest.mark.parametrize(
    "path",
    [
        "secret", "open/../secret", "open/link", "open/out/secret", "open-not/scene.tif", "none",
        "open/deep/../../none", "open/\x00", "open/" + "n" * 300 + "/" + "n" * 5000,
    ],
)  # fmt: skip
def test_nothing_outside_the_roots_is_opened(tree: Path, path: str) -> None:
    with pytest.raises((PathRefused, FusarError)) as refusal:
        Roots.of([tree / "open"]).resolve(f"{tree}/{path}")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "path",
    ["http://x/y.tif", "/vsicurl/http://x/y.tif", "/vsizip//open/a.zip", "//host/share/a", "\\\\host\\a",
     "deep/scene.tif", "~/scene.tif", "file:///etc/passwd", "", "NETCDF:/etc/passwd:x"],
)  # fmt: skip
def test_what_is_no_local_path_is_refused(tree: Path, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree / "open")
    with pytest.raises(PathRefused):
        Roots.of(["/"]).resolve(path)


def test_paths_under_a_root_resolve_to_the_real_file(tree: Path) -> None:
    real = tree / "open" / "deep" / "scene.tif"
    assert Roots.of([tree / "alias"]).resolve(str(real)) == real.resolve()
    assert Roots.of([tree / "open"]).resolve(f"{tree}/alias/deep/scene.tif") == real.resolve()
    with pytest.raises(FusarError, match="does not exist"):
        Roots.of([tree / "open"]).resolve(f"{tree}/open/none.tif")
    with pytest.raises(ServeError, match="not a folder"):
        Roots.of([tree / "secret"])


def test_a_busy_port_is_said_in_one_line() -> None:
    with serve.bind("127.0.0.1", 0) as taken, pytest.raises(ServeError, match="cannot listen"):
        serve.bind("127.0.0.1", taken.getsockname()[1])
    with pytest.raises(ServeError, match="cannot listen"):
        serve.bind("127.0.0.1", 70_000)


def test_the_systemd_unit_lets_nothing_leave_the_machine_and_its_command_is_understood() -> None:
    unit = Path(__file__).parents[2] / "deploy" / "fusar.service"
    lines = [line.partition("=") for line in unit.read_text(encoding="utf-8").splitlines()]
    settings = {name: value for name, _, value in lines if name.isalpha()}
    assert settings["IPAddressDeny"] == "any"
    assert all(is_loopback(address) for address in settings["IPAddressAllow"].split())
    program, command, *given = settings["ExecStart"].split()
    assert (Path(program).name, command) == ("fusar", "serve")
    assert is_loopback(arguments(*given).host)
