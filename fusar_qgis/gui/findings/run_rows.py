"""What a row of the list of runs says, two lines in a cell, so that a narrow dock has room for it."""

from __future__ import annotations

from typing import Any

from qgis.PyQt.QtCore import QDate, QLocale, Qt
from qgis.PyQt.QtWidgets import QTreeWidgetItem

from ...contract import NO_PRIOR
from ...layers.project_runs import ProjectRun
from ...layers.run_groups import size_in_words, started
from ...layers.wording import findings_in_words, result_in_words
from ...translation import translate, translate_count

RUN, RESULT, MODEL, SCENE, DURATION = range(5)
"""The columns."""


def found(run: ProjectRun) -> int:
    """Return how many findings a run has."""
    return sum(max(layer.featureCount(), 0) for layer in run.layers.values())


def found_in_words(run: ProjectRun) -> str:
    """Return what a run found; that it found nothing is said only of one that came to its end."""
    counts = {kind: max(layer.featureCount(), 0) for kind, layer in run.layers.items()}
    said = result_in_words(run.result) if run.layers else []
    said += findings_in_words({**counts, "answers": 0} if said else counts)
    if counts.get("grid") and not run.result:
        said.append(translate_count("RunRow", "%n cell(s)", counts["grid"]))  # of a run that goes on
    if said:
        return ", ".join(said)
    if run.status == "successful":
        return translate("RunRow", "nothing found")
    return translate("RunRow", "no findings")


def outcome(run: ProjectRun, *, under_way: bool) -> str:
    """Return what became of a run, such as ``finished`` or ``cancelled``."""
    if under_way:
        return translate("RunRow", "under way")
    words = {
        "successful": translate("RunRow", "finished"),
        "dismissed": translate("RunRow", "cancelled"),
        "failed": translate("RunRow", "failed"),
    }
    return words.get(run.status, "")


def when_and_where(run: dict[str, Any]) -> str:
    """Return when a run began, as shortly as that is clear today, and how large its area is."""
    began, today = started(run), QDate.currentDate()
    form = "HH:mm" if began.date() == today else "MM-dd HH:mm"
    if began.date().year() != today.year():
        form = f"yyyy-{form}"
    return " · ".join(filter(None, (began.toString(form), size_in_words(run))))


def prior_in_words(run: dict[str, Any]) -> str:
    """Return the prior with its year, such as ``prior file 2023``; that there was none is said."""
    prior = str(run.get("prior") or NO_PRIOR)
    if prior == NO_PRIOR:
        return translate("RunRow", "no prior")
    # A file's name may be long: it is in the tip.
    named = " ".join(str(one) for one in (prior.split(":")[0], run.get("prior_year")) if one)
    if run.get("prior_simulated"):
        text = translate("RunRow", "prior {prior}, simulated")
    else:
        text = translate("RunRow", "prior {prior}")
    return text.replace("{prior}", named)


class RunRow(QTreeWidgetItem):
    """A run's row, which sorts its time and its numbers as what they are."""

    def __init__(self, run: ProjectRun, *, under_way: bool) -> None:
        about: dict[str, Any] = run.run
        began, duration = started(about), ""
        if run.seconds is not None:
            duration = translate("RunRow", "{n} s").replace("{n}", QLocale().toString(run.seconds, "f", 1))
        became = outcome(run, under_way=under_way)
        model = str(about.get("model") or "")
        if about.get("demonstration"):
            model = translate("RunRow", "{model} (demonstration)").replace("{model}", model)
        band = " ".join(str(about[name]) for name in ("band", "quantity") if about.get(name))
        super().__init__(
            [
                f"{run.short_name}\n{when_and_where(about)}",
                f"{found_in_words(run)}\n{' · '.join(filter(None, (became, duration)))}",
                f"{model}\n{prior_in_words(about)}",
                f"{about.get('scene') or ''}\n{band}",
                duration,
            ]
        )
        self.setData(RUN, Qt.ItemDataRole.UserRole, run.id)
        self._keys = {RUN: began.toMSecsSinceEpoch(), RESULT: found(run), DURATION: run.seconds or 0.0}
        notes = {
            RUN: [QLocale().toString(began, QLocale.FormatType.LongFormat), run.id],
            MODEL: [
                about.get("model_hash"),
                about.get("prior"),
                about.get("prior_note"),
                about.get("prior_attribution"),
            ],
            SCENE: [run.scene, about.get("attribution")],
            RESULT: [about.get("warnings")],
        }
        for column in range(self.columnCount()):
            lines = [self.text(column), *filter(None, notes.get(column, []))]
            self.setToolTip(column, "\n".join(map(str, lines)).strip())

    def __lt__(self, other: QTreeWidgetItem) -> bool:
        column = self.treeWidget().sortColumn() if self.treeWidget() is not None else RUN
        if isinstance(other, RunRow) and column in self._keys:
            return bool(self._keys[column] < other._keys[column])
        return bool(self.text(column) < other.text(column))
