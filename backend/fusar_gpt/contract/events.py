"""What an interpretation tells as it goes: on this machine, in a server-sent event, in a job's results."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Union

from .finding import Finding, read_geojson, to_geojson
from .geometry import Polygon
from .heat import HeatMap
from .run import Run


class ProtocolError(ValueError):
    """What was read is not what this contract allows."""


@dataclass(frozen=True)
class Started:
    """The run begins; ``chips`` is how many chips it will look at."""

    name: ClassVar[str] = "started"
    run: Run
    chips: int

    def to_json(self) -> dict[str, Any]:
        """The event's data."""
        return {**self.run.to_json(), "chips": self.chips}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Started:
        """Back from :meth:`to_json`."""
        return cls(Run.from_json(data), int(data["chips"]))


@dataclass(frozen=True)
class Found:
    """Findings of one chip. Drop those that are ``replaced``, then put those that are ``added``.

    ``replaces`` maps the id of a better view of an object to the id of the finding whose place it takes.
    """

    name: ClassVar[str] = "findings"
    added: tuple[Finding, ...]
    replaces: dict[str, str] = field(default_factory=dict)

    @property
    def replaced(self) -> tuple[str, ...]:
        """The ids of the findings that go."""
        return tuple(self.replaces.values())

    def to_json(self) -> dict[str, Any]:
        """The event's data."""
        return {
            "added": to_geojson(self.added),
            "replaced": list(self.replaced),
            "replaces": self.replaces,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Found:
        """Back from :meth:`to_json`."""
        return cls(read_geojson(data["added"]), {str(new): str(old) for new, old in data["replaces"].items()})


@dataclass(frozen=True)
class Progress:
    """``done`` of ``total`` chips are answered.

    ``chip`` is the footprint of the last of them in the scene's CRS; a job does not tell it, a conversation does.
    """

    name: ClassVar[str] = "progress"
    done: int
    total: int
    chip: Polygon | None = field(default=None, compare=False)

    @property
    def message(self) -> str:
        """The progress in words."""
        return f"{self.done} of {self.total} chips"

    def to_json(self) -> dict[str, Any]:
        """The event's data."""
        return {"done": self.done, "total": self.total, "message": self.message}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Progress:
        """Back from :meth:`to_json`."""
        return cls(int(data["done"]), int(data["total"]))


@dataclass(frozen=True)
class Finished:
    """The run is complete; ``findings`` is the final set. ``heat``: of a search that made a heat map."""

    name: ClassVar[str] = "results"
    run: Run
    findings: tuple[Finding, ...]
    heat: HeatMap | None = None

    def to_json(self) -> dict[str, Any]:
        """A job's results."""
        findings = {**to_geojson(self.findings), "run": self.run.record()}
        results = {**self.run.to_json(), "findings": findings}
        return {**results, "heat": self.heat.to_json()} if self.heat else results

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Finished:
        """Back from :meth:`to_json`."""
        heat = HeatMap.from_json(data["heat"]) if data.get("heat") else None
        return cls(Run.from_json(data), read_geojson(data["findings"]), heat)


@dataclass(frozen=True)
class Ended:
    """A job is over: ``successful``, ``failed`` or ``dismissed``; ``warnings`` are all those of the finished run."""

    name: ClassVar[str] = "end"
    status: str
    message: str
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The event's data."""
        data = {"status": self.status, "message": self.message}
        return {**data, "warnings": list(self.warnings)} if self.warnings else data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Ended:
        """Back from :meth:`to_json`."""
        warnings = tuple(str(warning) for warning in data.get("warnings") or ())
        return cls(str(data["status"]), str(data.get("message") or ""), warnings)


Event = Union[Started, Found, Progress, Finished]
"""What an interpretation yields."""
JobEvent = Union[Started, Found, Progress, Ended]
"""What a job's event stream brings."""

_KINDS = {kind.name: kind for kind in (Started, Found, Progress, Ended)}


def read_event(name: str, data: Any) -> JobEvent | None:
    """An event of a job's stream; None for a kind that a newer backend may have added. Raises as :func:`read`."""
    kind = _KINDS.get(name)
    return None if kind is None else read(kind, data)


def read(kind: Any, data: Any) -> Any:
    """An object of a class with ``from_json``, from JSON text or what it says. Raises ProtocolError."""
    try:
        return kind.from_json(json.loads(data) if isinstance(data, (str, bytes)) else data)
    except ProtocolError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise ProtocolError(f"{type(error).__name__}: {error}") from error
