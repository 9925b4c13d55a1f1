"""Asks, in words, before a prior is fetched from the network, and remembers the answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import urlsplit

from qgis.PyQt.QtCore import QObject, pyqtSignal
from qgis.PyQt.QtNetwork import QNetworkReply
from qgis.PyQt.QtWidgets import QDialog, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from ..connection.client import Client
from ..connection.network_consent import ALWAYS, ASK, NEVER, is_open, keep_consent, kept_consent, may_fetch
from ..contract import Preview, PriorStatus, ProtocolError, read
from ..core.endpoint import Endpoint

_Answer = TypeVar("_Answer", PriorStatus, Preview)


def first_reason(said: Sequence[str]) -> str:
    """Return the first of the lines in which a backend says why there is no prior: the others follow from it."""
    return said[0].removeprefix("prior: ") if said else ""


class ConsentQuestion(QWidget):
    """The question with its three answers; ``answered`` brings whether priors may be fetched."""

    answered = pyqtSignal(bool)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._words = QLabel(self)
        self._words.setWordWrap(True)
        row = QHBoxLayout()
        for name, text, answer in (
            ("FusarAllowAlways", self.tr("Allow always"), ALWAYS),
            ("FusarAllowOnce", self.tr("This time"), ASK),
            ("FusarAllowNever", self.tr("Never"), NEVER),
        ):
            button = QPushButton(text, self)
            button.setObjectName(name)
            button.setAutoDefault(False)
            button.setProperty("answer", answer)
            button.clicked.connect(self._on_answer)
            row.addWidget(button)
        row.addStretch()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._words)
        layout.addLayout(row)

    def put(self, hosts: tuple[str, ...], endpoint: Endpoint) -> None:
        """Ask about ``hosts``; it is the backend that fetches, which may be another computer."""
        words = self.tr(
            "AlphaEarth tiles of this place are fetched from {hosts}; only the tile numbers leave this computer."
        )
        if not endpoint.is_loopback:
            words = self.tr(
                "The server {server} fetches AlphaEarth tiles of this place from {hosts}; only the tile numbers "
                "leave it."
            )
        if kept_consent() == NEVER:
            words += " " + self.tr("So far your answer is never.")
        server = urlsplit(endpoint.url).hostname or endpoint.url
        self._words.setText(words.format(hosts=", ".join(hosts), server=server))

    def _on_answer(self) -> None:
        answer = self.sender().property("answer")
        if answer != ASK:
            keep_consent(answer)
        self.answered.emit(answer != NEVER)


class PriorCheck(QObject):
    """Settles before a run whether its prior may be fetched, asking the analyst where that is open.

    ``settled`` brings the answer, once, during ``start`` where nobody has to be asked; or ``unavailable`` brings why
    there is no prior, where one is needed. The question is a window of its own that blocks nothing; to close it means
    no, this time. ``asking`` while it waits for an answer.
    """

    settled = pyqtSignal(bool)
    unavailable = pyqtSignal(str)
    asking = pyqtSignal()

    def __init__(self, client: Client, window: QWidget, parent: QObject) -> None:
        super().__init__(parent)
        self._client, self._window = client, window
        self._inputs: dict[str, Any] = {}
        self._is_needed = self._is_refused = False
        self._reply: QNetworkReply | None = None
        self._dialog: QDialog | None = None

    def start(self, inputs: dict[str, Any], *, needed: bool = False) -> None:
        """Find out for the inputs of a job; ``needed``: the run is of no use without a prior."""
        self._inputs, self._is_needed = inputs, needed
        if is_open(inputs["prior"], wished=needed):
            self._post("/prior", inputs, self._on_status)
        else:
            self._settle(may_fetch())

    def stop(self) -> None:
        """Ask no more; nothing is signalled."""
        self.blockSignals(True)
        reply, self._reply = self._reply, None
        if reply is not None:
            reply.abort()
            reply.deleteLater()
        self._close()
        self.deleteLater()

    def _post(self, path: str, inputs: dict[str, Any], then: Callable[[], None]) -> None:
        self._reply = self._client.post(path, {"inputs": inputs})
        self._reply.finished.connect(then)

    def _answer_of(self, kind: type[_Answer]) -> tuple[_Answer | None, str]:
        """Return the answer of the backend, or None and why there is none."""
        reply, self._reply = self._reply, None
        if reply is None:
            return None, ""
        reply.deleteLater()
        problem = self._client.problem(reply)
        try:
            return (None, problem) if problem else (read(kind, bytes(reply.readAll())), "")
        except ProtocolError:
            return None, str(self._client.unreadable())

    def _on_status(self) -> None:
        if self._reply is None:
            return
        status, _ = self._answer_of(PriorStatus)  # what is wrong with the request is told when it is run
        if status is None or status.at_hand or not status.hosts:
            self._settle(False)
        else:
            self._ask(status)

    def _ask(self, status: PriorStatus) -> None:
        self._dialog = QDialog(self._window)
        self._dialog.setObjectName("FusarPriorConsent")
        self._dialog.setWindowTitle(self.tr("Prior from the network"))
        self._dialog.setMinimumWidth(420)
        question = ConsentQuestion(self._dialog)
        question.put(status.hosts, self._client.endpoint)
        question.answered.connect(self._on_answer)
        QVBoxLayout(self._dialog).addWidget(question)
        self._dialog.rejected.connect(self._on_closed)
        self._dialog.show()  # not exec: what runs goes on
        self._dialog.raise_()
        self.asking.emit()

    def _on_closed(self) -> None:
        self._on_answer(False)

    def _on_answer(self, allowed: bool) -> None:
        if self._dialog is not None:
            self._is_refused = not allowed
            self._close()
            self._settle(allowed)

    def _settle(self, allowed: bool) -> None:
        if self._is_needed:
            self._inputs = {**self._inputs, "prior_network": allowed}
            self._post("/preview", self._inputs, self._on_preview)
        else:
            self.settled.emit(allowed)

    def _on_preview(self) -> None:
        if self._reply is None:
            return
        preview, problem = self._answer_of(Preview)
        if preview is not None and preview.prior.nodes:
            self.settled.emit(self._inputs["prior_network"])
        else:
            reason = first_reason(preview.prior.said) if preview is not None else problem
            refused = self.tr("It may not be fetched from the network.")
            self.unavailable.emit(refused if self._is_refused else reason)

    def _close(self) -> None:
        dialog, self._dialog = self._dialog, None
        if dialog is not None:
            dialog.hide()
            dialog.deleteLater()
