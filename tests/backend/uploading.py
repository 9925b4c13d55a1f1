"""Rasters to upload, and an upload over HTTP."""

from __future__ import annotations

import struct
from pathlib import Path

import requests
from rasters import speckle, write
from scripted_server import AUTH, ApiServer


def raster(folder: Path, name: str = "s1_vv_20240102.tif", seed: int = 0, **options: object) -> Path:
    return write(folder / name, speckle(64, 80, seed), names=["VV"], **options)


def upload(api: ApiServer, body: object, name: str = "scene.tif", **headers: str) -> requests.Response:
    url = f"{api.url}/scenes"
    with requests.post(url, data=body, params={"name": name}, headers=AUTH | headers, timeout=30) as reply:
        _ = reply.content
        return reply


def refused(reply: requests.Response, status: int, word: str) -> None:
    assert reply.headers["Content-Type"] == "application/problem+json"
    problem = reply.json()
    assert (reply.status_code, problem["status"]) == (status, status)
    assert word in problem["detail"]
    assert "\n" not in problem["detail"]


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


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
