"""What comes in by the door: the inputs of the process ``interpret``, checked before any file is touched."""

from __future__ import annotations

import re
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from fusar_gpt.imagery import Area
from fusar_gpt.imagery.raster_policy import RasterPolicy
from fusar_gpt.inquiries import Order
from fusar_gpt.priors import SPECS
from fusar_gpt.server.security import SCENE, Roots
from fusar_gpt.tasks import Task

EXAMPLES: list[Any] = [
    {
        "inputs": {
            "scene": "scene:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "task": "detect",
            "targets": ["ship"],
            "area": {
                "type": "Polygon",
                "coordinates": [[[4.0, 51.9], [4.1, 51.9], [4.1, 52.0], [4.0, 52.0], [4.0, 51.9]]],
            },
        }
    },
    {"inputs": {"scene": "/data/scene.tif", "task": "ask", "question": "What is built here?"}},
]

_ARRAYS = (".npz", ".npy")

NO_CONTROLS = r"^[^\x00-\x1f\x7f]*$"

Name = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=NO_CONTROLS)]
Path = Annotated[str, StringConstraints(min_length=1, max_length=4096, pattern=NO_CONTROLS)]


def _without_files(crs: str) -> str:
    """PROJ opens what a definition names, be it a pipe."""
    if re.search(r"grids\s*=|init\s*=|PARAMETERFILE", crs, re.IGNORECASE):
        raise ValueError("a CRS may not name files; give its EPSG code or plain WKT")
    return crs


Crs = Annotated[str, StringConstraints(min_length=1, max_length=16384), AfterValidator(_without_files)]
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

    ``scene`` is a path on the server or ``scene:`` and the id of an uploaded one. ``prior`` may be the same, or
    one of the words of ``fusar_gpt.priors.SPECS``, fetched as the server's settings say.
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
        """The order, with every path resolved under the roots and every raster looked at.

        Raises PathRefused, FusarError where a file is not there, SceneError for a raster that is not opened for
        others, AreaError.
        """
        boxes = self.boxes.features if self.boxes else []
        return Order(
            scene=_file(self.scene, roots),
            task=self.task,
            targets=tuple(self.targets),
            area=self._place(self.area) if self.area else None,
            question=self.question,
            boxes=tuple(self._place(box.geometry) for box in boxes),
            prior=self.prior if self.prior in SPECS else str(_file(self.prior, roots)),
            allow_no_prior=self.allow_no_prior,
            year=self.year,
            band=self.band,
            ground_m=self.ground_m,
            overlap=self.overlap,
            aspect=self.aspect,
            guarded=True,
        )

    def uploads(self) -> set[str]:
        """The ids of the uploaded scenes that it names."""
        return {text.removeprefix(SCENE) for text in (self.scene, self.prior) if text.startswith(SCENE)}

    def _place(self, outline: Polygon | MultiPolygon) -> Area:
        geometry: dict[str, Any] = outline.model_dump()
        return Area.from_geojson(geometry, self.area_crs)


def _file(text: str, roots: Roots) -> FilePath:
    """A file that may be opened. An uploaded one was looked at when it came."""
    path = roots.resolve(text)
    # An empty file plays no tricks; the job says that it is no raster.
    if not text.startswith(SCENE) and path.suffix.lower() not in _ARRAYS and path.stat().st_size:
        RasterPolicy().check(path)
    return path


class Execution(BaseModel):
    """OGC API - Processes' execute request."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": EXAMPLES})

    inputs: Inputs
