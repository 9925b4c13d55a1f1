"""What a server says of itself in ``GET /info``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .events import ProtocolError
from .problem import API
from .request import NO_PRIOR


class ApiMismatch(ProtocolError):  # noqa: N818 - a finding, not a fault
    """The server speaks another version of the HTTP API: ``served``."""

    def __init__(self, served: int) -> None:
        super().__init__(f"API {served} instead of {API}")
        self.served = served


@dataclass(frozen=True)
class Model:
    """A checkpoint that the server offers; empty ``targets``: any class may be asked for.

    ``tasks`` are those that it was taught; empty where its card does not say. ``free_questions``: whether it answers
    questions in free words; ``taught_questions``: those that it answers even if it does not. ``calibrated``: whether
    its findings have a confidence. ``uses_prior``: whether a prior changes its answers; without, none is fetched.
    """

    name: str
    title: str
    demonstration: bool
    targets: tuple[str, ...]
    prior_years: tuple[int, int] | None
    tasks: tuple[str, ...] = ()
    free_questions: bool = True
    calibrated: bool = False
    uses_prior: bool = True
    taught_questions: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, card: Mapping[str, Any]) -> Model:
        """From what ``/info`` shows of a checkpoint's card."""
        years = card.get("prior_years")
        return cls(
            name=card["name"],
            title=card.get("title") or card["name"],
            demonstration=bool(card.get("demonstration")),
            targets=tuple(card.get("targets") or ()),
            prior_years=(int(years[0]), int(years[1])) if years else None,
            tasks=tuple(card.get("tasks") or ()),
            free_questions=card.get("free_questions") is not False,
            calibrated=bool(card.get("calibration")),
            uses_prior=card.get("uses_prior") is not False,
            taught_questions=tuple(card.get("taught_questions") or ()),
        )


@dataclass(frozen=True)
class Info:
    """The answer of ``GET /info``; ``memory`` in bytes: used, free, gpu_used, gpu_free."""

    version: str
    device: str
    models: tuple[Model, ...]
    memory: dict[str, int] = field(default_factory=dict)
    prior_sources: tuple[str, ...] = (NO_PRIOR, "file")

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Info:
        """From the answer. Raises ApiMismatch, else KeyError, TypeError or ValueError."""
        if data["api"] != API:
            raise ApiMismatch(int(data["api"]))
        return cls(
            version=data["version"],
            device=data["device"],
            models=tuple(Model.from_json(card) for card in data["models"]),
            memory={str(name): int(size) for name, size in dict(data.get("memory") or {}).items()},
            prior_sources=tuple(str(each) for each in data.get("prior_sources") or (NO_PRIOR, "file")),
        )
