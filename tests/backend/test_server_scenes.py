"""Uploaded scenes over real HTTP: kept once, described, deleted; and every bad day of an upload."""

from __future__ import annotations

import hashlib
import os
import resource
import shutil
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from scripted_server import TOKEN, ApiServer, ask, serve_api, until
from uploading import files, header, raster, refused, upload

from fusar_gpt.errors import FusarError
from fusar_gpt.server import security, uploads
from fusar_gpt.server.options import Options
from fusar_gpt.server.uploads import SceneStore

MAX_UPLOAD = 3 * 2**20


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("root")


@pytest.fixture(scope="module")
def api(root: Path) -> Iterator[ApiServer]:
    with serve_api(root, options=Options(max_upload=MAX_UPLOAD)) as opened:
        yield opened


@pytest.fixture
def kept(root: Path) -> Iterator[Path]:
    """The folder of the scenes, empty at the start."""
    shutil.rmtree(root / "state" / "scenes", ignore_errors=True)
    return root / "state" / "scenes"


def test_an_upload_is_kept_described_and_kept_once(api: ApiServer, kept: Path, tmp_path: Path) -> None:
    body = raster(tmp_path).read_bytes()
    digest = hashlib.sha256(body).hexdigest()
    reply = upload(api, iter([body[:1000], body[1000:]]), "s1_vv_20240102.tif")
    assert reply.status_code == 201
    assert reply.headers["Location"] == f"/scenes/{digest}"
    scene = reply.json()
    assert {key: scene[key] for key in ("id", "scene", "name", "bytes", "width", "height")} == {
        "id": digest, "scene": f"scene:{digest}", "name": "s1_vv_20240102.tif",
        "bytes": len(body), "width": 80, "height": 64,
    }  # fmt: skip
    assert (scene["bands"], scene["polarisations"], scene["crs"]) == (["VV"], ["VV"], "EPSG:32631")
    assert scene["acquired"] == "2024-01-02"
    assert scene["pixel_size_m"] == pytest.approx(10, rel=1e-2)
    assert (kept / digest / "s1_vv_20240102.tif").read_bytes() == body
    assert kept.stat().st_mode & 0o077 == 0

    again = upload(api, body, "other name.tif")
    assert (again.status_code, again.json()["id"], again.json()["name"]) == (200, digest, scene["name"])
    assert len(files(kept)) == 1
    assert [each["id"] for each in ask(api, "GET", "/scenes").json()["scenes"]] == [digest]
    assert ask(api, "GET", f"/scenes/{digest}").json()["bands"] == ["VV"]
    assert ask(api, "DELETE", f"/scenes/{digest}").status_code == 204
    assert files(kept) == []
    for method in ("GET", "DELETE"):
        refused(ask(api, method, f"/scenes/{digest}"), 404, "no such scene")


def test_a_scene_stays_while_a_job_needs_it(api: ApiServer, kept: Path, tmp_path: Path) -> None:
    scene = upload(api, raster(tmp_path).read_bytes()).json()
    job = api.client.submit(api.inputs | {"scene": scene["scene"], "question": "held"})
    refused(ask(api, "DELETE", f"/scenes/{scene['id']}"), 409, "still needs")
    api.client.cancel(job)
    until(lambda: ask(api, "DELETE", f"/scenes/{scene['id']}").status_code == 204)
    order = {"inputs": api.inputs | {"scene": scene["scene"]}}
    refused(ask(api, "POST", "/processes/interpret/execution", json=order), 400, "upload it again")


@pytest.mark.parametrize("scene_id", ["", "..", "../..", "0" * 63, "0" * 64, "A" * 64, "0" * 64 + "/x"])
def test_an_id_names_nothing_else(api: ApiServer, kept: Path, scene_id: str) -> None:
    order = {"inputs": api.inputs | {"scene": f"scene:{scene_id}"}}
    refused(ask(api, "POST", "/processes/interpret/execution", json=order), 400, "no such scene")


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", ".hidden", "a/b.tif", "a\\b.tif", "/etc/passwd", "a\x00b", "a\nb", "n" * 201, "C:x"],
)
def test_a_name_is_no_path(api: ApiServer, kept: Path, name: str) -> None:
    refused(upload(api, b"II*\0", name), 422, "name")
    refused(upload(api, b"II*\0", "\u8239" * 199), 422, "name")
    assert files(kept) == []


@pytest.mark.parametrize("declared", [True, False])
def test_a_scene_over_the_limit_is_refused(api: ApiServer, kept: Path, declared: bool) -> None:
    body = b"\1" * (MAX_UPLOAD + 1)
    refused(upload(api, body if declared else iter([body[:-1], b"\1"])), 413, "cut it down")
    assert list(kept.iterdir()) == []


def begin(api: ApiServer, length: int = 10**6) -> socket.socket:
    """An upload of which only the headers were sent."""
    raw = socket.create_connection(("127.0.0.1", int(api.url.rsplit(":", 1)[1])), timeout=10)
    lines = ["POST /scenes?name=slow.tif HTTP/1.1", "Host: localhost", f"Authorization: Bearer {TOKEN}"]
    raw.sendall("\r\n".join([*lines, f"Content-Length: {length}", "", ""]).encode())
    return raw


def test_an_upload_that_pauses_or_drips_is_given_up(
    api: ApiServer, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(security, "SILENCE_S", 0.3)
    with begin(api) as raw:
        raw.sendall(b"II*\0")
        assert raw.recv(4096).startswith(b"HTTP/1.1 408 ")
    until(lambda: list(kept.iterdir()) == [])
    monkeypatch.setitem(security.LONGER_BODIES, "/scenes", 0.6)
    answered = False
    with begin(api) as raw:
        raw.settimeout(0.1)
        for _ in range(50):
            raw.sendall(b"\1")
            try:
                answered = raw.recv(4096).startswith(b"HTTP/1.1 408 ")
                break
            except TimeoutError:
                continue
    assert answered
    until(lambda: list(kept.iterdir()) == [])


def test_a_client_that_goes_away_leaves_nothing(api: ApiServer, kept: Path) -> None:
    with begin(api) as raw:
        raw.sendall(b"II*\0" * 100_000)
        until(lambda: files(kept))
    until(lambda: list(kept.iterdir()) == [])
    assert ask(api, "GET", "/health").status_code == 200


def test_so_many_uploads_at_a_time_and_no_more(api: ApiServer, kept: Path) -> None:
    raws = [begin(api) for _ in range(uploads.MOST_AT_A_TIME)]
    try:
        until(lambda: len(list(kept.glob("*"))) == uploads.MOST_AT_A_TIME)
        refused(upload(api, b"II*\0"), 429, "try again")
    finally:
        for raw in raws:
            raw.close()
    until(lambda: list(kept.iterdir()) == [])
    refused(upload(api, b"II*\0"), 400, "not a raster")


def test_a_full_disk_leaves_nothing_and_the_server_lives(
    api: ApiServer, kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = raster(tmp_path, tiled=False).read_bytes() + bytes(2 * 2**20)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20 + 4096, hard))  # the second piece does not fit
    try:
        refused(upload(api, body), 507, "disk is full")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(kept.iterdir()) == []
    with monkeypatch.context() as patched:
        patched.setattr(uploads, "RESERVE", 2**62)
        refused(upload(api, body), 507, "disk is full")
    assert list(kept.iterdir()) == []
    assert upload(api, body).status_code == 201


def test_the_same_file_sent_by_many_at_once_is_kept_once(api: ApiServer, kept: Path, tmp_path: Path) -> None:
    body = raster(tmp_path).read_bytes()
    replies: list[int] = []
    threads = [
        threading.Thread(target=lambda: replies.append(upload(api, body).status_code)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(replies) == [200, 200, 200, 201]
    assert len(list(kept.iterdir())) == 1


def test_scenes_are_forgotten_by_age_unless_a_job_needs_them(
    api: ApiServer, kept: Path, tmp_path: Path
) -> None:
    ids = [upload(api, raster(tmp_path, seed=seed).read_bytes()).json()["id"] for seed in range(3)]
    lost = kept / "incoming-lost"
    lost.mkdir()
    (lost / "half.tif").write_bytes(b"II*\0")
    scenes = SceneStore(kept, max_bytes=1, keep_s=1000, needed=lambda: {ids[0]})
    long_ago = time.time() - 10**6
    for name in (ids[0], ids[1]):
        os.utime(kept / name, (long_ago, long_ago))
    scenes.sweep()
    assert {path.name for path in kept.iterdir()} == {ids[0], ids[2], "incoming-lost"}
    os.utime(lost, (long_ago, long_ago))
    scenes.sweep()
    assert {path.name for path in kept.iterdir()} == {ids[0], ids[2]}
    assert scenes.path(ids[0]).is_file()  # used: it counts from now on
    SceneStore(kept, max_bytes=1, keep_s=1000, needed=set).sweep()
    assert (kept / ids[0]).exists()
    with pytest.raises(FusarError, match="upload it again"):
        scenes.path(ids[1])


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the peak of memory")
def test_a_large_upload_comes_in_at_bounded_memory(tmp_path: Path) -> None:
    side, rows = 2**13, 64  # 64 MiB; a gigabyte takes no more memory, but a minute on a busy machine
    pixels = np.random.default_rng(0).integers(1, 255, 2**20, np.uint8).tobytes()

    def body() -> Iterator[bytes]:
        yield header(side, side, rows)
        for _ in range(side * side // len(pixels)):
            yield pixels

    with serve_api(tmp_path) as api:
        assert upload(api, raster(tmp_path).read_bytes()).status_code == 201  # all is loaded by now
        Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
        before = peak()
        reply = upload(api, body())
        assert (reply.status_code, reply.json()["width"]) == (201, side)
        assert peak() - before < 32 * 2**20


def peak() -> int:
    """The most memory that this process has held, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def test_uploads_that_an_earlier_server_did_not_end_go_at_its_start(tmp_path: Path) -> None:
    lost = tmp_path / "state" / "scenes" / "incoming-abc"
    lost.mkdir(parents=True)
    (lost / "part.tif").write_bytes(b"half")
    with serve_api(tmp_path):
        assert not lost.exists()
