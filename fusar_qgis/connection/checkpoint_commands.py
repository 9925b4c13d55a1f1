"""Models for the backend on this computer: listed, downloaded and imported by ``fusar checkpoint``."""

from __future__ import annotations

from collections.abc import Sequence

from qgis.PyQt.QtCore import QObject, pyqtSignal

from ..core.checkpoints import read_checkpoints
from ..core.installing import read_failure
from .command import Command, JsonQuery, fusar_executable


class CheckpointCommands(QObject):
    """Knows which models there are, and gets one more at a time. Every ``get`` ends with one ``ended``."""

    listed = pyqtSignal(object)  # list of Checkpoint
    unlisted = pyqtSignal(str)  # why there is no list
    line_added = pyqtSignal(str)  # a line for the log
    step = pyqtSignal(str)  # what is being done
    ended = pyqtSignal(bool, str)  # whether it went well, and what that means

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.is_busy = False
        self.log: list[str] = []
        self.doing = ""
        self._cancelled = False
        self._query = JsonQuery(["checkpoint", "list"], self)
        self._query.answered.connect(self._list)
        self._query.failed.connect(self.unlisted)
        self._command = Command(self)
        self._command.line_added.connect(self._on_line)
        self._command.ended.connect(self._on_ended)

    def ask(self) -> None:
        """Have ``listed`` or ``unlisted`` come."""
        self._query.ask()

    def get(self, words: Sequence[str]) -> None:
        """Run ``fusar checkpoint WORDS``, which downloads or imports a model."""
        fusar = fusar_executable()
        if self.is_busy:
            return
        if not fusar:
            self.ended.emit(False, self.tr("Install the backend first (tab “This computer”)."))
            return
        self.is_busy, self._cancelled = True, False
        self.log = []
        self._on_line(f"> fusar checkpoint {' '.join(words)}")
        self._command.run(fusar, ["checkpoint", *words])

    def cancel(self) -> None:
        """Stop at once; what has been downloaded whole is used the next time."""
        self._cancelled = True
        self._command.stop()

    def close(self) -> None:
        """Stop at once and without an end."""
        self.blockSignals(True)
        self._query.close()
        self._command.close()

    def _list(self, answer: object) -> None:
        self.listed.emit(read_checkpoints(answer))

    def _on_line(self, line: str) -> None:
        self.log.append(line)
        self.doing = line.removeprefix("fusar: ")
        self.line_added.emit(line)
        self.step.emit(self.doing)

    def _on_ended(self, well: bool) -> None:
        if self._cancelled:
            text = self.tr("Cancelled. What has been downloaded whole is kept for the next time.")
        elif well:
            text = self.tr("The model is installed. Choose it above.")
        else:
            reason = read_failure(self._command.lines).removeprefix("fusar: ").rstrip(".")
            text = self.tr("The model could not be installed: {reason}.").format(
                reason=reason or self.tr("no reason given")
            )
        self.is_busy, self.doing = False, ""
        self.ended.emit(well and not self._cancelled, text)
        if well:
            self.ask()
