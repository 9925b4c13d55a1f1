"""HTTP to one backend, asynchronous, on QGIS's own network stack."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import quote

from qgis.core import QgsApplication, QgsAuthCertUtils, QgsNetworkAccessManager, QgsSettings
from qgis.PyQt.QtCore import (
    QCoreApplication,
    QEventLoop,
    QFile,
    QIODevice,
    QObject,
    QThread,
    QTimer,
    QUrl,
    pyqtSignal,
)
from qgis.PyQt.QtNetwork import (
    QNetworkAccessManager,
    QNetworkProxy,
    QNetworkProxyQuery,
    QNetworkReply,
    QNetworkRequest,
)

from ..core.endpoint import Endpoint
from .diagnosis import RequestError, status_of, unreadable_answer, why_failed

_CLOSE_MS = 1000
_DISMISSALS_MS = (1000, 4000, 15_000, 40_000)


class Client(QObject):
    """Sends requests to ``endpoint``; a reply belongs to its caller, who keeps it, and deletes it at the end.

    It works in the thread that makes it, as far as that runs an event loop. No signal of a reply may be connected
    to a lambda that knows the reply: Python's garbage collector takes such a circle apart while Qt still uses it,
    and QGIS crashes.
    """

    gone = pyqtSignal(str)  # the backend will not come back at this address; why, and what to do

    def __init__(self, endpoint: Endpoint, parent: QObject | None = None, name: str = "") -> None:
        """``name`` tells the backend whose turn it is; empty means the analyst's at the toolbar."""
        super().__init__(parent)
        self.endpoint = endpoint
        self._name = name or own_name()
        self._owed: set[QNetworkReply] = set()  # a job may depend on them: never cut off lightly
        here = QThread.currentThread() is QCoreApplication.instance().thread()
        if here and not _goes_direct(endpoint):
            self._network = QgsNetworkAccessManager.instance()
        else:
            # Qt's own: QGIS's waits for ever in another thread when a certificate is not trusted, and going round
            # the proxy must change nothing for the rest of QGIS.
            self._network = QNetworkAccessManager(self)
            self._network.setProxy(_proxy_for(endpoint))

    def get(self, path: str, headers: dict[str, str] | None = None) -> QNetworkReply:
        """Ask for ``path``."""
        request = self._request(path)
        for name, value in (headers or {}).items():
            request.setRawHeader(name.encode(), value.encode())
        return self._network.get(request)

    def post(self, path: str, body: dict[str, Any]) -> QNetworkReply:
        """Send ``body`` as JSON to ``path``; :meth:`close` gives it a moment to arrive."""
        request = self._request(path)
        request.setHeader(QNetworkRequest.KnownHeaders.ContentTypeHeader, "application/json")
        return self._owe(self._network.post(request, json.dumps(body).encode()))

    def patch(self, path: str, body: dict[str, Any]) -> QNetworkReply:
        """Change ``path`` by ``body``, sent as JSON; :meth:`close` gives it a moment to arrive."""
        request = self._request(path)
        request.setHeader(QNetworkRequest.KnownHeaders.ContentTypeHeader, "application/json")
        return self._owe(self._network.sendCustomRequest(request, b"PATCH", json.dumps(body).encode()))

    def send_scene(self, name: str, file: Path) -> QNetworkReply:
        """Upload ``file`` as the scene ``name``, read from the disk as it goes. Raises OSError."""
        body = QFile(str(file))
        if not body.open(QIODevice.OpenModeFlag.ReadOnly):
            raise OSError(body.errorString())
        request = self._request(f"/scenes?name={quote(name, safe='')}")
        request.setHeader(QNetworkRequest.KnownHeaders.ContentTypeHeader, "application/octet-stream")
        reply = self._network.post(request, body)
        body.setParent(reply)
        return reply

    def dismiss(self, job: str) -> None:
        """Cancel the job on the backend, also when that is just being started again; nobody waits for it."""
        _Dismissal(self, job)

    def delete(self, path: str) -> QNetworkReply:
        """Delete ``path``; :meth:`close` gives it a moment to arrive."""
        return self._owe(self._network.deleteResource(self._request(path)))

    def problem(self, reply: QNetworkReply) -> str:
        """Return one line that says why ``reply`` failed and what to do, or an empty text."""
        return why_failed(reply, self.endpoint)

    def read(self, reply: QNetworkReply) -> bytes:
        """Return the body of a finished reply. Raises RequestError where it failed."""
        problem = self.problem(reply)
        if problem:
            raise RequestError(problem, status_of(reply))
        return bytes(reply.readAll())

    def read_field(self, reply: QNetworkReply, name: str) -> str:
        """Return one text of the JSON object in a finished reply. Raises RequestError where there is none."""
        body = self.read(reply)
        try:
            return str(json.loads(body)[name])
        except (ValueError, KeyError, TypeError) as error:
            raise self.unreadable() from error

    def unreadable(self) -> RequestError:
        """Return the error for an answer that makes no sense."""
        return RequestError(unreadable_answer(self.endpoint), 200)

    def close(self, limit_ms: int = _CLOSE_MS) -> None:
        """Let cancelled jobs be cancelled on the backend too, for ``limit_ms`` at most, then go."""
        limit = QTimer(self)
        limit.setSingleShot(True)
        limit.start(limit_ms)
        flags = (
            QEventLoop.ProcessEventsFlag.ExcludeUserInputEvents
            | QEventLoop.ProcessEventsFlag.WaitForMoreEvents
        )
        loop = QEventLoop()
        while self._owed and limit.isActive():
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
        request.setRawHeader(b"X-Client", self._name.encode())
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
        # A backend that streams pings every 10 s.
        request.setTransferTimeout(QgsNetworkAccessManager.timeout())
        if self.endpoint.url.startswith("https:"):
            tls = request.sslConfiguration()
            trusted = QgsApplication.authManager().trustedCaCertsCache()
            tls.setCaCertificates(QgsAuthCertUtils.casMerge(trusted, tls.caCertificates()))
            request.setSslConfiguration(tls)
        return request


class _Dismissal(QObject):
    """Tells the backend to cancel a job, and tells it again while nobody answers; deletes itself."""

    def __init__(self, client: Client, job: str) -> None:
        super().__init__(client)
        self._client = client
        self._path = f"/jobs/{job}"
        self._pauses = iter(_DISMISSALS_MS)
        self._reply: QNetworkReply | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._send)
        self._send()

    def _send(self) -> None:
        self._reply = self._client.delete(self._path)
        self._reply.finished.connect(self._answered)

    def _answered(self) -> None:
        reply, self._reply = self._reply, None
        if reply is None:
            return
        reply.deleteLater()
        pause = next(self._pauses, None) if status_of(reply) is None else None
        if pause is None:
            self.deleteLater()
        else:
            self._timer.start(pause)


def _goes_direct(endpoint: Endpoint) -> bool:
    return endpoint.is_loopback and endpoint.url.startswith("http:")


def _proxy_for(endpoint: Endpoint) -> QNetworkProxy:
    """Return the proxy of QGIS's settings for the endpoint; none for this computer."""
    factory = None if _goes_direct(endpoint) else QgsNetworkAccessManager.instance().proxyFactory()
    found = factory.queryProxy(QNetworkProxyQuery(QUrl(endpoint.url))) if factory is not None else []
    return found[0] if found else QNetworkProxy(QNetworkProxy.ProxyType.NoProxy)


def own_name() -> str:
    """Return what this QGIS profile is called to a backend, so that it takes turns by person; says nothing else."""
    settings = QgsSettings()
    name = settings.value("fusar/client", "", type=str)
    if not name:
        name = uuid.uuid4().hex
        settings.setValue("fusar/client", name)
    return str(name)
