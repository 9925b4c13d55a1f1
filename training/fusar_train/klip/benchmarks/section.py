"""The result of a benchmark: a table in the paper's form, with intervals, and the paper's own figures beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fusar_train.evaluation.bootstrap import Statistic, estimate


@dataclass(frozen=True)
class Figure:
    """One measured value.

    Attributes:
        value: In the unit of its column; shares as 0 to 1.
        n: How many cases it is measured on.
        low, high: Its 95 % interval; None where there is none.
    """

    value: float
    n: int
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Row:
    """One line of a table: a model, or a way to ask it, and its figures by column."""

    name: str
    figures: Mapping[str, Figure]


@dataclass(frozen=True)
class Section:
    """The table of one benchmark.

    Attributes:
        key: Its name on the command line, such as "retrieval".
        title: Its heading.
        columns: In order; a row may lack some.
        rows: What was measured.
        paper: What the paper reports, on other data; shown apart and marked so.
        notes: Sentences that a reader needs: what was asked, what is chance, what was left out and why.
    """

    key: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    paper: tuple[Row, ...] = ()
    notes: tuple[str, ...] = ()


def measured(statistics: Mapping[str, Statistic], images: int, seed: int) -> dict[str, Figure]:
    """Figures with their bootstrap intervals over images; those that are undefined are left out."""
    found = zip(statistics, estimate(list(statistics.values()), images, seed), strict=True)
    return {name: Figure(e.value, e.n, e.low, e.high) for name, e in found if e.value is not None}
