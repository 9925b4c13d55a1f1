"""Where an OpenAI-compatible endpoint is, and whether it is safe to send it pictures and a key."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from fusar_gpt.server.security import is_loopback
from fusar_train.corpus.errors import CorpusError

KEY_VARIABLES = ("FUSAR_API_KEY", "OPENAI_API_KEY")
"""Environment variables that may hold the key, the first that is set counts."""


@dataclass(frozen=True)
class EndpointOptions:
    """Where and whom to ask.

    Attributes:
        api_base: Its address up to and with the version: https://host/v1.
        model: As the endpoint calls it.
        max_answer: Most tokens of an answer.
        temperature: None leaves it to the endpoint; some models take none.
        retries: Of a request that the endpoint was too busy for.
        timeout_s: Of one request.
        insecure: Plain http to another machine is allowed.
    """

    api_base: str
    model: str
    max_answer: int = 1000
    temperature: float | None = None
    retries: int = 6
    timeout_s: float = 120.0
    insecure: bool = False

    def __post_init__(self) -> None:
        """CorpusError where the address makes no sense, or is not safe to send a key and pictures to."""
        checked_address(self.api_base, insecure=self.insecure)

    @property
    def host(self) -> str:
        """host, or host:port."""
        return urlsplit(self.api_base).netloc

    @property
    def loopback(self) -> bool:
        """Whether nothing leaves this machine."""
        return is_loopback(urlsplit(self.api_base).hostname or "")


def checked_address(api_base: str, *, insecure: bool) -> None:
    """CorpusError unless it is an http(s) address without secrets, and https or on this machine."""
    try:
        parts = urlsplit(api_base)
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not host:
        raise CorpusError(f"--api-base must be an address such as https://host/v1, not {api_base[:80]!r}.")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise CorpusError(
            "--api-base must not hold a name, password or query: set the key as FUSAR_API_KEY in the environment."
        )
    if parts.scheme == "http" and not is_loopback(host) and not insecure:
        raise CorpusError(
            f"{parts.netloc} would get the pictures and the key unencrypted: give an https:// address, or --insecure "
            "on a network that you trust."
        )


def key_variable(environment: Mapping[str, str] = os.environ) -> str | None:
    """The variable that holds the key; None where none is set."""
    return next((name for name in KEY_VARIABLES if environment.get(name, "").strip()), None)
