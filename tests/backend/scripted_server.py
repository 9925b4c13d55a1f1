"""A real server over a small scripted interpreter, for tests of the protocol alone: no scene, no model."""

from __future__ import annotations

import argparse
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import requests
from shapely.geometry import box, mapping

from fusar_gpt.client import Client, decode_events
from fusar_gpt.contract import (
    Event,
    Finding,
    Finished,
    Found,
    InterpretRequest,
    Progress,
    Run,
    Started,
    read_outline,
)
from fusar_gpt.engine import Engine, Reply
from fusar_gpt.errors import Cancelled, SceneError
from fusar_gpt.frames import SceneBox
from fusar_gpt.model import Card
from fusar_gpt.server import options as server_options
from fusar_gpt.server import serve
from fusar_gpt.server.app import Interpreter, create_app
from fusar_gpt.server.journal import Journal
from fusar_gpt.server.options import state_folder
from fusar_gpt.server.security import Roots
from fusar_gpt.server.serve import StoppableServer

GATE = threading.Event()
"""Holds back the jobs that are asked the question "gated"."""

BEGUN: list[str | None] = []
"""The questions of the jobs so far, in the order in which their turn came."""

TOKEN = "scripted-token-0123456789"
AUTH = {"Authorization": f"Bearer {TOKEN}"}
INFO = {"api": 1, "models": [{"name": "scripted", "demonstration": True}], "device": "cpu"}

RUN = Run(
    id="run-1", version="0", model="scripted", model_hash="0", demonstration=True, task="detect",
    targets=("ship",), prompts=("detect ship",), scene="s.tif", scene_crs="EPSG:32633", scene_fingerprint="f",
    scene_simulated=True, band="VV", quantity="amplitude", stretch_low_db=-20.0, stretch_high_db=0.0,
    chip_ground_m=100.0, aspect="undistorted", overlap=0.0, area="POLYGON EMPTY", started="2026-01-01T00:00:00Z",
)  # fmt: skip


def finding(name: str) -> Finding:
    ground, lonlat = (read_outline(mapping(shape)) for shape in (box(0, 0, 10, 10), box(14, 40, 15, 41)))
    pixels = SceneBox(0, 0, 1, 1)
    return Finding(name, "detections", ground, RUN.scene_crs, lonlat, pixels, {"label": "ship"})


CARD = Card(
    name="scripted", title="Scripted", prompt_set="compact", width=64, height=64, patch=8, merge=2, ground_m=None,
    targets=["ship"], demonstration=True, prior_years=None, licence="none", trained_on="nothing",
)  # fmt: skip


class ScriptedEngine:
    """Says "none" to every request."""

    card, hash, device, batch_size = CARD, "0" * 64, "cpu", 3

    def answer(self, requests, cancelled=lambda: False, on_text=None):
        if cancelled():
            raise Cancelled("cancelled")
        return [Reply("none", (4,), np.zeros(1), finished=True) for _ in requests]


def scripted(
    request: InterpretRequest, engine: Engine, cancelled: Callable[[], bool], settings: object, run: object
) -> Iterator[Event]:
    """Three chips; the question is the stage direction: held, gated, wordy, deaf, unhappy, broken, or none."""
    BEGUN.append(request.question)
    yield Started(RUN, 3)
    yield Found((finding("a"), finding("c")))
    yield Progress(1, 3)
    if request.question == "held":
        while not cancelled():
            time.sleep(0.002)
        raise Cancelled("cancelled")
    if request.question in ("gated", "wordy"):
        assert GATE.wait(30)
    if request.question == "wordy":  # more than the rest of a page of the journal holds
        yield Found(tuple(finding(f"w{number}") for number in range(20)))
    if request.question == "deaf":
        time.sleep(60)
    if request.question == "unhappy":
        raise SceneError("the scene ends here; get the rest \u2028 \u8239")
    if request.question == "broken":
        raise RuntimeError("a secret of the server")
    yield Progress(2, 3)
    yield Found((finding("d"),), {"d": "a"})
    yield Progress(3, 3)
    yield Finished(RUN, (finding("c"), finding("d")))


@dataclass
class ApiServer:
    """A running server, a client with the right token, and a scene it may open."""

    url: str
    client: Client
    server: StoppableServer
    thread: threading.Thread
    inputs: dict[str, object]
    journal: Journal

    def stop(self) -> None:
        self.server.stop()
        self.thread.join(20)
        assert not self.thread.is_alive()


@contextmanager
def serve_api(
    folder: Path,
    *,
    interpreter: Interpreter = scripted,
    load: Callable[[], Engine] = ScriptedEngine,
    **options: object,
) -> Iterator[ApiServer]:
    scene = folder / "scene.tif"
    scene.touch()
    options.setdefault("state", folder / "state")
    app = create_app(interpreter, load, INFO, token=TOKEN, roots=Roots.of([folder]), **options)
    ready = threading.Event()
    with serve.bind("127.0.0.1", 0) as listener:
        server = StoppableServer(app, on_ready=ready.set)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        assert ready.wait(20)
        url = serve.url_of("127.0.0.1", listener)
        with Client(url, TOKEN) as client:
            inputs = {"scene": str(scene), "task": "detect", "targets": ["ship"]}
            api = ApiServer(url, client, server, thread, inputs, app.state.jobs.journal)
            try:
                yield api
            finally:
                api.stop()
                assert app.state.jobs.join(10)


def ask(api: ApiServer, method: str, path: str, **options: object) -> requests.Response:
    options.setdefault("headers", AUTH)
    with requests.request(method, api.url + path, timeout=20, **options) as reply:
        _ = reply.content
        return reply


def submit(api: ApiServer, **inputs: object) -> str:
    return api.client.submit(api.inputs | inputs)


def events(api: ApiServer, job: str, after: int = 0) -> list[tuple[int, str, dict]]:
    reply = ask(api, "GET", f"/jobs/{job}/events", headers=AUTH | {"Last-Event-ID": str(after)})
    return list(decode_events([reply.content]))


def until(condition: object) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def main() -> None:
    """``python scripted_server.py FOLDER [fusar serve's arguments]``: the command over the script."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    server_options.add_arguments(parser)
    args = parser.parse_args()
    app = create_app(
        scripted,
        ScriptedEngine,
        INFO,
        token=TOKEN,
        roots=Roots.of([args.folder]),
        state=state_folder(args.state or args.folder / "state"),
        lasting=serve.lasting(args),
    )
    with serve.bind(args.host, args.port) as listener:
        ended = serve.serve(app, listener, args, serve.url_of(args.host, listener), TOKEN)
    if not ended:
        os._exit(0)


if __name__ == "__main__":
    main()
