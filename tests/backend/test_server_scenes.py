"""Uploaded scenes over real HTTP: kept once, looked at with care, forgotten; and every bad day of an upload."""

from __future__ import annotations

import hashlib
import os
import resource
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
import requests
from rasters import NORTH_UP, UTM, speckle, write
from scripted_door import TOKEN, Door, open_door

from fusar_gpt.errors import FusarError, SceneError
from fusar_gpt.frames import SceneWindow
from fusar_gpt.imagery import open_scene
from fusar_gpt.imagery.drivers import Guard
from fusar_gpt.server import security, uploads
from fusar_gpt.server.options import Options
from fusar_gpt.server.uploads import SceneStore

AUTH = {"Authorization": f"Bearer {TOKEN}"}
MAX_UPLOAD = 3 * 2**20


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("root")


@pytest.fixture(scope="module")
def door(root: Path) -> Iterator[Door]:
    with open_door(root, options=Options(max_upload=MAX_UPLOAD)) as opened:
        yield opened


@pytest.fixture
def kept(root: Path) -> Iterator[Path]:
    """The folder of the scenes, empty at the start."""
    shutil.rmtree(root / "state" / "scenes", ignore_errors=True)
    return root / "state" / "scenes"


@pytest.fixture(scope="module")
def listener(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """An HTTP server that hopes to be called, in a process of its own: GDAL holds the GIL while it connects."""
    log = tmp_path_factory.mktemp("listener") / "calls"
    log.touch()
    script = (
        "import http.server, sys\n"
        "class Handler(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        open(sys.argv[1], 'a').write(self.path + chr(10))\n"
        "        self.send_error(404)\n"
        "    do_HEAD = do_GET\n"
        "    def log_message(self, *_): pass\n"
        "server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)\n"
        "print(server.server_port, flush=True)\n"
        "server.serve_forever()\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, log], stdout=subprocess.PIPE, text=True) as child:
        yield f"http://127.0.0.1:{int(child.stdout.readline())}", log
        child.kill()


def raster(folder: Path, name: str = "s1_vv_20240102.tif", seed: int = 0, **options: object) -> Path:
    return write(folder / name, speckle(64, 80, seed), names=["VV"], **options)


def upload(door: Door, body: object, name: str = "scene.tif", **headers: str) -> requests.Response:
    url = f"{door.url}/scenes"
    with requests.post(url, data=body, params={"name": name}, headers=AUTH | headers, timeout=30) as reply:
        _ = reply.content
        return reply


def ask(door: Door, method: str, path: str, **options: object) -> requests.Response:
    with requests.request(method, door.url + path, headers=AUTH, timeout=10, **options) as reply:
        _ = reply.content
        return reply


def until(condition: object) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def refused(reply: requests.Response, status: int, word: str) -> None:
    assert reply.headers["Content-Type"] == "application/problem+json"
    problem = reply.json()
    assert (reply.status_code, problem["status"]) == (status, status)
    assert word in problem["detail"]
    assert "\n" not in problem["detail"]


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_an_upload_is_kept_described_and_kept_once(door: Door, kept: Path, tmp_path: Path) -> None:
    body = raster(tmp_path).read_bytes()
    digest = hashlib.sha256(body).hexdigest()
    reply = upload(door, iter([body[:1000], body[1000:]]), "s1_vv_20240102.tif")
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

    again = upload(door, body, "other name.tif")
    assert (again.status_code, again.json()["id"], again.json()["name"]) == (200, digest, scene["name"])
    assert len(files(kept)) == 1
    assert [each["id"] for each in ask(door, "GET", "/scenes").json()["scenes"]] == [digest]
    assert ask(door, "GET", f"/scenes/{digest}").json()["bands"] == ["VV"]
    assert ask(door, "DELETE", f"/scenes/{digest}").status_code == 204
    assert files(kept) == []
    for method in ("GET", "DELETE"):
        refused(ask(door, method, f"/scenes/{digest}"), 404, "no such scene")


def test_a_scene_stays_while_a_job_needs_it(door: Door, kept: Path, tmp_path: Path) -> None:
    scene = upload(door, raster(tmp_path).read_bytes()).json()
    job = door.client.submit(door.inputs | {"scene": scene["scene"], "question": "held"})
    refused(ask(door, "DELETE", f"/scenes/{scene['id']}"), 409, "still needs")
    door.client.cancel(job)
    until(lambda: ask(door, "DELETE", f"/scenes/{scene['id']}").status_code == 204)
    order = {"inputs": door.inputs | {"scene": scene["scene"]}}
    refused(ask(door, "POST", "/processes/interpret/execution", json=order), 400, "upload it again")


@pytest.mark.parametrize("scene_id", ["", "..", "../..", "0" * 63, "0" * 64, "A" * 64, "0" * 64 + "/x"])
def test_an_id_names_nothing_else(door: Door, kept: Path, scene_id: str) -> None:
    order = {"inputs": door.inputs | {"scene": f"scene:{scene_id}"}}
    refused(ask(door, "POST", "/processes/interpret/execution", json=order), 400, "no such scene")


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", ".hidden", "a/b.tif", "a\\b.tif", "/etc/passwd", "a\x00b", "a\nb", "n" * 201, "C:x"],
)
def test_a_name_is_no_path(door: Door, kept: Path, name: str) -> None:
    refused(upload(door, b"II*\0", name), 422, "name")
    refused(upload(door, b"II*\0", "\u8239" * 199), 422, "name")
    assert files(kept) == []


def vrt(source: str) -> bytes:
    return (
        '<VRTDataset rasterXSize="64" rasterYSize="64"><SRS>EPSG:32631</SRS><GeoTransform>0,1,0,0,0,-1'
        '</GeoTransform><VRTRasterBand dataType="Byte" band="1"><SimpleSource><SourceFilename '
        f'relativeToVRT="0">{source}</SourceFilename><SourceBand>1</SourceBand></SimpleSource>'
        "</VRTRasterBand></VRTDataset>"
    ).encode()


def raw_vrt(file: str) -> bytes:
    """The bytes of any file as pixels."""
    return (
        '<VRTDataset rasterXSize="8" rasterYSize="8"><VRTRasterBand dataType="Byte" band="1" '
        f'subClass="VRTRawRasterBand"><SourceFilename relativetoVRT="0">{file}</SourceFilename>'
        "<ImageOffset>0</ImageOffset></VRTRasterBand></VRTDataset>"
    ).encode()


def with_overview_file(path: Path, target: str) -> bytes:
    """A TIFF whose own metadata names an overview file: GDAL opens that with any driver at the first read."""
    raster(path.parent, path.name)
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=target)
    return path.read_bytes()


def sparse(path: Path, side: int, block: int) -> bytes:
    """A few hundred bytes, or some thousand, that say they are side x side pixels."""
    place = {"crs": UTM, "transform": NORTH_UP, "driver": "GTiff", "count": 1, "dtype": "uint8"}
    tiles = {
        "tiled": True,
        "blockxsize": block,
        "blockysize": block,
        "sparse_ok": True,
        "compress": "deflate",
    }
    with rasterio.open(path, "w", width=side, height=side, **place, **tiles):
        pass
    return path.read_bytes()


def header(width: int, height: int, rows: int) -> bytes:
    """The start of a plain 8-bit GeoTIFF in strips of so many rows; its pixels follow right behind."""
    strips = height // rows
    scale, tie = struct.pack("<3d", 10, 10, 0), struct.pack("<6d", 0, 0, 0, 593000, 5749000, 0)
    keys = struct.pack("<16H", 1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32631)
    entries = 12
    at = 8 + 2 + 12 * entries + 4
    places = [at, at + 24, at + 72, at + 104, at + 104 + 4 * strips]
    pixels = at + 104 + 8 * strips
    fields = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1),
        (273, 4, strips, places[3]), (277, 3, 1, 1), (278, 4, 1, rows), (279, 4, strips, places[4]),
        (33550, 12, 3, places[0]), (33922, 12, 6, places[1]), (34735, 3, 16, places[2]),
    ]  # fmt: skip
    directory = struct.pack("<H", entries) + b"".join(struct.pack("<HHII", *each) for each in fields)
    starts = [pixels + index * rows * width for index in range(strips)]
    offsets = struct.pack(f"<{strips}I", *starts) + struct.pack(f"<{strips}I", *[rows * width] * strips)
    return struct.pack("<2sHI", b"II", 42, 8) + directory + bytes(4) + scale + tie + keys + offsets


def hostile(kind: str, folder: Path, url: str) -> bytes:
    return {
        "vrt to a file": lambda: vrt("/etc/passwd"),
        "vrt to a url": lambda: vrt(f"{url}/vrt"),
        "vrt by vsicurl": lambda: vrt(f"/vsicurl/{url}/vsicurl"),
        "vrt over raw bytes": lambda: raw_vrt("/etc/passwd"),
        "overview at a url": lambda: with_overview_file(folder / "x.tif", f"{url}/overview"),
        "overview in a file": lambda: with_overview_file(folder / "x.tif", "/etc/passwd"),
        "wms": lambda: (
            f'<GDAL_WMS><Service name="WMS"><ServerUrl>{url}/wms</ServerUrl></Service></GDAL_WMS>'.encode()
        ),
        "garbage": lambda: np.random.default_rng(1).bytes(5000),
        "text": lambda: b"root:x:0:0\n" * 50,
        "cut short": lambda: header(1024, 1024, 64) + b"\1" * 2**19,
        "header alone": lambda: raster(folder).read_bytes()[:100],
        "one block": lambda: sparse(folder / "x.tif", 2**14, 2**14),
        "huge": lambda: sparse(folder / "x.tif", 200_000, 4096),
        "no place": lambda: write(
            folder / "x.png", np.ones((8, 8), np.uint8), driver="PNG", crs=None
        ).read_bytes(),
        "hdf5": lambda: b"\x89HDF\r\n\x1a\n" + bytes(2000),
        "netcdf": lambda: b"CDF\x01" + bytes(2000),
    }[kind]()


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("vrt to a file", "no raster"), ("vrt to a url", "no raster"), ("vrt by vsicurl", "no raster"),
        ("vrt over raw bytes", "no raster"), ("overview at a url", "refers to"),
        ("overview in a file", "refers to"), ("wms", "no raster"), ("garbage", "no raster"),
        ("text", "no raster"), ("cut short", "cut short"), ("header alone", "no raster"),
        ("one block", "too large blocks"), ("no place", "georeferenc"), ("hdf5", "no raster"),
        ("netcdf", "no raster"), ("huge", "at most"),
    ],
)  # fmt: skip
def test_what_is_no_plain_raster_is_refused_and_nothing_is_called_or_kept(
    door: Door, kept: Path, tmp_path: Path, listener: tuple[str, Path], kind: str, word: str
) -> None:
    url, log = listener
    refused(upload(door, hostile(kind, tmp_path, url)), 400, word)
    refused(upload(door, b""), 400, "empty")
    assert log.read_text() == ""
    assert list(kept.iterdir()) == []


def test_the_listener_hears_gdal_where_nothing_is_guarded(tmp_path: Path, listener: tuple[str, Path]) -> None:
    """The refusals above mean something: the same file does call when it is opened as one's own."""
    url, log = listener
    with_overview_file(tmp_path / "x.tif", f"{url}/called")
    with open_scene(tmp_path / "x.tif") as scene:
        scene.read_resampled(SceneWindow(0, 0, 80, 64), (8, 8))
    assert log.read_text() != ""
    log.write_text("")


def beside(kind: str, scene: Path, url: str) -> None:
    """Something hostile beside a good raster, or in its place."""
    if kind == "metadata":
        text = f'<MDI key="OVERVIEW_FILE">{url}/aux</MDI>'
        Path(f"{scene}.aux.xml").write_text(
            f'<PAMDataset><Metadata domain="OVERVIEWS">{text}</Metadata></PAMDataset>'
        )
    elif kind in ("ovr", "msk"):
        Path(f"{scene}.{kind}").write_bytes(vrt(f"{url}/{kind}"))
    elif kind == "aux":
        scene.with_suffix(".aux").write_bytes(vrt("/etc/passwd"))
    else:
        scene.write_bytes(vrt("/etc/passwd"))


@pytest.mark.parametrize("what", ["scene", "prior"])
@pytest.mark.parametrize("kind", ["metadata", "ovr", "msk", "aux", "vrt"])
def test_hostile_sidecars_under_a_root_are_refused(
    door: Door, root: Path, listener: tuple[str, Path], kind: str, what: str
) -> None:
    url, log = listener
    scene = raster(root, f"{kind}_{what}.tif")
    Guard().check(scene)
    beside(kind, scene, url)
    order = {"inputs": door.inputs | {what: str(scene)}}
    reply = ask(door, "POST", "/processes/interpret/execution", json=order)
    assert reply.status_code == 400
    assert log.read_text() == ""


def test_sidecars_of_an_upload_are_never_read(tmp_path: Path, listener: tuple[str, Path]) -> None:
    url, log = listener
    scene = raster(tmp_path)
    for kind in ("metadata", "ovr", "msk"):
        beside(kind, scene, url)
    with open_scene(scene, guard=Guard(alone=True)) as opened:
        assert np.isfinite(opened.read_resampled(SceneWindow(0, 0, 80, 64), (8, 8))).all()
    assert log.read_text() == ""
    with pytest.raises(SceneError, match="1,000 pixels"):
        Guard(alone=True, max_pixels=1000).check(scene)


@pytest.mark.parametrize("declared", [True, False])
def test_a_scene_over_the_limit_is_refused(door: Door, kept: Path, declared: bool) -> None:
    body = b"\1" * (MAX_UPLOAD + 1)
    refused(upload(door, body if declared else iter([body[:-1], b"\1"])), 413, "cut it down")
    assert list(kept.iterdir()) == []


def begin(door: Door, length: int = 10**6) -> socket.socket:
    """An upload of which only the headers were sent."""
    raw = socket.create_connection(("127.0.0.1", int(door.url.rsplit(":", 1)[1])), timeout=10)
    lines = ["POST /scenes?name=slow.tif HTTP/1.1", "Host: localhost", f"Authorization: Bearer {TOKEN}"]
    raw.sendall("\r\n".join([*lines, f"Content-Length: {length}", "", ""]).encode())
    return raw


def test_an_upload_that_pauses_or_drips_is_given_up(
    door: Door, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(security, "SILENCE_S", 0.3)
    with begin(door) as raw:
        raw.sendall(b"II*\0")
        assert raw.recv(4096).startswith(b"HTTP/1.1 408 ")
    until(lambda: list(kept.iterdir()) == [])
    monkeypatch.setitem(security.LONGER_BODIES, "/scenes", 0.6)
    answered = False
    with begin(door) as raw:
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


def test_a_client_that_goes_away_leaves_nothing(door: Door, kept: Path) -> None:
    with begin(door) as raw:
        raw.sendall(b"II*\0" * 100_000)
        until(lambda: files(kept))
    until(lambda: list(kept.iterdir()) == [])
    assert ask(door, "GET", "/health").status_code == 200


def test_so_many_uploads_at_a_time_and_no_more(door: Door, kept: Path) -> None:
    raws = [begin(door) for _ in range(uploads.MOST_AT_A_TIME)]
    try:
        until(lambda: len(list(kept.glob("*"))) == uploads.MOST_AT_A_TIME)
        refused(upload(door, b"II*\0"), 429, "try again")
    finally:
        for raw in raws:
            raw.close()
    until(lambda: list(kept.iterdir()) == [])
    refused(upload(door, b"II*\0"), 400, "no raster")


def test_a_full_disk_leaves_nothing_and_the_server_lives(
    door: Door, kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = raster(tmp_path, tiled=False).read_bytes() + bytes(2 * 2**20)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20 + 4096, hard))  # the second piece does not fit
    try:
        refused(upload(door, body), 507, "disk is full")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(kept.iterdir()) == []
    with monkeypatch.context() as patched:
        patched.setattr(uploads, "RESERVE", 2**62)
        refused(upload(door, body), 507, "disk is full")
    assert list(kept.iterdir()) == []
    assert upload(door, body).status_code == 201


def test_the_same_file_sent_by_many_at_once_is_kept_once(door: Door, kept: Path, tmp_path: Path) -> None:
    body = raster(tmp_path).read_bytes()
    replies: list[int] = []
    threads = [
        threading.Thread(target=lambda: replies.append(upload(door, body).status_code)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(replies) == [200, 200, 200, 201]
    assert len(list(kept.iterdir())) == 1


def test_scenes_are_forgotten_by_age_unless_a_job_needs_them(door: Door, kept: Path, tmp_path: Path) -> None:
    ids = [upload(door, raster(tmp_path, seed=seed).read_bytes()).json()["id"] for seed in range(3)]
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

    with open_door(tmp_path) as door:
        assert upload(door, raster(tmp_path).read_bytes()).status_code == 201  # all is loaded by now
        Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
        before = peak()
        reply = upload(door, body())
        assert (reply.status_code, reply.json()["width"]) == (201, side)
        assert peak() - before < 32 * 2**20


def peak() -> int:
    """The most memory that this process has held, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
