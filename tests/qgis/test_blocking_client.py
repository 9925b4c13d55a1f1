"""The client that waits: in the GUI thread and in a worker's, cancelled at once, and never led elsewhere."""

import resource
import socket
import ssl
import subprocess
import threading
import time

import pytest
from qgis.core import QgsApplication, QgsTask
from qgis.PyQt.QtNetwork import QNetworkProxy
from web import Web

from fusar_qgis.connection.backend import BackendChoice
from fusar_qgis.connection.blocking_client import BlockingClient, Stopped
from fusar_qgis.connection.child import ChildBackend
from fusar_qgis.connection.diagnosis import RequestError
from fusar_qgis.core.endpoint import Endpoint


@pytest.fixture(params=["GUI thread", "worker thread"])
def call(request, qtbot):
    """Call a function where an algorithm would run; return what it returns or raises."""

    def call(function):
        if request.param == "GUI thread":
            return outcome_of(function)
        found = []
        task = QgsTask.fromFunction("test", lambda _: found.append(outcome_of(function)))
        QgsApplication.taskManager().addTask(task)
        qtbot.waitUntil(lambda: bool(found), timeout=30_000)
        return found[0]

    return call


def outcome_of(function):
    try:
        return function()
    except (RequestError, Stopped) as error:
        return error


def with_client(url, use, token="secret", is_canceled=lambda: False):
    def run():
        choice = BackendChoice(Endpoint(url, token), "", "")
        with BlockingClient(choice, ChildBackend(), is_canceled) as client:
            return use(client)

    return run


def test_it_says_what_the_backend_offers(call, standin):
    assert call(with_client(standin.url, BlockingClient.info, standin.token)).models[0].name == "tiny"


def test_the_token_follows_no_redirect(call):
    elsewhere = Web()
    seen = []
    elsewhere.RequestHandlerClass = type(
        "Spy", (elsewhere.RequestHandlerClass,), {"do_GET": lambda self: seen.append(self.path)}
    )
    error = call(with_client(Web(302, b"", Location=f"{elsewhere.url}/info").url, BlockingClient.info))
    assert "is not a FUSAR-GPT backend" in str(error)
    assert seen == []


def test_loopback_goes_round_a_proxy(call, standin):
    QNetworkProxy.setApplicationProxy(QNetworkProxy(QNetworkProxy.ProxyType.HttpProxy, "127.0.0.1", 9))
    try:
        assert call(with_client(standin.url, BlockingClient.info, standin.token)).version == "0.1.0"
    finally:
        QNetworkProxy.setApplicationProxy(QNetworkProxy(QNetworkProxy.ProxyType.NoProxy))


def test_a_certificate_that_is_not_trusted(call, tmp_path):
    key, subject = (
        ["-newkey", "rsa:2048", "-nodes", "-keyout", f"{tmp_path}/k.pem"],
        ["-subj", "/CN=127.0.0.1"],
    )
    words = ["/usr/bin/openssl", "req", "-x509", *key, "-out", f"{tmp_path}/c.pem", *subject]
    subprocess.run(words, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{tmp_path}/c.pem", f"{tmp_path}/k.pem")
    web = Web()
    web.socket = context.wrap_socket(web.socket, server_side=True)
    error = call(with_client(web.url.replace("http", "https"), BlockingClient.info))
    assert "Manage Certificates" in str(error)


@pytest.fixture
def silent():
    """A program that accepts connections, and neither reads nor answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("what", ["question", "upload"])
def test_cancel_is_noticed_within_a_second(call, silent, tmp_path, what):
    scene = tmp_path / "scene.tif"
    with scene.open("wb") as file:
        file.truncate(200 * 2**20)
    until = time.monotonic() + 0.5
    use = BlockingClient.info if what == "question" else lambda client: client.send_scene(scene)
    assert isinstance(call(with_client(silent, use, is_canceled=lambda: time.monotonic() > until)), Stopped)
    assert time.monotonic() - until < 1


def test_a_large_scene_is_not_held_in_memory(call, standin, tmp_path):
    scene = tmp_path / "scene.tif"
    with scene.open("wb") as file:
        file.truncate(400 * 2**20)
    received = []

    def keep(self, content):
        raise AssertionError

    def drain(self):
        left = int(self.headers["Content-Length"])
        while left:
            left -= len(self.rfile.read(min(left, 2**20)))
        received.append(self.headers["Content-Length"])
        self.reply(201, {"scene": "scene:1"})

    standin.RequestHandlerClass = type(
        "Drain", (standin.RequestHandlerClass,), {"keep": keep, "do_POST": drain}
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert call(with_client(standin.url, lambda client: client.send_scene(scene), standin.token)) == "scene:1"
    assert received == [str(400 * 2**20)]
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < 150


def test_a_job_waits_while_the_backend_has_too_many(call, standin):
    busy = iter([True, True, False])
    submit = standin.RequestHandlerClass.do_POST

    def do_post(self):
        if next(busy):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.reply(429, {"title": "Too Many Requests", "status": 429, "detail": "too many jobs"})
        else:
            submit(self)

    standin.RequestHandlerClass = type("Busy", (standin.RequestHandlerClass,), {"do_POST": do_post})
    inputs = {"task": "detect", "targets": ["ship"], "model": "tiny", "prior": "none"}

    def use(client):
        job = client.start_job(inputs)
        client.wait_for(job)
        return job.end.status, client.results(job.id)[0]["task"]

    assert call(with_client(standin.url, use, standin.token)) == ("successful", "detect")


def test_a_cancelled_job_is_cancelled_on_the_backend_even_if_its_answer_is_late(call, standin):
    standin.answer_submit.clear()
    threading.Timer(0.6, standin.answer_submit.set).start()
    until = time.monotonic() + 0.3
    inputs = {"task": "detect", "targets": ["endless"], "model": "tiny", "prior": "none"}

    def use(client):
        job = client.start_job(inputs)
        try:
            client.wait_for(job)
        except Stopped:
            job.cancel()
            raise

    stopped = call(with_client(standin.url, use, standin.token, is_canceled=lambda: time.monotonic() > until))
    assert isinstance(stopped, Stopped)
    assert standin.dismissed.is_set()
