"""What goes wrong with servers, in plain words: what happened, then what to do."""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from urllib.parse import urlsplit

import requests
import urllib3

from fusar_gpt.prior_options import MIRROR
from fusar_gpt.priors.retry import TransientError, Unavailable


class MissingError(Unavailable):
    """There is no such file."""


Rule = tuple[Container[int], str, type[Unavailable], str]
"""HTTP statuses, a pattern in the server's reason, the kind of failure, and what the user reads."""

_ANY, _SERVER_ERRORS = range(1000), range(500, 1000)

EXPIRED = (
    "Google no longer accepts the credentials, they have expired or were revoked: run earthengine authenticate, "
    "or give a new key."
)
IMPOSTOR = (
    "What answers is not Earth Engine: a proxy or a login page may be in between, or the address is wrong."
)
NO_PROJECT = (
    "Earth Engine needs a Google Cloud project: register one at https://code.earthengine.google.com/register "
    "and name it in FUSAR_PRIOR_EE_PROJECT."
)
FIND_AN_ACCOUNT = "run earthengine authenticate, or give the key of an account."
NO_ACCOUNT = f"There are no credentials for Earth Engine: {FIND_AN_ACCOUNT}"
_TOO_MUCH = (
    "Earth Engine turns us away, too many requests or the quota is used up: wait, or try another source."
)
_DISABLED = (
    "The Earth Engine API is not enabled in the project: enable it at "
    "https://console.cloud.google.com/apis/library/earthengine.googleapis.com."
)
_NOT_REGISTERED = (
    "The project is not registered for Earth Engine: do so at https://code.earthengine.google.com/register."
)
_NOT_ALLOWED = (
    "The account may not use Earth Engine in the project: have it granted the roles Earth Engine Resource Viewer "
    "and Service Usage Consumer, or name another project."
)
_TROUBLE = "Earth Engine has trouble of its own (HTTP {status}): try again later."
_UNKNOWN_PROJECT = "Earth Engine does not know the project, or it is not at this address: check both."
_REFUSED = (
    "{host} refuses to give files ({status}): it may want a project that pays (requester pays), "
    f"{MIRROR} does not."
)

COG_RULES: Sequence[Rule] = (
    ((404, 410), "", MissingError, "{host} has no {path} ({status}): check the address of the COGs."),
    ((400, 401, 402, 403), "", Unavailable, _REFUSED),
    ((429,), "", TransientError, "{host} gets too many requests (429): try again in some minutes."),
    ((408, *_SERVER_ERRORS), "", TransientError, "{host} is in trouble ({status}): try again later."),
    (_ANY, "", Unavailable, "{host} answers with {status}: check the address of the COGs."),
)

EARTH_ENGINE_RULES: Sequence[Rule] = (
    (_ANY, "no project found", Unavailable, NO_PROJECT),
    ((401,), "", Unavailable, EXPIRED),
    ((429,), "", TransientError, _TOO_MUCH),
    ((403,), "rate ?limit|quota exceeded", TransientError, _TOO_MUCH),
    ((403,), "has not been used|is disabled|not enabled|SERVICE_DISABLED", Unavailable, _DISABLED),
    ((403,), "not registered|not signed up", Unavailable, _NOT_REGISTERED),
    ((403,), "", Unavailable, _NOT_ALLOWED),
    (_SERVER_ERRORS, "", TransientError, _TROUBLE),
    ((404,), "", Unavailable, _UNKNOWN_PROJECT),
    ((400,), "", Unavailable, "Earth Engine cannot do this: {reason}."),
    (_ANY, "", Unavailable, IMPOSTOR),
)


def explain_status(
    rules: Sequence[Rule], status: int, *, host: str = "", path: str = "", reason: str = ""
) -> Unavailable:
    """The failure that an HTTP status and the server's reason stand for, by the first rule that fits."""
    facts = {"status": status, "host": host, "path": path, "reason": reason[:200].rstrip(".")}
    return next(
        kind(text.format(**facts))
        for statuses, pattern, kind, text in rules
        if status in statuses and re.search(pattern, reason, re.IGNORECASE)
    )


def explain_connection(error: Exception, url: str) -> Unavailable:
    """Why there was no answer at all."""
    host = host_of(url)
    if isinstance(error, requests.exceptions.SSLError):
        return Unavailable(f"{host} has a certificate that is not trusted: check the clock and the proxy.")
    if isinstance(error, (requests.Timeout, urllib3.exceptions.TimeoutError)):
        return TransientError(f"{host} does not answer: try again later, or set a longer deadline.")
    if isinstance(error, requests.ConnectionError):
        return TransientError(
            f"{host} cannot be reached: check the network or the proxy, or choose another source."
        )
    return TransientError(f"{host} breaks off, or sends damaged files: try again later.")


def host_of(url: str) -> str:
    """The server's name, all of an address that an error may show."""
    return urlsplit(url).hostname or "the server"
