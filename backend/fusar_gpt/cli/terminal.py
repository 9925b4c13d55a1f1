"""What a run prints: progress and notices on stderr, a short table on stdout."""

# ruff: noqa: RUF001 - Chinese has its own punctuation

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from tqdm import tqdm  # type: ignore[import-untyped]

from fusar_gpt.contract import SEARCH, Event, Finished, Progress, Started, Value
from fusar_gpt.contract.prior_effect import CHANGES, SAME
from fusar_gpt.findings import PriorEffect, count_by_kind
from fusar_gpt.findings.caption import warnings_of
from fusar_gpt.tasks import SEARCHES, Task
from fusar_gpt.tasks.abilities import understood
from fusar_gpt.tasks.questions import is_chinese

LINE_EVERY_S = 10.0
"""How often progress is printed where stderr is not a terminal."""

SURE = 0.8
"""Detections of this confidence are counted apart."""


class _Bar(tqdm):
    monitor_interval = 0  # without tqdm's own thread: an interrupted command ends at once


@contextmanager
def progress_bar(total: int, unit: str, title: str = "") -> Iterator[Callable[[int], None]]:
    """Shows progress on stderr: a bar on a terminal, elsewhere a plain line every ``LINE_EVERY_S`` and at the end.

    Yields:
        A function that takes how many of ``total`` are done.
    """
    printed_at, shown = time.monotonic(), 0

    def print_line(done: int) -> None:
        nonlocal printed_at, shown
        if done > shown and (done == total or time.monotonic() - printed_at >= LINE_EVERY_S):
            printed_at, shown = time.monotonic(), done
            print(
                f"{title}: " if title else "",
                f"{done} of {total} {unit}",
                sep="",
                file=sys.stderr,
                flush=True,
            )

    bar = _Bar(total=total, desc=title or None, unit=f" {unit}", miniters=1, file=sys.stderr, disable=None)
    with bar:
        yield print_line if bar.disable else lambda done: bar.update(done - bar.n)


def show_progress(events: Iterable[Event]) -> Iterator[Event]:
    """Passes on the events of a run; shows on stderr what is not real in it and how many chips are done."""
    with ExitStack() as stack:
        for event in events:
            if isinstance(event, Started):
                if event.run.quantity_reason:
                    print(f"'{event.run.band}' taken for {event.run.quantity_reason}", file=sys.stderr)
                told = [*warnings_of(event.run), *event.run.warnings]
                for notice in told:
                    print(f"note: {notice}", file=sys.stderr)
                unit = "slices" if event.run.task == SEARCH else "chips"
                show = stack.enter_context(progress_bar(event.chips, unit))
            elif isinstance(event, Progress):
                show(event.done)
            elif isinstance(event, Finished):
                stack.close()
                for notice in event.run.warnings:
                    if notice not in told:
                        print(f"note: {notice}", file=sys.stderr)
            yield event


def show_effect(effect: PriorEffect, prior: str, compared: str) -> None:
    """What a prior changed, as a table."""
    print(f"  what the prior {prior} changed against {compared}:")
    head = ("", *CHANGES)
    rows = [(label, *map(str, row.values())) for label, row in effect.by_label.items()]
    rows += [
        (f"cells, {target}", *(str(row.get(change, "")) for change in CHANGES))
        for target, row in effect.cells.items()
    ]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows) if rows else ():
        print("    " + "  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True)))
    for target, count in effect.counts.items():
        changed = count["chips_changed"]
        print(f"    {target} counted: {count['with']}, not {count['compared']}; {changed} chips changed")
    if effect.answers:
        print(f"    answers: {effect.answers['changed']} changed, {effect.answers[SAME]} same")


def show_summary(event: Finished) -> None:
    """What a question was taken for, the findings in numbers, a line each, then what was said in words."""
    run, rows = event.run, [finding.properties for finding in event.findings if finding.layer == "answers"]
    if asked := next((str(row["question"]) for row in rows if row.get("understood")), None):
        chinese = is_chinese(asked)
        what = understood(Task(run.task), run.targets, chinese)
        print(f"理解为：{what}" if chinese else f"understood as: {what}")
    numbers = count_by_kind(event.findings)
    print(f"  {run.task} {', '.join(run.targets)}: {'' if numbers else 'nothing found'}")
    for kind, number in numbers.items():
        print(f"    {number:5}  {kind}")
    sure = [
        finding.properties.get("confidence") for finding in event.findings if finding.layer == "detections"
    ]
    if run.confidence_meaning and sure:
        number = sum(isinstance(share, float) and share >= SURE for share in sure)
        print(f"    {number:5}  of them with a confidence of {SURE:.0%} or more")
    for row in rows:
        share = row.get("confidence")
        known = f", confidence {share:.0%}" if isinstance(share, float) else ""
        if "chip" not in row:
            print(f"    {row['target']}: {row['text']}")
        elif run.task not in SEARCHES:
            print(f"    chip {row['chip']}: {row['label'] or row['text']}{known}")


def show_places(finished: Sequence[Finished], *, table: bool) -> None:
    """The places of searches, a scene each: how many, and with a table each of them."""
    for event in finished:
        rows = [finding.properties for finding in event.findings]
        number = "1 place" if len(rows) == 1 else f"{len(rows)} places, the best first"
        print(f"  {event.run.scene}: {number}")
        if table:
            show_table(rows)
    if table:
        print("percentile: the share of the slices searched in that scene that are less like the query, in %")
        print("similarity: a cosine, which ranks the places of one search; its size alone says nothing")


def show_table(rows: Sequence[Mapping[str, Value]]) -> None:
    """Places, a line each; what was matched only where something is known of it."""
    head = ["rank", "percentile", "similarity", "lon", "lat"]
    lines = [
        [
            f"{row['rank']}",
            f"{row['percentile']:.1f}",
            f"{row['similarity']:.3f}",
            *(_degrees(row[n]) for n in head[3:]),
        ]
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(head, *lines, strict=True)]
    matched = [str(row.get("matched") or "") for row in rows]
    for line, told in zip([head, *lines], ["matched" if any(matched) else "", *matched], strict=True):
        text = "  ".join(word.rjust(width) for word, width in zip(line, widths, strict=True))
        print(f"    {text}  {told}".rstrip())


def _degrees(value: Value) -> str:
    return f"{value:.5f}" if isinstance(value, float) else "?"
