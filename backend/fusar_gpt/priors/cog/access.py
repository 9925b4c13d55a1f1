"""Who asks for the files: nobody in particular, or a project of Google Cloud that pays."""

from __future__ import annotations

import threading
from typing import Any

from fusar_gpt.errors import PriorError
from fusar_gpt.priors.cog import remote
from fusar_gpt.priors.tiles import Unavailable

_SCOPE = "https://www.googleapis.com/auth/devstorage.read_only"


class Access:
    """Headers for requests. Credentials are those that Google's library finds, and go to Google alone.

    Args:
        web: Address of the files.
        anonymous: Ask without an account; a project that pays needs one.
        project: Project that pays for a requester-pays bucket.

    Raises:
        PriorError: An account was asked for where none can be used.
    """

    def __init__(self, web: str, *, anonymous: bool, project: str | None) -> None:
        self._named = bool(project) or not anonymous
        self._project = project
        if self._named and not web.startswith(remote.GOOGLE):
            raise PriorError("Only Google's bucket takes an account and a project that pays: leave them out.")
        self._lock = threading.Lock()
        self._credentials: Any = None

    def __str__(self) -> str:
        if self._project:
            return f"asked for the project {self._project}, which pays"
        return "asked with your account" if self._named else "asked without an account"

    def headers(self) -> dict[str, str]:
        """What goes with each request; asks for a token where one is due.

        Raises:
            Unavailable: There are no credentials, or they have expired.
        """
        if not self._named:
            return {}
        with self._lock:
            token = self._token()
        paying = {"x-goog-user-project": self._project} if self._project else {}
        return {"Authorization": f"Bearer {token}", **paying}

    def _token(self) -> str:
        try:
            import google.auth
            import google.auth.exceptions
            import google.auth.transport.requests
        except ImportError as error:
            raise Unavailable(
                "A project that pays needs google-auth: pip install 'fusar-gpt[ee]'."
            ) from error
        try:
            if self._credentials is None:
                self._credentials, _ = google.auth.default(scopes=[_SCOPE])
            if not self._credentials.valid:
                self._credentials.refresh(google.auth.transport.requests.Request())
        except google.auth.exceptions.GoogleAuthError as error:
            raise Unavailable(
                "Google takes no credentials for the project that pays: gcloud auth application-default login."
            ) from error
        return str(self._credentials.token)
