"""The preview in the request dialog: one chip as the model sees it, and its prior."""

from __future__ import annotations

from html import escape
from typing import Any

from qgis.PyQt.QtCore import QObject, Qt, QTimer, pyqtSignal
from qgis.PyQt.QtGui import QPixmap
from qgis.PyQt.QtNetwork import QNetworkReply
from qgis.PyQt.QtWidgets import QFrame, QGridLayout, QLabel, QPushButton, QWidget

from ..connection.client import Client
from ..contract import Preview, ProtocolError, ShownChip, ShownPrior, read
from ..translation import translate_count
from .prior_consent import first_reason

_SIDE_PX = 208
_DEBOUNCE_MS = 400
_BOTTOM = Qt.AlignmentFlag.AlignBottom | Qt.AlignmentFlag.AlignHCenter


class DebouncedRequest(QObject):
    """Asks the backend about inputs, a moment after the last change; only the answer to the newest counts.

    ``answered`` brings what the contract makes of the answer, ``failed`` one line.
    """

    asked = pyqtSignal()
    answered = pyqtSignal(object)
    failed = pyqtSignal(str)

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
            self.failed.emit(problem)
            return
        try:
            self.answered.emit(read(self._kind, bytes(reply.readAll())))
        except ProtocolError:
            self.failed.emit(
                self.tr("The backend's answer is not understood. Update the backend and the plugin.")
            )


class PreviewPanel(QWidget):
    """Two pictures with what they are; ``wanted`` when the analyst asks for them."""

    wanted = pyqtSignal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._chip, self._chip_text = _picture(self), _caption(self)
        self._prior, self._prior_text = _picture(self), _caption(self)
        self._told = _caption(self)
        self._show_now = QPushButton(self.tr("Send It and S&how"), self)
        self._show_now.setAutoDefault(False)
        self._show_now.clicked.connect(self.wanted)
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setHorizontalSpacing(12)
        layout.setRowStretch(4, 1)
        for column, title, parts in (
            (0, self.tr("What the model sees"), (self._chip, self._chip_text)),
            (1, self.tr("Prior"), (self._prior, self._prior_text)),
        ):
            layout.setColumnStretch(column, 1)
            heading = QLabel(f"<b>{title}</b>", self)
            for row, widget in enumerate((heading, *parts)):
                layout.addWidget(widget, row, column)
        layout.addWidget(self._told, 3, 0, 1, 2)
        layout.addWidget(self._show_now, 1, 0, _BOTTOM)
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
        self._told.setText(escape(problem, quote=False))

    def show_preview(self, preview: Preview) -> None:
        """Show them."""
        self._show_now.hide()
        _put(self._chip, preview.chip.png, "")
        self._chip_text.setText(self._chip_words(preview.chip))
        self._told.setText(self._told_of(preview.chip))
        none = self.tr("No prior") if preview.prior.source == "none" else self.tr("No prior here")
        _put(self._prior, preview.prior.png, none)
        self._prior_text.setText(self._prior_words(preview.prior))

    def _clear(self, text: str) -> None:
        self._show_now.hide()
        for picture, caption in ((self._chip, self._chip_text), (self._prior, self._prior_text)):
            _put(picture, b"", "")
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
        return f"{place} {escape(stretch, quote=False)}"

    def _told_of(self, chip: ShownChip) -> str:
        """What the numbers were taken for and why, and what speaks against a run."""
        judged = self.tr("Taken for {reason}.").format(reason=chip.stretch.reason)
        words = [escape(judged, quote=False)] if chip.stretch.reason else []
        return "<br>".join([*words, *(f"<b>{escape(line, quote=False)}</b>" for line in chip.warnings)])

    def _prior_words(self, prior: ShownPrior) -> str:
        if not prior.png:
            return escape(first_reason(prior.said), quote=False)
        year = self.tr("{source}, {year}") if prior.year else self.tr("{source}, year not stated")
        words = [
            year.format(source=prior.source, year=prior.year),
            translate_count("PreviewPanel", "%n vector(s); A01, A16, A09 as red, green, blue.", prior.nodes),
        ]
        if prior.simulated:
            words.insert(1, self.tr("simulated"))
        return escape(", ".join(words), quote=False)


def _picture(parent: QWidget) -> QLabel:
    label = QLabel(parent)
    label.setFixedSize(_SIDE_PX + 2, _SIDE_PX + 2)
    label.setFrameShape(QFrame.Shape.StyledPanel)
    label.setAlignment(Qt.AlignmentFlag.AlignCenter)
    label.setWordWrap(True)
    label.setMargin(0)
    return label


def _caption(parent: QWidget) -> QLabel:
    label = QLabel(parent)
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.RichText)
    label.setMinimumHeight(2 * label.fontMetrics().lineSpacing())
    label.setAlignment(Qt.AlignmentFlag.AlignTop)
    return label


def _put(label: QLabel, png: bytes, otherwise: str) -> None:
    picture = QPixmap()
    if png and picture.loadFromData(png, "PNG"):
        label.setPixmap(
            picture.scaled(
                _SIDE_PX,
                _SIDE_PX,
                Qt.AspectRatioMode.KeepAspectRatio,
                Qt.TransformationMode.SmoothTransformation,
            )
        )
    else:
        label.setPixmap(QPixmap())
        label.setText(otherwise)
