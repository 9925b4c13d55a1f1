"""What an analyst asks for, whole: written once, sent as it is, checked by the server, interpreted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from enum import Enum
from typing import Annotated, Any, ClassVar, Literal, TypeVar, get_args

from .crs_text import check_crs_text
from .geometry import FeatureCollection, Outline, read_boxes, read_outline
from .limits import (
    MAX_TARGETS,
    BandNumber,
    CrsText,
    Factor,
    FileName,
    Flag,
    Limits,
    Metres,
    Name,
    Overlap,
    Words,
    Year,
)

Request = TypeVar("Request", bound="InterpretRequest")

EXECUTION = "/processes/interpret/execution"
"""Where a request is posted to, as ``{"inputs": request.to_json()}``."""
UPLOADED = "scene:"
"""Before the id of an uploaded file, where the path of a file on the server may stand."""
NO_PRIOR = "none"
PRIOR_SOURCES = (NO_PRIOR, "auto", "cog", "earth-engine")
"""What a request may name as its prior, besides a file."""
AUTO_PRIOR = PRIOR_SOURCES[1]
"""What is at hand, else whatever source answers, else none."""
FETCHED_PRIORS = PRIOR_SOURCES[1:]
"""Those that may be fetched from a network."""


SaidQuantity = Literal["power", "amplitude", "db", "grey"]
"""What the numbers of a scene may be said to be."""
QUANTITIES: tuple[SaidQuantity, ...] = get_args(SaidQuantity)


Need = Literal["target", "box", "text"]


class Task(str, Enum):
    """The six tasks (FUSAR-GPT section on tasks and metrics; ``ask`` is a free question)."""

    COUNT = "count"
    LOCATE = "locate"
    CLASSIFY = "classify"
    DETECT = "detect"
    DESCRIBE = "describe"
    ASK = "ask"

    @property
    def needs(self) -> Need | None:
        """What a question of this task cannot do without."""
        return _NEEDS.get(self)


_NEEDS: dict[Task, Need] = {
    Task.COUNT: "target",
    Task.LOCATE: "target",
    Task.CLASSIFY: "box",
    Task.DETECT: "target",
    Task.ASK: "text",
}
SEARCHES = tuple(task for task in Task if task.needs == "target")
"""The tasks that look for a target."""


@dataclass(frozen=True)
class InterpretRequest:
    """One interpretation: a scene, an area and a question.

    Attributes:
        scene: A path, or ``scene:`` and the id of an uploaded file.
        task: What is asked of each chip.
        targets: The classes to look for; empty means all that the checkpoint knows.
        area: Where to look; None means the whole scene, or the boxes.
        area_crs: CRS of the area: authority code or WKT. Coordinates are x, y (east, north) whatever its axis order.
        question: The analyst's own words, for ``ask``.
        boxes: The objects to classify.
        boxes_crs: CRS of the boxes; None means that of the area.
        model: Name of a checkpoint; None takes the one that is loaded.
        prior: One of ``PRIOR_SOURCES`` or a file.
        prior_network: Whether the prior may be fetched from a network; else only what is at hand is used.
        allow_no_prior: Go on without a prior where none can be had; ``auto`` always does.
        year: Year of the prior; None means that of the scene's acquisition.
        band: Number from 1, name or polarisation; None takes VV, then HH, then the first.
        quantity: What the band's numbers are; None judges by names, units, range and texture.
        scale: The stored numbers are multiplied by it, instead of by the scale and offset that the file states.
        ground_m: Ground side of a chip in metres; None leaves it to the checkpoint, and never magnifies the scene.
            With a smaller one a coarse scene is magnified, at most twofold.
        overlap: Share of a chip's side that its neighbour sees too; None leaves it to the task.
        aspect: Overrides the checkpoint's way to fit ground of another shape into its frame.

    Raises:
        ValueError: The task lacks what it needs, or a CRS is none of the forms that may be given.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    scene: FileName
    task: Task
    targets: Annotated[tuple[Name, ...], Limits(max_length=MAX_TARGETS)] = ()
    area: Outline | None = None
    area_crs: CrsText = "EPSG:4326"
    question: Words | None = None
    boxes: FeatureCollection | None = None
    boxes_crs: CrsText | None = None
    model: FileName | None = None
    prior: FileName = AUTO_PRIOR
    prior_network: Flag = True
    allow_no_prior: Flag = False
    year: Year | None = None
    band: BandNumber | Name | None = None
    ground_m: Metres | None = None
    overlap: Overlap | None = None
    aspect: Literal["undistorted", "stretched"] | None = None
    quantity: SaidQuantity | None = None
    scale: Factor | None = None

    def __post_init__(self) -> None:
        if self.task.needs == "text" and not (self.question and self.question.strip()):
            raise ValueError(f"the task {self.task.value} needs a question: write what you want to know")
        if self.task.needs == "box" and self.boxes is None:
            raise ValueError(f"the task {self.task.value} needs boxes: give the polygons of the objects")
        for crs in filter(None, (self.area_crs, self.boxes_crs)):
            check_crs_text(crs)

    def to_json(self) -> dict[str, Any]:
        """The ``inputs`` of a POST to ``EXECUTION``; what is None is left out."""
        known = {**asdict(self), "task": self.task.value, "targets": list(self.targets)}
        names = (field.name for field in fields(InterpretRequest))  # not those that a subclass adds
        return {name: known[name] for name in names if known[name] is not None}

    @classmethod
    def from_json(cls: type[Request], data: Mapping[str, Any]) -> Request:
        """Back from :meth:`to_json`; other keys are not read. Raises ValueError, TypeError or KeyError."""
        return cls(**read_fields(cls, data, _READERS))

    @property
    def uploads(self) -> set[str]:
        """The ids of the uploaded files that it names."""
        return {name[len(UPLOADED) :] for name in (self.scene, self.prior) if name.startswith(UPLOADED)}


def read_fields(
    kind: type[Any], data: Mapping[str, Any], readers: Mapping[str, Callable[[Any], Any]]
) -> dict[str, Any]:
    """What JSON says of a dataclass's fields, some of them by a reader; what is None or no field is left out."""
    given = {field.name: data[field.name] for field in fields(kind) if data.get(field.name) is not None}
    return {name: readers[name](value) if name in readers else value for name, value in given.items()}


_READERS: dict[str, Callable[[Any], Any]] = {
    "task": Task,
    "targets": tuple,
    "area": read_outline,
    "boxes": read_boxes,
}
