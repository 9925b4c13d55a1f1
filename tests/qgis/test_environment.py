"""A backend is installed into a real environment, offline; what goes wrong leaves nothing and says what to do."""

import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from qgis.core import QgsSettings

from fusar_qgis.connection.environment import Environment, choose_environment_folder, environment_folder
from fusar_qgis.connection.pythons import PythonSearch
from fusar_qgis.core.installing import HALF, LOG, NONE, READY, executable_in, source_of, state_of

LONG = 120_000

_MODULE = """
import sys, time

def main():
    print("fusar-gpt {version}")
    sys.exit({status})

if __name__ == "__main__":
    main()
"""


def write_wheel(folder: Path, *, version="0.1.0", status=0, requires="") -> Path:
    """A wheel named as the backend's, whose ``doctor`` exits with ``status``."""
    folder.mkdir(exist_ok=True)
    path = folder / f"fusar_gpt-{version}-py3-none-any.whl"
    info = f"fusar_gpt-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: fusar-gpt\nVersion: {version}\n"
    metadata += f"Requires-Dist: {requires}\n" if requires else ""
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("fusar_gpt/__init__.py", "")
        wheel.writestr("fusar_gpt/__main__.py", _MODULE.format(version=version, status=status))
        wheel.writestr(f"{info}/METADATA", metadata)
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/entry_points.txt", "[console_scripts]\nfusar = fusar_gpt.__main__:main\n")
        wheel.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def wheels(tmp_path, monkeypatch) -> Path:
    for name in list(os.environ):
        if name.startswith("PIP_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PATH", os.defpath)
    folder = tmp_path / "usb stick"
    write_wheel(folder)
    return folder


@pytest.fixture
def environment(qgis_app):
    environment = Environment(qgis_app)
    yield environment
    environment.close()
    environment.deleteLater()


@pytest.fixture
def folder() -> Path:
    return environment_folder()


def done(qtbot, environment, begin) -> tuple[bool, str]:
    with qtbot.waitSignal(environment.ended, timeout=LONG) as ended:
        begin()
    assert not environment.is_busy
    return tuple(ended.args)


def test_install_update_and_remove(qtbot, environment, folder, wheels):
    steps = []
    environment.step.connect(steps.append)
    before = time.perf_counter()
    environment.install(folder, source_of(str(wheels)), sys.executable)
    assert time.perf_counter() - before < 0.1
    well, text = done(qtbot, environment, lambda: None)
    assert (well, text) == (True, "The backend is installed and works.")
    assert state_of(folder) == READY
    assert QgsSettings().value("fusar/executable") == str(executable_in(folder))
    assert steps[0] == "Looking for Python…"
    assert "Looking at fusar_gpt-0.1.0-py3-none-any.whl…" in steps
    assert "Installing 1 packages…" in steps
    assert "fusar-gpt 0.1.0" in (folder / LOG).read_text()
    said = subprocess.run([str(executable_in(folder))], capture_output=True, text=True, check=True).stdout
    assert said == "fusar-gpt 0.1.0\n"

    write_wheel(wheels, version="0.2.0")
    well, _ = done(qtbot, environment, lambda: environment.install(folder, source_of(str(wheels))))
    assert well
    assert "fusar-gpt 0.2.0" in environment.log

    (folder / "notes.txt").touch()
    well, text = done(qtbot, environment, lambda: environment.remove(folder))
    assert well
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    assert "holds other things" in text
    assert not QgsSettings().contains("fusar/executable")


def test_a_failed_install_leaves_nothing(qtbot, environment, folder, wheels):
    write_wheel(wheels, requires="not-on-the-stick")
    well, text = done(qtbot, environment, lambda: environment.install(folder, source_of(str(wheels))))
    assert not well
    assert "not-on-the-stick" in text
    assert text.endswith("Nothing was kept.")
    assert not folder.exists()
    assert not QgsSettings().contains("fusar/executable")


def empty_index(monkeypatch, tmp_path):
    (tmp_path / "simple" / "fusar-gpt").mkdir(parents=True)
    (tmp_path / "simple" / "fusar-gpt" / "index.html").write_text("<!DOCTYPE html><html><body></body></html>")
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "simple").as_uri())


def test_an_index_without_the_backend_is_asked_before_anything_is_downloaded(
    qtbot, environment, folder, wheels, tmp_path, monkeypatch
):
    empty_index(monkeypatch, tmp_path)
    well, text = done(qtbot, environment, lambda: environment.install(folder, source_of("")))
    assert not well
    assert text.startswith("The package index that pip is set to does not have fusar-gpt")
    assert not any("torch" in line for line in environment.log)
    assert not folder.exists()


def test_an_index_that_does_not_answer_is_not_said_to_lack_the_backend(
    qtbot, environment, folder, wheels, monkeypatch
):
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    well, text = done(qtbot, environment, lambda: environment.install(folder, source_of("")))
    assert not well
    assert text.startswith("The package index that pip is set to does not answer.")


def test_a_full_disk_is_known_before_anything_is_written(qtbot, environment, folder, wheels, monkeypatch):
    monkeypatch.setattr("fusar_qgis.core.installing.free_bytes", lambda _: 0)
    well, text = done(qtbot, environment, lambda: environment.install(folder, source_of(str(wheels))))
    assert not well
    assert "Free some space" in text
    assert not folder.exists()


def test_a_failed_update_keeps_what_was_there_and_what_is_damaged_is_made_anew(
    qtbot, environment, folder, wheels, tmp_path
):
    assert done(qtbot, environment, lambda: environment.install(folder, source_of(str(wheels))))[0]
    (tmp_path / "newer").mkdir()
    (tmp_path / "newer" / "fusar_gpt-9.0-py3-none-any.whl").write_text("half a download")
    newer = source_of(str(tmp_path / "newer"))
    well, text = done(qtbot, environment, lambda: environment.install(folder, newer))
    assert (well, state_of(folder)) == (False, READY)
    assert text.endswith("What was there stays.")

    write_wheel(tmp_path / "newer", version="9.0", status=1)
    well, text = done(qtbot, environment, lambda: environment.install(folder, newer))
    assert (well, state_of(folder)) == (False, HALF)
    assert text.endswith("press Repair.")
    (folder / "bin" / "python").unlink()
    assert done(qtbot, environment, lambda: environment.install(folder, source_of(str(wheels))))[0]


def test_cancel_in_mid_install_ends_everything_at_once(qtbot, environment, folder, wheels):
    environment.install(folder, source_of(str(wheels)))
    # venv has started ensurepip, which writes into the folder
    qtbot.waitUntil((folder / "bin" / "python").exists, timeout=LONG)
    with qtbot.waitSignal(environment.ended, timeout=3000) as ended:
        before = time.perf_counter()
        environment.cancel()
        assert time.perf_counter() - before < 0.05
    assert ended.args == [False, "Cancelled. Nothing was kept."]
    assert not folder.exists()
    assert subprocess.run(["pgrep", "-f", str(folder)], capture_output=True, check=False).stdout == b""


@pytest.mark.parametrize("what", ["install", "remove"])
def test_a_foreign_folder_is_left_alone(qtbot, environment, tmp_path, wheels, what):
    foreign = tmp_path / "project"
    (foreign / "bin").mkdir(parents=True)
    (foreign / "bin" / "python").write_text("mine")
    (foreign / "pyvenv.cfg").touch()

    def begin():
        if what == "install":
            environment.install(foreign, source_of(str(wheels)))
        else:
            environment.remove(foreign)

    with qtbot.waitSignal(environment.ended) as ended:
        begin()
    assert ended.args[0] is False
    assert "holds other things" in ended.args[1]
    assert sorted(path.name for path in foreign.rglob("*")) == ["bin", "python", "pyvenv.cfg"]


def test_a_place_that_cannot_be_written_to(qtbot, environment, wheels):
    well, text = done(
        qtbot, environment, lambda: environment.install(Path("/proc/nowhere"), source_of(str(wheels)))
    )
    assert not well
    assert "could not be installed" in text


def fake_python(tmp_path, words) -> str:
    path = tmp_path / "python"
    path.write_text(f"#!/bin/sh\n{words}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("echo old 3.9.1 >&2; exit 1", "No Python 3.10 or newer was found"),
        ("echo lacks 3.11.2 ensurepip >&2; exit 1", "apt-get install python3-venv"),
        ("exit 3", "No Python 3.10 or newer was found"),
        ("kill -9 $$", "No Python 3.10 or newer was found"),
    ],
)
def test_a_python_that_does_not_fit(qtbot, qgis_app, tmp_path, words, hint):
    search = PythonSearch(qgis_app)
    with qtbot.waitSignal(search.failed) as failed:
        search.start(fake_python(tmp_path, words))
    assert hint in failed.args[0]
    search.deleteLater()


def test_a_python_is_found_on_the_path(qtbot, qgis_app, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.defpath}")
    fake_python(tmp_path, "exit 1")
    search = PythonSearch(qgis_app)
    with qtbot.waitSignal(search.found, timeout=LONG) as found:
        search.start()
    assert Path(found.args[0]).is_file()
    assert found.args[1].startswith("3.")
    search.deleteLater()


def test_the_folder_can_be_chosen(tmp_path):
    usual = environment_folder()
    assert usual == tmp_path / "data" / "fusar-gpt" / "environment"
    assert state_of(usual) == NONE
    choose_environment_folder(tmp_path / "there")
    assert environment_folder() == tmp_path / "there"
    choose_environment_folder(usual)
    assert not QgsSettings().contains("fusar/environment")
