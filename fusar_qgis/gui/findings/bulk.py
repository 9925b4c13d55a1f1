"""Decisions on many findings at once, slice by slice, with progress, a way to stop, and one step of the undo."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager

from qgis.core import Qgis, QgsVectorLayer
from qgis.PyQt import sip
from qgis.PyQt.QtCore import QTimer, pyqtSignal
from qgis.PyQt.QtWidgets import QHBoxLayout, QProgressBar, QPushButton, QWidget

from ...layers import storage
from ...layers.decisions import Decisions
from ...layers.storage import StorageError

_SLICE = 50  # findings that are written at once, in a few milliseconds
_SLICE_S = 0.01
_REST_MS = 2
_SHOW_S = 0.3  # what takes less needs no bar

Keys = dict[QgsVectorLayer, list[int]]
Open = Callable[[QgsVectorLayer], Decisions]


class BulkDecisions(QWidget):
    """Decides, or takes decisions back, while QGIS goes on; a bar with Cancel is seen while that takes longer.

    What was decided before a Cancel or an error stays, and is one step of the undo.
    """

    started = pyqtSignal()
    over = pyqtSignal(str, object)
    """What to tell, empty where all is well, and its level."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._steps: list[list[Decisions]] = []  # what can be taken back, by layer
        self._work: Generator[int, None, None] | None = None
        self._began = 0.0
        self._done = 0
        self.bar = QProgressBar()
        self.cancel_button = QPushButton(self.tr("Cancel"))
        self.cancel_button.setToolTip(self.tr("What is decided so far stays; Undo takes it back"))
        self.cancel_button.clicked.connect(self.cancel)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.bar)
        row.addWidget(self.cancel_button)
        self.hide()
        self._timer = QTimer(self)
        self._timer.setInterval(_REST_MS)
        self._timer.timeout.connect(self._go_on)

    @property
    def is_busy(self) -> bool:
        """Whether decisions are being written."""
        return self._work is not None

    @property
    def can_undo(self) -> bool:
        """Whether there is something to take back."""
        return bool(self._steps)

    def decide(self, keys: Keys, open_layer: Open, decision: str, label: str | None = None) -> None:
        """Note a decision; the first slice before this returns."""
        if not self.is_busy and keys:
            said = self.tr("Deciding: %v of %m")
            self._start(self._decide(keys, open_layer, decision, label), sum(map(len, keys.values())), said)

    def undo(self) -> None:
        """Take the last step back."""
        if not self.is_busy and self._steps:
            total = sum(one.undoable for one in self._steps[-1])
            self._start(self._undo(), total, self.tr("Taking back: %v of %m"))

    def cancel(self) -> None:
        """Stop; what is done stays."""
        if self._work is not None:
            text = self.tr("Stopped after {n} of {total}. What is done stays; Undo takes it back.")
            self._stop(text.format(n=self._done, total=self.bar.maximum()), Qgis.MessageLevel.Info)

    def forget(self, there: list[QgsVectorLayer]) -> None:
        """Take nothing back in layers that are gone, nor go on there; ``there`` are those that are still here."""
        self._steps = [step for step in self._steps if all(one.layer in there for one in step)]

    def _start(self, work: Generator[int, None, None], total: int, said: str) -> None:
        self._work, self._began, self._done = work, time.perf_counter(), 0
        self.bar.setFormat(said)
        self.bar.setMaximum(total)
        self.started.emit()
        self._go_on()
        if self.is_busy:
            self._timer.start()

    def _go_on(self) -> None:
        work, until = self._work, time.perf_counter() + _SLICE_S
        if work is None:
            return
        try:
            for self._done in work:
                if time.perf_counter() >= until:
                    break
            else:
                self._stop("", Qgis.MessageLevel.Success)
                return
        except StorageError as error:
            text = self.tr("Stopped after {n} of {total}: {reason}") if self._done else "{reason}"
            text = text.format(n=self._done, total=self.bar.maximum(), reason=error)
            self._stop(text, Qgis.MessageLevel.Critical)
            return
        self.bar.setValue(self._done)
        self.setVisible(time.perf_counter() - self._began > _SHOW_S)

    def _stop(self, said: str, level: Qgis.MessageLevel) -> None:
        work, self._work = self._work, None
        self._timer.stop()
        self.hide()
        if work is not None:
            work.close()  # it tells of what has changed
        self.over.emit(said, level)

    def _decide(
        self, keys: Keys, open_layer: Open, decision: str, label: str | None
    ) -> Generator[int, None, None]:
        step: list[Decisions] = []
        self._steps.append(step)
        done, total = 0, sum(map(len, keys.values()))
        try:
            for layer, some in keys.items():
                if sip.isdeleted(layer):
                    continue
                with _telling(open_layer(layer)) as decisions:
                    for start in range(0, len(some), _SLICE):
                        if sip.isdeleted(layer):
                            break
                        part = some[start : start + _SLICE]
                        decisions.decide_slice(part, decision, label, goes_on=decisions in step)
                        if decisions not in step:
                            step.append(decisions)
                        done += len(part)
                        if done < total:  # what one slice does is over at once
                            yield done
        finally:
            if not step and step in self._steps:
                self._steps.remove(step)

    def _undo(self) -> Generator[int, None, None]:
        step = self._steps[-1]
        total = sum(one.undoable for one in step)
        for decisions in list(step):
            if not sip.isdeleted(decisions.layer):
                storage.hold(decisions.layer)
                with _telling(decisions):
                    while decisions.undoable and not sip.isdeleted(decisions.layer):
                        decisions.undo_slice(_SLICE)
                        left = sum(one.undoable for one in step)
                        if left:
                            yield total - left
            step.remove(decisions)
        if step in self._steps:
            self._steps.remove(step)


@contextmanager
def _telling(decisions: Decisions) -> Iterator[Decisions]:
    """Hold the layer's file open meanwhile, and in the end tell of what has changed, unless the layer is gone."""
    try:
        yield decisions
    finally:
        if not sip.isdeleted(decisions.layer):
            decisions.tell_changed()
            decisions.close()
