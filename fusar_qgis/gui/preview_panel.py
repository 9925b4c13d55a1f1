"""The preview in the request dialog: one chip as the model sees it, and its prior."""

from __future__ import annotations

from html import escape
from typing import Any

from qgis.PyQt.QtCore import QObject, Qt, QTimer, pyqtSignal
from qgis.PyQt.QtNetwork import QNetworkReply
from qgis.PyQt.QtWidgets import QGridLayout, QLabel, QPushButton, QWidget

from ..connection.backend_words import in_words
from ..connection.client import Client
from ..connection.diagnosis import status_of
from ..contract import Preview, ProtocolError, ShownChip, ShownPrior, read
from ..translation import translate_count
from .prior_consent import first_reason
from .square_picture import SquarePicture
from .text_block import TextBlock

_USUAL_PX, _LEAST_PX, _MOST_PX = 210, 130, 420
_DEBOUNCE_MS = 400
_REFUSED = (400, 403, 413, 422)
"""What a backend answers to inputs that it would refuse as a job too."""


class DebouncedRequest(QObject):
    """Asks the backend about inputs, a moment after the last change; only the answer to the newest counts.

    ``answered`` brings what the contract makes of the answer, ``failed`` one line, and whether a job with the same
    inputs would be refused too.
    """

    asked = pyqtSignal()
    answered = pyqtSignal(object)
    failed = pyqtSignal(str, bool)

    def __init__(self, path: str, kind: type, parent: QObject) -> None:
        """``path`` is what is asked, ``kind`` the contract's class of the answer."""
        super().__init__(parent)
        self._path, self._kind = path, kind
        self._client: Client | None = None
        self._inputs: dict[str, Any] = {}
        self._reply: QNetworkReply | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_DEBOUNCE_MS)
        self._timer.timeout.connect(self._send)

    def ask(self, client: Client, inputs: dict[str, Any]) -> None:
        """Ask about the inputs of a job, unless that was asked last."""
        if client is self._client and inputs == self._inputs:
            return
        self.stop()
        self._client, self._inputs = client, inputs
        self._timer.start()
        self.asked.emit()

    def stop(self) -> None:
        """Let go of what was asked."""
        self._timer.stop()
        self._client, self._inputs = None, {}
        reply, self._reply = self._reply, None
        if reply is not None:
            reply.abort()
            reply.deleteLater()

    def _send(self) -> None:
        if self._client is not None:
            self._reply = self._client.post(self._path, {"inputs": self._inputs})
            self._reply.finished.connect(self._finished)

    def _finished(self) -> None:
        reply, client = self._reply, self._client
        if reply is None or client is None or not reply.isFinished():
            return
        self._reply = None
        reply.deleteLater()
        problem = client.problem(reply)
        if problem:
            self._inputs = {}  # the next change may ask the same again
            self.failed.emit(problem, status_of(reply) in _REFUSED)
            return
        try:
            self.answered.emit(read(self._kind, bytes(reply.readAll())))
        except ProtocolError:
            self.failed.emit(
                self.tr("The backend's answer is not understood. Update the backend and the plugin."), False
            )


class PreviewPanel(QWidget):
    """Two pictures with what they are; ``wanted`` when the analyst asks for them."""

    wanted = pyqtSignal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._chip, self._chip_text = _picture(self), TextBlock(self)
        self._prior, self._prior_text = _picture(self), TextBlock(self)
        self._told = TextBlock(self)
        self._show_now = QPushButton(self.tr("Send It and S&how"), self)
        self._show_now.setAutoDefault(False)
        self._show_now.clicked.connect(self.wanted)
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setHorizontalSpacing(12)
        for column, title, parts in (
            (0, self.tr("What the model sees"), (self._chip, self._chip_text)),
            (1, self.tr("Prior"), (self._prior, self._prior_text)),
        ):
            layout.setColumnStretch(column, 1)
            heading = QLabel(f"<b>{title}</b>", self)
            for row, widget in enumerate((heading, *parts)):
                layout.addWidget(widget, row, column)
        layout.addWidget(self._show_now, 3, 0, 1, 2, Qt.AlignmentFlag.AlignLeft)
        layout.addWidget(self._told, 4, 0, 1, 2)
        self.wait()

    def offer(self, text: str) -> None:
        """Say why there are no pictures yet, and offer to get them."""
        self._clear(text)
        self._show_now.show()

    def wait(self, text: str = "") -> None:
        """Say what is under way."""
        self._show_now.hide()
        if self._chip.pixmap() is None or self._chip.pixmap().isNull() or text:
            self._clear(text or self.tr("Wait…"))

    def fail(self, problem: str) -> None:
        """Say why there are no pictures."""
        self._clear("")
        self._told.setPlainText(problem)

    def show_preview(self, preview: Preview) -> None:
        """Show them."""
        self._show_now.hide()
        self._chip.put(preview.chip.png, "")
        self._chip_text.setPlainText(self._chip_words(preview.chip))
        self._told.setHtml(self._told_of(preview.chip))
        none = self.tr("No prior") if preview.prior.source == "none" else self.tr("No prior here")
        self._prior.put(preview.prior.png, none)
        self._prior_text.setPlainText(self._prior_words(preview.prior))

    def _clear(self, text: str) -> None:
        self._show_now.hide()
        for picture, caption in ((self._chip, self._chip_text), (self._prior, self._prior_text)):
            picture.put(b"", "")
            caption.clear()
        self._told.clear()
        self._chip.setText(text)

    def _chip_words(self, chip: ShownChip) -> str:
        place = self.tr("One chip, {width:,.0f} m wide.").format(width=chip.ground_m)
        if chip.stretch.quantity == "grey":
            stretch = self.tr("{band}: 8-bit greys, as they are.").format(band=chip.band)
        else:
            stretch = self.tr("{band}: {low:.0f} to {high:.0f} dB from black to white.").format(
                band=chip.band, low=chip.stretch.low_db, high=chip.stretch.high_db
            )
        return f"{place} {stretch}"

    def _told_of(self, chip: ShownChip) -> str:
        """What the numbers were taken for and why, and what speaks against a run."""
        judged = self.tr("Taken for {reason}.").format(reason=chip.stretch.reason)
        words = [escape(judged, quote=False)] if chip.stretch.reason else []
        return "<br>".join(
            [*words, *(f"<b>{escape(in_words(line), quote=False)}</b>" for line in chip.warnings)]
        )

    def _prior_words(self, prior: ShownPrior) -> str:
        if not prior.png:
            return in_words(first_reason(prior.said))
        year = self.tr("{source}, {year}") if prior.year else self.tr("{source}, year not stated")
        words = [
            year.format(source=prior.source, year=prior.year),
            translate_count("PreviewPanel", "%n vector(s); A01, A16, A09 as red, green, blue.", prior.nodes),
        ]
        if prior.simulated:
            words.insert(1, self.tr("simulated"))
        return ", ".join(words)


def _picture(parent: QWidget) -> SquarePicture:
    return SquarePicture(parent, _USUAL_PX, _LEAST_PX, _MOST_PX)
