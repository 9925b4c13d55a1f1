"""A web server on 127.0.0.1 for files in ranges, with bad days. Run as a process of its own.

In a thread of this process it would deadlock with GDAL, which keeps the lock of the interpreter while it opens
a file.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import Request, urlopen

RANGE = re.compile(r"bytes=(\d+)-(\d*)")
PAGE = b"<!DOCTYPE html><html><body>Please log in to this network</body></html>"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.answer()

    def do_POST(self):
        """Control: faults to play from now on, or with the path /token a token for whoever asks."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.endswith("/token"):
            return self.send(200, json.dumps({"access_token": "paid", "expires_in": 3600}).encode())
        self.server.faults = json.loads(body)
        self.server.asked.clear()
        return self.send(200, b"")

    def answer(self):
        path = unquote(urlsplit(self.path).path)
        if path == "/asked":
            return self.send(200, json.dumps(self.server.asked).encode())
        fault = self.fault(path)
        row = {"method": self.command, "path": path, "range": self.headers.get("Range"), "sent": 0}
        self.row = row | {name: self.headers.get(name) for name in ("User-Agent", "Authorization")}
        self.row["project"] = self.headers.get("x-goog-user-project")
        self.server.asked.append(self.row)
        file = Path(self.server.folder, path.lstrip("/"))
        if fault == "stall":
            time.sleep(60)
        if isinstance(fault, int):
            return self.send(fault, b"no")
        if fault == "page":
            return self.send(200, PAGE)
        if not file.is_file():
            return self.send(404, b"none")
        return self.send_file(file, fault)

    def send_file(self, file, fault):
        size = file.stat().st_size // (2 if fault == "truncated" else 1)
        first, last, status, headers = 0, size - 1, 200, {"ETag": f'"{file.stat().st_mtime_ns}-{size}"'}
        if (asked := RANGE.fullmatch(self.headers.get("Range") or "")) and fault != "whole":
            first, last, status = int(asked[1]), min(int(asked[2] or last), last), 206
            if first >= size:
                return self.send(416, b"")
            headers["Content-Range"] = f"bytes {first}-{last}/{size}"
        with file.open("rb") as opened:
            opened.seek(first)
            return self.send(status, opened.read(last - first + 1), headers, fault)

    def fault(self, path):
        """The fault due for this request; each has its own count of requests that it lets pass, and of times."""
        with self.server.lock:
            for fault in self.server.faults:
                if (
                    not re.search(fault.get("match", ""), path)
                    or fault.get("method", self.command) != self.command
                ):
                    continue
                if fault.get("after", 0) > 0:
                    fault["after"] -= 1
                elif fault.get("times", 1) > 0:
                    fault["times"] = fault.get("times", 10**9) - 1
                    return fault["kind"]
        return None

    def send(self, status, content, headers=None, fault=None):
        self.send_response(status)
        for name, value in {"Accept-Ranges": "bytes", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "HEAD":
            return
        try:
            self.send_body(content, fault)
        except ConnectionError:  # the client has enough
            self.close_connection = True

    def send_body(self, content, fault):
        if fault == "half":
            self.wfile.write(content[: len(content) // 2])
            self.close_connection = True
        elif fault == "drip":
            for byte in content:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                time.sleep(0.2)
        else:
            self.wfile.write(content)
            if hasattr(self, "row"):
                self.row["sent"] = len(content)

    def log_message(self, *_args):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_args):
        """A client that went away is no error here."""


def serve(folder):
    server = Server(("127.0.0.1", 0), Handler)
    server.folder, server.asked, server.faults, server.lock = folder, [], [], threading.Lock()
    print(server.server_port, flush=True)
    server.serve_forever()


class Ranges:
    """The server as the tests see it."""

    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}"

    def play(self, *faults):
        """Forget what was asked, and play faults from now on: ``kind``, ``match``, ``after``, ``times``, ``method``."""
        self._send("/", json.dumps(faults).encode())

    def asked(self, match=""):
        """The requests since then, in order."""
        rows = json.loads(self._send("/asked"))
        return [row for row in rows if re.search(match, row["path"])]

    def _send(self, path, body=None):
        with urlopen(Request(self.url + path, body), timeout=10) as answer:
            return answer.read()


@contextmanager
def ranges(folder):
    """Serve a folder from another process."""
    command = [sys.executable, __file__, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Ranges(int(process.stdout.readline()))
        finally:
            process.kill()


if __name__ == "__main__":
    serve(sys.argv[1])
