"""Why a request failed, in plain words that say what to do next."""

from __future__ import annotations

from urllib.parse import urlsplit

from qgis.PyQt.QtNetwork import QNetworkProxy, QNetworkProxyQuery, QNetworkReply, QNetworkRequest

from ..contract import API, ApiMismatch, ProtocolError, read_problem
from ..core.endpoint import Endpoint
from ..translation import translate
from .backend_words import in_words

_Error = QNetworkReply.NetworkError
_PROXY_ERRORS = (
    _Error.ProxyConnectionRefusedError,
    _Error.ProxyConnectionClosedError,
    _Error.ProxyNotFoundError,
    _Error.ProxyTimeoutError,
    _Error.ProxyAuthenticationRequiredError,
    _Error.UnknownProxyError,
)
_PROXY_ANSWERS = (407, 502, 503, 504)


class RequestError(Exception):
    """A request failed; the message says why and what to do.

    ``status`` is the HTTP status, None where nobody answered.
    """

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status

    @property
    def is_gone(self) -> bool:
        """Whether nobody answers any more."""
        return self.status is None


def status_of(reply: QNetworkReply) -> int | None:
    """Return the HTTP status of ``reply``, or None where nobody answered."""
    status = reply.attribute(QNetworkRequest.Attribute.HttpStatusCodeAttribute)
    return None if status is None else int(status)


def why_failed(reply: QNetworkReply, endpoint: Endpoint) -> str:
    """Return one line that says why ``reply`` failed and what to do, or an empty text; reads its body."""
    status = status_of(reply)
    moved = status is not None and 300 <= status < 400
    if reply.error() == _Error.NoError and not moved:
        return ""
    cut_off = status is None or 200 <= status < 300
    words = _no_answer(reply) if cut_off else _refusal(status or 0, bytes(reply.readAll()))
    return _fill(words, endpoint, status)


def why_unreadable(error: ProtocolError, endpoint: Endpoint) -> str:
    """Return one line for an answer to ``GET /info`` that is none of this plugin's API."""
    if isinstance(error, ApiMismatch):
        return _fill(_other_api(error.served), endpoint, None)
    return _fill(_no_backend(), endpoint, None)


def unreadable_answer(endpoint: Endpoint) -> str:
    """Return one line for an answer of a backend that makes no sense."""
    words = translate(
        "Diagnosis", "The answer of {url} cannot be read. Install backend and plugin in the same version."
    )
    return _fill(str(words), endpoint, None)


def _no_answer(reply: QNetworkReply) -> str:
    error = reply.error()
    if error == _Error.HostNotFoundError:
        return translate(
            "Diagnosis",
            "The name “{host}” was not found. Check the address, and whether a VPN has to be connected first.",
        )
    if error in _PROXY_ERRORS or (error == _Error.ConnectionRefusedError and _is_proxied(reply)):
        return _proxy()
    if error == _Error.ConnectionRefusedError:
        return translate(
            "Diagnosis",
            "The backend at {url} does not answer: nothing listens there. Check that it runs and that the "
            "port is right (with an SSH tunnel: that the tunnel is open), then try again.",
        )
    if error == _Error.SslHandshakeFailedError:
        return translate(
            "Diagnosis",
            "The certificate of {url} is not trusted. Ask who runs the server for its certificate and add "
            "it in Settings, Options, Authentication, Manage Certificates.",
        )
    if error in (_Error.TimeoutError, _Error.OperationCanceledError):
        return translate(
            "Diagnosis",
            "The backend at {url} does not answer in time. A firewall may be in between, or the address is "
            "of another computer. Check both, then try again.",
        )
    if error == _Error.RemoteHostClosedError:
        return translate(
            "Diagnosis",
            "{url} closed the connection. Check whether the address begins with http:// or https://, and "
            "that the backend runs, then try again.",
        )
    return translate(
        "Diagnosis", "The backend at {url} does not answer ({error}). Check that it runs, then try again."
    ).replace("{error}", reply.errorString())


def _is_proxied(reply: QNetworkReply) -> bool:
    """Whether the request went to a proxy; then a refused connection is the proxy's."""
    manager = reply.manager()
    factory = manager.proxyFactory()
    found = [manager.proxy()] if factory is None else factory.queryProxy(QNetworkProxyQuery(reply.url()))
    return bool(found) and found[0].type() not in (
        QNetworkProxy.ProxyType.NoProxy,
        QNetworkProxy.ProxyType.DefaultProxy,
    )


def _refusal(status: int, body: bytes) -> str:
    if status == 401:
        return translate(
            "Diagnosis",
            "The backend at {url} does not accept the token. Enter the one that the backend was started with.",
        )
    problem = read_problem(body)
    if problem is not None and problem.served_api is not None:
        return _other_api(problem.served_api)
    if problem is not None and problem.detail:
        return in_words(problem.detail, problem.code)
    if status in _PROXY_ANSWERS:
        return _proxy()
    if status < 500:
        return _no_backend()
    return translate("Diagnosis", "The backend at {url} answered with HTTP {status}. Look at its log.")


def _proxy() -> str:
    return translate(
        "Diagnosis",
        "A proxy stands between QGIS and {url}, and it does not let the request through. Exclude the "
        "address in Settings, Options, Network, or ask who runs the proxy.",
    )


def _no_backend() -> str:
    return translate(
        "Diagnosis",
        "What answers at {url} is not a FUSAR-GPT backend: another program, or the sign-in page of a "
        "network. Check address and port.",
    )


def _other_api(served: int) -> str:
    words = (
        translate(
            "Diagnosis",
            "The backend at {url} is newer than this plugin (API {served}, here {api}). Update the plugin.",
        )
        if served > API
        else translate(
            "Diagnosis",
            "The backend at {url} is older than this plugin (API {served}, here {api}). Update the backend.",
        )
    )
    return str(words).replace("{served}", str(served)).replace("{api}", str(API))


def _fill(words: str, endpoint: Endpoint, status: int | None) -> str:
    # Not str.format: a backend's own reason may hold braces.
    host = urlsplit(endpoint.url).hostname or ""
    for name, value in (("{url}", endpoint.url), ("{host}", host), ("{status}", str(status))):
        words = words.replace(name, value)
    return words
