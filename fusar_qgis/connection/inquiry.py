"""One question to the ``fusar`` on this computer, answered in JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence

from qgis.PyQt.QtCore import QObject, pyqtSignal

from ..core.installing import read_failure
from .backend import executable
from .command import Command

_LIMIT_S = 120


class Inquiry(QObject):
    """Runs ``fusar WORDS --json``; ``answered`` or ``failed`` comes once for each ``ask``."""

    answered = pyqtSignal(object)  # what the JSON says
    failed = pyqtSignal(str)  # why, and what to do

    def __init__(self, words: Sequence[str], parent: QObject) -> None:
        super().__init__(parent)
        self._words = [*words, "--json"]
        self._command = Command(self)
        self._command.ended.connect(self._read)

    def ask(self) -> None:
        """Ask, unless the answer is on its way."""
        if self._command.is_running:
            return
        fusar = executable()
        if fusar:
            self._command.run(fusar, self._words, limit_s=_LIMIT_S)
        else:
            self.failed.emit(
                self.tr(
                    "There is no backend on this computer yet. Open the FUSAR-GPT options and press Install."
                )
            )

    def close(self) -> None:
        """Stop without an answer."""
        self._command.close()

    def _read(self, well: bool) -> None:
        text = "\n".join(self._command.lines)
        try:
            answer = json.loads(text[text.index("[") : text.rindex("]") + 1])
        except ValueError:
            well = False
        if well:
            self.answered.emit(answer)
        else:
            self.failed.emit(
                self.tr(
                    "The backend on this computer does not answer: {reason}. Press Repair in the options."
                ).format(reason=read_failure(self._command.lines).rstrip(".") or self.tr("no reason given"))
            )
