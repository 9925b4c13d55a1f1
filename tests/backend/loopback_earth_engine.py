"""An Earth Engine on 127.0.0.1, in a process of its own: sign-in, discovery, years and pixels of a small world.

It serves the real client's own documents and works out the expressions that the client sends. Faults are
injected by kind of request.
"""

from __future__ import annotations

import functools
import gzip
import importlib.util
import io
import json
import os
import socket
import subprocess
import sys
import threading
import urllib.request
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from earth_engine_world import BANDS, COLLECTION, npy, pixels, result


@functools.lru_cache(maxsize=2)
def computed(body):
    asked = json.loads(body)
    assert asked["fileFormat"] == "NPY"
    return npy(pixels(result(body), asked["grid"]))


def wrong(fault):
    """The content of an answer that is complete, and wrong."""
    if fault == "float32":
        return npy(np.ones((256, 256, 64)), np.dtype([(band, "<f4") for band in BANDS]))
    if fault == "pickle":
        stream = io.BytesIO()
        np.save(stream, np.array([{"a": 1}], dtype=object), allow_pickle=True)
        return stream.getvalue()
    assert fault == "noise", fault
    return npy(np.full((256, 256, 64), np.pi))


COMPLETE = {
    "html": (lambda: b"<html><body>Welcome to Hotel Wi-Fi</body></html>", {"Content-Type": "text/html"}),
    "flood": (lambda: bytes(65 * 2**20), {}),
    **{fault: (functools.partial(wrong, fault), {}) for fault in ("float32", "pickle", "noise")},
}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        self.answer(b"")

    def do_POST(self):
        self.answer(self.rfile.read(int(self.headers["Content-Length"])))

    def answer(self, body):
        path = urlsplit(self.path).path
        if path == "/faults":
            self.server.faults = json.loads(body)
            self.server.asked = []
            self.server.released.set()
            self.server.released = threading.Event()
            return self.send(200, b"{}")
        if path == "/asked":
            return self.send(200, json.dumps(self.server.asked).encode())
        kind = "sign-in" if path == "/token" else "discovery" if "$discovery" in path else path.split("/")[-1]
        self.entry = {"kind": kind, "path": path, "sent": len(body), "received": 0, "over": False}
        self.server.asked.append(self.entry)
        faults = self.server.faults.get(kind, [])
        fault = faults[0] if faults[:1] and faults[0].endswith("*") else faults.pop(0) if faults else ""
        with suppress(BrokenPipeError, ConnectionResetError):
            self.go_wrong(kind, fault.rstrip("*"), body) if fault else self.send(
                200, self.content(kind, body)
            )
        self.entry["over"] = True

    def content(self, kind, body):
        if kind == "sign-in":
            return json.dumps({"access_token": "good", "expires_in": 3600, "token_type": "Bearer"}).encode()
        if self.headers.get("Authorization") != "Bearer good":
            return self.send_error_of(401, "Request had invalid authentication credentials.")
        if kind == "discovery":
            text = (CLIENT / "cloud_api_discovery_document.json").read_text()
            return text.replace("v1alpha/", "v1/").encode()
        if kind == "algorithms":
            return (CLIENT / "algorithms.json").read_bytes()
        if kind == "value:compute":
            return json.dumps({"result": result(body)}).encode()
        return computed(body)

    def go_wrong(self, kind, fault, body):
        if fault[:3].isdigit():
            self.send_error_of(int(fault[:3]), fault[4:] or "Something is wrong.")
        elif fault == "revoked":
            told = {"error": "invalid_grant", "error_description": "Token has been expired or revoked."}
            self.send(400, json.dumps(told).encode())
        elif fault == "hang":
            self.server.released.wait(60)
            self.close_connection = True
        elif fault in COMPLETE:
            content, headers = COMPLETE[fault]
            self.send(200, content(), headers)
        else:
            self.send_oddly(fault, self.content(kind, body))

    def send_oddly(self, fault, content):
        """Right content, on an odd way."""
        if fault == "restricted":
            self.send(200, content, {"X-Earth-Engine-Quota-Status": "parallelism_restricted=true"})
        elif fault == "gzip":
            self.send(200, gzip.compress(content, 1), {"Content-Encoding": "gzip"})
        elif fault == "half":
            self.send(200, content[: len(content) // 2])
        elif fault == "drop":
            self.send(200, content, cut=len(content) // 2)
        else:
            assert fault == "drip", fault
            self.send(200, content, cut=0)
            while not self.server.released.wait(0.02):
                self.wfile.write(content[:1])

    def send_error_of(self, status, message):
        told = {"error": {"code": status, "message": message, "status": "X"}}
        self.send(status, json.dumps(told).encode())

    def send(self, status, content, headers=None, cut=None):
        if content is None:
            return  # an error was sent instead
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if hasattr(self, "entry"):
            self.entry["received"] = len(content[:cut])
        self.wfile.write(content[:cut])
        if cut is not None:
            self.close_connection = True

    def log_message(self, *_args):
        pass


def serve():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.faults, server.asked, server.released = {}, [], threading.Event()
    print(server.server_port, flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    server.serve_forever()


class Loopback:
    """The server as its users see it."""

    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}"
        self._open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open

    def faults(self, **kinds):
        """What goes wrong next, by kind of request, in turn; one that ends with * stays. Forgets what was asked."""
        renamed = {
            {"pixels": "image:computePixels", "years": "value:compute", "sign_in": "sign-in"}.get(
                kind, kind
            ): turns
            for kind, turns in kinds.items()
        }
        self._open(self.url + "/faults", json.dumps(renamed).encode()).close()

    def asked(self, kind=None):
        """The requests since, each with its kind, path, bytes sent and received, and whether it is over."""
        with self._open(self.url + "/asked") as answer:
            return [entry for entry in json.load(answer) if kind in (None, entry["kind"])]


@contextmanager
def loopback_earth_engine():
    """Start the server; yields a ``Loopback``."""
    process = subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield Loopback(int(process.stdout.readline()))
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


def login(folder, server):
    """A file of user credentials that sign in at the server."""
    path = Path(folder) / "login.json"
    token = {"refresh_token": "r", "client_id": "c", "client_secret": "s", "token_uri": server.url + "/token"}
    path.write_text(json.dumps(token))
    return path


# For the tests.


@contextmanager
def only_the_loopback(server, tmp_path, monkeypatch):
    """Nobody's home, short waits between attempts, and a guard: only 127.0.0.1 is ever looked up."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for module in ("config", "sign_in"):
        monkeypatch.setattr(f"fusar_gpt.priors.earth_engine.{module}.on_google_cloud", lambda: False)
    for variable in ("APPLICATION_CREDENTIALS", "CLOUD_PROJECT", "CLOUD_QUOTA_PROJECT"):
        monkeypatch.delenv(f"GOOGLE_{variable}", raising=False)
    monkeypatch.setattr("fusar_gpt.retry.random.uniform", lambda low, high: 0.02)
    looked_up = set()
    for function in ("getaddrinfo", "gethostbyname", "gethostbyname_ex"):
        real = getattr(socket, function)

        def noted(host, *args, real=real, **kwargs):
            looked_up.add(host)
            return real(host, *args, **kwargs)

        monkeypatch.setattr(socket, function, noted)
    server.faults()
    yield looked_up
    assert looked_up <= {"127.0.0.1"}


def failure(source, retry=None):
    """The one line that a user reads when a fetch fails."""
    import pytest

    from fusar_gpt.errors import PriorError
    from fusar_gpt.priors.retry import RetryPolicy
    from fusar_gpt.priors.tiles import Tile

    with pytest.raises(PriorError) as caught:
        source.fetch(Tile(10, False, 528, 3282), 2024, retry or RetryPolicy(60.0))
    line = str(caught.value)
    assert "\n" not in line
    assert "good" not in line  # the token
    return line


# What fetching by tiles saves: for bench/priors.py.


def compare_fetches(server, folder, counts=(1, 10, 100)):
    """Requests and bytes for overlapping chips: by tiles, and by one computePixels a chip.

    Chips are 1.28 km wide and lie half over their neighbours, ten in a row. ``pixels`` asks for each chip's
    10 m pixels, ``nodes`` for 16 x 16 nodes. Signing in is not counted.

    Returns:
        One dict for each count and way: chips, way, requests, bytes.
    """
    from fusar_gpt.priors.earth_engine import EarthEngineTiles
    from fusar_gpt.priors.retry import RetryPolicy
    from fusar_gpt.priors.tiles import Tile

    retry = RetryPolicy(120)
    key = login(folder, server)
    rows = []
    for count in counts:
        chips = [
            (655360 + 20480 + 640 * (n % 10) + 300, 4200960 + 640 * (n // 10) + 300) for n in range(count)
        ]
        source = EarthEngineTiles("bench", key, server.url)
        server.faults()
        held = {}
        for left, bottom in chips:
            for col in range(int(left // 1280), int((left + 1280) // 1280) + 1):
                for row in range(int(bottom // 1280), int((bottom + 1280) // 1280) + 1):
                    tile = Tile(10, False, col, row)
                    if tile not in held:
                        held |= source.fetch(tile, 2024, retry)
        rows.append({"chips": count, "way": "tiles", **_cost(server)})
        for way, side in (("pixels", 128), ("nodes", 16)):
            server.faults()
            for left, bottom in chips:
                _naive(source.config, left, bottom, side, retry)
            rows.append({"chips": count, "way": way, **_cost(server)})
    return rows


def _naive(config, left, bottom, side, retry):
    """The 1.28 km from a corner on, in side x side pixels, as an example in the manual would fetch it."""
    import ee

    from fusar_gpt.priors.earth_engine.session import ask

    step = 1280 / side
    grid = {
        "dimensions": {"width": side, "height": side},
        "affineTransform": {
            "scaleX": step, "shearX": 0, "translateX": left, "shearY": 0, "scaleY": -step, "translateY": bottom + 1280
        },
        "crsCode": "EPSG:32610",
    }  # fmt: skip

    def compute():
        image = ee.ImageCollection(COLLECTION).filterDate("2024-01-01", "2025-01-01").mosaic()
        return ee.data.computePixels({"expression": image, "fileFormat": "NPY", "grid": grid})

    return ask(config, compute, retry)


def _cost(server):
    asked = server.asked("image:computePixels")
    return {"requests": len(asked), "bytes": sum(entry["sent"] + entry["received"] for entry in asked)}


if __name__ == "__main__":
    CLIENT = Path(importlib.util.find_spec("ee").submodule_search_locations[0]) / "tests"
    serve()
