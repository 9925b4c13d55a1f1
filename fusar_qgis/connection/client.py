"""HTTP to one backend, asynchronous, on QGIS's own network stack."""

from __future__ import annotations

import json
from typing import Any

from qgis.core import QgsNetworkAccessManager
from qgis.PyQt.QtCore import QEventLoop, QObject, QTimer, QUrl
from qgis.PyQt.QtNetwork import QNetworkProxy, QNetworkReply, QNetworkRequest

from ..core.endpoint import Endpoint
from ..core.events import read_problem

_LAST_WORDS_MS = 1000


class Client(QObject):
    """Sends requests to ``endpoint``; a reply belongs to its caller, who keeps it, and deletes it at the end.

    No signal of a reply may be connected to a lambda that knows the reply: Python's garbage collector takes
    such a circle apart while Qt still uses it, and QGIS crashes.
    """

    def __init__(self, endpoint: Endpoint, parent: QObject) -> None:
        super().__init__(parent)
        self.endpoint = endpoint
        self._owed: set[QNetworkReply] = set()  # a job may depend on them: never cut off lightly
        if endpoint.is_loopback:
            # A manager of our own, so that going round the proxy changes nothing for the rest of QGIS.
            self._network = QgsNetworkAccessManager(self)
            self._network.setProxy(QNetworkProxy(QNetworkProxy.ProxyType.NoProxy))
        else:
            self._network = QgsNetworkAccessManager.instance()

    def get(self, path: str) -> QNetworkReply:
        """Ask for ``path``."""
        return self._network.get(self._request(path))

    def post(self, path: str, body: dict[str, Any]) -> QNetworkReply:
        """Send ``body`` as JSON to ``path``."""
        request = self._request(path)
        request.setHeader(QNetworkRequest.KnownHeaders.ContentTypeHeader, "application/json")
        return self._owe(self._network.post(request, json.dumps(body).encode()))

    def dismiss(self, job: str) -> None:
        """Cancel the job on the backend; nobody waits for the answer."""
        reply = self._network.deleteResource(self._request(f"/jobs/{job}"))
        self._owe(reply)
        reply.finished.connect(reply.deleteLater)

    def problem(self, reply: QNetworkReply) -> str:
        """Return one line that says why ``reply`` failed and what to do, or an empty text."""
        if reply.error() == QNetworkReply.NetworkError.NoError:
            return ""
        detail = read_problem(bytes(reply.readAll()))
        status = reply.attribute(QNetworkRequest.Attribute.HttpStatusCodeAttribute)
        if status == 401:
            text = self.tr("The backend does not accept the token. Check the token, or restart the backend.")
        elif detail:
            text = detail
        elif status:
            text = self.tr("The backend at {url} answered with HTTP {status}. Look at its log.")
        else:
            text = self.tr("The backend at {url} does not answer. Check that it runs, then try again.")
        return str(text).replace("{url}", self.endpoint.url).replace("{status}", str(status))

    def close(self) -> None:
        """Let cancelled jobs be cancelled on the backend too (a second at most), then go."""
        patience = QTimer(self)
        patience.setSingleShot(True)
        patience.start(_LAST_WORDS_MS)
        flags = (
            QEventLoop.ProcessEventsFlag.ExcludeUserInputEvents
            | QEventLoop.ProcessEventsFlag.WaitForMoreEvents
        )
        loop = QEventLoop()
        while self._owed and patience.isActive():
            loop.processEvents(flags)
        self.deleteLater()

    def _owe(self, reply: QNetworkReply) -> QNetworkReply:
        self._owed.add(reply)
        reply.finished.connect(self._settle)
        return reply

    def _settle(self) -> None:
        self._owed = {reply for reply in self._owed if not reply.isFinished()}

    def _request(self, path: str) -> QNetworkRequest:
        request = QNetworkRequest(QUrl(self.endpoint.url + path))
        request.setRawHeader(b"Authorization", f"Bearer {self.endpoint.token}".encode())
        request.setAttribute(
            QNetworkRequest.Attribute.CacheLoadControlAttribute,
            QNetworkRequest.CacheLoadControl.AlwaysNetwork,
        )
        request.setAttribute(QNetworkRequest.Attribute.CacheSaveControlAttribute, False)
        # The token must not follow a redirect to somebody else.
        request.setAttribute(
            QNetworkRequest.Attribute.RedirectPolicyAttribute,
            QNetworkRequest.RedirectPolicy.ManualRedirectPolicy,
        )
        return request
