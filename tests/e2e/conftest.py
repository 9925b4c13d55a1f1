"""The command line as a user runs it: a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Fusar = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def fusar(tmp_path_factory: pytest.TempPathFactory) -> Fusar:
    """Runs ``fusar ARGUMENTS...`` in an empty home without a network."""
    home = tmp_path_factory.mktemp("home")
    environment = {**os.environ, "HOME": str(home), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "2"}

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [
            sys.executable,
            "-W",
            "error::DeprecationWarning:fusar_gpt",
            "-m",
            "fusar_gpt",
            *map(str, arguments),
        ]
        return subprocess.run(
            command, env=environment, cwd=home, capture_output=True, text=True, timeout=200, check=False
        )

    return run
