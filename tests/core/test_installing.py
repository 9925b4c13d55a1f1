"""The environment's folder is judged by our marker alone, and pip's words are understood."""

import json

import pytest

from fusar_qgis.core import installing
from fusar_qgis.core.install_plan import InstallPlan, usual_plan
from fusar_qgis.core.installing import (
    FOREIGN,
    HALF,
    MARKER,
    NONE,
    READY,
    Source,
    SourceError,
    executable_in,
    free_bytes,
    is_unreachable,
    mark,
    nearby_source,
    parts_of,
    pip_words,
    place_words,
    read_failure,
    read_marker,
    read_pip_line,
    source_of,
    state_of,
    without_password,
)


def test_states_of_a_folder(tmp_path):
    folder = tmp_path / "environment"
    assert state_of(folder) == NONE
    folder.mkdir()
    assert state_of(folder) == NONE
    mark(folder, HALF, Source("index"))
    assert state_of(folder) == HALF
    mark(folder, READY, Source("index"))
    assert state_of(folder) == HALF  # no fusar in it
    executable_in(folder).parent.mkdir()
    executable_in(folder).touch()
    assert state_of(folder) == READY


@pytest.mark.parametrize("text", ["", "{", "[]", '{"package": "other"}', "\udcff"])
def test_only_our_own_marker_makes_a_folder_ours(tmp_path, text):
    (tmp_path / MARKER).write_text(text, "utf-8", errors="surrogateescape")
    (tmp_path / "bin").mkdir()
    assert state_of(tmp_path) == FOREIGN
    assert parts_of(tmp_path) == []


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").touch()
    assert state_of(tmp_path / "file") == FOREIGN


def test_what_others_put_into_the_environment_is_not_deleted(tmp_path):
    mark(tmp_path, READY, Source("wheels", "/usb"))
    (tmp_path / "thesis.odt").touch()
    (tmp_path / "lib").mkdir()
    assert [part.name for part in parts_of(tmp_path)] == ["lib", MARKER]
    assert read_marker(tmp_path)["source"] == "/usb"
    assert json.loads((tmp_path / MARKER).read_text())["state"] == READY


def test_sources(tmp_path):
    assert source_of(" ") == Source("index")
    with pytest.raises(SourceError):
        source_of(str(tmp_path))
    with pytest.raises(SourceError):
        source_of(str(tmp_path / "gone.whl"))
    wheel = tmp_path / "fusar_gpt-0.1.0-py3-none-any.whl"
    wheel.touch()
    assert source_of(str(wheel)) == Source("wheel", str(wheel))
    assert source_of(str(tmp_path)) == Source("wheels", str(tmp_path))
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "another"\n')
    assert source_of(str(tmp_path)) == Source("wheels", str(tmp_path))
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "fusar-gpt"\n')
    assert source_of(str(tmp_path)) == Source("checkout", str(tmp_path))


def test_what_lies_beside_the_plugin_goes_before_the_index(tmp_path):
    empty, near = tmp_path / "empty", tmp_path / "near"
    empty.mkdir()
    near.mkdir()
    folders = [tmp_path / "gone", empty, near]
    assert nearby_source(folders) == Source("index")
    wheel = near / "fusar_gpt-0.1.0-py3-none-any.whl"
    wheel.write_bytes(b"12345")
    assert nearby_source(folders) == Source("wheel", str(wheel))
    (near / "torch-2.9.0+cpu-cp311-cp311-linux_x86_64.whl").write_bytes(b"12345")
    assert nearby_source(folders) == Source("wheels", str(near))
    assert usual_plan(nearby_source(folders), gpu=True) == InstallPlan(2, 0, 50)
    (empty / "pyproject.toml").write_text("name = 'fusar-gpt'\n")
    assert nearby_source(folders) == Source("checkout", str(empty))


def test_disk_space_is_that_of_the_place_where_the_folder_will_be(tmp_path):
    assert free_bytes(tmp_path / "not" / "yet") > 0


def test_silence_is_not_taken_for_no():
    assert is_unreachable(
        ["WARNING: Retrying (Retry(total=0)) after connection broken", "ERROR: No matching"]
    )
    assert not is_unreachable(["ERROR: No matching distribution found for fusar-gpt"])


def test_words_for_pip(tmp_path):
    assert pip_words(Source("index")) == ["--upgrade", "fusar-gpt"]
    wheels = Source("wheels", "/usb")
    assert pip_words(wheels, torch_index="https://cpu") == [*place_words(wheels), "--upgrade", "fusar-gpt"]
    assert place_words(wheels) == ["--no-index", "--find-links", "/usb"]
    words = pip_words(Source("wheel", "/usb/a.whl"), torch="2.13.0+cpu", torch_index="https://cpu")
    more = ["--extra-index-url", "https://cpu"]
    assert words == [*more, "--upgrade", "torch==2.13.0+cpu", "--find-links", "/usb", "/usb/a.whl"]
    (tmp_path / "constraints.txt").touch()
    bound = ["--constraint", str(tmp_path / "constraints.txt")]
    assert pip_words(Source("checkout", str(tmp_path))) == [*bound, "--upgrade", str(tmp_path)]


@pytest.mark.parametrize(
    ("line", "step"),
    [
        ("Collecting torch", ("look", "torch")),
        ("Processing /usb/fusar_gpt-0.1.0-py3-none-any.whl", ("look", "fusar_gpt-0.1.0-py3-none-any.whl")),
        ("Processing C:\\usb\\fusar_gpt-0.1.0.whl (from fusar-gpt)", ("look", "fusar_gpt-0.1.0.whl")),
        ("  Downloading torch-2.9.0-cp311.whl (184.5 MB)", ("download", "torch-2.9.0-cp311.whl (184.5 MB)")),
        ("Downloading https://a/b/x-1.whl (3 kB)", ("download", "x-1.whl (3 kB)")),
        ("  Building wheel for fusar-gpt (pyproject.toml): started", ("build", "fusar-gpt")),
        ("Installing collected packages: a, b, c", ("install", "3")),
        ("Successfully installed a-1", None),
        ("", None),
    ],
)
def test_pips_lines(line, step):
    assert read_pip_line(line) == step


def test_the_reason_of_a_failure():
    said = ["Looking", "ERROR: Could not find x (from versions: none)", "ERROR: No matching x", ""]
    assert read_failure(said) == "Could not find x (from versions: none)"
    assert read_failure(["a", "OSError: full", " "]) == "OSError: full"
    assert read_failure([]) == ""


@pytest.mark.parametrize(
    ("line", "logged"),
    [
        (
            "> pip --extra-index-url https://li:secret@host/cpu torch",
            "> pip --extra-index-url https://****@host/cpu torch",
        ),
        ("https://host/a@b", "https://host/a@b"),
        ("a@b", "a@b"),
    ],
)
def test_the_log_holds_no_password(line, logged):
    assert without_password(line) == logged


def test_the_parts_name_no_path():
    assert all("/" not in part and part not in ("", ".", "..") for part in installing._PARTS)
