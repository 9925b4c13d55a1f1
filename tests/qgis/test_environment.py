"""A backend is installed into a real environment, offline; what goes wrong leaves nothing and says what to do."""

import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from qgis.core import QgsSettings

from fusar_qgis.connection.environment import (
    Environment,
    choose_environment_folder,
    environment_folder,
    torch_index,
)
from fusar_qgis.connection.install_planning import InstallPlanning, plan_in_words
from fusar_qgis.connection.pythons import PythonSearch
from fusar_qgis.core.install_plan import InstallPlan
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


def write_package(folder: Path, name: str, version: str, requires="") -> Path:
    """A wheel of a package with nothing in it."""
    path = folder / f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += f"Requires-Dist: {requires}\n" if requires else ""
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{info}/METADATA", metadata)
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def planning(qgis_app):
    planning = InstallPlanning(qgis_app)
    yield planning
    planning.close()
    planning.deleteLater()


@pytest.fixture
def plan(qtbot, planning, tmp_path):
    """Plan an installation with this Python; return which signal came, and what with."""

    def plan(place, torch_index=""):
        outcome = []
        for name in ("planned", "undecided", "failed"):
            getattr(planning, name).connect(lambda *args, name=name: outcome.append((name, *args)))
        planning.start(sys.executable, tmp_path, source_of(str(place)), torch_index)
        qtbot.waitUntil(lambda: bool(outcome), timeout=LONG)
        return outcome[0]

    return plan


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
    assert "Installing 1 package…" in steps
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
    steps = []
    environment.step.connect(steps.append)
    write_wheel(wheels, requires="not-on-the-stick")
    well, text = done(qtbot, environment, lambda: environment.install(folder, source_of(str(wheels))))
    assert not well
    assert text.startswith("The folder has no not-on-the-stick for this computer")
    assert text.endswith("Nothing was kept.")
    assert not any(
        "-m pip install --disable-pip-version-check --no-input --no-index" in line for line in environment.log
    )
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
    assert not any(line.startswith("Downloading") for line in environment.log)
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


def test_a_disk_too_small_for_the_plan_is_known_before_the_download(
    qtbot, environment, folder, wheels, monkeypatch
):
    monkeypatch.setattr("fusar_qgis.core.installing.free_bytes", lambda _: 5 * 10**6)
    monkeypatch.setattr("fusar_qgis.core.install_plan.unpacked_bytes", lambda _, size: 10**6)
    monkeypatch.setattr(
        "fusar_qgis.connection.install_planning.read_plan", lambda _: InstallPlan(1, 10**9, 10**10)
    )
    well, text = done(qtbot, environment, lambda: environment.install(folder, source_of(str(wheels))))
    assert not well
    assert text.startswith("The backend needs about 10.0 GB")
    assert not folder.exists()


def test_a_build_for_a_gpu_that_is_not_here_is_installed_only_after_a_yes(
    qtbot, environment, folder, wheels, monkeypatch
):
    monkeypatch.setattr("fusar_qgis.core.installing.has_nvidia_gpu", lambda: False)
    write_wheel(wheels, requires="torch")
    write_package(wheels, "torch", "2.0", requires="nvidia-cublas")
    write_package(wheels, "nvidia-cublas", "13.0")
    environment.install(folder, source_of(str(wheels)))
    with qtbot.waitSignal(environment.asked, timeout=LONG) as asked:
        pass
    assert "no NVIDIA GPU" in asked.args[0]
    assert environment.question == asked.args[0]
    assert environment.is_busy
    well, text = done(qtbot, environment, environment.cancel)
    assert (well, text) == (False, "Cancelled. Nothing was kept.")
    environment.install(folder, source_of(str(wheels)))
    with qtbot.waitSignal(environment.asked, timeout=LONG):
        pass
    assert done(qtbot, environment, environment.proceed)[0]
    assert any("Successfully installed" in line and "nvidia-cublas" in line for line in environment.log)
    assert environment.question == ""


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


def with_gpu(monkeypatch, there: bool):
    monkeypatch.setattr("fusar_qgis.core.installing.has_nvidia_gpu", lambda: there)


def test_without_a_gpu_the_cpu_build_is_taken_by_itself(plan, wheels, monkeypatch):
    with_gpu(monkeypatch, False)
    write_wheel(wheels, requires="torch")
    write_package(wheels, "torch", "2.1", requires="nvidia-cublas")
    write_package(wheels, "torch", "2.0+cpu")
    write_package(wheels, "nvidia-cublas", "13.0")
    outcome, found, words = plan(wheels)
    assert (outcome, found.torch, found.cuda, found.count) == ("planned", "2.0+cpu", False, 2)
    assert "torch==2.0+cpu" in words
    with_gpu(monkeypatch, True)
    outcome, found, words = plan(wheels)
    assert (outcome, found.torch, found.cuda) == ("planned", "2.1", True)


def test_a_cpu_build_that_does_not_go_with_the_rest_is_not_forced(plan, wheels, monkeypatch):
    with_gpu(monkeypatch, False)
    write_wheel(wheels, requires="torch>=2.1")
    write_package(wheels, "torch", "2.1", requires="nvidia-cublas")
    write_package(wheels, "torch", "2.0+cpu")
    write_package(wheels, "nvidia-cublas", "13.0")
    outcome, found, words = plan(wheels)
    assert (outcome, found.cuda) == ("undecided", True)
    assert not any("torch==" in word for word in words)


def test_torch_is_looked_for_in_its_own_index_too(plan, wheels, tmp_path, monkeypatch):
    with_gpu(monkeypatch, False)
    empty_index(monkeypatch, tmp_path)
    wheel = write_wheel(wheels, requires="torch")
    write_package(wheels, "torch", "2.1", requires="nvidia-cublas")
    write_package(wheels, "nvidia-cublas", "13.0")
    assert plan(wheel)[0] == "undecided"
    own = tmp_path / "own" / "torch"
    own.mkdir(parents=True)
    cpu = write_package(own, "torch", "2.0+cpu")
    (own / "index.html").write_text(
        f'<!DOCTYPE html><html><body><a href="{cpu.name}">{cpu.name}</a></body></html>'
    )
    outcome, found, words = plan(wheel, own.parent.as_uri())
    assert (outcome, found.torch) == ("planned", "2.0+cpu")
    assert words[:2] == ["--extra-index-url", own.parent.as_uri()]


def test_what_an_index_lacks_is_named_before_the_download(plan, wheels, tmp_path, monkeypatch):
    empty_index(monkeypatch, tmp_path)
    wheel = write_wheel(wheels, requires="Not_There>=5")
    outcome, text = plan(wheel)
    assert outcome == "failed"
    assert text.startswith("The package index that pip is set to has no not-there for this computer")


def test_a_pip_that_cannot_plan_does_not_hinder(plan, wheels, tmp_path, monkeypatch):
    old = tmp_path / "old"
    old.write_text("#!/bin/sh\necho 'no such option: --report'\nexit 2\n")
    old.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(old))
    outcome, found, _ = plan(wheels)
    assert (outcome, found.count) == ("planned", 1)


def test_the_index_for_torch_is_that_of_the_environment_or_of_the_settings(monkeypatch):
    assert torch_index() == ""
    QgsSettings().setValue("fusar/torch_index", "https://a")
    assert torch_index() == "https://a"
    monkeypatch.setenv("FUSAR_TORCH_INDEX", "https://b")
    assert torch_index() == "https://b"


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (InstallPlan(0, 0, 0), "Everything is there already."),
        (InstallPlan(1, 0, 10**9), "1 package. About 1.0 GB on the disk, 1 to 2 minutes."),
        (
            InstallPlan(64, 6 * 10**8, 3 * 10**9),
            "64 packages. About 0.6 GB to download, 3.0 GB on the disk, 2 to 11 minutes.",
        ),
        (InstallPlan(0, 0, 10**9), "About 1.0 GB on the disk, 1 to 2 minutes."),
    ],
)
def test_a_plan_in_words(qgis_app, plan, words):
    assert plan_in_words(plan) == words
