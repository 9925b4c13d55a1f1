"""Work in a thread of QGIS's pool, with its result in the GUI thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qgis.core import QgsApplication, QgsTask
from qgis.PyQt.QtCore import pyqtSignal

from . import compat

_running: set[BackgroundTask] = set()  # QGIS forgets the Python half of a task that nobody keeps


class BackgroundTask(QgsTask):
    """Does ``work``, which may raise one of ``errors``; ``over`` comes once, in the GUI thread.

    Attributes:
        result: What the work has returned; None if it failed.
        problem: The text of the error; empty if it went well.
        is_over: Whether ``over`` has come, or is about to.
    """

    over = pyqtSignal()

    def __init__(
        self,
        title: str,
        work: Callable[[], Any],
        errors: tuple[type[Exception], ...] = (),
        *,
        quiet: bool = False,
        stop: Callable[[], None] | None = None,
    ) -> None:
        """``quiet`` hides it from the analyst; ``stop`` is called, in any thread, when it is cancelled."""
        super().__init__(title, compat.QUIET_TASK if quiet else QgsTask.Flag.CanCancel)
        self.result: Any = None
        self.problem = ""
        self.is_over = False
        self._work, self._errors, self._stop = work, errors, stop

    def start(self) -> None:
        """Hand it to QGIS's task manager."""
        _running.add(self)
        QgsApplication.taskManager().addTask(self)

    def run(self) -> bool:
        """Do the work."""
        try:
            self.result = self._work()
        except self._errors as error:
            self.problem = str(error) or type(error).__name__
        return not self.problem

    def cancel(self) -> None:
        """Stop the work."""
        if self._stop is not None:
            self._stop()
        super().cancel()

    def finished(self, succeeded: bool) -> None:
        """Emit ``over``."""
        if not succeeded and not self.problem:
            self.problem = self.tr("Cancelled.")
        self.is_over = True
        _running.discard(self)
        self.over.emit()
