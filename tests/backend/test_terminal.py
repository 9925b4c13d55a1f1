"""Progress on stderr: a bar on a terminal, a few plain lines on a pipe."""

from __future__ import annotations

import contextlib
import io
from dataclasses import replace
from pathlib import Path

import pytest
from findings_samples import detection, open_sample, run_on

from fusar_gpt.cli import terminal
from fusar_gpt.cli.prior import report
from fusar_gpt.cli.terminal import progress_bar, show_progress, show_summary
from fusar_gpt.contract import Event, Finished, Progress, Started
from fusar_gpt.server.chat.phrases import Templates


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


def test_the_summary_counts_the_sure_detections_only_where_they_have_a_confidence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_sample(tmp_path) as scene:
        run = run_on(scene)
    found = [detection(f"d{n}", (0, 0, 9, 9)) for n in range(3)]
    sure = [
        replace(f, properties=f.properties | {"confidence": share})
        for f, share in zip(found, (0.2, 0.8, 0.95), strict=True)
    ]
    show_summary(Finished(run, tuple(found)))
    assert "confidence" not in capsys.readouterr().out
    show_summary(Finished(replace(run, confidence_meaning="calibrated"), tuple(sure)))
    assert "    2  of them with a confidence of 80% or more" in capsys.readouterr().out


@pytest.mark.parametrize(("chinese", "said"), [(False, ", confidence 87%"), (True, "\uff0c置信度 87%")])
def test_chat_says_a_confidence_where_there_is_one(chinese: bool, said: str) -> None:
    found = detection("d", (0, 0, 9, 9))
    sure = replace(found, properties=found.properties | {"confidence": 0.87})
    assert Templates(chinese=chinese).confidence(sure) == said
    assert Templates(chinese=chinese).confidence(found) == ""
