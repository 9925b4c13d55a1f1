"""The run in QGIS's own task manager."""

from __future__ import annotations

import threading

from qgis.core import QgsTask
from qgis.PyQt.QtCore import QThreadPool, pyqtSignal


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
