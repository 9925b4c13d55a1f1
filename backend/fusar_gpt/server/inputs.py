"""What comes in by the door: the inputs of the process ``interpret``, checked before any file is touched."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from fusar_gpt.imagery import Area
from fusar_gpt.inquiries import Order
from fusar_gpt.priors import SPECS
from fusar_gpt.server.security import Roots
from fusar_gpt.tasks import Task

NO_CONTROLS = r"^[^\x00-\x1f\x7f]*$"

Name = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=NO_CONTROLS)]
Path = Annotated[str, StringConstraints(min_length=1, max_length=4096, pattern=NO_CONTROLS)]
Crs = Annotated[str, StringConstraints(min_length=1, max_length=16384)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Position = Annotated[list[Number], Field(min_length=2, max_length=4)]
Ring = Annotated[list[Position], Field(min_length=4)]
Rings = Annotated[list[Ring], Field(min_length=1)]


class Polygon(BaseModel):
    """A GeoJSON Polygon."""

    type: Literal["Polygon"]
    coordinates: Rings


class MultiPolygon(BaseModel):
    """A GeoJSON MultiPolygon."""

    type: Literal["MultiPolygon"]
    coordinates: Annotated[list[Rings], Field(min_length=1)]


Outline = Annotated[Polygon | MultiPolygon, Field(discriminator="type")]


class Box(BaseModel):
    """One object to classify; its properties are not read."""

    type: Literal["Feature"]
    geometry: Outline


class Boxes(BaseModel):
    """The objects to classify."""

    type: Literal["FeatureCollection"]
    features: Annotated[list[Box], Field(min_length=1, max_length=1000)]


class Inputs(BaseModel):
    """The inputs of ``interpret``. ``area`` and ``boxes`` are in ``area_crs``, x (or longitude) first.

    ``prior`` is one of the words of ``fusar_gpt.priors.SPECS``, fetched as the server's settings say, or a path.
    """

    model_config = ConfigDict(extra="forbid")

    scene: Path
    task: Task
    targets: Annotated[list[Name], Field(max_length=50)] = []
    area: Outline | None = None
    area_crs: Crs = "EPSG:4326"
    question: Annotated[str, StringConstraints(max_length=2000)] | None = None
    boxes: Boxes | None = None
    model: Path | None = None
    prior: Path = "none"
    allow_no_prior: Annotated[bool, Field(strict=True)] = False
    year: Annotated[int, Field(strict=True, ge=1970, le=2200)] | None = None
    band: Annotated[int, Field(strict=True, ge=1)] | Name | None = None
    ground_m: Annotated[Number, Field(gt=0, le=1e6)] | None = None
    overlap: Annotated[Number, Field(ge=0, le=0.9)] | None = None
    aspect: Literal["undistorted", "stretched"] | None = None

    @model_validator(mode="after")
    def _complete(self) -> Inputs:
        if self.task is Task.ASK and not (self.question and self.question.strip()):
            raise ValueError("the task ask needs a question")
        if self.task is Task.CLASSIFY and self.boxes is None:
            raise ValueError("the task classify needs boxes")
        return self

    def order(self, roots: Roots) -> Order:
        """The order, with every path resolved under the roots.

        Raises PathRefused, FusarError where a file is not there, AreaError.
        """
        boxes = self.boxes.features if self.boxes else []
        return Order(
            scene=roots.resolve(self.scene),
            task=self.task,
            targets=tuple(self.targets),
            area=self._place(self.area) if self.area else None,
            question=self.question,
            boxes=tuple(self._place(box.geometry) for box in boxes),
            prior=self.prior if self.prior in SPECS else str(roots.resolve(self.prior)),
            allow_no_prior=self.allow_no_prior,
            year=self.year,
            band=self.band,
            ground_m=self.ground_m,
            overlap=self.overlap,
            aspect=self.aspect,
        )

    def _place(self, outline: Polygon | MultiPolygon) -> Area:
        geometry: dict[str, Any] = outline.model_dump()
        return Area.from_geojson(geometry, self.area_crs)


class Execution(BaseModel):
    """OGC API - Processes' execute request."""

    model_config = ConfigDict(extra="forbid")

    inputs: Inputs
