"""Credentials for Earth Engine: a key file, the user's own login, or Application Default Credentials."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from typing import Any

import ee
import google.auth
from google.auth import _cloud_sdk
from google.auth.credentials import Credentials
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
from google.oauth2 import credentials as user
from google.oauth2 import service_account

from fusar_gpt.priors.earth_engine.config import EarthEngineConfig, on_google_cloud
from fusar_gpt.priors.failures import FIND_AN_ACCOUNT, NO_ACCOUNT, NO_PROJECT
from fusar_gpt.priors.retry import Unavailable

SCOPES = ["https://www.googleapis.com/auth/earthengine", "https://www.googleapis.com/auth/cloud-platform"]
_NOT_IN_FILE = f"{{}} holds no credentials for Earth Engine: {FIND_AN_ACCOUNT}"

_LARGEST = 2**16  # bytes of a credentials file; a key has 2,400


def sign_in(config: EarthEngineConfig, request: Any) -> tuple[Credentials, str]:
    """The credentials, not yet used, and the project to use them in.

    Args:
        config: Whose.
        request: What carries a request, should they have to be asked for.

    Raises:
        Unavailable: There are none, they cannot be read, or no project is known.
    """
    credentials, project, _ = find_credentials(config.credentials, request)
    project = config.project or project
    if not project or ee.oauth.is_sdk_project(project):
        raise Unavailable(NO_PROJECT)
    if getattr(credentials, "quota_project_id", None):
        # The client makes a copy without it for each of its two halves, and each would sign in.
        credentials = credentials.with_quota_project(None)
    return credentials, project


def find_credentials(path: Path | None, request: Any) -> tuple[Credentials, str | None, str]:
    """The credentials, the project they name, and in words what they are. Unavailable as for ``sign_in``."""
    if path is not None:
        return _from_file(path)
    own = Path(ee.oauth.get_credentials_path())
    content = _read(own) if own.is_file() else {}
    if content.get("refresh_token"):
        return _from_file(own)
    credentials, project = _default(request)  # of which the client's own file may choose the project
    return credentials, content.get("project") or project, "Application Default Credentials"


def _from_file(path: Path) -> tuple[Credentials, str | None, str]:
    content = _read(path)
    project = content.get("project") or content.get("quota_project_id") or content.get("project_id")
    try:
        if content.get("type") == "service_account":
            key = service_account.Credentials.from_service_account_info(content, scopes=SCOPES)
            return key, project, f"the service account key {path}"
        login = user.Credentials(
            None,
            refresh_token=content["refresh_token"],
            token_uri=content.get("token_uri", ee.oauth.TOKEN_URI),
            client_id=content.get("client_id", ee.oauth.CLIENT_ID),
            client_secret=content.get("client_secret", ee.oauth.CLIENT_SECRET),
            scopes=content.get("scopes"),
        )
    except (ValueError, LookupError, TypeError, AttributeError, GoogleAuthError) as error:
        raise Unavailable(_NOT_IN_FILE.format(path)) from error
    return login, project, f"your login in {path}"


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            content = json.loads(stream.read(_LARGEST))
    except (OSError, ValueError) as error:
        raise Unavailable(_NOT_IN_FILE.format(path)) from error
    if not isinstance(content, dict):
        raise Unavailable(_NOT_IN_FILE.format(path))
    return content


def _default(request: Any) -> tuple[Credentials, str | None]:
    """Application Default Credentials. Google's own search would ask around in the network for long."""
    named = os.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    saved = Path(_cloud_sdk.get_application_default_credentials_path()).is_file()
    if not (named or saved or on_google_cloud()):
        raise Unavailable(NO_ACCOUNT)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a project that is missing: we say so ourselves
            credentials, project = google.auth.default(scopes=SCOPES, request=request)
    except DefaultCredentialsError as error:
        raise Unavailable(NO_ACCOUNT) from error
    return credentials, getattr(credentials, "quota_project_id", None) or project
