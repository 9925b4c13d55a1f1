"""The process that opens untrusted rasters for a server: it says what they are, or why they are not opened.

It is started by :mod:`fusar_gpt.server.opening`, which kills it when it hangs.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import signal
import struct
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fusar_gpt.contract.bands import words
from fusar_gpt.errors import FusarError
from fusar_gpt.imagery.area import crs_text
from fusar_gpt.imagery.raster_policy import RasterPolicy
from fusar_gpt.imagery.scene import Scene, open_scene

MEMORY = 2 * 2**30
"""Bytes that the process may use (Linux)."""
READY = b"ready\n"
"""Its first line; then it answers each request, a line of JSON, with another."""


@dataclass(frozen=True)
class Described:
    """The properties of a scene that may be opened."""

    width: int
    height: int
    bands: list[str]
    polarisations: list[str]
    crs: str
    acquired: str | None
    pixel_size_m: float
    simulated: bool


def main() -> None:
    """Answer requests, a line of JSON each, until stdin ends."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl+C is for the server, which ends this process by its stdin
    limit_memory()
    forbid_sockets()
    replies.write(READY)
    replies.flush()
    for line in sys.stdin.buffer:
        request = json.loads(line)
        if sys.platform != "win32":  # should the server be gone meanwhile
            signal.alarm(int(float(request["limit_s"])) + 5)
        replies.write(json.dumps(_answer(Path(request["path"]), request["question"])).encode() + b"\n")
        replies.flush()


def _answer(path: Path, question: str) -> dict[str, Any]:
    try:
        if question == "describe":
            return asdict(_describe(path))
        RasterPolicy().check(path)
    except FusarError as error:
        return {"refused": str(error)}
    except Exception as error:  # noqa: BLE001 - whatever a damaged file makes of rasterio or PROJ
        return {
            "refused": f"'{path.name}' cannot be opened, it is damaged ({type(error).__name__}): convert it to GeoTIFF"
        }
    return {}


def _describe(path: Path) -> Described:
    with open_scene(path, policy=RasterPolicy(alone=True)) as scene:
        scene.check()
        return Described(
            width=scene.width,
            height=scene.height,
            bands=list(scene.bands),
            polarisations=_polarisations(scene),
            crs=crs_text(scene.crs),
            acquired=scene.acquired.isoformat() if scene.acquired else None,
            pixel_size_m=scene.pixel_size_m,
            simulated=scene.simulated,
        )


def _polarisations(scene: Scene) -> list[str]:
    named = (word for band in scene.bands for word in words(band))
    return list(dict.fromkeys(word for word in named if word in ("VV", "VH", "HH", "HV")))


def limit_memory() -> None:
    """Let this process use no more than ``MEMORY``, where the system knows such a limit."""
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))


def forbid_sockets() -> None:
    """Have the kernel refuse this process every socket from now on (seccomp), on Linux; elsewhere nothing is done."""
    known = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}  # AUDIT_ARCH_*, the number of socket()
    if sys.platform != "linux" or platform.machine() not in known:
        return
    architecture, socket_number = known[platform.machine()]
    load, jump_if_equal, answer, allow, refuse = (
        0x20,
        0x15,
        0x06,
        0x7FFF0000,
        0x00050001,
    )  # linux/filter.h, seccomp.h
    program = b"".join(
        struct.pack("HBBI", *instruction)
        for instruction in (
            (load, 0, 0, 4),
            (jump_if_equal, 0, 3, architecture),
            (load, 0, 0, 0),
            (jump_if_equal, 1, 0, socket_number),
            (answer, 0, 0, allow),
            (answer, 0, 0, refuse),  # with EPERM
        )
    )
    kept = ctypes.create_string_buffer(program, len(program))
    filtering = ctypes.create_string_buffer(struct.pack("HP", len(program) // 8, ctypes.addressof(kept)))
    prctl = ctypes.CDLL(None).prctl
    no_new_privileges, set_filter = 38, 22
    prctl(no_new_privileges, 1, 0, 0, 0)
    prctl(set_filter, 2, filtering)
