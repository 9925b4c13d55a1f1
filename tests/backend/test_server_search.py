"""Searches over HTTP: jobs like any other, answers at once where the index is there, and what is refused."""

from __future__ import annotations

import itertools
import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from scripted_server import ApiServer, ask, events, until
from searching import SLICES, WORDS, HeldEncoder, search_scene, serve_search
from serving import arguments
from small_klip import CARD, write_small_klip

from fusar_gpt.client import ServerError
from fusar_gpt.contract import (
    PLACES,
    SEARCH_EXECUTION,
    SEARCH_NOW,
    SEARCH_PLAN,
    Finished,
    Found,
    Info,
    InterpretRequest,
    MapPoint,
    Progress,
    SearchPlan,
    SearchRequest,
    Started,
    Task,
)
from fusar_gpt.errors import CheckpointError, FusarError
from fusar_gpt.server import searcher
from fusar_gpt.server.encoders import KEPT, Encoders
from fusar_gpt.server.inputs import recorded, request_of
from fusar_gpt.server.job import new_record
from fusar_gpt.server.search import MOST_AT_A_TIME

ON_SCENE = {"type": "Point", "coordinates": [593500.0, 5748500.0]}
SEEDS = itertools.count(1)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ApiServer, HeldEncoder]]:
    with serve_search(tmp_path_factory.mktemp("root")) as opened:
        yield opened


@pytest.fixture
def api(served: tuple[ApiServer, HeldEncoder], tmp_path: Path) -> ApiServer:
    """The server with a scene that was never searched."""
    api, encoder = served
    encoder.gate.set()
    path = search_scene(Path(api.inputs["scene"]).parent / f"{tmp_path.name}.tif", next(SEEDS))
    return replace(api, inputs=api.inputs | {"scene": str(path)})


@pytest.fixture
def encoder(served: tuple[ApiServer, HeldEncoder]) -> HeldEncoder:
    return served[1]


def post(api: ApiServer, path: str, **inputs: object):
    return ask(api, "POST", path, json={"inputs": api.inputs | inputs})


def test_a_search_job_from_request_to_results(api: ApiServer) -> None:
    reply = post(api, SEARCH_EXECUTION)
    state = reply.json()
    assert reply.status_code == 201
    assert reply.headers["Location"] == f"/jobs/{state['jobID']}"
    assert state["processID"] == "search"
    heard = events(api, state["jobID"])
    assert [name for _, name, _ in heard] == ["started", *["progress"] * 20, "findings", "end"]
    assert heard[0][2]["run"]["task"] == "search"
    assert heard[-1][2]["status"] == "successful"
    results = api.client.results(state["jobID"])
    rows = [feature["properties"] for feature in results["findings"]["features"]]
    assert [row["rank"] for row in rows] == list(range(1, len(rows) + 1))
    assert {row["layer"] for row in rows} == {PLACES}
    assert results["heat"]["width"] * results["heat"]["height"] > 0
    listed = ask(api, "GET", "/jobs?limit=1").json()["jobs"]
    assert [job["processID"] for job in listed] == ["search"]


def test_the_first_search_is_a_job_and_the_next_is_answered_at_once(
    api: ApiServer, encoder: HeldEncoder
) -> None:
    plan = post(api, SEARCH_PLAN).json()
    assert (plan["slices"], plan["ready"]) == (SLICES, 0)
    assert plan["seconds"] > 0
    first = post(api, SEARCH_NOW)
    assert first.status_code == 201
    job = first.headers["Location"].removeprefix("/jobs/")
    events(api, job)
    assert post(api, SEARCH_PLAN).json() == {"slices": SLICES, "ready": SLICES, "seconds": 0.0}
    before = sum(encoder.embedded)
    second = post(api, SEARCH_NOW)
    assert second.status_code == 200
    assert sum(encoder.embedded) == before
    known, found = api.client.results(job), second.json()
    assert set(found) == set(known)
    assert [one["scene_box"] for one in found["findings"]["features"]] == [
        one["scene_box"] for one in known["findings"]["features"]
    ]
    assert found["heat"] == known["heat"]
    assert "heat" not in post(api, SEARCH_NOW, heat=False).json()
    near = post(api, SEARCH_NOW, texts=[], like=[ON_SCENE], examples_crs="EPSG:32631").json()
    assert near["findings"]["features"][0]["properties"]["similarity"] > 0.9


def test_the_client_searches_a_file_of_its_own(served: tuple[ApiServer, HeldEncoder], tmp_path: Path) -> None:
    api, _ = served
    request = SearchRequest(str(search_scene(tmp_path / "mine.tif", next(SEEDS))), ("open sea",), top=3)
    assert api.client.plan_search(request).ready == 0
    started, *told, found, finished = api.client.search(request)
    assert isinstance(started, Started)
    assert {type(event) for event in told} == {Progress}
    assert isinstance(found, Found)
    assert isinstance(finished, Finished)
    assert found.added == finished.findings
    assert finished.heat is not None
    assert finished.run.prompts == ("open sea",)
    assert api.client.plan_search(request).seconds == 0


def test_leaving_the_clients_loop_cancels_and_what_is_indexed_is_kept(
    api: ApiServer, encoder: HeldEncoder
) -> None:
    request = SearchRequest.from_json(api.inputs | {"scene": f"server:{api.inputs['scene']}"})
    stream = api.client.search(request)
    assert isinstance(next(stream), Started)
    assert isinstance(next(stream), Progress)
    encoder.gate.clear()
    stream.close()
    encoder.gate.set()
    job = ask(api, "GET", "/jobs?limit=1").json()["jobs"][0]["jobID"]
    until(lambda: api.client.status(job)["status"] == "dismissed")
    assert events(api, job)[-1][2]["status"] == "dismissed"
    until(lambda: api.client.plan_search(request).ready > 0)


def test_a_running_search_is_paused_within_a_step_and_goes_on_with_what_is_left(
    api: ApiServer, encoder: HeldEncoder
) -> None:
    encoder.gate.clear()
    before = sum(encoder.embedded)
    job = post(api, SEARCH_EXECUTION).json()["jobID"]
    until(lambda: api.client.status(job)["status"] == "running")
    assert api.client.pause(job)["paused"]
    encoder.gate.set()
    until(lambda: api.client.status(job)["status"] == "accepted")
    assert sum(encoder.embedded) - before < SLICES
    api.client.pause(job, paused=False)
    names = [name for _, name, _ in events(api, job)]
    assert names == ["started", *["progress"] * 20, "findings", "end"]
    assert sum(encoder.embedded) - before == SLICES, "nothing is embedded twice"


def test_an_upload_that_a_search_needs_is_not_deleted(api: ApiServer, encoder: HeldEncoder) -> None:
    scene = api.client.upload(Path(api.inputs["scene"]))["scene"]
    encoder.gate.clear()
    job = post(api, SEARCH_EXECUTION, scene=scene).json()["jobID"]
    with pytest.raises(ServerError, match="a job still needs this scene"):
        api.client.delete_scene(scene)
    encoder.gate.set()
    assert events(api, job)[-1][2]["status"] == "successful"
    api.client.delete_scene(scene)
    assert post(api, SEARCH_NOW, scene=scene).status_code == 400


@pytest.mark.parametrize("path", [SEARCH_EXECUTION, SEARCH_NOW, SEARCH_PLAN])
@pytest.mark.parametrize(
    ("change", "status", "detail"),
    [
        ({"texts": ["a" * 10_000]}, 422, "texts.0: String should have at most 2000 characters"),
        ({"texts": [" "]}, 422, "there is nothing to search for"),
        ({"texts": ["sea"] * 21}, 422, "texts"),
        ({"top": 0}, 422, "top"),
        ({"ground_m": [-1]}, 422, "ground_m.0"),
        ({"task": "count"}, 422, "task"),
        ({"like": [{"type": "LineString", "coordinates": [[0, 0], [1, 1]]}]}, 422, "like.0"),
        ({"examples_crs": "+proj=longlat"}, 422, "CRS"),
        ({"texts": ["refinery"]}, 400, "none of the words"),
        ({"scene": "/etc/passwd"}, 403, "outside the folders"),
        ({"scene": "https://example.com/scene.tif"}, 403, "virtual paths are not opened"),
        ({"scene": f"scene:{'0' * 64}"}, 400, "upload it again"),
        ({"encoder": "tiny"}, 400, "this server does not search with 'tiny': name one of its encoders, small"),
        ({"encoder": "open_clip:/etc"}, 400, "does not search with 'open_clip:/etc'"),
        ({"encoder": "someone/model"}, 400, "does not search with 'someone/model'"),
    ],
)  # fmt: skip
def test_what_cannot_be_searched_is_refused_in_one_line(
    served: tuple[ApiServer, HeldEncoder], path: str, change: dict[str, object], status: int, detail: str
) -> None:
    reply = post(served[0], path, **change)
    problem = reply.json()
    assert (reply.status_code, problem["status"]) == (status, status)
    assert detail in problem["detail"]
    assert "\n" not in problem["detail"]


def test_a_folder_of_the_server_is_no_encoder_for_its_clients(
    served: tuple[ApiServer, HeldEncoder], tmp_path: Path
) -> None:
    folder = write_small_klip(tmp_path / "another")
    for name in (str(folder), f"{folder}/../another", "../another", "."):
        assert post(served[0], SEARCH_EXECUTION, encoder=name).status_code == 400


def test_a_file_that_is_no_raster_is_refused_at_once(api: ApiServer) -> None:
    Path(api.inputs["scene"]).write_bytes(b"no raster")
    assert [post(api, path).status_code for path in (SEARCH_PLAN, SEARCH_NOW, SEARCH_EXECUTION)] == [400] * 3


def test_an_example_outside_the_scene_is_said(api: ApiServer) -> None:
    job = post(api, SEARCH_EXECUTION, like=[{"type": "Point", "coordinates": [0, 0]}]).json()["jobID"]
    end = events(api, job)[-1][2]
    assert end["status"] == "failed"
    assert "lies outside the scene" in end["message"]


def test_more_searches_at_a_time_than_there_is_room_for_are_refused(
    api: ApiServer, encoder: HeldEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, leave = threading.Barrier(MOST_AT_A_TIME + 1), threading.Event()

    def waiting(*_: object) -> SearchPlan:
        entered.wait(20)
        assert leave.wait(20)
        return SearchPlan(1, 1, 0.0)

    monkeypatch.setattr(searcher, "plan_search", waiting)
    threads = [threading.Thread(target=post, args=(api, SEARCH_PLAN)) for _ in range(MOST_AT_A_TIME)]
    for thread in threads:
        thread.start()
    entered.wait(20)
    assert post(api, SEARCH_PLAN).status_code == post(api, SEARCH_NOW).status_code == 429
    assert post(api, SEARCH_EXECUTION).status_code == 201, "a job waits for its turn"
    leave.set()
    for thread in threads:
        thread.join(20)


def test_the_process_and_the_info_tell_what_can_be_searched_with(api: ApiServer) -> None:
    process = ask(api, "GET", "/processes/search").json()
    assert {name for name, each in process["inputs"].items() if each["minOccurs"]} == {"scene"}
    assert set(process["outputs"]) == {"run", "findings", "heat"}
    assert "$ref" not in json.dumps(process)
    info = Info.from_json(ask(api, "GET", "/info").json() | {"version": "0"})
    small, *others = info.encoders
    assert (small.name, small.demonstration, small.image_px, small.words) == (
        "small",
        True,
        32,
        tuple(WORDS),
    )
    bundled = next(card for card in others if card.name == "klip-tiny")
    assert bundled.demonstration
    assert bundled.pixel_m == (3.0, 3.0)
    assert "ships" in bundled.words
    old = {"api": 1, "version": "0", "device": "cpu", "models": []}
    assert Info.from_json(old).encoders == (), "an older server does not search"


def test_the_metrics_count_searches(api: ApiServer) -> None:
    def count() -> float:
        lines = ask(api, "GET", "/metrics").text.splitlines()
        return float(next(line.split()[1] for line in lines if line.startswith("fusar_searches_total")))

    before = count()
    events(api, post(api, SEARCH_EXECUTION).json()["jobID"])
    assert count() > before


def test_stored_encoders_are_served_by_name_and_few_stay_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FUSAR_HOME", str(tmp_path))
    names = [f"mine-{number}" for number in range(KEPT + 1)]
    for name in names:
        write_small_klip(tmp_path / "checkpoints" / name, replace(CARD, name=name))
    (tmp_path / "checkpoints" / "broken").mkdir()
    (tmp_path / "checkpoints" / "broken" / "klip.json").write_text("{}")
    opened: list[str] = []
    encoders = Encoders("mine-0", load=lambda source, device: opened.append(Path(source).name) or object())
    assert [card.name for card in encoders.cards()] == ["mine-0", "klip-tiny", *names[1:]]
    one = encoders()
    assert encoders("mine-0") is one
    for name in names:
        encoders(name)
    assert opened == names
    assert encoders("mine-0") is not one, "the one that was used least was dropped"
    shutil.rmtree(tmp_path / "checkpoints" / "mine-2")
    with pytest.raises(FusarError, match="mine-2"):
        encoders("mine-2")


def test_the_owner_may_serve_a_folder_of_any_kind(tmp_path: Path) -> None:
    loads: list[str] = []
    load = lambda source, device: loads.append(source) or object()  # noqa: E731
    folder = write_small_klip(tmp_path / "folder")
    assert [card.name for card in Encoders(str(folder)).cards()] == ["small", "klip-tiny"]
    model = tmp_path / "remote-clip"
    with pytest.raises(CheckpointError, match="remote-clip is not a folder"):
        Encoders(f"open_clip:{model}", load=load)
    model.mkdir()
    clip = Encoders(f"open_clip:{model}", load=load)
    card = next(clip.cards())
    assert (card.name, card.title, card.words) == ("open_clip:remote-clip", "remote-clip", ())
    clip("open_clip:remote-clip")
    clip(None)
    assert loads == [f"open_clip:{model}"]
    with pytest.raises(FusarError, match="does not search with 'open_clip:"):
        clip(f"open_clip:{model}")


def test_the_owners_choice_of_an_encoder_must_be_there() -> None:
    assert arguments().encoder == "klip-tiny"
    assert arguments("--encoder", "open_clip:models").encoder == "open_clip:models"
    with pytest.raises(CheckpointError, match="nothing-here is not a checkpoint"):
        Encoders("nothing-here")


def test_an_older_server_is_told_from_one_that_searches(
    api: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api.client, "info", lambda: {"api": 1})
    with pytest.raises(ServerError, match="does not search: update it"):
        next(api.client.search(SearchRequest("scene.tif", ("ships",))))


def test_a_record_tells_a_search_from_an_interpretation() -> None:
    search = SearchRequest("s.tif", like=(MapPoint("Point", (4.0, 52.0)),))
    detect = InterpretRequest('{"search":', Task.DETECT)
    for request, process in ((search, "search"), (detect, "interpret")):
        record = new_record("anna", recorded(request))
        assert (record.process, request_of(record)) == (process, request)
    old = new_record("anna", '{"scene":"s.tif","task":"count","targets":["ship"]}')
    assert (old.process, request_of(old).task) == ("interpret", Task.COUNT)
