"""The options page: the server is tested in plain words, the token is kept safe, models and folders are chosen."""

import json
import os
import ssl
import subprocess
from pathlib import Path

import pytest
from layout_flaws import flaws_of, settle
from qgis.core import Qgis, QgsApplication, QgsNetworkAccessManager, QgsSettings
from qgis.PyQt.QtNetwork import QNetworkProxy
from qgis.PyQt.QtWidgets import QMessageBox, QPushButton, QVBoxLayout, QWidget
from standin import TOKEN
from web import Web

from fusar_qgis.connection import token as tokens
from fusar_qgis.connection.backend import known_endpoint
from fusar_qgis.connection.environment import environment_folder
from fusar_qgis.connection.network_consent import kept_consent
from fusar_qgis.core.installing import HALF, READY, Source, executable_in, mark
from fusar_qgis.gui.choices import remembered
from fusar_qgis.gui.options import PAGE, Options
from fusar_qgis.gui.prior_choice import remembered_source

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def options(qgis_iface, bar, backend):
    options = Options(qgis_iface, backend)
    yield options
    options.remove()


@pytest.fixture
def parent(qtbot):
    parent = QWidget()
    qtbot.addWidget(parent)
    return parent


@pytest.fixture
def page(options, parent):
    return options._factory.createWidget(parent)


@pytest.fixture
def passwords(qgis_app):
    manager = QgsApplication.authManager()
    assert manager.setMasterPassword("master", True)
    yield manager
    tokens.forget_token()


pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def web():
    servers = []

    def web(*args, **headers) -> Web:
        servers.append(Web(*args, **headers))
        return servers[-1]

    yield web
    for server in servers:
        server.shutdown()
        server.server_close()


def result(qtbot, page, url, token=TOKEN) -> str:
    server = page.server
    server._url.setText(url)
    server._token.setText(token)
    server._test.click()
    qtbot.waitUntil(lambda: server._result.text()[:1] in "✔✘" and bool(server._result.text()))
    assert server._test.isEnabled()
    return server._result.text()


def test_a_server_that_works(qtbot, page, standin):
    assert result(qtbot, page, standin.url) == "✔ Connected to FUSAR-GPT 0.1.0 on cpu, model: FUSAR tiny."
    assert standin.seen[-1][1] == "/info?api=1"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("gpu.example.org", "Not a valid URL"),
        ("", "Not a valid URL"),
        (NOWHERE, "nothing listens there"),
        ("http://no-such-name.invalid:8765", "“no-such-name.invalid” was not found"),
    ],
)
def test_an_address_that_leads_nowhere(qtbot, page, url, words):
    text = result(qtbot, page, url)
    assert text.startswith("✘")
    assert words in text


def test_wrong_token(qtbot, page, standin):
    assert "does not accept the token" in result(qtbot, page, standin.url, "wrong")


@pytest.mark.parametrize(("served", "side"), [(2, "Update the plugin"), (0, "Update the backend")])
def test_another_version(qtbot, page, standin, web, served, side):
    standin.info = standin.info | {"api": served}
    assert side in result(qtbot, page, standin.url)
    problem = {"detail": "another version", "code": "api-mismatch", "served_api": served}
    assert side in result(qtbot, page, web(409, json.dumps(problem).encode()).url)


def test_another_program(qtbot, page, web):
    assert "is not a FUSAR-GPT backend" in result(qtbot, page, web().url)
    assert "is not a FUSAR-GPT backend" in result(qtbot, page, web(404, b"nothing here").url)
    assert "is not a FUSAR-GPT backend" in result(qtbot, page, web(302, b"", Location="/login").url)


def test_a_certificate_that_is_not_trusted(qtbot, page, web, tmp_path):
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    key = ["-newkey", "rsa:2048", "-nodes", "-keyout", f"{tmp_path}/k.pem", "-out", f"{tmp_path}/c.pem"]
    subprocess.run(["/usr/bin/openssl", "req", "-x509", *key, *subject], check=True, capture_output=True)
    server = web()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{tmp_path}/c.pem", f"{tmp_path}/k.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    text = result(qtbot, page, server.url.replace("http:", "https:"))
    assert "is not trusted" in text
    assert "Manage Certificates" in text


@pytest.fixture
def proxied():
    network = QgsNetworkAccessManager.instance()
    before = network.fallbackProxy()

    def through(port: int) -> None:
        network.setFallbackProxyAndExcludes(
            QNetworkProxy(QNetworkProxy.ProxyType.HttpProxy, "127.0.0.1", port), [], []
        )

    yield through
    network.setFallbackProxyAndExcludes(before, [], [])


def test_a_proxy_in_between(qtbot, page, web, proxied):
    for proxy in (web(502, b"<html>Bad gateway</html>"), web(407, b"", **{"Proxy-Authenticate": "Basic"})):
        proxied(proxy.server_port)
        assert "A proxy stands between QGIS and http://gpu.example.org" in result(
            qtbot, page, "http://gpu.example.org"
        )
    proxied(9)
    assert "A proxy stands between" in result(qtbot, page, "http://gpu.example.org")


def test_the_token_is_kept_but_not_in_the_settings(
    qtbot, page, standin, passwords, monkeypatch, parent, options
):
    page._there.setChecked(True)
    page.server._url.setText(standin.url)
    page.server._token.setText(TOKEN)
    page.apply()
    settings = QgsSettings()
    assert settings.value("fusar/backend") == "server"
    assert all(TOKEN not in str(settings.value(key)) for key in settings.allKeys())
    monkeypatch.delenv("FUSAR_URL")
    found = known_endpoint()
    assert (found.url, found.token) == (standin.url, TOKEN)

    again = options._factory.createWidget(parent)
    assert again._there.isChecked()
    assert again.server._token.text() == ""
    assert "Kept" in again.server._token.placeholderText()
    assert result(qtbot, again, standin.url, "").startswith("✔")
    again.server._token.setText("another")
    again.apply()
    assert tokens.kept_token() == "another"
    assert len(passwords.configIds()) == 1


def test_a_token_that_cannot_be_kept_lasts_for_the_session(page, bar, monkeypatch):
    def locked():
        raise tokens.TokenError("The storage is locked.")

    monkeypatch.setattr(tokens, "_manager", locked)
    page._there.setChecked(True)
    page.server._url.setText(NOWHERE)
    page.server._token.setText("for today")
    page.apply()
    assert "kept only until QGIS is closed. The storage is locked." in bar.currentItem().text()
    assert known_endpoint().token == "for today"
    monkeypatch.undo()
    tokens.forget_token()


def test_a_disabled_storage_is_said(monkeypatch, backend, qtbot):
    class Disabled:
        def isDisabled(self):  # noqa: N802
            return True

        def disabledMessage(self):  # noqa: N802
            return "no Qt CA."

    monkeypatch.setattr(tokens.QgsApplication, "authManager", Disabled)
    QgsSettings().setValue("fusar/url", NOWHERE)
    QgsSettings().setValue("fusar/authcfg", "abc1234")
    with qtbot.waitSignal(backend.failed) as failed:
        backend.open()
    assert "switched off (no Qt CA)" in failed.args[0]


def test_back_to_this_computer(options, parent, backend, standin, qtbot, monkeypatch):
    QgsSettings().setValue("fusar/url", standin.url)
    page = options._factory.createWidget(parent)
    with qtbot.waitSignal(backend.ready):
        backend.open()
    page._here.setChecked(True)
    page.apply()
    monkeypatch.delenv("FUSAR_URL")
    assert known_endpoint() is None
    assert backend.state == "idle"


def test_what_holds_for_every_interpretation(page, options, parent):
    work = page.work
    work._place.setCurrentIndex(1)
    work._who.setText(" 李 ")
    work._prior.setCurrentIndex(work._prior.findData("file"))
    work._file.setFilePath("/data/prior.tif")
    assert work._network.currentData() == "ask"
    work._network.setCurrentIndex(work._network.findData("never"))
    page.apply()
    settings = QgsSettings()
    assert settings.value("fusar/results/place") == "temporary"
    assert settings.value("fusar/review/who") == "李"
    assert (remembered_source(), remembered("prior_file")) == ("file", "/data/prior.tif")
    assert kept_consent() == "never"
    again = options._factory.createWidget(parent).work
    assert (again._place.currentData(), again._who.text()) == ("temporary", "李")
    assert (again._prior.currentData(), again._file.filePath()) == ("file", "/data/prior.tif")
    assert again._network.currentData() == "never"


def test_the_local_page_says_what_is_there(page, tmp_path):
    local = page.local
    assert local._state.text() == "Not installed."
    assert local._install.isEnabled()
    assert not local._repair.isEnabled()
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.odt").touch()
    local._folder.setFilePath(str(tmp_path / "thesis"))
    assert "holds other things" in local._state.text()
    assert not any(button.isEnabled() for button in (local._install, local._repair, local._remove))
    mark(tmp_path / "half", HALF, Source("index"))
    local._folder.setFilePath(str(tmp_path / "half"))
    assert "Press Repair" in local._state.text()
    assert local._repair.isEnabled()


def test_the_checkout_beside_the_plugin_is_proposed_and_later_where_the_backend_came_from(
    page, options, parent, tmp_path
):
    checkout = Path(__file__).parents[2]
    assert (page.local._source.currentData(), page.local._place.filePath()) == ("folder", str(checkout))
    wheel = tmp_path / "fusar_gpt-1-py3-none-any.whl"
    wheel.touch()
    mark(environment_folder(), HALF, Source("wheel", str(wheel)))
    again = options._factory.createWidget(parent).local
    assert (again._source.currentData(), again._place.filePath()) == ("wheel", str(wheel))
    wheel.unlink()
    assert options._factory.createWidget(parent).local._source.currentData() == "index"


def test_install_is_ordered_with_what_was_chosen(page, options, tmp_path, monkeypatch):
    local, orders = page.local, []
    monkeypatch.setattr(options.environment, "install", lambda *args, **more: orders.append((*args, more)))
    local._source.setCurrentIndex(1)
    local._place.setFilePath(str(tmp_path / "gone"))
    local._install.click()
    assert "There is no backend to install" in local._log._text.text()
    assert orders == []
    (tmp_path / "fusar_gpt-1-py3-none-any.whl").touch()
    local._place.setFilePath(str(tmp_path))
    local._folder.setFilePath(str(tmp_path / "there"))
    local._python.setFilePath("/opt/python")
    local._install.click()
    wheels = Source("wheels", str(tmp_path))
    assert orders == [(tmp_path / "there", wheels, "/opt/python", {"fresh": False})]

    mark(tmp_path / "there", HALF, wheels)
    local._source.setCurrentIndex(0)
    local._refresh()
    local._repair.click()
    assert orders[1] == (tmp_path / "there", wheels, "/opt/python", {"fresh": True})


def test_removal_asks_first_and_ends_in_a_message(qtbot, page, options, tmp_path, parent, bar):
    folder = tmp_path / "env"
    mark(folder, HALF, Source("index"))
    page.local._folder.setFilePath(str(folder))
    page.local._remove.click()
    assert folder.exists()
    (question,) = page.local.findChildren(QMessageBox)
    with qtbot.waitSignal(options.environment.ended):
        next(button for button in question.buttons() if button.text() == "&Remove").click()
    assert not folder.exists()
    assert page.local._log._text.text() == "The backend was removed."
    assert bar.items() == []  # the page has said it


def test_an_installation_outlives_its_page(qtbot, options, bar, qgis_app):
    parent = QWidget()
    options._factory.createWidget(parent)
    parent.deleteLater()
    qtbot.waitUntil(lambda: options._page is None or not_there(options._page))
    options.environment.ended.emit(True, "The backend is installed and works.")
    assert "installed" in bar.currentItem().text()


def test_who_has_a_backend_is_led_to_the_options_who_has_none_to_one(options, monkeypatch, standin):
    assert list(options.offers()) == ["Set up…"]  # FUSAR_URL names one
    monkeypatch.delenv("FUSAR_URL")
    assert list(options.offers()) == ["Install…", "Choose a server…"]
    QgsSettings().setValue("fusar/url", NOWHERE)
    assert list(options.offers()) == ["Set up…"]
    QgsSettings().setValue("fusar/backend", "child")
    assert list(options.offers()) == ["Install…", "Choose a server…"]
    monkeypatch.setenv("FUSAR_EXECUTABLE", "/gone/fusar")
    assert list(options.offers()) == ["Install…", "Choose a server…"]


def test_what_is_asked_and_what_is_next_outlive_the_page(qtbot, options, bar, tmp_path, monkeypatch):
    environment, wanted = options.environment, []
    options.sample_wanted.connect(lambda: wanted.append(True))
    environment.question = "No GPU?"
    answers = []
    monkeypatch.setattr(environment, "cancel", lambda: answers.append("no"))
    environment.asked.emit("No GPU?")
    press(bar.currentItem(), "Cancel")
    assert answers == ["no"]
    mark(environment_folder(), READY, Source("index"))
    executable_in(environment_folder()).parent.mkdir()
    executable_in(environment_folder()).touch()
    environment._folder = environment_folder()
    environment.ended.emit(True, "The backend is installed and works.")
    press(bar.currentItem(), "Open the sample scene")
    assert wanted == [True]
    environment.ended.emit(False, "The network is gone.")
    press(bar.currentItem(), "Set up…")


def press(item, words):
    next(button for button in item.findChildren(QPushButton) if button.text() == words).click()


def test_after_the_installation_the_sample_is_one_press_away(options, page, parent):
    local, wanted = page.local, []
    options.sample_wanted.connect(lambda: wanted.append(True))
    options.environment._folder = environment_folder()
    options.environment.ended.emit(True, "The backend was removed.")
    assert local._sample.isHidden()
    mark(environment_folder(), READY, Source("index"))
    executable_in(environment_folder()).parent.mkdir()
    executable_in(environment_folder()).touch()
    options.environment.ended.emit(True, "The backend is installed and works.")
    assert not local._sample.isHidden()
    local._sample.click()
    assert wanted == [True]


def test_a_decision_is_asked_for_where_the_installation_was_begun(options, page, parent, monkeypatch):
    environment, local, installed = options.environment, page.local, []
    monkeypatch.setattr(environment, "proceed", lambda: installed.append(True))
    assert local._anyway.isHidden()
    environment.question = "Only for NVIDIA GPUs. Install it?"
    environment.asked.emit(environment.question)
    assert local._log._text.text() == environment.question
    again = options._factory.createWidget(parent).local  # closed and opened again
    assert not again._anyway.isHidden()
    again._anyway.click()
    assert installed == [True]
    assert again._anyway.isHidden()


def test_size_time_and_device_are_said_before(page, tmp_path, monkeypatch):
    local = page.local
    monkeypatch.setattr("fusar_qgis.core.installing.has_nvidia_gpu", lambda: False)
    local._source.setCurrentIndex(0)
    assert local._size.text().startswith("For the CPU: there is no NVIDIA GPU. About 0.6 GB to download")
    monkeypatch.setattr("fusar_qgis.core.installing.has_nvidia_gpu", lambda: True)
    local._show_size()
    assert local._size.text().startswith("For the NVIDIA GPU. About 3.")
    with monkeypatch.context() as windows:
        windows.setattr("sys.platform", "win32")  # the usual index has the CPU build there
        local._show_size()
        text = local._size.text()
        assert text.startswith("For the CPU; for the NVIDIA GPU fill in “Index for torch”. About 0.6")
        local._torch_index.setText("https://cuda.example.org")
        assert local._size.text().startswith("For the NVIDIA GPU. About 3.")
    local._torch_index.clear()
    (tmp_path / "fusar_gpt-1-py3-none-any.whl").write_bytes(bytes(1000))
    local._source.setCurrentIndex(1)
    local._place.setFilePath(str(tmp_path))
    assert local._size.text() == "1 package. About 0.0 GB on the disk, 1 to 2 minutes."
    local._place.setFilePath("/gone")
    assert local._size.text() == ""
    page._options.environment.sized.emit("64 packages.")
    assert local._size.text() == "64 packages."


def test_the_index_for_torch_is_kept(page, options, parent):
    page.local._torch_index.setText(" https://cpu.example.org ")
    page.apply()
    again = options._factory.createWidget(parent)
    assert again.local._torch_index.text() == "https://cpu.example.org"
    again.local._torch_index.clear()
    again.apply()
    assert not QgsSettings().contains("fusar/torch_index")


def not_there(widget) -> bool:
    from qgis.PyQt import sip

    return sip.isdeleted(widget)


def fake_fusar(tmp_path, monkeypatch, words):
    script = tmp_path / "fusar"
    script.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n{words}\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", os.defpath)
    monkeypatch.setenv("FUSAR_EXECUTABLE", str(script))


LISTED = [
    {"name": "tiny", "title": "FUSAR tiny", "size": 18_000_000, "demonstration": True, "problem": None},
    {"name": "sar", "title": "FUSAR-GPT 7B", "size": 90_000_000, "demonstration": False, "problem": None},
    {
        "name": "klip",
        "kind": "FUSAR-KLIP",
        "title": "FUSAR-KLIP",
        "size": 4,
        "demonstration": True,
        "problem": None,
    },
    {"name": "old", "title": None, "size": 1, "demonstration": None, "problem": "the base is gone"},
]


def test_models_are_listed_and_chosen(qtbot, page, options, tmp_path, monkeypatch):
    fake_fusar(tmp_path, monkeypatch, f"echo 'a warning'; echo '{json.dumps(LISTED)}'")
    models = page.models
    with qtbot.waitSignal(options.checkpoints.listed):
        options.checkpoints.ask()
    titles = [models._model.itemText(place) for place in range(models._model.count())]
    assert titles == ["FUSAR tiny (demonstration)", "FUSAR-GPT 7B", "old"]
    assert "do not rely on its answers" in models._about.text()
    models._model.setCurrentIndex(2)
    assert models._about.text() == "It cannot be loaded: the base is gone"
    models._model.setCurrentIndex(1)
    assert models._about.text() == "sar, 86 MiB."
    page.apply()
    assert QgsSettings().value("fusar/model") == "sar"


def test_a_model_is_pulled_and_the_pull_cancelled(qtbot, page, options, tmp_path, monkeypatch):
    fake_fusar(tmp_path, monkeypatch, 'echo "fusar: 1 GB of 17 GB to download" >&2; sleep 60')
    models = page.models
    models._pull.click()
    qtbot.waitUntil(lambda: models._log._text.text() == "1 GB of 17 GB to download")
    assert not models._pull.isEnabled()
    with qtbot.waitSignal(options.checkpoints.ended, timeout=2000):
        models._log._cancel.click()
    assert models._log._text.text().startswith("Cancelled.")
    assert models._pull.isEnabled()
    assert (tmp_path / "asked").read_text() == "checkpoint pull\n"


def test_a_model_that_cannot_be_imported_says_why(qtbot, page, options, tmp_path, monkeypatch):
    fake_fusar(tmp_path, monkeypatch, 'echo "fusar: the adapter is no LoRA." >&2; exit 1')
    models = page.models
    assert not models._import.isEnabled()
    models._source.setFilePath("/data/stage2")
    models._base.setFilePath("/data/qwen")
    models._sigma.setText("2")
    with qtbot.waitSignal(options.checkpoints.ended):
        models._import.click()
    assert models._log._text.text() == "The model could not be installed: the adapter is no LoRA."
    asked = "checkpoint import /data/stage2 --base /data/qwen --name fusar-gpt --sigma 2\n"
    assert (tmp_path / "asked").read_text() == asked


def test_the_page_shows_what_runs(qtbot, page, backend, standin):
    standin.info = standin.info | {"memory": {"used": 3 * 2**30, "gpu_free": 2**31}}
    assert "No backend is running" in page.models._running.text()
    with qtbot.waitSignal(backend.ready):
        backend.open()
    text = "FUSAR tiny (demonstration) on cpu; 3.0 GiB used, 2.0 GiB of the GPU free"
    assert page.models._running.text() == text


def test_the_page_has_the_name_by_which_it_is_opened(page, options, qgis_iface):
    assert page.objectName() == PAGE
    options.open()
    assert qgis_iface.showOptionsDialog.call_args.args[1] == PAGE
    assert not executable_in(page.local._chosen_folder()).exists()


def test_diagnostics_are_copied_without_token_and_home(qgis_app, bar, backend, page, monkeypatch):
    settings = QgsSettings()
    monkeypatch.setenv("HOME", "/home/li.wei")
    monkeypatch.setenv("FUSAR_TOKEN", TOKEN)
    settings.setValue("fusar/token_file", "/home/li.wei/token")
    settings.setValue("fusar/url", f"http://li:{TOKEN}@server:8000")
    settings.setValue("fusar/results/last", "/home/li.wei/results")
    backend.failed.emit(f"no answer to {TOKEN}")
    QgsApplication.messageLog().logMessage("the disk is full", "FUSAR-GPT", Qgis.MessageLevel.Critical)
    QgsApplication.messageLog().logMessage("of another plugin", "Other", Qgis.MessageLevel.Critical)
    page.copy.click()
    text = QgsApplication.clipboard().text()
    assert TOKEN not in text
    assert "li.wei" not in text
    assert "| fusar/results/last | ~/results |" in text
    assert f"| QGIS | {Qgis.QGIS_VERSION} |" in text
    assert "| Device |" not in text  # no backend was asked
    assert "the disk is full" in text
    assert "of another plugin" not in text
    assert page.copy.text() == "Copied"
    assert "on the clipboard" in bar.currentItem().text()


@pytest.mark.parametrize("size", [(500, 300), (710, 400), (900, 700)])
def test_no_tab_cuts_anything_off(page, parent, language, size):
    QVBoxLayout(parent).addWidget(page)
    parent.resize(*size)
    parent.show()
    for place in range(page.tabs.count()):
        page.tabs.setCurrentIndex(place)
        settle()
        assert "\n".join(flaws_of(page.tabs.widget(place))) == ""
