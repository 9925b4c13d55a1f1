#!/usr/bin/python3
"""A stand-in for ``fusar serve`` that speaks the HTTP door over a real socket and makes its findings up.

The first target says how the job goes: ``refused``, ``broken``, ``failing``, ``dropped``, ``garbled``,
``endless``; anything else ends well. ``Standin.seen`` keeps
``(method, path, authorization)`` of each request, ``Standin.orders`` what was ordered.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "secret-of-the-standin"
CHIPS = 6
INFO = {
    "api": 1,
    "version": "0.1.0",
    "device": "cpu",
    "models": [
        {
            "name": "tiny",
            "title": "FUSAR tiny",
            "demonstration": True,
            "targets": ["ship", "storage tank", "endless"],
            "prior_years": [2017, 2024],
        }
    ],
    "targets": ["ship"],
    "tasks": ["detect", "locate", "count", "describe"],
    "prior_sources": ["none", "file"],
}


class Standin(ThreadingHTTPServer):
    """The server; ``url`` and ``token`` are how to reach it."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Door)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.token = TOKEN
        self.seen: list[tuple[str, str, str | None]] = []
        self.orders: list[dict] = []
        self.dismissed = threading.Event()
        self.answer_submit = threading.Event()
        self.answer_submit.set()
        self.info: dict = INFO
        self.pause_s = 0.02

    def handle_error(self, request, client_address) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Door(BaseHTTPRequestHandler):
    server: Standin

    def log_message(self, *_) -> None:
        pass

    def do_GET(self) -> None:
        if not self.admitted():
            return
        if self.path == "/info":
            self.reply(200, self.server.info)
        elif self.path.endswith("/events"):
            self.stream()
        else:
            self.reply(404, {"title": "Not Found", "status": 404, "detail": "there is no such job"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self.admitted():
            return
        order = body["inputs"]
        self.server.orders.append(order)
        self.server.answer_submit.wait(10)
        if "refused" in order["targets"]:
            self.reply(
                400, {"title": "Bad Request", "status": 400, "detail": "the area is outside the scene"}
            )
        elif "broken" in order["targets"]:
            self.reply(500, "no JSON object")
        else:
            job = str(len(self.server.orders) - 1)
            self.reply(201, {"jobID": job, "status": "accepted", "type": "process", "processID": "interpret"})

    def do_DELETE(self) -> None:
        if self.admitted():
            self.server.dismissed.set()
            self.reply(200, {"status": "dismissed"})

    def admitted(self) -> bool:
        authorization = self.headers.get("Authorization")
        self.server.seen.append((self.command, self.path, authorization))
        if authorization == f"Bearer {TOKEN}":
            return True
        self.reply(401, {"title": "Unauthorized", "status": 401, "detail": "wrong token"})
        return False

    def reply(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def stream(self) -> None:
        order = self.server.orders[int(self.path.split("/")[2])]
        kind = (order["targets"] or [""])[0]
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        if kind == "garbled":
            self.event("started", ["no run"])
            return
        chips = 10_000 if kind == "endless" else CHIPS
        self.event("started", {"run": run_of(order), "chips": chips})
        for chip in range(chips):
            if self.server.dismissed.is_set():
                return
            time.sleep(self.server.pause_s)
            if chip == 2 and kind == "dropped":
                return
            if chip == 2 and kind == "failing":
                self.event("end", {"status": "failed", "message": "内存不足: use a smaller area"})
                return
            added, replaced = findings_of(order, chip)
            collection = {"type": "FeatureCollection", "features": added}
            self.event("findings", {"added": collection, "replaced": replaced})
            self.event("progress", {"done": chip + 1, "total": chips, "message": ""})
        self.event("end", {"status": "successful", "message": "Done."})

    def event(self, name: str, data: object) -> None:
        text = json.dumps(data, ensure_ascii=False)
        self.wfile.write(f": ping\n\nid: 1\nevent: {name}\ndata: {text}\n\n".encode())
        self.wfile.flush()


def run_of(order: dict) -> dict:
    return {
        "id": "run-1",
        "version": "0.1.0",
        "model": order["model"],
        "demonstration": True,
        "prior": order["prior"],
        "task": order["task"],
        "targets": ", ".join(order["targets"]),
        "scene_simulated": True,
        "started": "2026-01-01T00:00:00Z",
        "score_meaning": "token probability",
        "attribution": "Simulated, no radar ever saw it",
    }


def findings_of(order: dict, chip: int) -> tuple[list[dict], list[str]]:
    """One finding a chip, in a row across the area, tilted; chip 3 replaces what chip 2 found."""
    ring = order["area"]["coordinates"][0]
    left, right = min(p[0] for p in ring), max(p[0] for p in ring)
    bottom, top = min(p[1] for p in ring), max(p[1] for p in ring)
    width, height = right - left, top - bottom
    shared = {"run": "run-1", "model": "tiny", "demonstration": True, "prior": "none", "simulated": True}
    shared |= {"chip": chip, "prior_nodes": 0}
    target = (order["targets"] or [None])[0]
    if order["task"] == "detect":
        x, y = left + (0.1 + 0.13 * chip) * width, bottom + (0.2 + 0.09 * chip) * height
        w, h = 0.07 * width, 0.05 * height
        polygon = [[x, y], [x + w, y + h / 3], [x + w - h / 3, y + h], [x - h / 3, y + 2 * h / 3], [x, y]]
        row = {"label": order["targets"][chip % len(order["targets"])], "score": 0.95 - 0.1 * chip}
        row |= {"length_m": 80, "width_m": 22.5, "target": target}
        return [feature(order, f"d{chip}", "detections", polygon, row | shared)], ["d2"] if chip == 3 else []
    if order["task"] == "locate":
        if chip:
            return [], []
        cells = []
        for cell in range(9):
            x, y = left + (cell % 3) * width / 3, top - (cell // 3 + 1) * height / 3
            polygon = [
                [x, y],
                [x + width / 3, y],
                [x + width / 3, y + height / 3],
                [x, y + height / 3],
                [x, y],
            ]
            row = {"cell": cell + 1, "hit": cell in (1, 4), "target": target}
            cells.append(feature(order, f"g{cell}", "grid", polygon, row | shared))
        return cells, []
    polygon = [[left, bottom], [right, bottom], [right, top], [left, top], [left, bottom]]
    row = {
        "task": order["task"],
        "target": target,
        "question": None,
        "count": None,
        "label": None,
        "text": None,
    }
    row |= {"score": 0.5, "complete": True}
    if order["task"] == "count":
        row["count"] = 7
    else:
        row["text"] = "A harbour <script>alert(1)</script> with seven ships & 港口 beside a long quay."
    return ([] if chip else [feature(order, "a0", "answers", polygon, row | shared)]), []


def feature(order: dict, name: str, layer: str, ring: list, properties: dict) -> dict:
    return {
        "type": "Feature",
        "id": name,
        "geometry": None,
        "properties": {"layer": layer, **properties},
        "scene_geometry": {"type": "Polygon", "coordinates": [ring]},
        "scene_crs": order["area_crs"],
    }


def main() -> None:
    """Behave like ``fusar serve --child``: one ready line, gone when stdin closes."""
    if "--fail" in sys.argv:
        sys.exit("checkpoint is missing")
    server = Standin()
    server.pause_s = 0.3
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(json.dumps({"url": server.url, "token": TOKEN, "api": 1, "version": "0.1.0"}), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
