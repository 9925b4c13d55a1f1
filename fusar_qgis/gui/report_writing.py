"""Writes the PDF report of a layer: what it says in the background, its pages one by one in the GUI thread."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from itertools import chain
from pathlib import Path

from qgis.core import QgsPrintLayout, QgsProject
from qgis.PyQt.QtCore import QObject, QTimer, pyqtSignal

from ..background import BackgroundTask
from ..layers.exports import Snapshot, in_words
from ..layers.report import gather, lay_out
from ..layers.report_pages import paint


class ReportWriting(QObject):
    """One report under way; ends with ``written`` or ``failed``, each with a sentence, and is then gone."""

    written = pyqtSignal(str)
    failed = pyqtSignal(str)

    def __init__(self, taken: Snapshot, path: Path, parent: QObject) -> None:
        """Begin; raises OSError where nothing can be written beside ``path``."""
        super().__init__(parent)
        self._path = path
        self._steps: Iterator[int] = iter(())
        self._done = 0
        # Beside its place: what is there stays until the new one is whole.
        self._folder = tempfile.TemporaryDirectory(prefix=".fusar-", dir=path.parent)
        self._made = Path(self._folder.name, "report.pdf")
        work = partial(gather, taken, Path(self._folder.name))
        self._task = BackgroundTask(self.tr("PDF report"), work, (OSError, RuntimeError))
        self._task.over.connect(self._lay_out)
        self._task.start()

    def _lay_out(self) -> None:
        if self._task.problem:
            self._end(self._task.problem)
            return
        self._layout = QgsPrintLayout(QgsProject.instance())
        self._steps = chain(lay_out(self._task.result, self._layout), paint(self._layout, self._made))
        self._do_next()

    def _do_next(self) -> None:
        try:
            self._done = next(self._steps)
        except StopIteration:
            self._finish()
        except OSError as error:
            self._end(in_words(error, self._path))
        else:
            QTimer.singleShot(0, self._do_next)

    def _finish(self) -> None:
        try:
            self._made.replace(self._path)
        except OSError as error:
            self._end(in_words(error, self._path))
        else:
            self._end("")

    def _end(self, problem: str) -> None:
        self._folder.cleanup()
        if problem:
            self.failed.emit(problem)
        else:
            text = self.tr("Report written to {path}. Pages: {n}.")
            self.written.emit(text.replace("{path}", str(self._path)).replace("{n}", str(self._done)))
        self.deleteLater()
