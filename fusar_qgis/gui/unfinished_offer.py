"""Offers to go on with the runs that had not ended when their project was closed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from qgis.core import Qgis, QgsProject
from qgis.gui import QgisInterface
from qgis.PyQt.QtCore import QObject, QTimer

from ..layers.run_groups import run_label
from ..layers.unfinished_runs import UnfinishedRun, forget_unfinished, unfinished_runs
from .messages import show_message


class UnfinishedOffer(QObject):
    """Looks at each project that is opened, and offers its unfinished runs in the message bar.

    Args:
        resume: Goes on with a run.
    """

    def __init__(
        self, iface: QgisInterface, resume: Callable[[UnfinishedRun], None], parent: QObject
    ) -> None:
        super().__init__(parent)
        self._iface, self._resume = iface, resume
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.offer)
        QgsProject.instance().readProject.connect(self._offer_soon)
        self._offer_soon()  # the plugin may have been loaded after the project

    def remove(self) -> None:
        """Offer nothing any more."""
        QgsProject.instance().readProject.disconnect(self._offer_soon)
        self._timer.stop()

    def offer(self) -> None:
        """Show a message for each unfinished run of the project."""
        for unfinished in unfinished_runs(QgsProject.instance()):
            text = self.tr("This run has not ended. What it has found is kept.")
            if unfinished.done:
                text = self.tr(
                    "This run stopped at chip {done} of {total} or later. What it has found is kept."
                ).format(done=unfinished.done, total=unfinished.total)
            show_message(
                self._iface.messageBar(),
                run_label(unfinished.run),
                text,
                Qgis.MessageLevel.Warning,
                lasting=True,
                offers={
                    self.tr("Resume"): partial(self._resume, unfinished),
                    self.tr("Give up"): partial(forget_unfinished, QgsProject.instance(), unfinished.id),
                },
            )

    def _offer_soon(self, *_: object) -> None:
        self._timer.start(0)  # when the project is there whole
