"""The processes that open untrusted rasters: warm, limited, killed when they hang, and without a network."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from uploading import raster

from fusar_gpt.errors import SceneError
from fusar_gpt.imagery import inspection
from fusar_gpt.server import opening
from fusar_gpt.server.jobs import Busy
from fusar_gpt.server.opening import OpeningPool

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="a mechanism of Linux")


@pytest.fixture
def pool() -> Iterator[OpeningPool]:
    opened = OpeningPool()
    yield opened
    opened.close()


def pids(pool: OpeningPool) -> set[int]:
    return {process._child.pid for process in pool._idle}


def test_a_process_is_started_once_and_says_what_a_scene_is(pool: OpeningPool, tmp_path: Path) -> None:
    scene = raster(tmp_path)
    pool.warm()
    first = pids(pool)
    described = pool.describe(scene)
    assert (described.width, described.height, described.polarisations) == (80, 64, ["VV"])
    assert (described.crs, described.acquired) == ("EPSG:32631", "2024-01-02")
    pool.check(scene)
    with pytest.raises(SceneError, match="not a file"):
        pool.check(tmp_path)
    (tmp_path / "broken \u8239.tif").write_bytes(b"II*\0broken")
    with pytest.raises(SceneError, match=r"\.tif' is not a raster"):
        pool.describe(tmp_path / "broken \u8239.tif")
    assert pids(pool) == first
    assert len(first) == 1


def test_one_that_hangs_is_killed_and_holds_nobody_up(
    pool: OpeningPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene, hanging = raster(tmp_path), raster(tmp_path, "hanging.tif")
    pool.warm()
    (stopped,) = pids(pool)
    os.kill(stopped, signal.SIGSTOP)  # stands for any wait inside of GDAL
    pool.limit_s = 3.0
    refusals: list[str] = []

    def ask() -> None:
        with pytest.raises(SceneError, match=r"hanging\.tif' cannot be opened within 3 s") as error:
            pool.check(hanging)
        refusals.append(str(error.value))

    waiting = threading.Thread(target=ask)
    waiting.start()
    while pids(pool):  # taken
        time.sleep(0.01)
    began = time.monotonic()
    pool.check(scene)
    assert waiting.is_alive() or time.monotonic() - began < 6
    waiting.join(20)
    assert len(refusals) == 1
    with pytest.raises(ProcessLookupError):
        os.kill(stopped, 0)
    monkeypatch.setattr(pool, "_slots", threading.BoundedSemaphore(1))
    pool._slots.acquire()
    monkeypatch.setattr(opening, "WAIT_S", 0.1)
    with pytest.raises(Busy, match="try again"):
        pool.check(scene)


def test_one_that_dies_costs_one_file(pool: OpeningPool, tmp_path: Path) -> None:
    scene = raster(tmp_path)
    pool.warm()
    (pid,) = pids(pool)
    os.kill(pid, signal.SIGKILL)
    pool._idle[0]._child.wait()
    pool.check(scene)
    assert pid not in pids(pool)


def test_it_ends_with_the_server(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", opening._COMMAND], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with child:
        assert child.stdout.readline() == inspection.READY
        child.stdin.close()
        assert child.wait(10) == 0


@LINUX
def test_it_has_no_sockets_few_drivers_and_little_memory() -> None:
    script = (
        "import socket, sys, rasterio\n"
        "from fusar_gpt.imagery.inspection import MEMORY, forbid_sockets, limit_memory\n"
        "forbid_sockets(); limit_memory()\n"
        "for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX):\n"
        "    try: socket.socket(family); sys.exit('a socket')\n"
        "    except PermissionError: pass\n"
        "try: bytearray(MEMORY); sys.exit('memory')\n"
        "except MemoryError: pass\n"
        "with rasterio.Env() as gdal: print(*gdal.drivers())\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script],
        env=opening._environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert set(run.stdout.split()) <= {*inspection.RasterPolicy.drivers, "MEM", "DERIVED"}


def test_the_command_line_forgets_the_drivers_that_call() -> None:
    script = (
        "from fusar_gpt.cli.main import NETWORK_DRIVERS, main\n"
        "try: main(['--version'])\n"
        "except SystemExit: pass\n"
        "import os, rasterio\n"
        "with rasterio.Env() as gdal: found = {'VRT', 'ENVI', *NETWORK_DRIVERS} & set(gdal.drivers())\n"
        "assert found == {'VRT'}, found\n"
        "assert os.environ['PROJ_NETWORK'] == 'OFF'\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"GDAL_SKIP": "ENVI"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")
