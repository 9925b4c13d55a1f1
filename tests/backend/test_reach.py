"""A network that is not there: found out once a run, within seconds, and not asked again."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from rasters import NORTH_UP, speckle, write
from test_prior_beside_model import PatientEngine

from fusar_gpt.contract import Finished, Task
from fusar_gpt.errors import Cancelled
from fusar_gpt.interpret import interpret
from fusar_gpt.planning import request_for
from fusar_gpt.prior_options import PriorSettings
from fusar_gpt.priors import reach
from fusar_gpt.priors.earth_engine import config
from fusar_gpt.priors.reach import Reach
from fusar_gpt.priors.retry import Unavailable

LIMIT_S = 0.6
"""In place of three seconds."""


@pytest.fixture
def silent():
    """The address of a server that takes connections and says nothing, and how many it was offered."""
    connected = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def take():
            with contextlib.suppress(OSError):
                while True:
                    connected.append(server.accept()[0])

        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", connected
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)
    for connection in connected:
        connection.close()


@pytest.fixture
def closed():
    """An address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return f"http://127.0.0.1:{port}"


@pytest.fixture
def refusing():
    """A server that answers, if only that it has nothing."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_error(404)

        def log_message(self, *_):
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join(5)


def test_any_answer_will_do(refusing):
    asked = Reach({"cog": refusing}, seconds=20.0)
    asked.check("cog")
    assert asked.known("cog")


def test_nobody_there_is_known_at_once_and_silence_after_the_limit_for_all_together(silent, closed):
    address, _ = silent
    asked = Reach({"cog": address, "earth-engine": address, "gone": closed}, seconds=LIMIT_S)
    start = time.monotonic()
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1 cannot be reached"):
        asked.check("gone")
    for name in ("cog", "earth-engine"):
        with pytest.raises(Unavailable, match=r"does not answer"):
            asked.check(name)
        assert not asked.known(name)
    assert time.monotonic() - start < 4 * LIMIT_S


def test_a_cancel_does_not_wait(silent):
    asked = Reach({"cog": silent[0]}, cancelled=lambda: True, seconds=60.0)
    with pytest.raises(Cancelled):
        asked.check("cog")


# A whole run.


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(reach.Reach.__init__, "__defaults__", (lambda: False, LIMIT_S))
    monkeypatch.setattr(config.EarthEngineConfig, "has_account", False)


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """13 chips of 960 m: more than the run looks ahead."""
    path = tmp_path_factory.mktemp("scene") / "scene.tif"
    return write(path, speckle(96, 96 * 13), transform=NORTH_UP)


def run(scene, told, **settings):
    request = request_for(scene, Task.DESCRIBE, year=2023)
    *_, last = interpret(request, PatientEngine(), settings=PriorSettings(**settings), report=told.append)
    assert isinstance(last, Finished)
    return last


def about_the_prior(run):
    return [warning for warning in run.warnings if warning.startswith("No prior")]


@pytest.mark.usefixtures("short")
def test_a_silent_network_costs_a_run_of_many_chips_its_limit_once(scene, silent, tmp_path):
    address, connected = silent
    told = []
    run(scene, [], root=str(tmp_path / "nowhere"), cache_folder=tmp_path)  # what a run needs to be imported
    start = time.monotonic()
    last = run(scene, told, root=address, cache_folder=tmp_path)
    assert time.monotonic() - start < LIMIT_S + 10, "not again for each of 13 chips"
    assert len(connected) == 1
    assert {finding.properties["prior"] for finding in last.findings} == {"none"}
    assert (last.run.prior, last.run.prior_asked) == ("none", "auto")
    (warning,) = about_the_prior(last.run)
    assert warning.startswith("No prior: cog: 127.0.0.1 does not answer")
    assert warning.endswith("answers are from the radar image alone.")
    assert len([line for line in told if "does not answer" in line]) == 1


@pytest.mark.usefixtures("short")
def test_a_run_that_may_use_no_network_opens_no_socket(scene, silent, tmp_path):
    address, connected = silent
    last = run(scene, [], root=address, cache_folder=tmp_path, offline=True)
    assert not connected
    assert about_the_prior(last.run) == [
        "No prior: cog: no network may be used; earth-engine: no network may be used; answers are from the radar "
        "image alone.",
    ]


@pytest.mark.usefixtures("short")
def test_a_closed_port_costs_nothing(scene, closed, tmp_path):
    last = run(scene, [], root=closed, cache_folder=tmp_path)
    (warning,) = about_the_prior(last.run)
    assert "cannot be reached" in warning
