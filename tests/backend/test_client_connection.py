"""The client's connection: what answers there, where tokens come from, which certificates are trusted."""

from __future__ import annotations

import http.server
import shutil
import subprocess
import threading
from pathlib import Path

import pytest
from scripted_server import TOKEN
from serving import act, served, stage

from fusar_gpt import client as client_module
from fusar_gpt import connection
from fusar_gpt.client import Client, ServerError, Unreachable
from fusar_gpt.connection import find_token
from fusar_gpt.contract import Finished


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "RETRY_S", 0.02)


class Elsewhere(http.server.BaseHTTPRequestHandler):
    """Something that is not our server; keeps the tokens it was sent."""

    tokens: list[str | None]
    answers: dict[str, tuple[int, dict[str, str], bytes]]

    def do_GET(self) -> None:
        self.tokens.append(self.headers["Authorization"])
        status, headers, body = self.answers[self.path.partition("?")[0]]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_what_is_no_server_of_ours_is_said_and_the_token_goes_nowhere_else() -> None:
    handler = type("Handler", (Elsewhere,), {"tokens": [], "answers": {}})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as other:
        thread = threading.Thread(target=other.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{other.server_port}"
        handler.answers |= {
            "/a/info": (302, {"Location": f"{url}/b/info"}, b""),
            "/b/info": (200, {}, b"<html>"),
            "/c/info": (200, {}, b'{"api": 99}'),
            "/d/info": (502, {}, b"Bad gateway"),
        }
        said = {}
        for path in "abcd":
            with Client(f"{url}/{path}", TOKEN) as client, pytest.raises(ServerError) as error:
                client.info()
            said[path] = error.value
        other.shutdown()
        thread.join()
    assert len(handler.tokens) == 4, "the redirect was followed"
    assert "answered 302" in str(said["a"])
    assert "is not fusar serve" in str(said["b"])
    assert "speaks API 99" in str(said["c"])
    assert isinstance(said["d"], Unreachable)
    for url in ("gpu:8000", "http://", "http://[::1"):
        with Client(url, TOKEN) as client, pytest.raises(ServerError, match="check the address"):
            client.info()


def test_where_tokens_come_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own, plain = tmp_path / "server.json", tmp_path / "token"
    monkeypatch.setattr(connection, "TOKEN_FILE", own)
    monkeypatch.delenv("FUSAR_TOKEN", raising=False)
    with pytest.raises(ServerError, match="no token for http://a:1"):
        find_token("http://a:1")
    own.write_text('{"url": "http://a:1", "token": "own"}')
    plain.write_text("plain\n")
    assert find_token("http://a:1/") == "own"
    assert find_token("http://a:1", plain) == "plain"
    assert find_token("http://b:1", own) == "own"
    with pytest.raises(ServerError, match="no token for http://b:1"):
        find_token("http://b:1")
    monkeypatch.setenv("FUSAR_TOKEN", "from the environment")
    assert find_token("http://b:1") == "from the environment"
    for content in ("", "{", '{"token": 5}', '{"url": "x"}', "two\nlines"):
        plain.write_text(content)
        with pytest.raises(ServerError, match="holds no token"):
            find_token("http://a:1", plain)
    with pytest.raises(ServerError, match="cannot read the token"):
        find_token("http://a:1", tmp_path / "gone")


def test_a_certificate_is_trusted_only_where_it_is_named(tmp_path: Path) -> None:
    if not shutil.which("openssl"):
        pytest.skip("makes a certificate with openssl")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    names = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subprocess.run(
        [*make, *names, "-days", "2", "-out", cert, "-keyout", key], check=True, capture_output=True
    )
    with served(stage(tmp_path), tls=(cert, key)) as url:
        assert url.startswith("https:")
        with Client(url, TOKEN) as client, pytest.raises(ServerError, match="is not trusted"):
            client.info()
        with Client(url, TOKEN, ca_file=cert) as client:
            assert isinstance(list(client.run(act(tmp_path)))[-1], Finished)
    with pytest.raises(ServerError, match="does not exist"):
        Client(url, TOKEN, ca_file=tmp_path / "gone.pem")
