"""What a batch came to: the log, the counts, the table of runs."""

from __future__ import annotations

from collections import Counter
from typing import Any

from qgis.core import QgsFeature, QgsFeatureSink, QgsFields, QgsProcessingFeedback
from qgis.PyQt.QtCore import QCoreApplication

from ..layers.wording import run_caveats
from .batch import Outcome
from .parameters import RUNS_TABLE
from .results import COLUMNS, RUNS, fields_of, write

translate = QCoreApplication.translate

_UNCLEAR = "unclear"
_LONG = ("area",)


class Telling:
    """Counts what a batch came to and tells it in the log."""

    def __init__(self, feedback: QgsProcessingFeedback, skipped: int) -> None:
        self.done = self.resumed = self.failed = 0
        self.reason = ""
        self.runs: list[dict[str, Any]] = []
        self._skipped = skipped
        self._counts: Counter[str] = Counter()
        self._feedback = feedback
        self._known: set[tuple[Any, ...]] = set()

    def take(self, outcome: Outcome) -> None:
        """Take in what a piece came to."""
        piece, entry = outcome.piece, outcome.entry
        if entry is None:
            self.failed += piece.weight
            self.reason = self.reason or outcome.reason
            self._feedback.reportError(
                translate("Processing", "Failed: {name}: {reason}").format(
                    name=piece.name, reason=outcome.reason
                )
            )
            return
        self.done += piece.weight
        self.resumed += piece.weight * outcome.resumed
        found: Counter[str] = Counter(finding.layer for finding in entry.findings)
        found[_UNCLEAR] = sum(finding.properties.get("complete") is False for finding in entry.findings)
        self._counts += found
        self._provenance(entry.run)
        said = ", ".join(f"{count} {kind}" for kind, count in sorted(found.items()) if count)
        origin = translate("Processing", " (from the journal)") if outcome.resumed else ""
        said = said or translate("Processing", "nothing found")
        self._feedback.pushInfo(f"{piece.name}: {said}{origin}")

    def _provenance(self, run: dict[str, Any]) -> None:
        """Log a run's provenance where a new scene, model or prior comes into it."""
        new = tuple(run.get(name) for name in ("scene_fingerprint", "model_hash", "prior", "version"))
        if new not in self._known:
            self._known.add(new)
            self.runs.append(run)
            self._feedback.pushInfo(f"{run.get('scene', '')}: {run_caveats(run)}\n{_lines(run)}")

    def summary(self) -> None:
        """Log the counts."""
        self._feedback.pushInfo(
            translate(
                "Processing",
                "{done} done, {resumed} of them from the journal; {failed} failed; {skipped} rasters left out; "
                "{unclear} answers not understood.",
            ).format(
                done=self.done,
                resumed=self.resumed,
                failed=self.failed,
                skipped=self._skipped,
                unclear=self._counts[_UNCLEAR],
            )
        )

    def numbers(self) -> dict[str, int]:
        """Return the counts by output name."""
        findings = sum(self._counts[kind] for kind in COLUMNS)
        return {
            "DONE": self.done,
            "RESUMED": self.resumed,
            "FAILED": self.failed,
            "SKIPPED": self._skipped,
            "FINDINGS": findings,
        }


class RunsTable:
    """The table of runs: a row for each piece, and for each raster that could not be used."""

    def __init__(self, sink: QgsFeatureSink | None, layer: str) -> None:
        """Without a sink nobody wants it."""
        self._sink = sink
        self._layer = layer

    @staticmethod
    def fields() -> QgsFields:
        """Return its columns."""
        return fields_of(RUNS)

    def skip(self, raster: str, reason: str) -> None:
        """Write that a raster was left out."""
        self._write({"scene": raster, "status": "skipped", "reason": reason})

    def take(self, outcome: Outcome) -> None:
        """Write what a piece came to."""
        entry, piece = outcome.entry, outcome.piece
        status = "failed" if entry is None else "resumed" if outcome.resumed else "done"
        where = {"scene": piece.scene.name, "area": piece.area}
        self._write({**(entry.run if entry else {}), **where, "status": status, "reason": outcome.reason})

    def result(self) -> dict[str, str]:
        """Return the layer by output name."""
        return {RUNS_TABLE: self._layer} if self._sink is not None else {}

    def _write(self, known: dict[str, Any]) -> None:
        if self._sink is not None:
            row = QgsFeature(self.fields())
            row.setAttributes([known.get(name) for name in RUNS])
            write(self._sink, row)


def _lines(run: dict[str, Any]) -> str:
    """Return a run's provenance, a line each, without what is empty or as long as an outline."""
    return "\n".join(
        f"  {name}: {value}" for name, value in run.items() if value not in (None, "") and name not in _LONG
    )
