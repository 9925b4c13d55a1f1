"""What a client asks for, as the contract has it; its files are found and looked at before any work is done."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter

from fusar_gpt.contract import PRIOR_SOURCES, SEARCH, UPLOADED, InterpretRequest, SearchRequest
from fusar_gpt.imagery import Area
from fusar_gpt.imagery.area import known_crs
from fusar_gpt.planning import area_of, boxes_of
from fusar_gpt.scene_prior import Admit
from fusar_gpt.server.journal import Record
from fusar_gpt.server.opening import OPENINGS
from fusar_gpt.server.security import Roots

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
SEARCH_EXAMPLES: list[Any] = [
    {
        "inputs": {
            "scene": "scene:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "texts": ["three ships in a harbour"],
            "top": 20,
        }
    },
    {
        "inputs": {
            "scene": "/data/scene.tif",
            "like": [{"type": "Point", "coordinates": [4.05, 51.95]}],
            "unlike": [{"type": "Point", "coordinates": [4.2, 51.99]}],
        }
    },
]
REQUEST = TypeAdapter(InterpretRequest)
_SEARCH_RECORD = TypeAdapter(dict[Literal["search"], SearchRequest])
_ARRAYS = (".npz", ".npy")


class Execution(BaseModel):
    """OGC API - Processes' execute request."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": EXAMPLES})

    inputs: InterpretRequest


class SearchExecution(BaseModel):
    """The same for a search."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": SEARCH_EXAMPLES})

    inputs: SearchRequest


def recorded(request: InterpretRequest | SearchRequest) -> str:
    """What the journal keeps of a request."""
    if isinstance(request, SearchRequest):
        return _SEARCH_RECORD.dump_json({"search": request}).decode()
    return REQUEST.dump_json(request).decode()


def request_of(record: Record) -> InterpretRequest | SearchRequest:
    """Back from :func:`recorded`."""
    if record.process == SEARCH:
        return _SEARCH_RECORD.validate_json(record.inputs)["search"]
    return REQUEST.validate_json(record.inputs)


def with_files(request: InterpretRequest, roots: Roots) -> InterpretRequest:
    """The request, with the paths of its files on this machine; every raster and shape was looked at.

    Raises PathRefused, FusarError where a file is not there, SceneError for a raster that is not opened for
    others, AreaError.
    """
    area_of(request)
    boxes_of(request)
    prior = request.prior if request.prior in PRIOR_SOURCES else str(_file(request.prior, roots))
    return replace(request, scene=str(_file(request.scene, roots)), prior=prior)


def with_scene(request: SearchRequest, roots: Roots) -> SearchRequest:
    """The same for a search, which has no other file. Raises as :func:`with_files`."""
    if request.area:
        Area.from_geojson(request.area, request.area_crs)
    known_crs(request.examples_crs)
    return replace(request, scene=str(_file(request.scene, roots)))


def admit_under(roots: Roots) -> Admit:
    """Looks at a prior file beside a scene as at one that a client names."""
    return lambda path: _file(str(path), roots)


def _file(text: str, roots: Roots) -> Path:
    """A file that may be opened. An uploaded one was looked at when it came."""
    path = roots.resolve(text)
    # An empty file plays no tricks; the job says that it is no raster.
    if not text.startswith(UPLOADED) and path.suffix.lower() not in _ARRAYS and path.stat().st_size:
        OPENINGS.check(path)
    return path
