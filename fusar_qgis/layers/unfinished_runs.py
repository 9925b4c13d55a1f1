"""The runs of a project that have not ended: kept in the project, so that they can go on after QGIS was closed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from qgis.core import QgsProject

from ..core.request import LayerRequest

_SCOPE, _ENTRY = "fusar", "unfinished"


@dataclass(frozen=True)
class UnfinishedRun:
    """A run that the backend may go on with.

    Attributes:
        run: Its provenance as ``Run.record()`` gives it.
        job: The backend's name for its job.
        request: What was asked.
        seconds: How long it has run.
        done: How many of its chips are answered.
        total: How many chips it has.
    """

    run: dict[str, Any]
    job: str
    request: LayerRequest
    seconds: float = 0.0
    done: int = 0
    total: int = 0

    @property
    def id(self) -> str:
        """The run's id."""
        return str(self.run.get("id", ""))


def unfinished_runs(project: QgsProject) -> list[UnfinishedRun]:
    """Return the runs of a project that have not ended, the oldest first."""
    found = []
    for kept in _entries(project).values():
        try:
            own = {"layer_id": str(kept["layer_id"]), "network_settled": True}
            request = LayerRequest.from_json({**kept["request"], **own})
            numbers = float(kept["seconds"]), int(kept["done"]), int(kept["total"])
            found.append(UnfinishedRun(dict(kept["run"]), str(kept["job"]), request, *numbers))
        except (ValueError, TypeError, KeyError):
            continue
    return found


def keep_unfinished(project: QgsProject, unfinished: UnfinishedRun) -> None:
    """Keep a run in the project until it is forgotten; the next saving of the project has it."""
    kept = {
        "run": unfinished.run,
        "job": unfinished.job,
        "request": unfinished.request.to_json(),
        "layer_id": unfinished.request.layer_id,
        "seconds": unfinished.seconds,
        "done": unfinished.done,
        "total": unfinished.total,
    }
    _write(project, {**_entries(project), unfinished.id: kept})


def forget_unfinished(project: QgsProject, run_id: str) -> None:
    """Forget a run, as it has ended or is given up."""
    entries = _entries(project)
    if entries.pop(run_id, None) is not None:
        _write(project, entries)


def _entries(project: QgsProject) -> dict[str, Any]:
    text, _ = project.readEntry(_SCOPE, _ENTRY, "")
    try:
        entries = json.loads(text or "{}")
    except ValueError:
        return {}
    return entries if isinstance(entries, dict) else {}


def _write(project: QgsProject, entries: dict[str, Any]) -> None:
    if entries:
        project.writeEntry(_SCOPE, _ENTRY, json.dumps(entries, ensure_ascii=False))
    else:
        project.removeEntry(_SCOPE, _ENTRY)
