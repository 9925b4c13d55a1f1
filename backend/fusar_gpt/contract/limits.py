"""Bounds of a field, said once: plain data in QGIS, checked by pydantic on the server and shown in OpenAPI."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from .crs_text import MAX_LENGTH

Schema = dict[str, Any]


class Limits:
    """What ``Annotated`` says of a type, in pydantic's words: ``ge``, ``gt``, ``le``, ``max_length``, ``pattern``..."""

    def __init__(self, **bounds: Any) -> None:
        self.bounds = bounds

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], Schema]) -> Schema:
        """Pydantic asks for the schema of the bare type and gets it with the bounds."""
        return {**handler(source), **self.bounds}


class TaggedBy:
    """One of several classes, told apart by the value of a field, in the order of the union."""

    def __init__(self, field: str, *values: str) -> None:
        self.field, self.values = field, values

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], Schema]) -> Schema:
        """Pydantic's union becomes one that looks at the field only."""
        choices = dict(zip(self.values, handler(source)["choices"]))
        return {"type": "tagged-union", "discriminator": self.field, "choices": choices}


NO_CONTROLS = r"^[^\x00-\x1f\x7f]*$"
MAX_TARGETS = 50
MAX_BOXES = 1000
PRIOR_YEARS = (2017, 2100)
"""The first year that AlphaEarth has, and the last that may be asked for."""

Name = Annotated[str, Limits(min_length=1, max_length=100, pattern=NO_CONTROLS)]
FileName = Annotated[str, Limits(min_length=1, max_length=4096, pattern=NO_CONTROLS)]
CrsText = Annotated[str, Limits(min_length=1, max_length=MAX_LENGTH)]
Words = Annotated[str, Limits(max_length=2000)]
Number = Annotated[float, Limits(allow_inf_nan=False)]
Flag = Annotated[bool, Limits(strict=True)]
Year = Annotated[int, Limits(strict=True, ge=1970, le=2200)]
BandNumber = Annotated[int, Limits(strict=True, ge=1)]
Metres = Annotated[float, Limits(allow_inf_nan=False, gt=0, le=1e6)]
Factor = Annotated[float, Limits(allow_inf_nan=False, gt=0, le=1e12)]
Overlap = Annotated[float, Limits(allow_inf_nan=False, ge=0, le=0.9)]
