"""The Python client: what comes from a server is what a local run yields."""

from __future__ import annotations

import contextlib
import itertools
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from affine import Affine
from rasters import NORTH_UP, ROTATED, swath_gcps
from scripted_server import RUN, TOKEN, finding
from serving import Sighted, act, application, served, stage, until
from shapely.geometry import shape
from test_interpret import TRUTH, scene_file

from fusar_gpt import client as client_module
from fusar_gpt.client import Answer, Client, ServerError, Unreachable
from fusar_gpt.contract import Event, Finished, Found, InterpretRequest, Progress, Started, read, read_event
from fusar_gpt.errors import Cancelled, FusarError, SceneError
from fusar_gpt.imagery import Area
from fusar_gpt.interpret import RunIdentity, interpret
from fusar_gpt.planning import request_for
from fusar_gpt.server import wire
from fusar_gpt.tasks import Task


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
    "gcps": {"gcps": swath_gcps(220, 160, size=0.1)},
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
        order = request_for(path, Task.COUNT, targets=("ship",), prior="none")
        first = list(desk.client.run(order))
        (kept,) = desk.client.scenes()
        assert (kept["name"], kept["bytes"]) == ("scene.tif", path.stat().st_size)
        again = list(desk.client.run(replace(order, scene=kept["scene"])))
        list(desk.client.run(order))
        assert desk.told == [f"sending scene.tif to {desk.url}"]
        assert [f.geometry for f in again[-1].findings] == [f.geometry for f in first[-1].findings]

        path.with_name("scene_prior.tif").touch()
        list(desk.client.run(replace(order, prior="auto")))
        assert desk.told[1] == "prior: scene_prior.tif beside the scene is not sent: name it with --prior."
        del desk.told[1:]

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
        order = request_for(Path(f"server:{theirs}"), Task.COUNT, targets=("ship",), prior="none")
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


def test_a_job_is_followed_across_a_restart_of_the_server(tmp_path: Path) -> None:
    order = request_for(scene_file(tmp_path), Task.DETECT, targets=("ship",), overlap=0.4, prior="none")
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
