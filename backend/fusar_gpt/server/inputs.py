"""What a client asks for, as the contract has it; its files are found and looked at before any work is done."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter

from fusar_gpt.contract import PRIOR_SOURCES, UPLOADED, InterpretRequest
from fusar_gpt.planning import area_of, boxes_of
from fusar_gpt.scene_prior import Admit
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
REQUEST = TypeAdapter(InterpretRequest)
_ARRAYS = (".npz", ".npy")


class Execution(BaseModel):
    """OGC API - Processes' execute request."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": EXAMPLES})

    inputs: InterpretRequest


def with_files(request: InterpretRequest, roots: Roots) -> InterpretRequest:
    """The request, with the paths of its files on this machine; every raster and shape was looked at.

    Raises PathRefused, FusarError where a file is not there, SceneError for a raster that is not opened for
    others, AreaError.
    """
    area_of(request)
    boxes_of(request)
    prior = request.prior if request.prior in PRIOR_SOURCES else str(_file(request.prior, roots))
    return replace(request, scene=str(_file(request.scene, roots)), prior=prior)


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
