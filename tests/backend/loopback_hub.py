"""A model hub on 127.0.0.1 that speaks what the hub library asks for: listings, metadata, files in ranges."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

LARGE = (".safetensors", ".pt")  # what a real repository keeps in LFS


class Repository:
    """The files of one commit. ``served`` are other contents to send, ``cuts`` how much to send the first time."""

    def __init__(self, folders):
        self.files = {
            inside + path.relative_to(folder).as_posix(): path.read_bytes()
            for inside, folder in folders.items()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        self.served = {}
        self.cuts = {}
        self.commit = hashlib.sha1(repr(sorted(self.files.items())).encode()).hexdigest()

    def listing(self):
        rows = []
        for name, content in self.files.items():
            blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            row = {
                "rfilename": name,
                "path": name,
                "type": "file",
                "size": len(content),
                "blobId": blob,
                "oid": blob,
            }
            if name.endswith(LARGE):
                digest = hashlib.sha256(content).hexdigest()
                row["lfs"] = {"sha256": digest, "oid": digest, "size": len(content), "pointerSize": 130}
            rows.append(row)
        return rows

    def etag(self, name):
        row = next(row for row in self.listing() if row["path"] == name)
        return row["lfs"]["sha256"] if "lfs" in row else row["blobId"]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, body):
        path = unquote(urlsplit(self.path).path).lstrip("/")
        self.server.asked.append((self.command, path, self.headers.get("Range")))
        if match := re.fullmatch(r"api/models/([^/]+/[^/]+)(?:/(revision|tree)/([^/]+))?", path):
            repository = self.server.repositories.get(match[1])
            if repository is None:
                return self.send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
            rows = repository.listing()
            info = {"id": match[1], "sha": repository.commit, "siblings": rows, "tags": [], "private": False}
            return self.send(200, json.dumps(rows if match[2] == "tree" else info).encode())
        match = re.fullmatch(r"([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        repository = self.server.repositories.get(match[1]) if match else None
        if repository is None or match[3] not in repository.files:
            return self.send(404, b"", {"X-Error-Code": "EntryNotFound"})
        return self.send_file(repository, match[3], body)

    def send_file(self, repository, name, body):
        content = repository.served.get(name, repository.files[name])
        headers = {
            "X-Repo-Commit": repository.commit,
            "ETag": f'"{repository.etag(name)}"',
            "Accept-Ranges": "bytes",
        }
        status, start = 200, 0
        if given := self.headers.get("Range"):
            status, start = 206, int(re.fullmatch(r"bytes=(\d+)-", given)[1])
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        cut = repository.cuts.pop(name, None) if body else None
        self.send(status, content[start:], headers, body, cut)

    def send(self, status, content, headers=None, body=True, cut=None):
        self.send_response(status)
        for name, value in {"Content-Type": "application/octet-stream", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content[:cut])
        if cut is not None:
            self.close_connection = True

    def log_message(self, *_args):
        pass


@contextmanager
def loopback_hub(repositories):
    """Serve the repositories; yields the server with its ``url`` and what it was ``asked``."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.repositories, server.asked = repositories, []
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
