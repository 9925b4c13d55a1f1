"""Which Earth Engine is asked, and as whom."""

from __future__ import annotations

import importlib.util
import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from fusar_gpt.priors.retry import Unavailable

STANDARD = "https://earthengine.googleapis.com"
HIGH_VOLUME = "https://earthengine-highvolume.googleapis.com"
"""For many small requests side by side, such as ours."""


@dataclass(frozen=True)
class EarthEngineConfig:
    """How Earth Engine is reached.

    Attributes:
        project: Google Cloud project registered for Earth Engine; None takes the credentials' own.
        credentials: Key of a service account, or saved user credentials; None takes what
            ``earthengine authenticate`` saved, else Application Default Credentials.
        url: Base address of the API.
    """

    project: str | None
    credentials: Path | None
    url: str

    @classmethod
    def of(
        cls, project: str | None, credentials: Path | None, url: str | None, high_volume: bool
    ) -> EarthEngineConfig:
        """What the settings describe; ``url`` takes precedence over ``high_volume``.

        Raises:
            Unavailable: earthengine-api is not installed, or a setting cannot be used.
        """
        if importlib.util.find_spec("ee") is None:
            raise Unavailable("Earth Engine needs its Python client: pip install earthengine-api.")
        if project is not None and not re.fullmatch(r"[a-z0-9][a-z0-9.:-]*", project):
            raise Unavailable(
                f"{project!r} is not the ID of a Google Cloud project: give one, such as ee-ann."
            )
        if credentials is not None and not credentials.is_file():
            raise Unavailable(f"There is no credentials file {credentials}: give the path of a key.")
        if url is None:
            return cls(project, credentials, HIGH_VOLUME if high_volume else STANDARD)
        parts = urlsplit(url)
        here = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost")
        if not parts.hostname or not (parts.scheme == "https" or here):
            raise Unavailable(
                "The address of Earth Engine must be https, or credentials are sent in the open."
            )
        return cls(project, credentials, url.rstrip("/"))

    @property
    def host(self) -> str:
        """Host and port, for messages and the cache."""
        return urlsplit(self.url).netloc.rpartition("@")[2]

    @property
    def official(self) -> bool:
        """Whether it is Google's own Earth Engine, whose data are the same at each address."""
        return self.url in (STANDARD, HIGH_VOLUME)

    @property
    def has_account(self) -> bool:
        """Whether anything says as whom to sign in; found without the library, whose import takes seconds."""
        named = self.credentials or os.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
        return bool(named) or any(path.is_file() for path in _saved_logins()) or on_google_cloud()


def _saved_logins() -> tuple[Path, Path]:
    """Where ``earthengine authenticate`` and ``gcloud auth application-default login`` save theirs."""
    home = Path.home()
    cloud = Path(os.environ["APPDATA"]) / "gcloud" if "APPDATA" in os.environ else home / ".config/gcloud"
    cloud = Path(os.environ.get("CLOUDSDK_CONFIG") or cloud)
    return home / ".config/earthengine/credentials", cloud / "application_default_credentials.json"


def on_google_cloud() -> bool:
    """Whether this machine is Google's, which then vouches for the account."""
    try:
        maker = Path("/sys/class/dmi/id/product_name").read_text(encoding="utf-8", errors="replace")
    except OSError:
        maker = ""
    return "Google" in maker or "K_SERVICE" in os.environ
