"""Writes the PDF report of a run in the background: QGIS's task bar shows how far it is, and cancels it there."""

from __future__ import annotations

import tempfile
from pathlib import Path

from qgis.PyQt.QtCore import QObject, pyqtSignal

from ..background import BackgroundTask
from ..layers.exports import Snapshot, in_words
from ..layers.report import write_report
from ..translation import translate_count


class _CancelledError(Exception):
    """The analyst has cancelled."""


class ReportWriting(QObject):
    """One report under way; ends with ``written`` or ``failed``, each with a sentence, or ``cancelled``."""

    written = pyqtSignal(str)
    failed = pyqtSignal(str)
    cancelled = pyqtSignal()

    def __init__(self, taken: Snapshot, path: Path, parent: QObject) -> None:
        """Begin; raises OSError where nothing can be written beside ``path``."""
        super().__init__(parent)
        self._taken, self._path = taken, path
        # Beside its place: what is there stays until the new one is whole.
        self._folder = tempfile.TemporaryDirectory(prefix=".fusar-", dir=path.parent)
        self.task = BackgroundTask(
            self.tr("PDF report"), self._write, (OSError, RuntimeError, _CancelledError)
        )
        self.task.over.connect(self._on_over)
        self.task.start()

    def _write(self) -> int:
        """Write the report and put it in its place, in another thread; return the number of its pages."""
        made = Path(self._folder.name, "report.pdf")
        try:
            pages = write_report(self._taken, made, self._step)
            self._step(1, 1)
            made.replace(self._path)
        except OSError as error:
            raise OSError(in_words(error, self._path)) from error
        return pages

    def _step(self, done: int, total: int) -> None:
        if self.task.isCanceled():
            raise _CancelledError
        self.task.setProgress(100 * done / total)

    def _on_over(self) -> None:
        self._folder.cleanup()
        if self.task.isCanceled() and self.task.result is None:
            self.cancelled.emit()
        elif self.task.problem:
            self.failed.emit(self.task.problem)
        else:
            text = translate_count("ReportWriting", "Report written to {path}: %n page(s).", self.task.result)
            self.written.emit(text.replace("{path}", str(self._path)))
        self.deleteLater()
