"""Another program than a backend, which answers every request in the same way."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Web(ThreadingHTTPServer):
    """The program; ``url`` is where it listens."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, status=200, body=b"<html>Welcome, please sign in</html>", **headers) -> None:
        super().__init__(("127.0.0.1", 0), WebHandler)
        self.answer = (status, body, headers)
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def handle_error(self, request, client_address) -> None:
        pass  # a client that does not trust us leaves


class WebHandler(BaseHTTPRequestHandler):
    def log_message(self, *_) -> None:
        pass

    def do_GET(self) -> None:
        status, body, headers = self.server.answer
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
