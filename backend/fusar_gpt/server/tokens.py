"""The bearer tokens: one that all share, and, if there is a file of them, one for each analyst."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from pathlib import Path

from fusar_gpt.errors import FusarError

SHARED = ""
"""The holder of the token that all share."""

_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{16,512}")
_NAME = re.compile(r"[\w.@-]{1,100}")


class ServeError(FusarError):
    """The server cannot start as asked."""


def check_token(token: str) -> str:
    """The token, if it is long enough and fit for a header. Raises ServeError otherwise."""
    if not _TOKEN.fullmatch(token):
        raise ServeError("the token must be 16 to 512 letters, digits or ._~+/=-; choose another one")
    return token


def read_tokens(path: Path) -> dict[str, str]:
    """The tokens of a file by the analysts' names: a line ``NAME TOKEN`` each; ``#`` begins a comment.

    Raises ServeError.
    """
    try:
        lines = path.expanduser().read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise ServeError(f"{path} cannot be read as --tokens; check the path and its permissions") from error
    tokens: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) != 2 or not _NAME.fullmatch(words[0]) or not _TOKEN.fullmatch(words[1]):
            raise ServeError(
                f"line {number} of {path} is not a name and a token of 16 to 512 letters, digits or ._~+/=-; mend it"
            )
        if words[0] in tokens or words[1] in tokens.values():
            raise ServeError(
                f"line {number} of {path} repeats a name or a token; give each analyst a new one"
            )
        tokens[words[0]] = words[1]
    if not tokens:
        raise ServeError(f"{path} holds no tokens; write a line NAME TOKEN for each analyst")
    return tokens


class Tokens:
    """Who holds which token."""

    def __init__(self, shared: str, named: Mapping[str, str] | None = None) -> None:
        """The token that all share, and the analysts' own ones by name."""
        holders = {SHARED: shared, **(named or {})}
        self._tokens = [(name, token.encode("ascii")) for name, token in holders.items()]

    def holder(self, given: bytes) -> str | None:
        """Who holds a token: a name, ``SHARED``, or None. Takes the same time whichever it is."""
        found = None
        for name, token in self._tokens:
            if secrets.compare_digest(given, token):
                found = name
        return found
