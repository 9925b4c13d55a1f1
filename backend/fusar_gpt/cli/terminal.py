"""What a run prints: progress and notices on stderr, a short table on stdout."""

from __future__ import annotations

import sys

from fusar_gpt.contract import Event, Finished, Progress, Started
from fusar_gpt.findings import count_by_kind
from fusar_gpt.findings.caption import warnings_of
from fusar_gpt.tasks import Task


def show_progress(event: Event) -> None:
    """One line that grows in place on a terminal, a line a chip elsewhere."""
    if isinstance(event, Started):
        for notice in warnings_of(event.run):
            print(f"note: {notice}", file=sys.stderr)
    elif isinstance(event, Progress):
        end = "\r" if sys.stderr.isatty() and event.done < event.total else "\n"
        print(event.message, end=end, file=sys.stderr, flush=True)


def show_summary(event: Finished) -> None:
    """The findings in numbers, a line each, then what was said in words."""
    numbers = count_by_kind(event.findings)
    print(f"  {event.run.task} {', '.join(event.run.targets)}: {'' if numbers else 'nothing found'}")
    for kind, number in numbers.items():
        print(f"    {number:5}  {kind}")
    if Task(event.run.task) in (Task.CLASSIFY, Task.DESCRIBE, Task.ASK):
        for finding in event.findings:
            row = finding.properties
            print(f"    chip {row['chip']}: {row['label'] or row['text']}")
