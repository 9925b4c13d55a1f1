"""The Python client and ``fusar interpret --server``: what comes from a server is what a local run yields."""

from __future__ import annotations

import contextlib
import http.server
import io
import itertools
import json
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyogrio
import pytest
from affine import Affine
from rasters import NORTH_UP, ROTATED, swath_gcps
from scripted_server import CARD, INFO, RUN, TOKEN, ScriptedEngine, finding, scripted
from shapely.geometry import shape
from test_interpret import TRUTH, scene_file
from test_resume_jobs import BlobEngine

from fusar_gpt import client as client_module
from fusar_gpt import connection
from fusar_gpt.cli import main
from fusar_gpt.client import Answer, Client, ServerError, Unreachable
from fusar_gpt.connection import find_token
from fusar_gpt.contract import Event, Finished, Found, InterpretRequest, Progress, Started, read, read_event
from fusar_gpt.engine import Engine, Reply
from fusar_gpt.engine_options import EngineOptions
from fusar_gpt.errors import Cancelled, FusarError, SceneError
from fusar_gpt.imagery import Area
from fusar_gpt.interpret import RunIdentity, interpret
from fusar_gpt.planning import request_for
from fusar_gpt.samples import HARBOUR
from fusar_gpt.server import serve, wire
from fusar_gpt.server.app import create_app
from fusar_gpt.server.security import Roots
from fusar_gpt.server.serve import StoppableServer
from fusar_gpt.tasks import Task
from fusar_gpt.tasks.compact import render_count, render_grid


class Sighted(BlobEngine):
    """Answers every task from the pixels of the chip, with awkward words."""

    card = replace(CARD, targets=[])

    def _reply(self, request, cancelled):
        task = request.prompt.split()[0]
        bright = int((request.image > 200).sum())
        words = {
            "count": render_count(bright // 9),
            "locate": render_grid([1, 5] if bright else []),
            "classify": "ship" if bright else "",
            "detect": None,
        }
        text = words.get(task, "dark sea;\n\u2028 \u8239 \U0001f600")
        if text is None:
            return super()._reply(request, cancelled)
        return Reply(text, tuple(range(1, len(text) + 1)), np.full(len(text), -0.3), finished=bright != 1)


def real(order, engine, cancelled, settings, run):
    return interpret(order, engine, cancelled, settings, identity=run)


@contextlib.contextmanager
def served(app, port: int = 0, tls: tuple[Path, Path] | None = None) -> Iterator[str]:
    """The address of an application that is served in a thread."""
    ready = threading.Event()
    with serve.bind("127.0.0.1", port) as listener:
        server = StoppableServer(app, ready.set, *(tls or ()))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            assert ready.wait(20)
            yield serve.url_of("127.0.0.1", listener, tls=tls is not None)
        finally:
            server.stop()
            thread.join(10)
            assert app.state.jobs.join(5)


def application(folder: Path, interpreter=real, load: Callable[[], Engine] = Sighted, **options: object):
    return create_app(
        interpreter, load, INFO, token=TOKEN, roots=Roots.of([folder]), state=folder / "state", **options
    )


@dataclass
class Desk:
    url: str
    client: Client
    folder: Path
    told: list[str]


@contextlib.contextmanager
def desk_at(folder: Path, **options: object) -> Iterator[Desk]:
    """A server over the real main path, and a client whose files it cannot see."""
    theirs, ours, told = folder / "server", folder / "ours", []
    theirs.mkdir()
    ours.mkdir()
    with (
        served(application(theirs, **options)) as url,
        Client(url, TOKEN, reconnect_s=0.3, report=told.append) as client,
    ):
        yield Desk(url, client, ours, told)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with desk_at(tmp_path_factory.mktemp("desk")) as opened:
        yield opened


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "RETRY_S", 0.02)


def both(
    desk: Desk, order: InterpretRequest, here: InterpretRequest | None = None
) -> tuple[list[Event], list[Event]]:
    """The events of an order from the server, and those of the same run here."""
    remote = list(desk.client.run(order))
    run = remote[0].run
    local = list(interpret(here or order, Sighted(), identity=RunIdentity(run.id, run.started)))
    return remote, local


NAMED = ("ship", "plane")
BOXES = (
    Area.from_bbox(593300.0, 5748600.0, 593500.0, 5748750.0, "EPSG:32631"),
    Area.from_bbox(594100.0, 5748200.0, 594400.0, 5748400.0, "EPSG:32631"),
)
TASKS = {
    Task.COUNT: {"targets": NAMED, "allow_no_prior": True},
    Task.LOCATE: {"targets": NAMED, "aspect": "stretched"},
    Task.DETECT: {"targets": ("ship",), "overlap": 0.4, "band": 1},
    Task.CLASSIFY: {"boxes": BOXES, "area": BOXES[0]},
    Task.DESCRIBE: {"area": Area.from_bbox(4.36, 51.87, 4.3745, 51.879)},
    Task.ASK: {"question": "what, if anything,\nis \u8239 here?", "year": 2021},
}


@pytest.mark.parametrize("task", Task)
def test_a_server_yields_the_events_of_a_local_run(desk: Desk, task: Task) -> None:
    order = request_for(scene_file(desk.folder, transform=NORTH_UP), task, **TASKS[task])
    remote, local = both(desk, order)
    assert remote == local
    assert isinstance(local[-1], Finished)
    assert local[-1].findings
    if task is Task.DETECT:
        assert any(isinstance(event, Found) and event.replaces for event in local)


PLACED = {
    "rotated": {"transform": ROTATED},
    "gcps": {"gcps": swath_gcps(220, 160)},
    "antimeridian": {"transform": Affine(10, 0, 818_400, 0, -10, 8_120_800), "crs": "EPSG:32760"},
}


@pytest.mark.parametrize("placed", PLACED)
def test_wherever_the_scene_lies(desk: Desk, placed: str) -> None:
    order = request_for(scene_file(desk.folder, **PLACED[placed]), Task.COUNT, targets=("ship",))
    remote, local = both(desk, order)
    assert remote == local
    kinds = {shape(finding.lonlat).geom_type for finding in local[-1].findings}
    assert ("MultiPolygon" in kinds) == (placed == "antimeridian")


def test_what_is_joined_in_a_row_and_what_comes_and_goes_survives_the_wire() -> None:
    run = replace(RUN, targets=("a, b", "c"), prompts=("one\ntwo", "three"), prior_note="x; y")
    a, b, c, d = map(finding, "abcd")
    events = [
        Started(run, 2),
        Found((a, b)),
        Progress(1, 2),
        Found((c, d), {"c": "a"}),
        Progress(2, 2),
    ]
    sent = [(event.name, wire.encode(event.to_json())) for event in events]
    assert [name for name, _ in sent] == ["started", "findings", "progress", "findings", "progress"]
    assert [read_event(*each) for each in sent] == events
    assert json.loads(sent[3][1])["replaced"] == ["a"]
    finished = Finished(run, (b, c, d))
    assert read(Finished, wire.encode(finished.to_json())) == finished


def test_a_newer_server_may_say_more_of_a_run() -> None:
    data = Started(RUN, 1).to_json()
    data["run"]["mood"] = "good"
    assert read_event("started", data) == Started(RUN, 1)


def test_a_server_that_is_not_understood_is_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(stage(tmp_path)) as url, Client(url, TOKEN) as client:
        monkeypatch.setattr(client, "watch", lambda job: iter([("started", {"chips": 1})]))
        with pytest.raises(ServerError, match="bring it and this client to one version"):
            list(client.run(act(tmp_path)))


def test_area_and_boxes_may_be_in_two_crss(desk: Desk) -> None:
    area = Area.from_bbox(4.36, 51.87, 4.3745, 51.879)
    scene = scene_file(desk.folder, transform=NORTH_UP)
    remote, local = both(desk, request_for(scene, Task.CLASSIFY, area=area, boxes=BOXES))
    assert remote == local
    assert local[-1].findings


def test_a_scene_is_sent_once_and_forgotten_on_request(tmp_path: Path) -> None:
    with desk_at(tmp_path) as desk:
        path = scene_file(desk.folder)
        order = request_for(path, Task.COUNT, targets=("ship",))
        first = list(desk.client.run(order))
        (kept,) = desk.client.scenes()
        assert (kept["name"], kept["bytes"]) == ("scene.tif", path.stat().st_size)
        again = list(desk.client.run(replace(order, scene=kept["scene"])))
        list(desk.client.run(order))
        assert desk.told == [f"sending scene.tif to {desk.url}"]
        assert [f.geometry for f in again[-1].findings] == [f.geometry for f in first[-1].findings]

        other = path.rename(path.with_name("other.tif"))
        assert desk.client.upload(other)["scene"] == kept["scene"]
        assert desk.told[1:] == ["the server has other.tif under the name scene.tif"]

        desk.client.delete_scene(kept["scene"])
        assert desk.client.scenes() == []
        with pytest.raises(ServerError, match="upload it again"):
            list(desk.client.run(replace(order, scene=kept["scene"])))


def test_the_servers_own_files_are_named_not_sent(tmp_path: Path) -> None:
    with desk_at(tmp_path) as desk:
        theirs = scene_file(tmp_path / "server")
        order = request_for(Path(f"server:{theirs}"), Task.COUNT, targets=("ship",))
        remote, local = both(desk, order, replace(order, scene=str(theirs)))
        assert remote == local
        assert desk.client.scenes() == []
        assert desk.told == []


def test_files_that_cannot_be_sent(desk: Desk) -> None:
    for path, reason in (
        ("gone.tif", "gone.tif"),
        (desk.folder, "folder"),
        ("/vsicurl/x", "not a local file"),
    ):
        with pytest.raises(SceneError, match=reason):
            list(desk.client.run(request_for(Path(path), Task.COUNT, targets=("ship",))))
    with pytest.raises(FusarError, match=r"gone\.npz"):
        list(
            desk.client.run(
                request_for(scene_file(desk.folder), Task.COUNT, targets=("ship",), prior="gone.npz")
            )
        )


def stage(folder: Path, **options: object) -> object:
    """The scripted interpreter behind an API, with a scene that it never opens."""
    (folder / "scene.tif").touch()
    return application(folder, scripted, ScriptedEngine, **options)


def act(folder: Path, direction: str | None = None) -> InterpretRequest:
    return request_for(Path(f"server:{folder}/scene.tif"), Task.DETECT, targets=("ship",), question=direction)


def test_how_jobs_end(tmp_path: Path) -> None:
    with served(stage(tmp_path)) as url, Client(url, TOKEN) as client:
        with pytest.raises(ServerError, match="the scene ends here; get the rest"):
            list(client.run(act(tmp_path, "unhappy")))
        with pytest.raises(ServerError, match="it runs: scripted"):
            list(client.run(replace(act(tmp_path), model="other")))

        left = client.run(act(tmp_path, "held"))
        assert isinstance(next(left), Started)
        left.close()
        until(lambda: client._server.json("GET", "/jobs")["jobs"][0]["status"] == "dismissed")

        job = client.submit({"scene": f"{tmp_path}/scene.tif", "task": "detect", "question": "held"})
        events = client.follow(job)
        assert next(events) == Started(RUN, 3)
        client.cancel(job)
        with pytest.raises(Cancelled, match="cancelled on the server"):
            list(events)

        for event in client.run(act(tmp_path)):
            if isinstance(event, Finished):
                break
        done = client._server.json("GET", "/jobs")["jobs"][0]
        assert done["status"] == "successful", "leaving after the end forgets nothing"
        assert client.finished(done["jobID"]) == event


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_job_is_followed_across_a_restart_of_the_server(tmp_path: Path) -> None:
    order = request_for(scene_file(tmp_path), Task.DETECT, targets=("ship",), overlap=0.4)
    told: list[str] = []
    rest: list[Event] = []

    def application_of_slow_work() -> object:
        return application(tmp_path, load=lambda: Sighted(pause_s=0.05))

    with served(application_of_slow_work()) as url:
        client = Client(url, TOKEN, report=told.append)
        events = client.run(replace(order, scene=Path(f"server:{order.scene}")))
        heard = list(itertools.islice(events, 3))
        listener = threading.Thread(target=lambda: rest.extend(events))
        listener.start()
    until(lambda: bool(told))
    with client, served(application_of_slow_work(), int(url.rsplit(":", 1)[1])):
        listener.join(20)
    run = heard[0].run
    assert heard + rest == list(interpret(order, Sighted(), identity=RunIdentity(run.id, run.started)))
    assert told == [f"lost the server at {url}; waiting for it"]


def test_a_server_that_stays_away_is_waited_for_no_longer_than_told(tmp_path: Path) -> None:
    with served(stage(tmp_path)) as url:
        client = Client(url, TOKEN, reconnect_s=0.1)
        events = client.run(act(tmp_path, "held"))
        next(events)
    with client, pytest.raises(Unreachable, match="look whether it runs"):
        list(events)
    with Client(url, TOKEN) as late, pytest.raises(Unreachable, match="start one with fusar serve"):
        late.info()


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


def test_a_conversation(desk: Desk) -> None:
    path = scene_file(desk.folder, transform=NORTH_UP)
    left, top, right, bottom = TRUTH[0]
    (x, y), (far_x, far_y) = NORTH_UP @ (left - 5, bottom + 5), NORTH_UP @ (right + 5, top - 5)
    near = Area.from_bbox(x, y, far_x, far_y, "EPSG:32631")
    *words, answer = desk.client.chat("where are the ships?", path, near, band=1)
    assert isinstance(answer, Answer)
    assert answer.text == "".join(words)
    assert answer.run["task"] == "detect"
    (ship,) = [f for f in answer.findings["features"] if f["properties"]["layer"] == "detections"]
    assert all(answer.text[start:end] for start, end in ship["spans"])
    assert answer.self_check["targets"]["ship"]["detected"] == 1
    with pytest.raises(ServerError, match="nothing to look at"):
        list(desk.client.chat("where are the ships?"))
    history = [{"role": "user", "content": "count the ships"}, {"role": "assistant", "content": "one"}]
    again = [*history, {"role": "user", "content": "and where are they?"}]
    assert list(desk.client.chat(again, path, near))[-1].run["targets"] == "ship"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("tiny")
    state = {"roots": Roots.of([folder]), "state": folder / "state", "token": TOKEN}
    with served(serve.local_app(EngineOptions(batch=1), **state)) as url:
        yield url


def command(*arguments: object) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as leaving:
            status = int(leaving.code or 0)
    return status, out.getvalue(), err.getvalue()


def layers(path: Path) -> dict[str, object]:
    """Everything in a GeoPackage, feature by feature."""
    found = {}
    for name, _ in pyogrio.list_layers(path):
        meta, _, shapes, columns = pyogrio.raw.read(path, layer=name)
        rows = [dict(zip(meta["fields"], row, strict=True)) for row in zip(*columns, strict=True)]
        found[name] = (meta["crs"], meta["geometry_type"], list(shapes), [repr(row) for row in rows])
    return found


def test_the_command_writes_and_prints_the_same_as_here(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tmp_path / "token"
    token.write_text(TOKEN)
    one = RunIdentity("one-run", "2026-01-01T00:00:00+00:00")
    monkeypatch.setattr(RunIdentity, "new", classmethod(lambda cls: one))
    where = ("--bbox", "500900,6098300,501300,6098700", "--bbox-crs", "EPSG:32631")
    order = (HARBOUR.scene, *where, "--task", "detect", "--target", "ship", "--prior", HARBOUR.prior)
    there, here = tmp_path / "there.gpkg", tmp_path / "here.gpkg"
    server = ("--server", tiny, "--token-file", token)
    remote = command("interpret", *order, "--out", there, "--json", *server)
    # One chip at a time on both sides: float32 sums depend a little on what is computed together.
    local = command("interpret", *order, "--out", here, "--json", "--batch", 1)
    assert remote[0] == local[0] == 0, remote[2] + local[2]
    assert remote[1] == local[1]
    assert [line for line in remote[2].splitlines() if "sending" not in line] == local[2].splitlines()
    assert layers(there) == layers(here)
    assert json.loads(local[1])["findings"]["features"]


def test_the_command_fails_in_one_line_and_writes_nothing(tiny: str, tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_text(TOKEN)
    bad.write_text("another-token-0123456789")
    out = tmp_path / "out.gpkg"
    order = (HARBOUR.scene, "--bbox", "0,0,1,1", "--task", "count", "--out", out)
    cases = {
        ("--server", tiny, "--token-file", bad): "the bearer token is missing or wrong",
        ("--server", tiny, "--token-file", good): "the area lies outside the scene",
        ("--server", tiny, "--token-file", good, "--model", "other"): "it runs: ",
        ("--server", "http://127.0.0.1:9", "--token-file", good): "no server answers",
    }
    for server, reason in cases.items():
        status, printed, said = command("interpret", *order, *server)
        assert (status, printed) == (1, "")
        assert reason in said.splitlines()[-1]
        assert said.splitlines()[-1].startswith("fusar: ")
    assert not out.exists()
    for wrong in (
        ("--token-file", good),
        ("--ca-file", good),
        ("--server", tiny, "--batch", 2),
        ("--server", tiny, "--prior-cache", tmp_path),
    ):
        assert command("interpret", *order, *wrong)[0] == 2
