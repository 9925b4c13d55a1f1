"""What crosses the HTTP API, said once for the backend and the plugin: standard library only, Python 3.9.

The plugin has the same files as ``fusar_qgis/contract``. Every class turns itself into JSON and back; FastAPI
validates these very classes, and OpenAPI is made from them.
"""

from .events import (
    Ended,
    Event,
    Finished,
    Found,
    JobEvent,
    Progress,
    ProtocolError,
    Started,
    read,
    read_event,
)
from .finding import ENOUGH_DATA, FINDING_COLUMNS, Finding, Layer, read_geojson, to_geojson
from .geometry import (
    Box,
    FeatureCollection,
    MultiPolygon,
    Outline,
    Polygon,
    SceneBox,
    read_boxes,
    read_outline,
)
from .info import ApiMismatch, Info, Model
from .preview import Grey, Preview, ShownChip, ShownPrior, png_uri
from .prior import PriorStatus
from .problem import API, API_MISMATCH, Problem, read_problem
from .request import (
    AUTO_PRIOR,
    EXECUTION,
    FETCHED_PRIORS,
    NO_PRIOR,
    PRIOR_SOURCES,
    QUANTITIES,
    SEARCHES,
    UPLOADED,
    InterpretRequest,
    Need,
    SaidQuantity,
    Task,
)
from .run import RUN_COLUMNS, SCORE_MEANING, Columns, Run, Value

__all__ = [
    "API",
    "API_MISMATCH",
    "AUTO_PRIOR",
    "ENOUGH_DATA",
    "EXECUTION",
    "FETCHED_PRIORS",
    "FINDING_COLUMNS",
    "NO_PRIOR",
    "PRIOR_SOURCES",
    "QUANTITIES",
    "RUN_COLUMNS",
    "SCORE_MEANING",
    "SEARCHES",
    "UPLOADED",
    "ApiMismatch",
    "Box",
    "Columns",
    "Ended",
    "Event",
    "FeatureCollection",
    "Finding",
    "Finished",
    "Found",
    "Grey",
    "Info",
    "InterpretRequest",
    "JobEvent",
    "Layer",
    "Model",
    "MultiPolygon",
    "Need",
    "Outline",
    "Polygon",
    "Preview",
    "PriorStatus",
    "Problem",
    "Progress",
    "ProtocolError",
    "Run",
    "SaidQuantity",
    "SceneBox",
    "ShownChip",
    "ShownPrior",
    "Started",
    "Task",
    "Value",
    "png_uri",
    "read",
    "read_boxes",
    "read_event",
    "read_geojson",
    "read_outline",
    "read_problem",
    "to_geojson",
]
