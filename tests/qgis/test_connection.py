"""The way to a backend: over a real socket, asynchronous, and each failure in one clear line."""

import gc
import json
import os
import re
import sqlite3
import stat
import subprocess
import sys
import time
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path

import pytest
from qgis.core import QgsSettings
from qgis.PyQt.QtCore import QTimer
from qgis.PyQt.QtNetwork import QNetworkProxy
from standin import CHIPS, TOKEN

from fusar_qgis.connection.backend import READY, STARTING, STOPPED
from fusar_qgis.connection.child import SessionFolder, data_folder
from fusar_qgis.connection.client import Client
from fusar_qgis.connection.job import Job
from fusar_qgis.contract import Found, Progress, Started, Task, read_outline
from fusar_qgis.core.request import LayerRequest

REAL = os.environ.get("FUSAR_EXECUTABLE")  # read before a fixture hides it
SAMPLES = Path(__file__).resolve().parents[2] / "backend" / "fusar_gpt" / "samples"
SQUARE = {"type": "Polygon", "coordinates": [[[0, 0], [90, 0], [90, 90], [0, 90], [0, 0]]]}


def order(target="ship", task="detect"):
    return LayerRequest("/data/harbour.tif", Task(task), (target,), read_outline(SQUARE), "EPSG:32650")


@pytest.fixture
def client(standin, backend, qtbot):
    with qtbot.waitSignal(backend.ready) as ready:
        backend.open()
    return ready.args[0]


def follow(qtbot, client, target):
    job, told = Job(client, order(target).to_json()), []
    job.received.connect(told.append)
    with qtbot.waitSignal(job.ended) as ended:
        job.start()
    return told, ended.args[0]


def test_a_job_from_order_to_end(qtbot, client, standin):
    told, end = follow(qtbot, client, "ship")
    assert end.status == "successful"
    assert [type(event) for event in told] == [Started] + [Found, Progress] * CHIPS
    (sent,) = standin.orders
    assert sent["area"] == SQUARE
    assert sent["targets"] == ["ship"]
    assert {authorization for _, _, authorization in standin.seen} == {f"Bearer {TOKEN}"}


def test_much_that_comes_at_once_is_told_bit_by_bit_and_whole(qtbot, client, standin, monkeypatch):
    monkeypatch.setattr("fusar_qgis.connection.job._SLICE_S", 0)  # one event, then the event loop
    standin.pause_s, standin.crowd = 0, (300, 1)
    turns, timer = [], QTimer()
    timer.timeout.connect(lambda: turns.append(1))
    timer.start(0)
    told, end = follow(qtbot, client, "crowded")
    assert end.status == "successful"
    assert [type(event) for event in told] == [Started] + [Found, Progress] * 300
    assert [event.done for event in told[2::2]] == list(range(1, 301))
    assert len(turns) > 300


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("refused", "the area is outside the scene"),
        ("failing", "内存不足: use a smaller area"),
        ("dropped", "has lost the run"),
        ("garbled", "cannot be read"),
        ("broken", "HTTP 500"),
    ],
)
def test_a_job_that_goes_wrong_says_why(qtbot, client, target, reason):
    _, end = follow(qtbot, client, target)
    assert end.status == "failed"
    assert reason in end.message


def test_a_stream_that_breaks_goes_on_where_it_was(qtbot, client, standin):
    told, end = follow(qtbot, client, "cut")
    assert end.status == "successful"
    assert [type(event) for event in told] == [Started] + [Found, Progress] * CHIPS
    assert [event.done for event in told if isinstance(event, Progress)] == list(range(1, CHIPS + 1))
    assert len(standin.orders) == 1


def test_cancel_while_the_backend_is_away_reaches_it_when_it_is_back(qtbot, client, standin):
    job, told = Job(client, order("cut").to_json()), []
    job.received.connect(told.append)
    job.start()
    qtbot.waitUntil(job._again.isActive)
    job.cancel()
    qtbot.waitUntil(standin.dismissed.is_set)


def test_a_backend_that_does_not_come_back_ends_the_job(qtbot, client, standin, monkeypatch):
    monkeypatch.setattr("fusar_qgis.connection.job._AWAY_S", -1.0)
    assert "did not come back" in follow(qtbot, client, "cut")[1].message


def test_a_profile_has_one_name_that_says_nothing_about_its_owner(qtbot, client, standin):
    follow(qtbot, client, "ship")
    follow(qtbot, Client(client.endpoint, client), "ship")
    (name,) = standin.clients
    assert re.fullmatch("[0-9a-f]{32}", name)
    assert name == QgsSettings().value("fusar/client")


def test_cancel_is_immediate_and_reaches_the_backend(qtbot, client, standin):
    job, told, ends = Job(client, order("endless").to_json()), [], []
    job.received.connect(told.append)
    job.ended.connect(ends.append)
    job.start()
    qtbot.waitUntil(lambda: len(told) > 5)
    before = time.perf_counter()
    job.cancel()
    assert time.perf_counter() - before < 0.05
    assert [end.status for end in ends] == ["dismissed"]
    known = len(told)
    qtbot.waitUntil(standin.dismissed.is_set)
    assert len(told) == known
    job.cancel()
    assert len(ends) == 1


def test_cancel_before_the_backend_has_answered_still_reaches_it(qtbot, client, standin):
    standin.answer_submit.clear()
    job = Job(client, order("endless").to_json())
    job.start()
    qtbot.waitUntil(lambda: bool(standin.orders))
    job.cancel()
    standin.answer_submit.set()
    qtbot.waitUntil(standin.dismissed.is_set)


def test_the_garbage_collector_leaves_what_is_under_way_alone(qtbot, backend, standin):
    # It once took apart replies that only their own slots knew, and QGIS crashed when they came.
    with qtbot.waitSignal(backend.ready) as ready:
        backend.open()
        gc.collect()
    job = Job(ready.args[0], order().to_json())
    with qtbot.waitSignal(job.ended) as ended:
        job.start()
        for _ in range(20):
            gc.collect()
            qtbot.wait(5)
    assert ended.args[0].status == "successful"


def test_closing_in_mid_run_still_cancels_on_the_backend(qtbot, standin, backend, client):
    job, told = Job(client, order("endless").to_json()), []
    job.received.connect(told.append)
    job.start()
    qtbot.waitUntil(lambda: bool(told))
    job.cancel()
    backend.close()
    assert standin.dismissed.is_set()


def test_loopback_goes_round_a_proxy(qtbot, standin, backend):
    nowhere = QNetworkProxy(QNetworkProxy.ProxyType.HttpProxy, "127.0.0.1", 9)
    QNetworkProxy.setApplicationProxy(nowhere)
    try:
        with qtbot.waitSignal(backend.ready):
            backend.open()
    finally:
        QNetworkProxy.setApplicationProxy(QNetworkProxy(QNetworkProxy.ProxyType.NoProxy))


def problem(qtbot, backend):
    with qtbot.waitSignal(backend.failed) as failed:
        backend.open()
    return failed.args[0]


def test_no_backend_anywhere(qtbot, backend):
    assert "press Install" in problem(qtbot, backend)
    assert backend.state == STOPPED


def test_wrong_token(qtbot, standin, backend, monkeypatch):
    monkeypatch.setenv("FUSAR_TOKEN", "wrong")
    assert "token" in problem(qtbot, backend)


def test_nobody_listens(qtbot, backend, monkeypatch):
    monkeypatch.setenv("FUSAR_URL", "http://127.0.0.1:9")
    assert "http://127.0.0.1:9 does not answer" in problem(qtbot, backend)


def test_not_an_address(qtbot, backend, monkeypatch):
    monkeypatch.setenv("FUSAR_URL", "127.0.0.1:8765")
    assert "not a backend address" in problem(qtbot, backend)


@pytest.mark.parametrize(("served", "side"), [(2, "Update the plugin"), (0, "Update the backend")])
def test_another_api(qtbot, standin, backend, served, side):
    standin.info = standin.info | {"api": served}
    assert side in problem(qtbot, backend)


def test_address_and_token_file_of_the_settings(qtbot, standin, backend, monkeypatch, tmp_path):
    monkeypatch.delenv("FUSAR_URL")
    token_file = tmp_path / "server.json"
    settings = QgsSettings()
    settings.setValue("fusar/url", standin.url + "/")
    settings.setValue("fusar/token_file", str(token_file))
    try:
        assert "token file" in problem(qtbot, backend)
        token_file.write_text(json.dumps({"url": standin.url, "token": TOKEN}))
        with qtbot.waitSignal(backend.ready):
            backend.open()
    finally:
        settings.remove("fusar")


def executable(tmp_path, monkeypatch, *words):
    """A backend to start: the stand-in, run by this Python."""
    script = tmp_path / "fusar"
    standin = Path(__file__).with_name("standin.py")
    command = " ".join(["exec", sys.executable, str(standin), *words, '"$@"'])
    notes = (f"env > {tmp_path}/env", f'echo "$@" > {tmp_path}/args', f"echo $$ > {tmp_path}/pid")
    script.write_text("\n".join(["#!/bin/sh", *notes, command, ""]))
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", os.defpath)
    monkeypatch.setenv("FUSAR_EXECUTABLE", str(script))


def alive(tmp_path) -> bool:
    pid = (tmp_path / "pid").read_text().strip()
    return subprocess.run(["ps", "-p", pid], capture_output=True, check=False).returncode == 0


def test_a_child_is_started_once_and_never_left_behind(qtbot, backend, tmp_path, monkeypatch):
    executable(tmp_path, monkeypatch)
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    monkeypatch.setenv("GDAL_DATA", "/nowhere")
    for _ in range(2):
        with qtbot.waitSignal(backend.ready, timeout=20_000):
            backend.open()
    assert (tmp_path / "args").read_text().startswith("serve --child --root / --state ")
    assert "/nowhere" not in (tmp_path / "env").read_text()
    assert alive(tmp_path)
    before = time.perf_counter()
    backend.close()
    assert time.perf_counter() - before < 1.5
    assert not alive(tmp_path)
    assert list((data_folder() / "jobs").iterdir()) == []


def kill(tmp_path) -> None:
    subprocess.run(["kill", "-9", (tmp_path / "pid").read_text().strip()], check=True)


def test_a_dead_child_comes_back_once_and_its_job_goes_on(qtbot, backend, tmp_path, monkeypatch):
    executable(tmp_path, monkeypatch)
    with qtbot.waitSignal(backend.ready, timeout=20_000) as ready:
        backend.open()
    address = ready.args[0].endpoint
    job, told, ends = Job(ready.args[0], order("storage tank").to_json()), [], []
    job.received.connect(told.append)
    job.ended.connect(ends.append)
    job.start()
    qtbot.waitUntil(lambda: len(told) > 3)
    with qtbot.waitSignals([backend.restarted, backend.ready], timeout=20_000):
        kill(tmp_path)
    assert (backend.state, backend._child.endpoint) == (READY, address)
    qtbot.waitUntil(lambda: bool(ends), timeout=20_000)
    assert ends[0].status == "successful"
    assert [type(event) for event in told] == [Started] + [Found, Progress] * CHIPS

    job, told = Job(ready.args[0], order("endless").to_json()), []
    job.received.connect(told.append)
    job.ended.connect(ends.append)
    job.start()
    qtbot.waitUntil(lambda: bool(told))
    with qtbot.waitSignal(backend.failed) as failed:
        kill(tmp_path)
    assert "stopped twice" in failed.args[0]
    assert ends[1].message == failed.args[0] == backend.problem
    with qtbot.waitSignal(backend.ready, timeout=20_000):
        backend.open()


def left_journal(name: str, status: str, finished: str | None, created: str) -> Path:
    """The folder of a session whose QGIS is gone, with one job."""
    folder = data_folder() / "jobs" / name
    folder.mkdir(parents=True)
    with closing(sqlite3.connect(folder / "jobs.sqlite")) as database, database:
        database.execute("CREATE TABLE jobs (id TEXT, status TEXT, finished TEXT, created TEXT)")
        database.execute("INSERT INTO jobs VALUES ('a', ?, ?, ?)", (status, finished, created))
    return folder


def test_the_runs_that_a_session_left_wait_in_the_next_one(qtbot, backend, tmp_path, monkeypatch):
    now = datetime.now(timezone.utc).isoformat()
    left_journal("over", "successful", now, now)
    left_journal("cancelled", "dismissed", None, now)
    left_journal("old", "accepted", None, "2020-01-01T00:00:00+00:00")
    (data_folder() / "jobs" / "empty").mkdir()
    kept = left_journal("kept", "paused", None, now)
    executable(tmp_path, monkeypatch)
    with qtbot.waitSignal(backend.ready, timeout=20_000):
        backend.open()
    args = (tmp_path / "args").read_text()
    assert f"--state {kept} --hold-jobs" in args
    assert {path.name for path in kept.parent.iterdir()} == {"kept", "kept.lock"}
    other = SessionFolder(kept.parent)
    assert other.path != kept
    assert not other.is_old
    other.leave()
    backend.close()
    assert (kept / "jobs.sqlite").exists()


def test_other_settings_end_the_child_without_waiting_for_it(qtbot, backend, tmp_path, monkeypatch):
    executable(tmp_path, monkeypatch)
    with qtbot.waitSignal(backend.ready, timeout=20_000):
        backend.open()
    before = time.perf_counter()
    backend.reset()
    assert time.perf_counter() - before < 0.05
    qtbot.waitUntil(lambda: not alive(tmp_path))
    with qtbot.waitSignal(backend.ready, timeout=20_000):
        backend.open()


def test_the_state_says_where_the_backend_stands(qtbot, backend, standin):
    states = []
    backend.changed.connect(lambda: states.append((backend.state, backend.info and backend.info.device)))
    standin.info = standin.info | {"device": "loading"}
    with qtbot.waitSignal(backend.ready):
        backend.open()
    standin.info = standin.info | {"device": "cuda:0", "memory": {"used": 5}}
    qtbot.waitUntil(lambda: states[-1] == (READY, "cuda:0"))
    assert backend.info.memory == {"used": 5}
    assert states == [(STARTING, None), (READY, "loading"), (READY, "cuda:0")]


def test_the_device_is_asked_for_again_when_one_answer_was_lost(qtbot, backend, standin):
    loading = standin.info | {"device": "loading"}
    standin.info = loading
    with qtbot.waitSignal(backend.ready):
        backend.open()
    standin.info = {}  # no answer that could be read
    before = len(standin.seen)
    qtbot.waitUntil(lambda: len(standin.seen) > before + 1)  # the second time because the first was in vain
    standin.info = loading | {"device": "cpu"}
    qtbot.waitUntil(lambda: backend.info.device == "cpu")


def test_a_child_that_cannot_start_says_why(qtbot, backend, tmp_path, monkeypatch):
    executable(tmp_path, monkeypatch, "--fail")
    assert "could not start: checkpoint is missing" in problem(qtbot, backend)
    monkeypatch.setenv("FUSAR_EXECUTABLE", str(tmp_path / "gone"))
    assert "could not start" in problem(qtbot, backend)


@pytest.mark.timeout(240)
@pytest.mark.skipif(not REAL, reason="FUSAR_EXECUTABLE names no backend (make test-qgis does)")
def test_killing_the_real_backend_loses_and_doubles_nothing(qtbot, backend, monkeypatch):
    monkeypatch.setenv("PATH", os.defpath)
    monkeypatch.setenv("FUSAR_EXECUTABLE", REAL)
    with qtbot.waitSignal(backend.ready, timeout=60_000) as ready:
        backend.open()

    def run(disturb) -> tuple[list[str], str]:
        area = json.loads((SAMPLES / "harbour_simulated_area.geojson").read_text())
        shape = area["features"][0]["geometry"] if "features" in area else area.get("geometry", area)
        scene = str(SAMPLES / "harbour_simulated.tif")
        wanted = LayerRequest(scene, Task.COUNT, ("ship",), read_outline(shape), "EPSG:32631")
        job, told = Job(ready.args[0], wanted.to_json()), []
        job.received.connect(told.append)
        with qtbot.waitSignal(job.ended, timeout=120_000) as ended:
            job.start()
            qtbot.waitUntil(lambda: len(told) > 2, timeout=60_000)
            disturb()
        kinds = [type(event).__name__ for event in told]
        return kinds, ended.args[0].status, ended.args[0].message

    whole = run(lambda: None)
    assert whole[1] == "successful"
    killed = run(lambda: os.kill(backend._child._process.processId(), 9))
    assert killed == whole
