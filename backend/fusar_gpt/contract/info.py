"""What a server says of itself in ``GET /info``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
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
class EncoderCard:
    """An encoder that the server searches with, by the ``name`` that a request gives.

    ``image_px`` is the side of the images that it sees; None, and an empty ``licence``: not known. ``pixel_m``: the
    smallest and greatest pixel side of those that it was taught, in metres; None: not known. ``words``: those that it
    was taught, the most frequent first, Chinese characters one by one; empty where that is not known.
    """

    name: str
    title: str
    demonstration: bool
    licence: str = ""
    image_px: int | None = None
    pixel_m: tuple[float, float] | None = None
    words: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return asdict(self)

    @classmethod
    def from_json(cls, card: Mapping[str, Any]) -> EncoderCard:
        """Back from :meth:`to_json`."""
        taught, side = card.get("pixel_m"), card.get("image_px")
        return cls(
            name=card["name"],
            title=card.get("title") or card["name"],
            demonstration=bool(card.get("demonstration")),
            licence=str(card.get("licence") or ""),
            image_px=None if side is None else int(side),
            pixel_m=(float(taught[0]), float(taught[1])) if taught else None,
            words=tuple(str(word) for word in card.get("words") or ()),
        )


@dataclass(frozen=True)
class Info:
    """The answer of ``GET /info``; ``memory`` in bytes: used, free, gpu_used, gpu_free.

    ``encoders``: those that it searches with, the one it takes by default first; empty where it does not search.
    """

    version: str
    device: str
    models: tuple[Model, ...]
    memory: dict[str, int] = field(default_factory=dict)
    prior_sources: tuple[str, ...] = (NO_PRIOR, "file")
    encoders: tuple[EncoderCard, ...] = ()

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
            encoders=tuple(EncoderCard.from_json(card) for card in data.get("encoders") or ()),
        )
