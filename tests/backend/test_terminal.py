"""Progress on stderr: a bar on a terminal, a few plain lines on a pipe."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import pytest
from findings_samples import open_sample, run_on

from fusar_gpt.cli import terminal
from fusar_gpt.cli.prior import report
from fusar_gpt.cli.terminal import progress_bar, show_progress
from fusar_gpt.contract import Event, Finished, Progress, Started


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_pipe_progress_is_one_line_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar(40, "chips") as show:
        for done in range(1, 41):
            show(done)
        show(40)
    assert capsys.readouterr().err == "40 of 40 chips\n"


def test_on_a_pipe_a_long_run_prints_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now)
    with progress_bar(40, "chips", "own prior") as show:
        for done in range(1, 41):
            now += 1.1
            show(done)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"own prior: {done} of 40 chips" for done in (10, 20, 30, 40)]


def test_a_run_that_fails_on_a_pipe_prints_no_progress(capsys: pytest.CaptureFixture[str]) -> None:
    with contextlib.suppress(ValueError), progress_bar(40, "chips") as show:
        show(3)
        raise ValueError
    assert capsys.readouterr().err == ""


def test_a_run_on_a_terminal_has_a_bar_and_lines_above_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    with open_sample(tmp_path) as scene:
        run = run_on(scene)
    events: list[Event] = [Started(run, 2), Progress(1, 2), Progress(2, 2), Finished(run, ())]
    passed = []
    for event in show_progress(events):
        passed.append(event)
        if event == Progress(1, 2):
            report("the prior is late")
        if isinstance(event, Finished):
            assert screen.getvalue().endswith("\n"), "the bar is closed before results are printed"
    assert passed == events
    text = screen.getvalue()
    assert "note: Simulated scene\n" in text
    assert "0/2" in text
    assert "100%" in text
    assert "\rfusar: the prior is late\n" in text
