"""The plugin's state as Markdown that can be pasted into a report: no secrets, no name of the home folder."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

HIDDEN = "(hidden)"
_SECRET_NAME = re.compile(r"token|password|passwd|secret|authcfg|api_?key|credential", re.IGNORECASE)
_SECRETS = (
    (re.compile(r"(?i)\b(bearer|basic)\s+[^\s\"',;]+"), rf"\1 {HIDDEN}"),
    (
        re.compile(
            r"(?i)\b([\w-]*(?:token|password|passwd|secret|api_?key)[\"']?\s*[=:]\s*)[\"']?[^\s\"',;&]+"
        ),
        rf"\1{HIDDEN}",
    ),
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^/\s@]+@"), rf"\1{HIDDEN}@"),
)


def diagnostics(
    sections: Mapping[str, Mapping[str, object]],
    errors: Sequence[str],
    *,
    homes: Sequence[str],
    secrets: Sequence[str] = (),
) -> str:
    """Return Markdown of a table for each of ``sections`` (title: name: value), and the last ``errors``.

    Args:
        sections: What is told; the value of a name that sounds like a secret is hidden.
        errors: The last ones, oldest first.
        homes: The home folder as the system writes it; each becomes ``~``.
        secrets: Texts that must not appear anywhere, such as the server's token.
    """

    def tamed(value: object) -> str:
        return _short(_without_secrets(str(value), secrets), homes)

    parts = ["## FUSAR-GPT diagnostics"]
    for title, rows in sections.items():
        lines = [f"### {title}", "", "| | |", "|---|---|"]
        for name, value in rows.items():
            text = HIDDEN if _SECRET_NAME.search(name) and str(value) else tamed(value)
            lines.append(f"| {name} | {_cell(text)} |")
        parts.append("\n".join(lines))
    told = [tamed(error).replace("```", "'''") for error in errors]
    parts.append("\n".join(["### Last errors", "", "```", *(told or ["none"]), "```"]))
    return "\n\n".join(parts) + "\n"


def _without_secrets(text: str, secrets: Sequence[str]) -> str:
    for secret in filter(None, secrets):
        text = text.replace(secret, HIDDEN)
    for pattern, shown in _SECRETS:
        text = pattern.sub(shown, text)
    return text


def _short(text: str, homes: Sequence[str]) -> str:
    """Shorten the home folder, written with either slash, where it is a whole path or its beginning."""
    for home in sorted(filter(None, homes), key=len, reverse=True):
        bare = home.rstrip("/\\")
        for written in {bare, bare.replace("\\", "/"), bare.replace("/", "\\")} if bare else ():
            text = re.sub(rf"{re.escape(written)}(?=$|[/\\\s\"',;:)”»])", "~", text)
    return text


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
