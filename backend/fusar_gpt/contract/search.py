"""What an analyst searches a scene for: words, and examples of what is and is not meant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, ClassVar

from .crs_text import check_crs_text
from .geometry import Example, Outline, read_example, read_outline
from .limits import BandNumber, CrsText, Factor, FileName, Flag, Limits, Metres, Name, Overlap, Words
from .request import UPLOADED, SaidQuantity, read_fields

SEARCH = "search"
"""The task of a run that searched."""
SEARCH_EXECUTION = "/processes/search/execution"
"""Where a search is posted to as a job, as ``{"inputs": request.to_json()}``."""
SEARCH_NOW = "/search"
"""Where the same is posted to: answered at once where the index is there, else by a job."""
SEARCH_PLAN = "/search/plan"
"""Where the same is posted to, to learn how much there is to index first."""
DEFAULT_ENCODER = "klip-tiny"
MAX_TEXTS, MAX_EXAMPLES, MAX_TOP, MAX_SIZES = 20, 100, 1000, 4

Examples = Annotated[tuple[Example, ...], Limits(max_length=MAX_EXAMPLES)]


@dataclass(frozen=True)
class SearchRequest:
    """One search of one scene.

    Attributes:
        scene: A path, or ``scene:`` and the id of an uploaded file.
        texts: What to find; several are averaged.
        like: Examples of what to find, in any combination with texts.
        unlike: Examples of what is not meant.
        examples_crs: CRS of both: authority code or WKT. Coordinates are x, y (east, north) whatever its axis order.
        area: Where to look; None means the whole scene.
        area_crs: CRS of the area.
        top: How many places to find at most.
        encoder: Name of a FUSAR-KLIP, or ``open_clip:`` and a folder; None takes ``DEFAULT_ENCODER``.
        ground_m: Ground sides of the slices in metres; empty leaves it to the encoder.
        overlap: Share of a slice's side that its neighbour sees too; None leaves it to the backend.
        explain: Say of each place which of the encoder's words for it are those of the query.
        heat: Make a heat map of the whole scene.
        band, quantity, scale: As in :class:`~.request.InterpretRequest`.

    Raises:
        ValueError: There is nothing to look for, or a CRS is none of the forms that may be given.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    scene: FileName
    texts: Annotated[tuple[Words, ...], Limits(max_length=MAX_TEXTS)] = ()
    like: Examples = ()
    unlike: Examples = ()
    examples_crs: CrsText = "EPSG:4326"
    area: Outline | None = None
    area_crs: CrsText = "EPSG:4326"
    top: Annotated[int, Limits(strict=True, ge=1, le=MAX_TOP)] = 20
    encoder: FileName | None = None
    ground_m: Annotated[tuple[Metres, ...], Limits(max_length=MAX_SIZES)] = ()
    overlap: Overlap | None = None
    explain: Flag = False
    heat: Flag = True
    band: BandNumber | Name | None = None
    quantity: SaidQuantity | None = None
    scale: Factor | None = None

    def __post_init__(self) -> None:
        if not any(text.strip() for text in self.texts) and not self.like:
            raise ValueError(
                "there is nothing to search for: write what to find, or give a place that is like it"
            )
        for crs in (self.area_crs, self.examples_crs):
            check_crs_text(crs)

    def to_json(self) -> dict[str, Any]:
        """The ``inputs`` of a POST; what is None is left out."""
        known = {**asdict(self), **{name: list(getattr(self, name)) for name in ("texts", "ground_m")}}
        return {name: value for name, value in known.items() if value is not None}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SearchRequest:
        """Back from :meth:`to_json`; other keys are not read. Raises ValueError, TypeError or KeyError."""
        return cls(**read_fields(cls, data, _READERS))

    @property
    def uploads(self) -> set[str]:
        """The ids of the uploaded files that it names."""
        return {self.scene[len(UPLOADED) :]} if self.scene.startswith(UPLOADED) else set()


def _examples(data: Any) -> Examples:
    return tuple(read_example(example) for example in data)


_READERS: dict[str, Callable[[Any], Any]] = {
    "texts": tuple,
    "ground_m": tuple,
    "like": _examples,
    "unlike": _examples,
    "area": read_outline,
}


@dataclass(frozen=True)
class SearchPlan:
    """How much of a scene must be indexed before a search can answer.

    Attributes:
        slices: Slices that the search looks at.
        ready: How many of them are in the index already.
        seconds: Estimated time to index the rest on this machine.
    """

    slices: int
    ready: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SearchPlan:
        """Back from :meth:`to_json`."""
        return cls(int(data["slices"]), int(data["ready"]), float(data["seconds"]))
