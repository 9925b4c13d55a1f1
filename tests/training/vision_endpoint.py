"""A loopback endpoint that talks like OpenAI's, for tests and for ``bench/corpus.py``: it answers what it is told to.

Run by itself it answers all keys: ``python vision_endpoint.py --delay 1 --port 8123``.
"""

import argparse
import base64
import io
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from PIL import Image

EIGHT = {
    "targets": (
        "Count: three ships", "Location: left side of the slice", "Feature: bright elongated echoes",
        "Size: about 60 m long", "Category: small cargo ships", "Distribution: scattered", "Region: on open water",
        "Environment: dark sea, no land in sight",
    ),
    "terrain": (
        "Terrain: flat coastal land", "Functionality: a port", "Location: quays in the centre",
        "Layout: parallel basins", "Boundary: sharp and straight quay walls", "Building: large halls in rows",
        "Road: one road along the quay", "Water: two basins in the upper half",
    ),
}  # fmt: skip


@dataclass
class Asked:
    """One request as it came."""

    body: dict[str, Any]
    headers: Mapping[str, str]
    path: str
    at: float = field(default_factory=time.monotonic)

    @property
    def texts(self) -> list[str]:
        contents = [message["content"] for message in self.body["messages"]]
        return [c if isinstance(c, str) else "".join(p.get("text", "") for p in c) for c in contents]

    @property
    def prompt(self) -> str:
        return self.texts[0]

    @property
    def keys(self) -> str:
        return "targets" if "Count:" in self.prompt.split('"""')[-1] else "terrain"

    @property
    def jpeg(self) -> bytes:
        url = self.body["messages"][0]["content"][1]["image_url"]["url"]
        return base64.b64decode(url.partition("base64,")[2], validate=True)

    @property
    def picture(self) -> Image.Image:
        return Image.open(io.BytesIO(self.jpeg))


@dataclass
class Reply:
    """What goes back: ``body`` as JSON, or bytes as they are; after ``cut`` bytes the connection closes."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None


def completion(text: str | None, asked: Asked | None = None, reason: str = "stop", **message: Any) -> Reply:
    """A chat completion; its tokens are counted when what was asked is given."""
    usage = counted(asked, text or "") if asked else None
    choice = {
        "index": 0,
        "finish_reason": reason,
        "message": {"role": "assistant", "content": text, **message},
    }
    body = {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}
    return Reply(body | ({"usage": usage} if usage else {}))


def error(status: int, message: str, headers: Mapping[str, str] | None = None, **more: Any) -> Reply:
    return Reply({"error": {"message": message, **more}}, status, headers or {})


def counted(asked: Asked, text: str) -> dict[str, int]:
    """As GPT-4o counts a picture of at most 1024 x 1024 px (OpenAI's guide), and 4.15 and 4.5 characters to a token."""
    width, height = asked.picture.size
    share = min(1.0, 768 / min(width, height))
    tiles = -(-int(width * share) // 512) * -(-int(height * share) // 512)
    sent = round(sum(len(one) for one in asked.texts) / 4.15) + 85 + 170 * tiles + 7
    answered = round(len(text) / 4.5)
    return {"prompt_tokens": sent, "completion_tokens": answered, "total_tokens": sent + answered}


def all_keys(asked: Asked) -> Reply:
    return completion("\n".join(EIGHT[asked.keys]), asked)


class VisionEndpoint:
    """Use it with ``with``; ``asked`` holds the requests, ``most`` how many were there at once."""

    def __init__(self, reply: Callable[[Asked], Reply] = all_keys, delay: float = 0.0, port: int = 0) -> None:
        self.reply, self.delay = reply, delay
        self.asked: list[Asked] = []
        self.most = self._now = 0
        self._lock = threading.Lock()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                endpoint._serve(self)

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads, request_queue_size = True, 128

            def handle_error(self, *_: Any) -> None:
                pass  # a client that left

        self._server = Server(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> "VisionEndpoint":
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        ).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        asked = Asked(body, {name.lower(): value for name, value in handler.headers.items()}, handler.path)
        with self._lock:
            self.asked.append(asked)
            self._now += 1
            self.most = max(self.most, self._now)
        try:
            time.sleep(self.delay)
            reply = self.reply(asked)
        finally:
            with self._lock:
                self._now -= 1
        content = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        handler.send_response(reply.status)
        for name, value in {"Content-Type": "application/json", **reply.headers}.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[: reply.cut])
        if reply.cut is not None:
            handler.close_connection = True


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--port", type=int, default=0)
    given = parser.parse_args()
    with VisionEndpoint(delay=given.delay, port=given.port) as endpoint:
        print(endpoint.url, flush=True)
        threading.Event().wait()
