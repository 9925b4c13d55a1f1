"""A run's progress in the message bar, with a Cancel button, and in the task manager."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from html import escape

from qgis.core import Qgis, QgsApplication, QgsTask
from qgis.gui import QgsMessageBar, QgsMessageBarItem
from qgis.PyQt.QtCore import QObject, QTimer, pyqtSignal
from qgis.PyQt.QtWidgets import QProgressBar, QPushButton

from .. import compat
from .messages import show_whole, take_away

_COME_BACK_MS = 15_000
_DRAW_MS = 100


class RunTask(QgsTask):
    """Shows a run's progress and can be cancelled there; the work itself is done elsewhere."""

    stopped = pyqtSignal()  # by the analyst, in the task manager, or by QGIS as it closes

    def __init__(self, title: str) -> None:
        super().__init__(title, QgsTask.Flag.CanCancel)
        self._over = threading.Event()
        self._succeeded = False

    def run(self) -> bool:
        """Sleep until the run is over; lend the thread's place in the pool to QGIS meanwhile."""
        pool = compat.task_pool()
        pool.releaseThread()
        self._over.wait()
        pool.reserveThread()
        return self._succeeded

    @property
    def is_over(self) -> bool:
        """Whether the run is over, or was stopped."""
        return self._over.is_set()

    def finish(self, succeeded: bool) -> None:
        """The run is over; a task that has not begun yet ends as soon as it does."""
        self._succeeded = succeeded
        self._over.set()

    def cancel(self) -> None:
        """Stop the run; for QGIS that is no failure, or it would say “Task failed” beside our “Cancelled”."""
        by_analyst = not self._over.is_set()
        if by_analyst:
            self._succeeded = True
        self._over.set()
        super().cancel()
        if by_analyst:
            self.stopped.emit()


class RunProgress(QObject):
    """Shows one run until ``finish``; ``cancelled`` when the analyst cancels.

    Where the system shows no notifications, QGIS puts “Task complete” or “Task failed” with the task's title into the
    message bar, over the run's own last message: that is taken away. A hidden task would have none, but cannot be
    seen nor cancelled in the task manager.
    """

    cancelled = pyqtSignal()
    paused = pyqtSignal(bool)  # whether the analyst wants the run to pause, or to go on

    def __init__(self, bar: QgsMessageBar, title: str, parent: QObject) -> None:
        super().__init__(parent)
        self._bar, self._title = bar, title
        self._newest: tuple[int, int, str] | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_DRAW_MS)
        self._timer.timeout.connect(self._draw)
        self._gauge = QProgressBar()
        self._gauge.setRange(0, 0)
        self._gauge.setMaximumWidth(160)
        self._item: QgsMessageBarItem | None = bar.createMessage(
            escape(title, quote=False), self.tr("Starting…")
        )
        self._item.layout().addWidget(self._gauge)
        self._notices = QPushButton(self.tr("Notices"))
        self._notices.setVisible(False)
        self._notices.clicked.connect(self._on_notices)
        self._item.layout().addWidget(self._notices)
        self._notices_text = ""
        self._is_paused = False
        self._pause = QPushButton(self.tr("Pause"))
        self._pause.setVisible(False)
        self._pause.clicked.connect(self._on_pause)
        self._item.layout().addWidget(self._pause)
        button = QPushButton(self.tr("Cancel"))
        button.clicked.connect(self.cancelled)
        self._item.layout().addWidget(button)
        bar.widgetRemoved.connect(self._forget_item)
        bar.widgetAdded.connect(self._watch_messages)
        bar.pushWidget(self._item, Qgis.MessageLevel.Info)

        self._task = RunTask(title)
        self._task.stopped.connect(self.cancelled)
        QgsApplication.taskManager().addTask(self._task)

    def show(self, done: int, total: int, text: str) -> None:
        """Show that ``done`` of ``total`` chips are answered, and ``text``; often enough for the eye."""
        self._newest = (done, total, text)
        if not self._timer.isActive():
            self._draw()

    def _draw(self) -> None:
        """Draw what is newest: a gauge draws at once, with all that is due in the window."""
        if self._newest is None:
            return
        done, total, text = self._newest
        self._newest = None
        self._timer.start()
        if self._item is not None:
            self._gauge.setRange(0, total)
            self._gauge.setValue(done)
            self._item.setText(escape(text, quote=False))
        if total:
            self._task.setProgress(100 * done / total)

    def can_pause(self) -> None:
        """Offer to pause the run from now on."""
        if self._item is not None:
            self._pause.setVisible(True)

    def show_paused(self, paused: bool, *, asks: bool = False) -> None:
        """Offer to go on with a run that is paused, or to pause it; one that ``asks`` has only been planned."""
        self._is_paused = paused
        if self._item is not None:
            resume = self.tr("Start") if asks else self.tr("Resume")
            self._pause.setText(resume if paused else self.tr("Pause"))
            self._pause.setEnabled(True)

    def show_notices(self, notices: Sequence[str]) -> None:
        """Offer to read what must be known of the run; a message of its own would hide the progress."""
        self._notices_text = "\n\n".join(notices)
        if self._item is not None:
            self._notices.setVisible(bool(notices))

    def come_back(self) -> None:
        """Be above the message that has come, in a moment; that stays below until it is read."""
        QTimer.singleShot(_COME_BACK_MS, self._raise)

    def _raise(self) -> None:
        if self._item is not None and self._bar.currentItem() is not self._item:
            self._bar.pushItem(self._item)

    def _on_notices(self) -> None:
        show_whole(self._bar, self._title, self._notices_text)

    def _on_pause(self) -> None:
        self._pause.setEnabled(False)  # until the backend has answered
        self.paused.emit(not self._is_paused)

    def finish(self, succeeded: bool) -> None:
        """Take the progress away; nothing is signalled any more."""
        self.blockSignals(True)
        self._timer.stop()
        self._bar.widgetRemoved.disconnect(self._forget_item)
        self.setParent(self._bar)  # it outlives the run's other objects until QGIS has spoken
        item, self._item = self._item, None
        if item is not None:
            take_away(self._bar, item)
        if self._task.isActive() or not self._task.is_over:
            self._task.taskCompleted.connect(self._end)
            self._task.taskTerminated.connect(self._end)
            self._task.finish(succeeded)
        else:
            self._end()

    def _end(self) -> None:
        QTimer.singleShot(0, self._stop_watching)  # after the last message that came

    def _stop_watching(self) -> None:
        self._bar.widgetAdded.disconnect(self._watch_messages)
        self.deleteLater()

    def _watch_messages(self, _: QgsMessageBarItem) -> None:
        # PyQt may not know yet that the new widget is a message.
        QTimer.singleShot(0, self._take_away_qgis_message)

    def _take_away_qgis_message(self) -> None:
        for item in self._bar.items():
            if isinstance(item, QgsMessageBarItem) and item.text() == self._title:
                take_away(self._bar, item)

    def _forget_item(self, item: QgsMessageBarItem) -> None:
        # The analyst may close the message and let the run go on.
        if item is self._item:
            self._item = None
