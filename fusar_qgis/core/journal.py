"""The journal of a batch: one JSON line for each finished item, so that a batch that was cut off can resume."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..contract import Finding


@dataclass(frozen=True)
class Entry:
    """The result of one finished item of a batch: its run's provenance and its findings."""

    run: dict[str, Any]
    findings: tuple[Finding, ...]


def key_of(what: Any) -> str:
    """Return a name for ``what``, which is JSON: the same for the same content, another for any other."""
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


class Journal:
    """Finished items by their key; a line that is damaged, as the last one after a crash, is left out."""

    def __init__(self, path: Path) -> None:
        """Read the journal at ``path``; its folder is made where it is missing. Raises OSError."""
        self.path = path
        self._entries: dict[str, Entry] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        content = path.read_bytes() if path.exists() else b""
        self._torn = bool(content) and not content.endswith(b"\n")
        for line in content.splitlines():
            try:
                said = json.loads(line)
                self._entries[str(said["key"])] = _entry(said)
            except (ValueError, KeyError, TypeError, AttributeError):
                continue

    def find(self, key: str) -> Entry | None:
        """Return the finished item of that key, or None."""
        return self._entries.get(key)

    def add(self, key: str, entry: Entry) -> None:
        """Keep a finished item; it is on the disk when this returns. Raises OSError."""
        features = [finding.to_json() for finding in entry.findings]
        data = {"key": key, "run": entry.run, "findings": features}
        line = json.dumps(data, ensure_ascii=False) + "\n"
        with self.path.open("ab") as stream:
            stream.write((("\n" if self._torn else "") + line).encode())
            stream.flush()
            os.fsync(stream.fileno())
        self._torn = False
        self._entries[key] = entry

    def remove(self) -> None:
        """Delete the file: the batch is complete."""
        self.path.unlink(missing_ok=True)


def _entry(said: dict[str, Any]) -> Entry:
    return Entry(dict(said["run"]), tuple(Finding.from_json(feature) for feature in said["findings"]))
