"""A run's progress in the message bar, with a Cancel button, and in the task manager."""

from __future__ import annotations

import threading
from html import escape

from qgis.core import Qgis, QgsApplication, QgsTask
from qgis.gui import QgsMessageBar, QgsMessageBarItem
from qgis.PyQt.QtCore import QObject, QThreadPool, pyqtSignal
from qgis.PyQt.QtWidgets import QProgressBar, QPushButton


class RunTask(QgsTask):
    """Shows a run's progress and can be cancelled there; the work itself is done elsewhere."""

    stopped = pyqtSignal()  # by the analyst, in the task manager, or by QGIS as it closes

    def __init__(self, title: str) -> None:
        super().__init__(title, QgsTask.Flag.CanCancel)
        self._over = threading.Event()
        self._succeeded = False

    def run(self) -> bool:
        """Sleep until the run is over; lend the thread's place in the pool to QGIS meanwhile."""
        pool = QThreadPool.globalInstance()
        pool.releaseThread()
        self._over.wait()
        pool.reserveThread()
        return self._succeeded

    def finish(self, succeeded: bool) -> None:
        """The run is over."""
        self._succeeded = succeeded
        self._over.set()

    def cancel(self) -> None:
        """Stop the run."""
        by_analyst = not self._over.is_set()
        self._over.set()
        super().cancel()
        if by_analyst:
            self.stopped.emit()


class RunProgress(QObject):
    """Shows one run until ``finish``; ``cancelled`` when the analyst cancels."""

    cancelled = pyqtSignal()

    def __init__(self, bar: QgsMessageBar, title: str, parent: QObject) -> None:
        super().__init__(parent)
        self._bar = bar
        self._gauge = QProgressBar()
        self._gauge.setRange(0, 0)
        self._gauge.setMaximumWidth(240)
        self._item: QgsMessageBarItem | None = bar.createMessage(
            escape(title, quote=False), self.tr("Starting…")
        )
        self._item.layout().addWidget(self._gauge)
        button = QPushButton(self.tr("Cancel"))
        button.clicked.connect(self.cancelled)
        self._item.layout().addWidget(button)
        bar.widgetRemoved.connect(self._forget_item)
        bar.pushWidget(self._item, Qgis.MessageLevel.Info)

        self._task: RunTask | None = RunTask(title)
        self._task.stopped.connect(self.cancelled)
        QgsApplication.taskManager().addTask(self._task)

    def show(self, done: int, total: int, text: str) -> None:
        """Show that ``done`` of ``total`` chips are answered, and ``text``."""
        if self._item is not None:
            self._gauge.setRange(0, total)
            self._gauge.setValue(done)
            self._item.setText(escape(text, quote=False))
        if self._task is not None and total:
            self._task.setProgress(100 * done / total)

    def finish(self, succeeded: bool) -> None:
        """Take the progress away; nothing is signalled any more."""
        self.blockSignals(True)
        self._bar.widgetRemoved.disconnect(self._forget_item)
        task, self._task = self._task, None
        item, self._item = self._item, None
        if task is not None:
            task.finish(succeeded)
        if item is not None:
            self._bar.popWidget(item)
        self.deleteLater()

    def _forget_item(self, item: QgsMessageBarItem) -> None:
        # The analyst may close the message and let the run go on.
        if item is self._item:
            self._item = None
