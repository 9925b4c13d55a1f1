#!/usr/bin/python3
"""A stand-in for ``fusar serve`` that speaks the HTTP API over a real socket and makes its findings up.

The first target says how the job goes: ``refused``, ``broken``, ``failing``, ``dropped``, ``cut``, ``garbled``,
``endless``; anything else ends well. A stream that was ``cut``, in the middle of an event, goes on where it was; one
that was ``dropped`` is gone. What is ``uncalibrated`` has no confidence; what is ``counted`` is counted and detected
chip by chip. A question with ``how many`` is taken for a count, one with ``moored`` refused. ``Standin.seen`` keeps
``(method, path, authorization)`` of each request, ``Standin.orders`` what was submitted.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import sys
import threading
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import standin_chat
import standin_search

from fusar_qgis.contract import FETCHED_PRIORS, Progress, Run, Started

TOKEN = "secret-of-the-standin"
GUESSED = "The numbers are taken for decibels."
UNSEEN = "No data on 80 % of the area: nothing is known of that ground."
NOTICE = "No prior: cog: it is far; answers are from the radar image alone."
CHIPS = 6
REFUSAL = "This model was not taught to answer that. Ask it to count, locate, classify or detect ships."
CALIBRATED = "isotonic, on 500 detections of held-out images, expected calibration error .05"
INFO = {
    "api": 1,
    "version": "0.1.0",
    "device": "cpu",
    "models": [
        {
            "name": "tiny",
            "title": "FUSAR tiny",
            "demonstration": True,
            "targets": ["ship", "storage tank", "endless", "crowded", "unseen", "uncalibrated", "counted"],
            "prior_years": [2017, 2024],
        }
    ],
    "targets": ["ship"],
    "tasks": ["count", "locate", "classify", "detect", "describe", "ask"],
    "prior_sources": ["none", "auto", "cog", "earth-engine", "file"],
    "encoders": standin_search.ENCODERS,
}

NO_PRIOR_HERE = {"at_hand": None, "file": None, "hosts": [], "said": []}
BESIDE = {"at_hand": "file", "file": "/data/harbour_prior.tif", "hosts": [], "said": []}
IN_CACHE = {"at_hand": "cog", "file": None, "hosts": [], "said": []}
FAR_AWAY = {"at_hand": None, "file": None, "hosts": ["data.example.org"], "said": []}
UNREACHABLE = FAR_AWAY | {"offline": True}

PICTURE = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAQAAAAECAAAAACMmsGiAAAAHElEQVR42mNkEBAQYHQQEB"
    "BgcRAQEGA8ICAgAAAQRAIIemiTNgAAAABJRU5ErkJggg=="
)  # 4 x 4 px


class Standin(ThreadingHTTPServer):
    """The server; ``url`` and ``token`` are how to reach it."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int = 0, state: Path | None = None) -> None:
        super().__init__(("127.0.0.1", port), Door)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.token = TOKEN
        self.seen: list[tuple[str, str, str | None]] = []
        self.clients: set[str | None] = set()
        self.one_writer = threading.Lock()
        self.state = state / "state.json" if state else None
        kept = json.loads(self.state.read_text()) if self.state and self.state.exists() else {}
        self.orders: list[dict] = kept.get("orders", [])
        self.over: set[str] = set(kept.get("over", []))  # jobs that have ended
        self.cut: set[int] = set()
        self.questions: list[dict] = []
        self.searches: list[tuple[str, dict]] = []  # what was asked, and where
        self.indexed: set[str] = set()  # scenes
        self.dismissed = threading.Event()
        self.paused: set[str] = set()
        self.can_pause = True
        self.refuse: Callable[[dict], bool] = lambda _: False
        self.answer_submit = threading.Event()
        self.answer_submit.set()
        self.previews: list[dict] = []
        self.preview: (
            dict | None
        ) = {}  # what the next answers have instead of what is made up; None: no such route
        self.prior: dict = NO_PRIOR_HERE  # the status of every prior that may be fetched
        self.priors: list[dict] = []  # that were asked about
        self.scenes: dict[str, bytes] = {}
        self.scene_names: list[str] = []
        self.info: dict = deepcopy(INFO)  # a test may change it
        self.pause_s = 0.02
        self.crowd = (200, 20)  # chips, and findings in each, of what is crowded

    def take(self, order: dict) -> str:
        """Take a job in; its id."""
        with self.one_writer:  # a batch submits two at a time
            self.orders.append(order)
            return str(len(self.orders) - 1)

    def keep_state(self) -> None:
        """Write what a server that is started again must know."""
        if self.state:
            with self.one_writer:  # whole or not at all: it may be killed here
                partial = self.state.with_suffix(".partial")
                partial.write_text(json.dumps({"orders": self.orders, "over": sorted(self.over)}))
                partial.replace(self.state)

    def end(self, job: str) -> None:
        """Note that a job has ended: to delete it is no dismissal."""
        self.over.add(job)
        self.keep_state()

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
        if self.path.split("?")[0] == "/info":
            self.reply(200, self.server.info)
        elif self.job_searches():
            standin_search.tell_job(self, int(self.path.split("/")[2]))
        elif self.path.endswith("/events"):
            self.stream()
        elif self.path.endswith("/results"):
            order = self.server.orders[int(self.path.split("/")[2])]
            self.reply(200, results_of(order, source_of(order, self.server.prior)))
        elif self.path.startswith("/jobs/") and self.path[6:].isdigit():
            self.tell_state(self.path[6:])
        else:
            self.reply(404, {"title": "Not Found", "status": 404, "detail": "there is no such job"})

    def job_searches(self) -> bool:
        """Whether it is about the events or results of a job that searches."""
        number = self.path.split("/")[2] if self.path.endswith(("/events", "/results")) else ""
        orders = self.server.orders
        return number.isdigit() and int(number) < len(orders) and "task" not in orders[int(number)]

    def tell_state(self, job: str) -> None:
        """Half done when asked for the first time, then at its end, with no one following its events."""
        if int(job) >= len(self.server.orders):
            self.reply(404, {"title": "Not Found", "status": 404, "detail": "there is no such job"})
            return
        kind = (self.server.orders[int(job)].get("targets") or [""])[0]
        state = {"jobID": job, "status": "running", "progress": 50, "message": "3 of 6 chips"}
        if job in self.server.over and kind == "failing":
            state |= {"status": "failed", "message": "内存不足: use a smaller area"}
        elif job in self.server.over:
            state |= {"status": "successful", "progress": 100, "message": "Done."}
        self.server.over.add(job)
        self.reply(200, state)

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if not self.admitted():
            return
        if self.path.startswith("/scenes?"):
            self.keep(content)
            return
        if self.path == standin_chat.PATH:
            standin_chat.answer(self, json.loads(content))
            return
        order = json.loads(content)["inputs"]
        if self.path == "/preview":
            self.show(order)
            return
        if self.path == "/prior":
            self.server.priors.append(order)
            self.reply(200, self.server.prior)
            return
        if self.path in standin_search.PATHS:
            standin_search.answer(self, order)
            return
        job = self.server.take(order)
        self.server.clients.add(self.headers.get("X-Client"))
        self.server.keep_state()
        self.server.answer_submit.wait(10)
        if "refused" in order["targets"] or self.server.refuse(order):
            self.reply(
                400, {"title": "Bad Request", "status": 400, "detail": "the area is outside the scene"}
            )
        elif "moored" in order.get("question", ""):
            self.reply(422, {"title": "Not taught", "status": 422, "detail": REFUSAL})
        elif "broken" in order["targets"]:
            self.reply(500, "no JSON object")
        else:
            self.reply(201, {"jobID": job, "status": "accepted", "type": "process", "processID": "interpret"})

    def keep(self, content: bytes) -> None:
        """Take in an uploaded scene."""
        self.server.scene_names.append(parse_qs(self.path.partition("?")[2])["name"][0])
        name = f"scene:{hashlib.sha256(content).hexdigest()}"
        self.server.scenes[name] = content
        self.reply(201, {"scene": name})

    def show(self, order: dict) -> None:
        """Show what would be looked at: a picture from the air, and a prior if one was asked for."""
        self.server.previews.append(order)
        if self.server.preview is None:
            self.reply(404, {"title": "Not Found", "status": 404, "detail": "Not Found"})
        elif "refused" in order["targets"]:
            self.reply(
                400, {"title": "Bad Request", "status": 400, "detail": "the area is outside the scene"}
            )
        else:
            source = source_of(order, self.server.prior)
            self.reply(
                200, {**preview_of(order, source), "chips": self.chips_of(order)} | self.server.preview
            )

    def do_DELETE(self) -> None:
        if self.admitted():
            if self.path.split("/")[2] not in self.server.over:  # one that is over is only forgotten
                self.server.dismissed.set()
            self.reply(200, {"status": "dismissed"})

    def do_PATCH(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self.admitted():
            return
        job = self.path.split("/")[2]
        if not self.server.can_pause:
            self.reply(405, {"title": "Method Not Allowed", "status": 405, "detail": "Method Not Allowed"})
        elif not job.isdigit() or int(job) >= len(self.server.orders):
            self.reply(404, {"title": "Not Found", "status": 404, "detail": "there is no such job"})
        else:
            (self.server.paused.add if asked["paused"] else self.server.paused.discard)(job)
            paused = {"paused": True} if job in self.server.paused else {}
            self.reply(200, {"jobID": job, "status": "running", "progress": 0} | paused)

    def admitted(self) -> bool:
        authorization = self.headers.get("Authorization")
        self.server.seen.append((self.command, self.path, authorization))
        if authorization == f"Bearer {self.server.token}":
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

    def chips_of(self, order: dict) -> int:
        """Return how many chips a run looks at."""
        kind = (order["targets"] or [""])[0]
        return {"endless": 1_900, "crowded": self.server.crowd[0]}.get(kind, CHIPS)

    def stream(self) -> None:
        number = int(self.path.split("/")[2])
        order = self.server.orders[number]
        kind = (order["targets"] or [""])[0]
        if kind == "dropped" and number in self.server.cut:
            self.reply(404, {"title": "Not Found", "status": 404, "detail": "there is no such job"})
            return
        self.seen, self.received = int(self.headers.get("Last-Event-ID") or 0), 0
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        if kind == "garbled":
            self.event("started", ["no run"])
            return
        chips = self.chips_of(order)
        source = source_of(order, self.server.prior)
        run = replace(run_of(order, source), id=f"run-{number + 1}")
        if source == "none" and self.server.prior["hosts"]:
            run = replace(
                run,
                warnings=(*run.warnings, NOTICE),
                prior_note="prior: without cog: it is far; prior: none.",
            )
        self.event("started", Started(run, chips).to_json())
        for chip in range(chips):
            while str(number) in self.server.paused and not self.server.dismissed.is_set():
                time.sleep(0.01)
                self.wfile.write(b": ping\n\n")  # raises where nobody listens any more
            if self.server.dismissed.is_set():
                return
            if chip == 2 and kind in ("dropped", "cut") and number not in self.server.cut:
                self.server.cut.add(number)
                self.wfile.write(f"id: {self.received + 1}\nevent: findings\ndata: {{".encode())
                return
            if chip == 2 and kind == "failing":
                self.server.end(str(number))
                self.event("end", {"status": "failed", "message": "内存不足: use a smaller area"})
                return
            added, replaces = (
                (crowd(order, chip, *self.server.crowd), {})
                if kind == "crowded"
                else findings_of(order, chip, source)
            )
            collection = {"type": "FeatureCollection", "features": added}
            data = {"added": collection, "replaced": list(replaces.values()), "replaces": replaces}
            if self.received >= self.seen:
                time.sleep(self.server.pause_s)
            self.event("findings", data)
            self.event("progress", Progress(chip + 1, chips).to_json())
        self.server.end(str(number))
        warnings = [GUESSED, UNSEEN] if kind == "unseen" else []
        self.event("end", {"status": "successful", "message": "Done.", "warnings": warnings})

    def event(self, name: str, data: object) -> None:
        self.received += 1
        if self.received <= self.seen:
            return
        text = json.dumps(data, ensure_ascii=False)
        self.wfile.write(f": ping\n\nid: {self.received}\nevent: {name}\ndata: {text}\n\n".encode())
        self.wfile.flush()


def source_of(order: dict, status: dict) -> str:
    """Where the prior of an order comes from: what is at hand, else the network where that may be asked."""
    prior = order.get("prior", "none")
    if prior not in FETCHED_PRIORS:
        return prior
    is_reached = status["hosts"] and not status.get("offline") and order.get("prior_network", True)
    fetched = "cog" if is_reached else "none"
    return status["at_hand"] or fetched


def preview_of(order: dict, source: str | None = None) -> dict:
    source = source or order["prior"]
    asked = source != "none"
    return {
        "chips": CHIPS,
        "seconds": None,
        "chip": {
            "image": PICTURE,
            "size": [448, 448],
            "footprint": {"type": "Polygon", "coordinates": [ring_of(order)]},
            "crs": "EPSG:32650",
            "ground_m": 640.0,
            "band": "VV",
            "stretch": {
                "quantity": "power",
                "low_db": -21.5,
                "high_db": 4.0,
                "reason": "power, as float32 numbers usually are",
            },
        },
        "prior": {
            "image": PICTURE if asked else None,
            "nodes": 256 if asked else 0,
            "source": source,
            "year": (order.get("year") or 2020) if asked else None,
            "simulated": False,
            "said": [] if asked else ["no source was asked."],
        },
    }


def run_of(order: dict, source: str = "none") -> Run:
    return Run(
        id="run-1", version="0.1.0", model=order.get("model", "tiny"), model_hash="0", demonstration=True,
        task=order["task"], targets=tuple(order["targets"]), prompts=("a prompt",), scene="harbour.tif",
        scene_crs=order.get("area_crs") or "EPSG:32650", scene_fingerprint="f", scene_simulated=True, band="VV",
        quantity="power", stretch_low_db=-21.5, stretch_high_db=4.0, chip_ground_m=640.0, aspect="undistorted",
        overlap=0.0, area="", started="2026-01-01T00:00:00Z", prior=source,
        prior_asked=order.get("prior", "none"),
        attribution="Simulated, no radar ever saw it", score_meaning="token probability",
        warnings=(GUESSED,) if "unseen" in order["targets"] else (),
        confidence_meaning=None if "uncalibrated" in order["targets"] else CALIBRATED,
    )  # fmt: skip


def ring_of(order: dict) -> list:
    """The outline of the area's first polygon, or of a whole scene of conftest."""
    area = order.get("area")
    if not area:
        return [[500000, 3999200], [501000, 3999200], [501000, 4000000], [500000, 4000000], [500000, 3999200]]
    return area["coordinates"][0] if area["type"] == "Polygon" else area["coordinates"][0][0]


def classified(order: dict, chip: int) -> list[dict]:
    """An answer for each box, all at once."""
    answers = []
    for number, box in enumerate(order["boxes"]["features"] if not chip else []):
        row = {
            "task": "classify",
            "target": None,
            "label": f"class {number}",
            "score": 0.5,
            "confidence": 0.87,
        }
        row["complete"] = True
        row |= {"chip": number, "run": "run-1", "model": "tiny", "demonstration": True, "prior": "none"}
        answers.append(feature(order, f"c{number}", "answers", ring_of({"area": box["geometry"]}), row))
    return answers


def results_of(order: dict, source: str) -> dict:
    """What a job came to: all that its events add up to."""
    found: dict[str, dict] = {}
    for chip in range(CHIPS):
        added, replaces = findings_of(order, chip, source)
        found = {name: one for name, one in found.items() if name not in replaces.values()}
        found |= {one["id"]: one for one in added}
    return run_of(order, source).to_json() | {
        "findings": {"type": "FeatureCollection", "features": list(found.values())}
    }


def findings_of(order: dict, chip: int, source: str = "none") -> tuple[list[dict], dict[str, str]]:
    """One finding a chip, in a row across the area, tilted; chip 3 replaces what chip 2 found."""
    if order["task"] == "classify":
        return classified(order, chip), {}
    ring = ring_of(order)
    left, right = min(p[0] for p in ring), max(p[0] for p in ring)
    bottom, top = min(p[1] for p in ring), max(p[1] for p in ring)
    width, height = right - left, top - bottom
    shared = {"run": "run-1", "model": "tiny", "demonstration": True, "prior": source, "simulated": True}
    shared |= {"chip": chip, "prior_nodes": 0}
    target = (order["targets"] or [None])[0]
    if target == "counted" and order["task"] == "count":
        return counted(order, chip)
    if order["task"] == "detect":
        found = detection_of(order, chip, source, (left, bottom, width, height), shared)
        return [found], {"d3": "d2"} if chip == 3 else {}
    if order["task"] == "locate":
        if chip:
            return [], {}
        cells = []
        for cell in range(9):
            x, y = left + (cell % 3) * width / 3, top - (cell // 3 + 1) * height / 3
            w, h = width / 3, height / 3
            polygon = [[x, y], [x + w, y], [x + w, y + h], [x, y + h], [x, y]]
            row = {"cell": cell + 1, "hit": cell in (1, 4), "target": target}
            cells.append(feature(order, f"g{cell}", "grid", polygon, row | shared))
        return cells, {}
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
    if target == "unseen":
        row |= {"text": "no data on 80 % of this ground", "complete": False, "score": None, "data_share": 0.2}
    elif order["task"] == "count":
        row |= {"count": 7, "method": "chip count", "confidence": 0.6}
    elif "how many" in (order.get("question") or "").lower():
        row |= {"count": 3, "method": "chip count", "question": order["question"], "understood": "count ship"}
    else:
        row["text"] = "A harbour <script>alert(1)</script> with seven ships & 港口 beside a long quay."
    return ([] if chip else [feature(order, "a0", "answers", polygon, row | shared)]), {}


def counted(order: dict, chip: int) -> tuple[list[dict], dict[str, str]]:
    """A chip's own count, and its detection; the last chip brings the area's number. Chip 2 counts two."""
    boxes, replaces = findings_of({**order, "task": "detect"}, chip)
    ring = ring_of(order)
    row = {
        "task": "count",
        "target": "counted",
        "text": None,
        "complete": True,
        "data_share": 1.0,
        "run": "run-1",
    }
    own = {"chip": chip, "count": 2 if chip == 2 else 1, "method": "chip count", "score": 0.5}
    found = [*boxes, feature(order, f"n{chip}", "answers", ring, row | own)]
    if chip == CHIPS - 1:
        area = {
            "count": CHIPS - 1,
            "method": "detections",
            "agreement": (CHIPS - 1) / CHIPS,
            "text": "5 detections",
        }
        found.append(feature(order, "total", "answers", ring, row | area))
    return found, replaces


def detection_of(order: dict, chip: int, source: str, place: tuple, shared: dict) -> dict:
    """A box in the row; a prior moves that of chip 1 by a quarter of its width, and finds another one in chip 4."""
    left, bottom, width, height = place
    x, y = left + (0.1 + 0.13 * chip) * width, bottom + (0.2 + 0.09 * chip) * height
    w, h = 0.07 * width, 0.05 * height
    if source != "none":
        x, y = x + (0.25 * w if chip == 1 else 0), y + (3 * h if chip == 4 else 0)
    polygon = [[x, y], [x + w, y + h / 3], [x + w - h / 3, y + h], [x - h / 3, y + 2 * h / 3], [x, y]]
    targets = order["targets"] or ["ship"]
    row = {"label": targets[chip % len(targets)], "objectness": 0.99 - 0.01 * chip}
    row["confidence"] = None if targets[0] == "uncalibrated" else 0.95 - 0.1 * chip
    row |= {"length_m": 80, "width_m": 22.5, "target": (order["targets"] or [None])[0]}
    return feature(order, f"d{chip}", "detections", polygon, row | shared)


def crowd(order: dict, chip: int, chips: int, count: int) -> list[dict]:
    """Small boxes in a row of each chip, the chips in a square: what a busy harbour gives."""
    ring = ring_of(order)
    left, right = min(p[0] for p in ring), max(p[0] for p in ring)
    bottom, top = min(p[1] for p in ring), max(p[1] for p in ring)
    side = math.ceil(math.sqrt(chips))
    w, h = (right - left) / side / count / 2, (top - bottom) / side / 2
    found = []
    for place in range(count):
        x = left + (right - left) * (chip % side) / side + 2 * w * place
        y = bottom + 2 * h * (chip // side)
        polygon = [[x, y], [x + w, y], [x + w, y + h], [x, y + h], [x, y]]
        row = {"label": order["targets"][0], "objectness": 0.5, "confidence": chip * 37 % 101 / 100}
        row |= {"length_m": 10.0 + (chip + place) * 53 % 211, "width_m": 9.0}
        row |= {"chip": chip, "model": "tiny", "prior": "none"}
        found.append(feature(order, f"c{chip}-{place}", "detections", polygon, row))
    return found


def feature(order: dict, name: str, layer: str, ring: list, properties: dict) -> dict:
    return {
        "type": "Feature",
        "id": name,
        "geometry": None,
        "properties": {"layer": layer, **properties},
        "scene_geometry": {"type": "Polygon", "coordinates": [ring]},
        "scene_box": box_of(ring),
        "scene_crs": order.get("area_crs") or "EPSG:32650",
    }


def box_of(ring: list) -> list[float]:
    """Left, top, right, bottom in the pixels of conftest's scene."""
    xs, ys = [(x - 500000) / 5 for x, _ in ring], [(4000000 - y) / 5 for _, y in ring]
    return [min(xs), min(ys), max(xs), max(ys)]


def main() -> None:
    """Behave like ``fusar serve --child``: one ready line, gone when stdin closes."""
    if "--fail" in sys.argv:
        sys.exit("checkpoint is missing")
    words = dict(zip(sys.argv, sys.argv[1:], strict=False))
    server = Standin(int(words.get("--port", 0)), Path(words["--state"]) if "--state" in words else None)
    server.pause_s = float(os.environ.get("STANDIN_PAUSE", "0.3"))
    chips, _, count = os.environ.get("STANDIN_CROWD", "200x20").partition("x")
    server.crowd = (int(chips), int(count))
    server.token = os.environ.get("FUSAR_TOKEN", TOKEN)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(json.dumps({"url": server.url, "token": server.token, "api": 1, "version": "0.1.0"}), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
