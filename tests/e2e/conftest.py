"""The command line as a user runs it."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from fusar_gpt.cli import main


@dataclass(frozen=True)
class Done:
    """What a command left."""

    returncode: int
    stdout: str
    stderr: str


Fusar = Callable[..., Done]


@pytest.fixture
def fusar(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Fusar:
    """Runs ``fusar ARGUMENTS...`` in this process, which spares the seconds that importing torch takes."""
    monkeypatch.chdir(tmp_path_factory.mktemp("somewhere"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def run(*arguments: str | Path) -> Done:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                status = main([str(argument) for argument in arguments])
            except SystemExit as leaving:
                status = int(leaving.code or 0)
        return Done(status, out.getvalue(), err.getvalue())

    return run


@pytest.fixture(scope="session")
def fusar_process(tmp_path_factory: pytest.TempPathFactory) -> Fusar:
    """Runs ``fusar ARGUMENTS...`` as a process of its own, in an empty home without a network."""
    home = tmp_path_factory.mktemp("home")
    environment = {**os.environ, "HOME": str(home), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "2"}

    def run(*arguments: str | Path) -> Done:
        command = [sys.executable, "-m", "fusar_gpt", *map(str, arguments)]
        done = subprocess.run(
            command, env=environment, cwd=home, capture_output=True, text=True, timeout=600, check=False
        )
        return Done(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="session")
def demo(fusar_process: Fusar, tmp_path_factory: pytest.TempPathFactory) -> tuple[Done, Path]:
    """What ``fusar demo`` said, and the folder it left."""
    out = tmp_path_factory.mktemp("demo") / "demo"
    return fusar_process("demo", "--out", out), out
