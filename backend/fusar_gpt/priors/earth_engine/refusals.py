"""What goes wrong with Earth Engine, in plain words."""

from __future__ import annotations

import re

from google.auth.exceptions import GoogleAuthError, RefreshError
from googleapiclient.errors import HttpError

from fusar_gpt.priors.earth_engine.access import Access
from fusar_gpt.priors.earth_engine.pixels import Truncated
from fusar_gpt.priors.patience import Patience

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

_FORBIDDEN = (
    (
        "has not been used|is disabled|not enabled|SERVICE_DISABLED",
        "The Earth Engine API is not enabled in the project: enable it at "
        "https://console.cloud.google.com/apis/library/earthengine.googleapis.com.",
    ),
    (
        "not registered|not signed up",
        "The project is not registered for Earth Engine: do so at https://code.earthengine.google.com/register.",
    ),
)
_MAY_NOT = (
    "The account may not use Earth Engine in the project: have it granted the roles Earth Engine Resource Viewer "
    "and Service Usage Consumer, or name another project."
)
_TOO_MUCH = (
    "Earth Engine turns us away, too many requests or the quota is used up: wait, or try another source."
)


def explained(error: Exception, status: int, access: Access, patience: Patience) -> tuple[str, bool]:
    """What a user should read, and whether it may help to ask again.

    Args:
        error: What the client raised.
        status: The HTTP status that came last; 0 if none came.
        access: Who was asked.
        patience: How.
    """
    if isinstance(error, RefreshError) and status in (400, 401, 403):
        return EXPIRED, False
    if isinstance(error, GoogleAuthError):
        return "Google's sign-in does not answer as it should: try again later.", True
    if isinstance(error, TimeoutError):
        return f"Earth Engine gave no answer in {patience.deadline_s:g} s: try later, or wait longer.", True
    if isinstance(error, OSError):
        return f"Earth Engine at {access.host} cannot be reached: check the network or the proxy.", True
    if isinstance(error, Truncated):
        return "Earth Engine's answers break off: try again later, or another source.", True
    reason = " ".join(str(error.reason if isinstance(error, HttpError) else error).split())
    return _refusal(status, reason)


def _refusal(status: int, reason: str) -> tuple[str, bool]:
    """The same, of an answer with an HTTP status that is an error."""
    if "no project found" in reason:
        return NO_PROJECT, False
    if status == 401:
        return EXPIRED, False
    if status == 429 or (status == 403 and re.search("rate ?limit|quota exceeded", reason, re.IGNORECASE)):
        return _TOO_MUCH, True
    if status == 403:
        found = (told for pattern, told in _FORBIDDEN if re.search(pattern, reason, re.IGNORECASE))
        return next(found, _MAY_NOT), False
    if status >= 500:
        return f"Earth Engine has trouble of its own (HTTP {status}): try again later.", True
    if status == 404:
        return "Earth Engine does not know the project, or it is not at this address: check both.", False
    if status == 400:
        return f"Earth Engine cannot do this: {reason[:200].rstrip('.')}.", False
    return IMPOSTOR, False
