"""Mutated rasters at the upload door of a real server process; ``bench/fuzz_uploads.py`` sends ten thousand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import scripted_server

sys.path.append(str(Path(__file__).parents[2] / "bench"))
from fuzz_uploads import fuzz

FILES = 200


@pytest.mark.skipif(sys.platform != "linux", reason="looks at the sockets of other processes")
def test_no_mutated_raster_hangs_breaks_or_makes_a_server_call(tmp_path: Path) -> None:
    command = [sys.executable, scripted_server.__file__, tmp_path, "--child", "--state", tmp_path / "state"]
    with subprocess.Popen(
        [str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        ready = json.loads(process.stdout.readline())
        outcome = fuzz(ready["url"], ready["token"], process.pid, count=FILES, seed=1, at_a_time=2)
        process.stdin.close()
    assert outcome.faults == []
    assert set(outcome.statuses) <= {200, 201, 400}
    assert outcome.statuses[400] > FILES / 2
    assert outcome.statuses[201] > FILES / 20
    assert outcome.calls == 0
    assert outcome.peak < 2**30
